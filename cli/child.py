"""`python -m cli.child PARENT PROGRAM`: become a program that does not outlive its parent."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, program: str) -> None:
    """Ask the kernel for a SIGTERM when the process `parent` is gone, then become the program.

    Here and not between fork and exec, where a process with threads must do nothing.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            return
    os.execv(sys.executable, [sys.executable, "-m", program])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
