"""Where Chromium is, if it is here."""

import os
import shutil

VARIABLE = "HOLDFAST_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The program."""
    found = (shutil.which(name) for name in NAMES)
    return os.environ.get(VARIABLE) or next((one for one in found if one), None)
