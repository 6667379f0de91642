"""`python -m payment_svc`."""

import sys

from chassis.program import main
from payment_svc.wiring import PROGRAM

sys.exit(main(PROGRAM))
