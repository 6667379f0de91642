"""`python -m gateway`."""

import sys

from chassis import probe


def main() -> int:
    """Run the program; its health is asked for often, and without loading all of it."""
    if sys.argv[1:] == ["health"]:
        return probe.of_gateway("gateway", "127.0.0.1:8080")
    from gateway import program  # noqa: PLC0415

    return program.main()


if __name__ == "__main__":
    sys.exit(main())
