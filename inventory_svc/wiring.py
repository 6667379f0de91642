"""The one place that joins the parts of the inventory."""

import grpc.aio
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc
from holdfast.privacy.v1 import privacy_pb2_grpc as privacy_rpc

from chassis.clock import Clock, SystemClock
from chassis.database import Database, DatabaseTransactions
from chassis.ids import Ids
from chassis.privacy import Privacy
from chassis.program import Program
from chassis.retention import INTERVAL_S
from chassis.server import Hosted
from chassis.settings import AuthSettings
from chassis.tls import PLAIN, Tls
from chassis.transactions import Transactions
from chassis.worker import Worker
from inventory_svc import translate
from inventory_svc.config import InventorySettings
from inventory_svc.persistence.repository import SqlInventory
from inventory_svc.ports import Inventory
from inventory_svc.servicer import ACCESS, NAME, PRIVACY_NAME, InventoryServicer, PrivacyServicer
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
    privacy = Privacy(transactions, clock, translate.without_person)

    def register(server: grpc.aio.Server) -> None:
        rpc.add_InventoryServiceServicer_to_server(servicer, server)
        privacy_rpc.add_PrivacyServiceServicer_to_server(PrivacyServicer(privacy), server)

    return Hosted(
        name=NAME,
        others=(PRIVACY_NAME,),
        register=register,
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
