"""`python -m inventory_svc`."""

import sys

from chassis import probe


def main() -> int:
    """Run the program; its health is asked for often, and without loading all of it."""
    if sys.argv[1:] == ["health"]:
        return probe.of_service("inventory_svc", "127.0.0.1:50053")
    if sys.argv[1:] == ["alive"]:
        return probe.whether_it_answers("inventory_svc", "127.0.0.1:50053")
    from chassis import program  # noqa: PLC0415
    from inventory_svc.wiring import PROGRAM  # noqa: PLC0415

    return program.main(PROGRAM)


if __name__ == "__main__":
    sys.exit(main())
