"""Where promtool is, if it is here."""

import os
import shutil
import sys
from pathlib import Path

VARIABLE = "HOLDFAST_TEST_PROMTOOL"


def executable() -> str | None:
    """The program; `make test` may have put it beside Python."""
    beside = shutil.which("promtool", path=str(Path(sys.executable).parent))
    return os.environ.get(VARIABLE) or shutil.which("promtool") or beside
