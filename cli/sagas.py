"""`holdfast sagas`: the sagas behind the bookings, for operators."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson
from holdfast.booking.v1 import saga_pb2 as pb
from holdfast.booking.v1 import saga_pb2_grpc as rpc

from cli import calls, desk, saga_views
from cli.desk import Desk
from cli.failure import Failure
from cli.screen import name_of, say

OPERATOR = "operator"
PAGE_SIZE_MAX = 1000
# Every saga that a booking can have, of whatever version, in the order in which they begin.
NAMES = ("confirm_booking", "cancel_booking")

commands = typer.Typer(
    help="See the sagas behind the bookings; retry or resolve those that need a person.",
    no_args_is_help=True,
)


class Which(StrEnum):
    """The sagas to list, by their states."""

    NEEDS_ATTENTION = "NEEDS_ATTENTION"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    UNDONE = "UNDONE"
    SUPERSEDED = "SUPERSEDED"
    ALL = "all"


BookingArgument = Annotated[
    str,
    typer.Argument(help="The booking's reference, BK-…, or its number.", metavar="BOOKING"),
]
NameOption = Annotated[
    str,
    typer.Option(help=f"Which of its sagas: {' or '.join(NAMES)}. By default the parked one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, as the contract names it.")]


@commands.command("list")
def list_sagas(
    state: Annotated[
        Which, typer.Option(help="Only sagas in this state.", case_sensitive=False)
    ] = Which.NEEDS_ATTENTION,
    limit: Annotated[int, typer.Option(help="How many to show at most.", min=1)] = 50,
    *,
    as_json: JsonOption = False,
) -> None:
    """List sagas, newest first; without options, those that wait for a person."""
    with _opened() as here:
        found, more = _list(here, state, limit)
    if as_json:
        _print_json(found)
    elif found:
        saga_views.show_list(found)
        if more:
            say(f"There are more than {limit}: --limit N shows more of them.")
    else:
        say(_none(state))


@commands.command()
def show(booking: BookingArgument, *, as_json: JsonOption = False) -> None:
    """Show the sagas of a booking, with what each did, when, and what came of it.

    A booking has one saga that confirms it and, once it is being cancelled, another for that.
    """
    with _opened() as here:
        found = of_booking(here, desk.parse_booking(booking))
    if as_json:
        _print_json(found)
    else:
        for saga in found:
            saga_views.show_one(saga)


@commands.command()
def retry(booking: BookingArgument, name: NameOption = "") -> None:
    """Let a parked saga try its present step again, once what was in its way is gone."""
    with _opened() as here:
        saga = _parked(here, booking, name)
        request = pb.RetrySagaRequest(booking_id=saga.booking_id, name=saga.name)
        saga_views.show_outcome(here.ask(rpc.SagaServiceStub(here.channel).RetrySaga, request))


@commands.command()
def resolve(
    booking: BookingArgument,
    note: Annotated[str, typer.Option(help="What you did by hand, for the timeline.")],
    name: NameOption = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the present step of a parked saga as done, because you did it by hand.

    The step is not tried again, and nobody checks that it was done: the saga goes on from
    there. To have it tried again, use 'holdfast sagas retry'.
    """
    if not note.strip():
        message = "--note must say what was done by hand: it is all that the timeline will know"
        raise Failure(message)
    with _opened() as here:
        saga = _parked(here, booking, name)
        if not yes:
            saga_views.show_meaning_of_resolve(saga)
            typer.confirm("Take it as done?", abort=True)
        request = pb.ResolveSagaRequest(booking_id=saga.booking_id, name=saga.name, note=note)
        saga_views.show_outcome(here.ask(rpc.SagaServiceStub(here.channel).ResolveSaga, request))


def of_booking(here: Desk, booking: int | str) -> list[pb.Saga]:
    """The sagas of a booking with their timelines, in the order in which they began.

    Raises:
        Refused, Failure: they cannot be read, or there is no such booking.
    """
    stub = rpc.SagaServiceStub(here.channel)
    if isinstance(booking, str):
        listed = here.ask(stub.ListSagas, pb.ListSagasRequest(booking_reference=booking)).sagas
        if not listed:
            raise _unknown(booking)
        booking_id = listed[0].booking_id
    else:
        booking_id = booking
    found = []
    for name in NAMES:
        try:
            request = pb.GetSagaRequest(booking_id=booking_id, name=name)
            found.append(here.ask(stub.GetSaga, request))
        except calls.Refused as refused:
            if refused.info.reason != "SAGA_NOT_FOUND":
                raise
    if not found:
        raise _unknown(booking)
    return found


def _opened() -> AbstractContextManager[Desk]:
    return desk.opened(OPERATOR, "admin")


def _list(here: Desk, state: Which, limit: int) -> tuple[list[pb.Saga], bool]:
    """Sagas, and whether there are more of them."""
    listing = rpc.SagaServiceStub(here.channel).ListSagas
    wanted = None if state is Which.ALL else state.value
    found: list[pb.Saga] = []
    page = pb.ListSagasResponse()
    while True:
        request = pb.ListSagasRequest(
            state=wanted,
            page_size=min(limit - len(found), PAGE_SIZE_MAX),
            page_token=page.next_page_token,
        )
        page = here.ask(listing, request)
        found += page.sagas
        if not page.next_page_token or len(found) >= limit:
            return found, bool(page.next_page_token)


def _parked(here: Desk, booking: str, name: str) -> pb.Saga:
    """The saga to act on: the one of this name or, without a name, the only one that is parked."""
    found = of_booking(here, desk.parse_booking(booking))
    parked = [saga for saga in found if saga.state == pb.Saga.NEEDS_ATTENTION]
    chosen = [saga for saga in parked if name in ("", saga.name, saga.name.partition("/")[0])]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        message = "several of its sagas are parked; choose one: --name " + " or --name ".join(
            saga.name for saga in chosen
        )
        raise Failure(message)
    states = ", ".join(f"{saga.name} is {name_of(pb.Saga.State, saga.state)}" for saga in found)
    what = f"saga {name}" if name else "saga"
    message = f"{found[0].booking_reference} has no parked {what}: {states}"
    raise Failure(message)


def _unknown(booking: int | str) -> Failure:
    return Failure(f"there is no booking {booking}, or it never had a saga")


def _none(state: Which) -> str:
    if state is Which.NEEDS_ATTENTION:
        return "No saga needs attention."
    return "There is no saga." if state is Which.ALL else f"No saga is {state}."


def _print_json(sagas: Sequence[pb.Saga]) -> None:
    page = pb.ListSagasResponse(sagas=sagas)
    typer.echo(MessageToJson(page, always_print_fields_with_no_presence=True))
