"""`python -m auditor`: look at the databases of a stack, and say what is wrong."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from auditor.examine import AGAIN_S, Report, examine
from auditor.journal import read_journal
from auditor.reading import CannotRead, Urls

CLEAN, FOUND, CANNOT_TELL = 0, 1, 2

DESCRIPTION = """\
Reads the databases of a stack, knows none of its code, and says what is wrong: money that is
taken and not due, seats that two have or nobody, answers that are no longer true, keys, sagas
and events that do not fit, card numbers. Nothing is written.

It may work meanwhile. The databases are seen as they are at moments that differ by milliseconds,
so that what is under way between two of them can look wrong: when something is found, there is a
second look a little later, and only what is found both times, of the same code and ids, is
reported. With --settled one look is enough: the system has come to rest.
"""
EPILOG = """\
URLs are SQLAlchemy's, as the services use: sqlite+aiosqlite:///var/booking.db,
mysql+aiomysql://user:password@host/booking. Those that are not given are taken from
BOOKING_DATABASE_URL, PAYMENT_DATABASE_URL and INVENTORY_DATABASE_URL, which keeps passwords out
of the list of processes.

A journal is a file of JSON lines that clients write:
  {"key": "k-1", "userId": "ann", "bookingId": 5001, "bookingReference": "BK-2026-...",
   "status": "CONFIRMED", "at": "2026-11-16T10:30:00Z"}
  status: CONFIRMED, FAILED, CANCELLED or PENDING, as answered. Before asking to cancel:
  {"userId": "ann", "bookingId": 5001, "cancelled": true, "at": ...}

Each finding is a line: CODE, the ids concerned, a sentence. The last line is a summary.
Exit code: 0 all is well, 1 something is wrong, 2 it could not be told (see the error).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    told = _parser().parse_args(arguments)
    urls = Urls(told.booking, told.payment, told.inventory, told.provider)
    try:
        answers = [entry for path in told.journal for entry in read_journal(path)]
        report = asyncio.run(
            examine(urls, answers=answers, settled=told.settled, again_s=told.again)
        )
    except CannotRead as error:
        print(f"auditor: {error}", file=sys.stderr)
        return CANNOT_TELL
    for finding in report.findings:
        print(finding)
    print(summary(report))
    return FOUND if report.findings else CLEAN


def summary(report: Report) -> str:
    """What was looked at, and how it is, in one line."""
    parts = [
        f"{len(report.findings)} findings",
        f"{report.bookings} bookings",
        f"{report.payments} payments",
        f"{report.seats} seats",
        f"{report.answers} answers",
        "provider asked" if report.asked_provider else "provider not asked",
    ]
    if report.gone is not None:
        parts.append(f"looked twice: {report.gone} more only the first time")
    if report.parked:
        parts.append(f"parked for an operator: {' '.join(report.parked)}")
    if report.by_hand:
        parts.append(f"resolved by an operator: {' '.join(report.by_hand)}")
    return ", ".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m auditor",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("booking", "payment", "inventory"):
        url = os.environ.get(f"{name.upper()}_DATABASE_URL")
        text = f"the {name} service's database"
        parser.add_argument(
            f"--{name}", metavar="URL", default=url, required=url is None, help=text
        )
    parser.add_argument("--provider", metavar="URL", help="the mock provider's own database")
    parser.add_argument(
        "--journal",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="what clients were answered; may be given several times",
    )
    parser.add_argument(
        "--settled",
        action="store_true",
        help="everything has had the time to end: what has not is a finding,"
        " but for bookings that are parked for an operator",
    )
    parser.add_argument(
        "--again",
        metavar="S",
        type=float,
        default=AGAIN_S,
        help="seconds before the second look, without --settled (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
