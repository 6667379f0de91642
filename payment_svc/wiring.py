"""The one place that joins the parts of the payment adapter."""

from holdfast.payment.v1 import payment_pb2_grpc as rpc

from chassis.clock import Clock, SystemClock
from chassis.database import Database, DatabaseTransactions
from chassis.ids import Ids
from chassis.program import Program
from chassis.server import Hosted
from chassis.settings import AuthSettings
from chassis.tasks import Tasks
from chassis.transactions import Transactions
from payment_svc.config import PaymentSettings
from payment_svc.persistence.repository import SqlLedger
from payment_svc.ports import Ledger, Provider
from payment_svc.providers.mock import MockBehaviour, MockProvider
from payment_svc.servicer import NAME, SCOPES, PaymentServicer
from payment_svc.usecases.asking import Asking
from payment_svc.usecases.process_payment import ProcessPayment
from payment_svc.usecases.read_payments import ReadPayments
from payment_svc.usecases.refund_payment import RefundPayment


async def wire(
    settings: PaymentSettings,
    auth: AuthSettings,  # noqa: ARG001 - it calls no other service
    database: Database,
    clock: Clock | None = None,
    provider: Provider | None = None,
) -> Hosted:
    """The payment adapter, ready to be served."""
    clock = clock or SystemClock()
    tasks = Tasks()
    transactions: Transactions[Ledger] = DatabaseTransactions(database, SqlLedger)
    provider = provider or MockProvider(_behaviour(settings), clock)
    asking = Asking(provider, settings.provider_timeout_s, clock)
    ids = Ids(clock)
    servicer = PaymentServicer(
        process=ProcessPayment(transactions, asking, ids, tasks),
        refund=RefundPayment(transactions, asking, ids, tasks),
        read=ReadPayments(transactions),
    )
    return Hosted(
        name=NAME,
        register=lambda server: rpc.add_PaymentServiceServicer_to_server(servicer, server),
        scopes=SCOPES,
        ready=database.ping,
        close=database.close,
        tasks=tasks,
    )


def _behaviour(settings: PaymentSettings) -> MockBehaviour:
    return MockBehaviour(
        success_rate=settings.mock_success_rate,
        delay_min_s=settings.mock_delay_min_s,
        delay_max_s=settings.mock_delay_max_s,
        seed=settings.mock_seed,
    )


PROGRAM = Program(
    name="payment_svc",
    summary="Holdfast's payment adapter: payments and refunds through a provider, over gRPC.",
    settings=PaymentSettings,
    migrations="payment_svc.persistence.migrations",
    wire=wire,
)
