"""`python -m booking_svc`."""

import sys

from booking_svc.wiring import PROGRAM
from chassis.program import main

sys.exit(main(PROGRAM))
