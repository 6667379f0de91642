"""The one place that joins the parts of the inventory."""

from holdfast.inventory.v1 import inventory_pb2_grpc as rpc

from chassis.clock import Clock, SystemClock
from chassis.database import Database, DatabaseTransactions
from chassis.ids import Ids
from chassis.program import Program
from chassis.retention import INTERVAL_S
from chassis.server import Hosted
from chassis.settings import AuthSettings
from chassis.tls import PLAIN, Tls
from chassis.transactions import Transactions
from chassis.worker import Worker
from inventory_svc.config import InventorySettings
from inventory_svc.persistence.repository import SqlInventory
from inventory_svc.ports import Inventory
from inventory_svc.servicer import ACCESS, NAME, InventoryServicer
from inventory_svc.usecases.events import Events
from inventory_svc.usecases.reservations import Limits, Reservations
from inventory_svc.usecases.retention import Retentions, retention
from inventory_svc.usecases.sweeper import Sweeper


async def wire(
    settings: InventorySettings,
    auth: AuthSettings,  # noqa: ARG001 - it calls no one
    database: Database,
    clock: Clock | None = None,
    *,
    tls: Tls = PLAIN,  # noqa: ARG001 - nor makes a connection
) -> Hosted:
    """The inventory, ready to be served."""
    clock = clock or SystemClock()
    ids = Ids(clock)
    transactions: Transactions[Inventory] = DatabaseTransactions(database, SqlInventory)
    limits = Limits(settings.reservation_ttl_max_s, settings.reservation_lifetime_max_s)
    servicer = InventoryServicer(
        events=Events(transactions, clock, ids),
        reservations=Reservations(transactions, clock, ids, limits),
        clock=clock,
    )
    sweeper = Sweeper(transactions, clock)
    kept = Retentions(settings.idempotency_retention_s, settings.reservations_retention_s)
    forget = retention(transactions, clock, kept)
    return Hosted(
        name=NAME,
        register=lambda server: rpc.add_InventoryServiceServicer_to_server(servicer, server),
        access=ACCESS,
        ready=database.ping,
        close=database.close,
        workers=(
            Worker("sweeper", sweeper.run_once, settings.sweep_interval_s),
            Worker("retention", forget.run_once, INTERVAL_S),
        ),
    )


PROGRAM = Program(
    name="inventory_svc",
    summary="Holdfast's inventory: events, seats and reservations, over gRPC.",
    settings=InventorySettings,
    migrations="inventory_svc.persistence.migrations",
    wire=wire,
)
