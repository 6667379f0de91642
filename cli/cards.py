"""`holdfast cards`: the cards with which the provider can be tested."""

from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc

from cli import desk
from cli.desk import Desk
from cli.programs import PAYMENT
from cli.screen import say, show_table

OPERATOR = "operator"
NONE = "The provider of this stack is a real one: it has no test cards."


def cards(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, as the contract names it.")
    ] = False,
) -> None:
    """List the cards with which the provider can be tested, and what becomes of a booking.

    Any expiry in the future and any code go with a card; its token stands for it. To see what
    one of them does: 'holdfast demo --scenario NAME'.
    """
    with desk.opened(OPERATOR, "payments", PAYMENT) as here:
        found = listed(here)
    if as_json:
        page = pb.ListTestCardsResponse(test_cards=found)
        typer.echo(MessageToJson(page, always_print_fields_with_no_presence=True))
    elif found:
        show(found)
    else:
        say(NONE)


def listed(here: Desk) -> Sequence[pb.TestCard]:
    """The test cards of a stack, in the order of its documentation.

    Raises:
        Refused: they cannot be had.
        Failure: nothing answers.
    """
    listing = rpc.PaymentServiceStub(here.channel).ListTestCards
    return here.ask(listing, pb.ListTestCardsRequest()).test_cards


def show(found: Sequence[pb.TestCard]) -> None:
    """One line a card."""
    rows = [
        (card.name, card.card_number, card.token, card.description, card.outcome) for card in found
    ]
    columns = ("name", "card number", "token", "the provider", "the booking")
    show_table(columns, rows)
