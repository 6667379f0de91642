"""The event that a newcomer books seats of: made once, found again by its key."""

from google.type.decimal_pb2 import Decimal
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc

from chassis.tokens import Minter
from cli import calls

# Another event needs another key: a key belongs to one request for ever.
KEY = "holdfast-demo-event-1"
OWNER = "holdfast-demo"
SEATS_A_ROW = 20
PRICES = {"ABC": "75.00", "DEFG": "55.00", "HIJ": "35.00"}
TOKEN_LIFETIME_S = 60


def find_or_create(target: str, minter: Minter) -> pb.Event:
    """The demo event of the inventory at `target`.

    Raises:
        Refused: the inventory refuses to create it.
    """
    request = pb.CreateEventRequest(
        name="Holdfast demo: an evening of seats",
        currency="USD",
        seats=[
            pb.CreateEventRequest.NewSeat(seat_number=f"{row}{n}", price=Decimal(value=price))
            for rows, price in PRICES.items()
            for row in rows
            for n in range(1, SEATS_A_ROW + 1)
        ],
    )
    with calls.open_channel(target) as channel:
        create = rpc.InventoryServiceStub(channel).CreateEvent
        token = minter.mint(OWNER, "admin", TOKEN_LIFETIME_S)
        return calls.call(create, request, token=token, key=KEY).message
