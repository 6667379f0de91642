"""The number and the code of a card are used for one call and are nowhere afterwards."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from support.clock import ManualClock
from support.databases import Databases
from support.payments import Payments, dump, log_lines, process, serving_payments

from payment_svc.domain.outcome import DeclineCode, Declined, Outcome
from payment_svc.ports import Charge

NUMBER, CVV = "4539578763621486", "7391"
# The last four digits are kept. Any of the others would be too much, and so would the code.
SECRET = re.compile(rf"{NUMBER[4:12]}|(?<![0-9A-Za-z]){CVV}(?![0-9A-Za-z])")


async def indiscreet(charge: Charge) -> Outcome:
    """A provider whose errors say too much."""
    cause = ValueError(f"number {charge.card.number}")
    message = f"cannot charge {charge.card.number} with {charge.card.cvv}: {vars(charge.card)}"
    raise RuntimeError(message) from cause


ANSWERS: dict[str, Any] = {
    "success": None,
    "decline": Declined(DeclineCode.CARD_DECLINED),
    "an error that tells": indiscreet,
}
BAD: dict[str, dict[str, Any]] = {
    "check digit": {"card_number": NUMBER[:-1] + "7"},
    "letters": {"card_number": NUMBER + "x"},
    "expired": {"expiry_year": 2020},
    "amount": {"amount": "1.001"},
    "code": {"cvv": CVV + "1"},
    "booking": {"booking": ""},
    "long code": {"cvv": CVV + "." + CVV},
}


@pytest.fixture
def written() -> Iterator[Callable[[], str]]:
    with log_lines() as lines:
        yield lines.getvalue


async def all_of(call: Any) -> str:
    """Everything that a caller gets: the message or the error, and the metadata."""
    try:
        answer: Message | str = await call
    except grpc.RpcError as error:
        answer = f"{error.code()} {error.details()} {error!r}"
    return f"{answer} {await call.initial_metadata()} {await call.trailing_metadata()}"


async def answers(payments: Payments) -> dict[str, str]:
    """What callers get in each case, with a key and repeated."""
    said = {}
    for name, changes in [*((name, {}) for name in ANSWERS), *BAD.items()]:
        if name in ANSWERS:
            payments.provider.answers.append(ANSWERS[name])
        request = process(**{"card_number": NUMBER, "cvv": CVV, **changes})
        for time in ("first", "again"):
            call = payments.caller.ProcessPayment(request, idempotency_key=f"key {name}")
            said[f"{name}, {time}"] = await all_of(call)
    return said


def test_the_search_finds_what_it_must() -> None:
    """The search of these tests sees the number and the code, whole or in part."""
    for text in (f"n={NUMBER}", NUMBER[:-4], f"cvv '{CVV}'", f'"{CVV}"'):
        assert SECRET.search(text)
    assert not SECRET.search(f"{NUMBER[-4:]} 0{CVV} {CVV}a")


async def test_nowhere(
    databases: Databases, clock: ManualClock, written: Callable[[], str]
) -> None:
    """No table, no log line and no answer has a card's number or code, whatever happens."""
    database = await databases.fresh("payment_svc")
    async with serving_payments(database, clock) as payments:
        said = await answers(payments)
        tables = await dump(database)
    assert [one.card.cvv for one in payments.provider.journal] == [CVV] * 4
    # The lines and the rows of these calls are there to be searched.
    logged = written()
    assert logged.count("ProcessPayment") == len(said)
    assert "provider_gave_no_answer" in logged
    assert "RuntimeError" in logged
    assert len(re.findall(r"\b1486\b", tables)) == len(ANSWERS)
    assert tables.count("key success") == 1
    found = {name: SECRET.findall(text) for name, text in said.items()}
    found |= {"tables": SECRET.findall(tables), "logs": SECRET.findall(logged)}
    assert {name: what for name, what in found.items() if what} == {}
