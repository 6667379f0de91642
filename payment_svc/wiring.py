"""The one place that joins the parts of the payment adapter."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

import grpc.aio
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from holdfast.privacy.v1 import privacy_pb2_grpc as privacy_rpc

from chassis.bell import Bell
from chassis.clock import Clock, SystemClock
from chassis.database import Database, DatabaseTransactions
from chassis.events import POLL_S, EventFeed
from chassis.ids import Ids
from chassis.privacy import Privacy
from chassis.program import Program
from chassis.retention import INTERVAL_S
from chassis.server import Hosted
from chassis.settings import AuthSettings, SettingsError
from chassis.tasks import Tasks
from chassis.tls import PLAIN, Tls
from chassis.transactions import Transactions
from chassis.worker import Worker
from payment_svc import translate
from payment_svc.config import PaymentSettings
from payment_svc.domain.limits import Limits, LimitsError, parse_limits
from payment_svc.persistence.repository import SqlLedger
from payment_svc.ports import Ledger, Provider
from payment_svc.providers import mock_webhooks
from payment_svc.providers.mock import MockBehaviour, MockProvider
from payment_svc.providers.mock_ledger import MockLedger
from payment_svc.providers.mock_webhooks import MockWebhooks
from payment_svc.providers.observed import ObservedProvider
from payment_svc.servicer import (
    ACCESS,
    NAME,
    PRIVACY_NAME,
    PaymentServicer,
    PrivacyServicer,
    UseCases,
)
from payment_svc.usecases import census
from payment_svc.usecases.asking import Asking
from payment_svc.usecases.cancel_payment import CancelPayment
from payment_svc.usecases.process_payment import ProcessPayment
from payment_svc.usecases.read_payments import ListKnownCards, ReadPayments
from payment_svc.usecases.reconciler import Reconciler
from payment_svc.usecases.records import Records
from payment_svc.usecases.refund_payment import RefundPayment
from payment_svc.usecases.retention import Retentions, retention
from payment_svc.usecases.settling import Settling
from payment_svc.usecases.webhooks import Webhooks


@dataclass(frozen=True)
class _Opened:
    """A provider, with what it needs while it is in use."""

    provider: Provider
    close: Callable[[], Awaitable[None]]
    workers: Sequence[Worker] = ()


async def wire(  # noqa: PLR0913 - a test gives a clock and a provider, a program neither
    settings: PaymentSettings,
    auth: AuthSettings,  # noqa: ARG001 - it calls no other service
    database: Database,
    clock: Clock | None = None,
    provider: Provider | None = None,
    *,
    tls: Tls = PLAIN,
) -> Hosted:
    """The payment adapter, ready to be served.

    Raises:
        SettingsError: limits that are none, or a provider that is not installed.
    """
    clock = clock or SystemClock()
    ids, tasks, stored = Ids(clock), Tasks(), Bell()
    limits = _limits(settings)
    transactions: Transactions[Ledger] = DatabaseTransactions(database, SqlLedger)
    opened = (
        _Opened(provider, _nothing)
        if provider
        else await _open(settings, clock, tls.settings.ca_file)
    )
    asking = Asking(ObservedProvider(opened.provider), settings.provider_timeout_s, clock, Random())
    records = Records(transactions, clock, ids, translate.encode, stored)
    settling = Settling(records, asking)
    reconciler, webhooks = Reconciler(settling), Webhooks(settling, tasks)
    use_cases = UseCases(
        process=ProcessPayment(settling, tasks, limits),
        refund=RefundPayment(settling, tasks),
        cancel=CancelPayment(settling, tasks),
        read=ReadPayments(transactions, reconciler, tasks),
        webhooks=webhooks,
        events=EventFeed("payment events", transactions),
        known_cards=ListKnownCards(opened.provider),
    )
    servicer = PaymentServicer(use_cases)
    forget = retention(transactions, clock, _retentions(settings))
    privacy = Privacy(transactions, clock, translate.without_person)

    def register(server: grpc.aio.Server) -> None:
        rpc.add_PaymentServiceServicer_to_server(servicer, server)
        privacy_rpc.add_PrivacyServiceServicer_to_server(PrivacyServicer(privacy), server)

    async def close() -> None:
        await opened.close()
        await database.close()

    return Hosted(
        name=NAME,
        others=(PRIVACY_NAME,),
        register=register,
        access=ACCESS,
        ready=database.ping,
        close=close,
        tasks=tasks,
        workers=(
            Worker("sequencer", use_cases.events.run_once, POLL_S, stored),
            Worker("reconciler", reconciler.run_once, settings.reconcile_interval_s),
            Worker("webhooks", webhooks.run_once, settings.reconcile_interval_s),
            Worker("retention", forget.run_once, INTERVAL_S),
            *_census(settings, records),
            *opened.workers,
        ),
    )


def _retentions(settings: PaymentSettings) -> Retentions:
    return Retentions(
        keys_s=settings.idempotency_retention_s,
        events_s=settings.events_retention_s,
        webhooks_s=settings.webhooks_retention_s,
    )


def _census(settings: PaymentSettings, records: Records) -> tuple[Worker, ...]:
    """Only where somebody reads what is counted."""
    count = census.Census(records).run_once
    return (Worker("census", count, census.INTERVAL_S),) if settings.metrics_listen else ()


def _limits(settings: PaymentSettings) -> Limits:
    try:
        return parse_limits(settings.amount_limits)
    except LimitsError as error:
        message = f"PAYMENT_AMOUNT_LIMITS: {error}"
        raise SettingsError(message) from None


async def _open(settings: PaymentSettings, clock: Clock, ca_file: str) -> _Opened:
    if settings.provider == "stripe":
        return _open_stripe(settings, clock)
    return await _open_mock(settings, clock, ca_file)


def _open_stripe(settings: PaymentSettings, clock: Clock) -> _Opened:
    try:
        # Only who uses it needs to have it.
        from payment_svc.providers.stripe import StripeAccount, StripeProvider  # noqa: PLC0415
    except ImportError:
        message = "PAYMENT_PROVIDER: stripe needs its library: pip install '.[stripe]'"
        raise SettingsError(message) from None
    account = StripeAccount(
        api_key=settings.stripe_api_key.get_secret_value(),
        webhook_secrets=settings.webhook_keys,
        timeout_s=settings.provider_timeout_s,
        api_base=settings.stripe_api_base,
    )
    provider = StripeProvider(account, clock)
    return _Opened(provider, provider.close)


async def _open_mock(settings: PaymentSettings, clock: Clock, ca_file: str) -> _Opened:
    books = Database(settings.mock_database_url, "mock")
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
    secrets = settings.webhook_keys
    if not settings.mock_webhook_url:
        return _Opened(MockProvider(behaviour, clock, ledger, secrets), books.close)
    stored = Bell()
    url = settings.mock_webhook_url
    webhooks = MockWebhooks(url, secrets[0], clock, ledger, Random(), ca_file=ca_file)

    async def close() -> None:
        await webhooks.close()
        await books.close()

    sending = Worker("mock webhooks", webhooks.run_once, mock_webhooks.POLL_S, stored)
    provider = MockProvider(behaviour, clock, ledger, secrets, stored)
    return _Opened(provider, close, (sending,))


async def _nothing() -> None:
    """What a provider that was given needs when it is no longer in use."""


PROGRAM = Program(
    name="payment_svc",
    summary="Holdfast's payment adapter: payments and refunds through a provider, over gRPC.",
    settings=PaymentSettings,
    migrations="payment_svc.persistence.migrations",
    wire=wire,
)
