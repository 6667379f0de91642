"""One audit: read everything, run every check, and report."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from auditor import journal, keys, money, outbox, provider, sagas, seats
from auditor.cards import CardScan
from auditor.evidence import Books, Evidence
from auditor.findings import Finding
from auditor.reading import Urls, read_all
from auditor.tables import Row, Tables

# Before a second look. What is under way between two databases takes much less.
AGAIN_S = 3.0
Sleep = Callable[[float], Awaitable[object]]

CHECKS = (
    money.CHECKS,
    seats.CHECKS,
    keys.CHECKS,
    journal.CHECKS,
    sagas.CHECKS,
    outbox.CHECKS,
)


@dataclass(frozen=True)
class Report:
    """What an audit found, and what it looked at."""

    findings: Sequence[Finding]
    bookings: int
    payments: int
    seats: int
    # Answers that clients wrote down.
    answers: int
    asked_provider: bool
    # References of bookings that wait for an operator, and of those that one has resolved.
    parked: Sequence[str]
    by_hand: Sequence[str]
    # How many findings of a first look were gone at the second; None: there was one look.
    gone: int | None = None


async def audit(
    urls: Urls,
    *,
    books: Books | None = None,
    answers: Sequence[Row] = (),
    settled: bool = False,
    now: datetime | None = None,
) -> list[Finding]:
    """What is wrong; empty when all is well. As `examine`."""
    report = await examine(urls, books=books, answers=answers, settled=settled, now=now)
    return list(report.findings)


async def examine(  # noqa: PLR0913 - each is an option of the program
    urls: Urls,
    *,
    books: Books | None = None,
    answers: Sequence[Row] = (),
    settled: bool = False,
    now: datetime | None = None,
    again_s: float = AGAIN_S,
    sleep: Sleep = asyncio.sleep,
) -> Report:
    """Audit the databases of a stack.

    `books` are the provider's, where they are not in a database; in one they are read as of
    `now`. `answers` are the entries of clients' journals. With `settled`, everything has had
    the time to end, and must have.

    Without it, what is found may only be under way between two databases: there is a second
    look after `again_s`, and what is found both times counts.

    Raises:
        CannotRead: a database cannot be reached, or is not what it should be.
    """
    first = await _look(urls, books, answers, now, settled=settled)
    if settled or not first.findings:
        return first
    await sleep(again_s)
    return both(first, await _look(urls, books, answers, now, settled=settled))


def both(first: Report, second: Report) -> Report:
    """The second look, with the findings that the first had too: of the same code and ids."""
    before = {(one.code, one.about) for one in first.findings}
    stayed = [one for one in second.findings if (one.code, one.about) in before]
    gone = before - {(one.code, one.about) for one in stayed}
    return replace(second, findings=stayed, gone=len(gone))


async def _look(
    urls: Urls,
    books: Books | None,
    answers: Sequence[Row],
    now: datetime | None,
    *,
    settled: bool,
) -> Report:
    tables, stored = await _read(urls)
    if "provider" in tables:
        books = provider.books_of(tables.pop("provider"), now or datetime.now(UTC))
    return report_on(
        Evidence(**tables, books=books, journal=answers, cards=stored, settled=settled)
    )


async def _read(urls: Urls) -> tuple[dict[str, Tables], Sequence[Finding]]:
    """The tables, and the cards in them."""
    scan = CardScan()
    return await read_all(urls, scan.look_at), scan.findings()


def report_on(evidence: Evidence) -> Report:
    """Run every check. Pure: the same rows in any order make the same report."""
    findings = set(evidence.cards)
    for checks in CHECKS:
        # A copy has indexes of its own, gone before the next are made: they are large.
        copy = replace(evidence)
        findings |= {finding for check in checks for finding in check(copy)}
    if evidence.books is not None:
        books = evidence.books
        findings |= {one for check in provider.CHECKS for one in check(evidence, books)}
    return Report(
        findings=sorted(findings),
        bookings=len(evidence.bookings),
        payments=len(evidence.payments),
        seats=len(evidence.seats),
        answers=len(evidence.journal),
        asked_provider=evidence.books is not None,
        parked=_references(evidence, evidence.parked),
        by_hand=_references(evidence, evidence.by_hand),
    )


def _references(evidence: Evidence, booking_ids: frozenset[int]) -> list[str]:
    known = evidence.booking_by_id
    return sorted(known[one]["booking_reference"] for one in booking_ids if one in known)
