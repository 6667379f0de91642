"""`holdfast trace`: one booking from its first seat to its end, as three services tell it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

import typer
from holdfast.inventory.v1 import inventory_pb2
from holdfast.inventory.v1 import inventory_pb2_grpc as inventory_rpc

from cli import calls, desk, payments, sagas, trace_views
from cli.desk import Desk
from cli.failure import Failure, Unreachable
from cli.programs import BOOKING, INVENTORY, PAYMENT, Program
from cli.sagas import BookingArgument, JsonOption
from cli.screen import err
from cli.story import Facts, Reservation

Told = TypeVar("Told")

OPERATOR = "operator"
SCOPES = {BOOKING: "admin", PAYMENT: "payments", INVENTORY: "inventory"}


@dataclass
class Hearing:
    """What the services were heard to say, and why some were not."""

    facts: Facts = field(default_factory=Facts)
    missing: dict[Program, Exception] = field(default_factory=dict)


def trace(booking: BookingArgument, *, as_json: JsonOption = False) -> None:
    """Show the whole story of a booking: what booking, payment and inventory did, in one timeline.

    The first line is an absolute time, and each entry says how long after it that was. An action
    stands where it began. What a payment waits for is asked for before it is shown. The services'
    clocks may differ: what happened at almost the same moment may stand in another order.

    With --json, the output is one object: booking, sagas, payments and reservations as the
    contract names them, and timeline. What a service did not tell is null there.

    The exit code is 1 if a service could not be asked; what the others say is shown.
    """
    heard = listen(desk.parse_booking(booking))
    if as_json:
        typer.echo(trace_views.as_json(heard.facts))
    else:
        trace_views.show(heard.facts, [one.name for one in heard.missing], datetime.now(UTC))
    if heard.missing:
        raise Failure("\n".join(("this is not the whole story", *_reasons(heard))))


def listen(booking: int | str) -> Hearing:
    """Ask each service for its part.

    Raises:
        Failure: there is no such booking.
        Unreachable, Refused: no service says anything about it; why the first does not.
    """
    heard = Hearing()
    found = _ask(heard, BOOKING, lambda here: sagas.of_booking(here, booking))
    reference = found[0].booking_reference if found else booking
    paid = None
    if isinstance(reference, str):
        paid = _ask(heard, PAYMENT, lambda here: payments.of_booking(here, reference))
    if not found and not paid:
        raise next(iter(heard.missing.values()))
    heard.facts = Facts(found, paid)
    heard.facts = replace(heard.facts, reservations=_seats(heard))
    return heard


def _reasons(heard: Hearing) -> Iterator[str]:
    for program, error in heard.missing.items():
        yield str(error) if isinstance(error, Failure) else f"{program.name}: {error}"


def _seats(heard: Hearing) -> Sequence[Reservation] | None:
    """The reservations of the booking's seats: which they are, only the booking knows."""
    booking = heard.facts.booking
    if booking is None:
        message = f"{INVENTORY.name} was not asked: {BOOKING.name} did not say which seats it has"
        heard.missing[INVENTORY] = Failure(message)
        return None
    ids = [seat.reservation_id for seat in booking.seats]

    def get(here: Desk) -> Sequence[Reservation]:
        method = inventory_rpc.InventoryServiceStub(here.channel).GetReservations
        return here.ask(method, inventory_pb2.GetReservationsRequest(ids=ids)).reservations

    return _ask(heard, INVENTORY, get)


def _ask(heard: Hearing, program: Program, question: Callable[[Desk], Told]) -> Told | None:
    """What a service says; none, and why it is missing, if it cannot be asked."""
    try:
        with err.status(f"asking {program.name}"), _opened(program) as here:
            return question(here)
    except Unreachable as gone:
        heard.missing[program] = gone
    except calls.Refused as refused:
        heard.missing[program] = refused
    return None


def _opened(program: Program) -> AbstractContextManager[Desk]:
    return desk.opened(OPERATOR, SCOPES[program], program)
