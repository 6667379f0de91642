"""The one place that joins the parts of the payment adapter."""

from random import Random

from holdfast.payment.v1 import payment_pb2_grpc as rpc

from chassis.bell import Bell
from chassis.clock import Clock, SystemClock
from chassis.database import Database, DatabaseTransactions
from chassis.events import POLL_S, EventFeed
from chassis.ids import Ids
from chassis.program import Program
from chassis.server import Hosted
from chassis.settings import AuthSettings
from chassis.tasks import Tasks
from chassis.transactions import Transactions
from chassis.worker import Worker
from payment_svc import translate
from payment_svc.config import PaymentSettings
from payment_svc.persistence.repository import SqlLedger
from payment_svc.ports import Ledger, Provider
from payment_svc.providers.mock import MockBehaviour, MockProvider
from payment_svc.providers.mock_ledger import MockLedger
from payment_svc.servicer import NAME, SCOPES, PaymentServicer
from payment_svc.usecases.asking import Asking
from payment_svc.usecases.cancel_payment import CancelPayment
from payment_svc.usecases.process_payment import ProcessPayment
from payment_svc.usecases.read_payments import ReadPayments
from payment_svc.usecases.reconciler import Reconciler
from payment_svc.usecases.records import Records
from payment_svc.usecases.refund_payment import RefundPayment
from payment_svc.usecases.settling import Settling


async def wire(
    settings: PaymentSettings,
    auth: AuthSettings,  # noqa: ARG001 - it calls no other service
    database: Database,
    clock: Clock | None = None,
    provider: Provider | None = None,
) -> Hosted:
    """The payment adapter, ready to be served."""
    clock = clock or SystemClock()
    ids, tasks, stored = Ids(clock), Tasks(), Bell()
    transactions: Transactions[Ledger] = DatabaseTransactions(database, SqlLedger)
    databases = [database]
    if provider is None:
        databases.append(Database(settings.mock_database_url))
        provider = await _mock(settings, clock, databases[-1])
    asking = Asking(provider, settings.provider_timeout_s, clock, Random())
    records = Records(transactions, clock, ids, translate.encode, stored)
    settling = Settling(records, asking)
    events = EventFeed("payment events", transactions)
    servicer = PaymentServicer(
        process=ProcessPayment(settling, tasks),
        refund=RefundPayment(settling, tasks),
        cancel=CancelPayment(settling, tasks),
        read=ReadPayments(transactions),
        events=events,
    )

    async def close() -> None:
        for one in databases:
            await one.close()

    reconciler = Reconciler(settling)
    return Hosted(
        name=NAME,
        register=lambda server: rpc.add_PaymentServiceServicer_to_server(servicer, server),
        scopes=SCOPES,
        ready=database.ping,
        close=close,
        tasks=tasks,
        workers=(
            Worker("sequencer", events.run_once, POLL_S, stored),
            Worker("reconciler", reconciler.run_once, settings.reconcile_interval_s),
        ),
    )


async def _mock(settings: PaymentSettings, clock: Clock, books: Database) -> Provider:
    ledger = MockLedger(books)
    try:
        await ledger.create()
    except BaseException:
        await books.close()
        raise
    behaviour = MockBehaviour(
        success_rate=settings.mock_success_rate,
        delay_min_s=settings.mock_delay_min_s,
        delay_max_s=settings.mock_delay_max_s,
        seed=settings.mock_seed,
    )
    return MockProvider(behaviour, clock, ledger)


PROGRAM = Program(
    name="payment_svc",
    summary="Holdfast's payment adapter: payments and refunds through a provider, over gRPC.",
    settings=PaymentSettings,
    migrations="payment_svc.persistence.migrations",
    wire=wire,
)
