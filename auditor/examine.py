"""One audit: read everything, run every check, and report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from auditor import cards, journal, keys, money, outbox, provider, sagas, seats
from auditor.evidence import Books, Evidence
from auditor.findings import Finding
from auditor.reading import Row, Urls, read_tables

CHECKS = (
    *money.CHECKS,
    *seats.CHECKS,
    *keys.CHECKS,
    *journal.CHECKS,
    *sagas.CHECKS,
    *outbox.CHECKS,
    *cards.CHECKS,
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


async def examine(
    urls: Urls,
    *,
    books: Books | None = None,
    answers: Sequence[Row] = (),
    settled: bool = False,
    now: datetime | None = None,
) -> Report:
    """Audit the databases of a system at rest.

    `books` are the provider's, where they are not in a database; in one they are read as of
    `now`. `answers` are the entries of clients' journals. With `settled`, everything has had
    the time to end, and must have.

    Raises:
        CannotRead: a database cannot be reached, or is not what it should be.
    """
    evidence = Evidence(
        booking=await read_tables("booking", urls.booking),
        payment=await read_tables("payment", urls.payment),
        inventory=await read_tables("inventory", urls.inventory),
        books=books,
        journal=answers,
        settled=settled,
    )
    if urls.provider is not None:
        tables = await read_tables("provider", urls.provider)
        books = provider.books_of(tables, now or datetime.now(UTC))
        evidence = replace(evidence, provider=tables, books=books)
    return report_on(evidence)


def report_on(evidence: Evidence) -> Report:
    """Run every check. Pure: the same rows in any order make the same report."""
    findings = {finding for check in CHECKS for finding in check(evidence)}
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
