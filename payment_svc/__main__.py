"""`python -m payment_svc`."""

import sys

from chassis import probe


def main() -> int:
    """Run the program; its health is asked for often, and without loading all of it."""
    if sys.argv[1:] == ["health"]:
        return probe.of_service("payment_svc", "127.0.0.1:50052")
    if sys.argv[1:] == ["alive"]:
        return probe.whether_it_answers("payment_svc", "127.0.0.1:50052")
    from chassis import program  # noqa: PLC0415
    from payment_svc.wiring import PROGRAM  # noqa: PLC0415

    return program.main(PROGRAM)


if __name__ == "__main__":
    sys.exit(main())
