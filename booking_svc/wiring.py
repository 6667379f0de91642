"""The one place that joins the parts of the orchestrator."""

from random import Random

from holdfast.booking.v1 import booking_pb2_grpc as rpc

from booking_svc import translate
from booking_svc.clients import inventory as inventory_client
from booking_svc.clients import payments as payment_client
from booking_svc.clients.inventory import InventoryClient
from booking_svc.clients.payments import PaymentClient
from booking_svc.config import BookingSettings
from booking_svc.persistence.repository import SqlBookings
from booking_svc.ports import Bookings
from booking_svc.saga.runner import Runner
from booking_svc.servicer import NAME, SCOPES, BookingServicer
from booking_svc.usecases.cancel_booking import CancelBooking
from booking_svc.usecases.confirm_booking import ConfirmBooking
from booking_svc.usecases.read_bookings import ReadBookings
from booking_svc.usecases.sagas import BookingJournal, Sagas
from booking_svc.usecases.steps import Steps
from chassis.channels import Outgoing, open_channel
from chassis.clock import Clock, SystemClock
from chassis.database import Database, DatabaseTransactions
from chassis.ids import Ids
from chassis.program import Program
from chassis.server import Hosted
from chassis.settings import AuthSettings
from chassis.tasks import Tasks
from chassis.tokens import ServiceToken, service_token
from chassis.transactions import Transactions


async def wire(
    settings: BookingSettings, auth: AuthSettings, database: Database, clock: Clock | None = None
) -> Hosted:
    """The orchestrator, ready to be served."""
    clock = clock or SystemClock()
    tasks = Tasks()
    transactions: Transactions[Bookings] = DatabaseTransactions(database, SqlBookings)

    outgoing = Outgoing(own_token(auth))
    to_inventory = open_channel(settings.inventory_target, inventory_client.SERVICE)
    to_payments = open_channel(settings.payment_target, payment_client.SERVICE)
    inventory = InventoryClient(to_inventory, outgoing)
    payments = PaymentClient(to_payments, outgoing, settings.payment_timeout_s)

    journal = BookingJournal(transactions, translate.encode)
    runner = Runner(Steps(inventory, payments).actions(), journal, clock, Random())
    sagas = Sagas(transactions, runner, tasks)
    servicer = BookingServicer(
        confirm=ConfirmBooking(
            transactions=transactions,
            inventory=inventory,
            sagas=sagas,
            encode=translate.encode,
            clock=clock,
            ids=Ids(clock),
            payment_timeout_s=settings.payment_timeout_s,
        ),
        cancel=CancelBooking(transactions, sagas),
        read=ReadBookings(transactions),
    )

    async def close() -> None:
        await to_inventory.close()
        await to_payments.close()
        await database.close()

    return Hosted(
        name=NAME,
        register=lambda server: rpc.add_BookingServiceServicer_to_server(servicer, server),
        scopes=SCOPES,
        ready=database.ping,
        close=close,
        tasks=tasks,
    )


def own_token(auth: AuthSettings) -> ServiceToken:
    """The token with which bookings call the other services.

    Raises:
        SettingsError: there is no way to get one.
    """
    return service_token(auth, "booking_svc", "inventory payments")


PROGRAM = Program(
    name="booking_svc",
    summary="Holdfast's orchestrator: bookings that are paid for exactly once, over gRPC.",
    settings=BookingSettings,
    migrations="booking_svc.persistence.migrations",
    wire=wire,
    check=own_token,
)
