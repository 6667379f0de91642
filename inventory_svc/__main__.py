"""`python -m inventory_svc`."""

import sys

from chassis.program import main
from inventory_svc.wiring import PROGRAM

sys.exit(main(PROGRAM))
