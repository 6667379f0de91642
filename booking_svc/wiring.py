"""The one place that joins the parts of the orchestrator."""

import asyncio
from random import Random

import grpc.aio
from holdfast.booking.v1 import booking_pb2_grpc as rpc
from holdfast.booking.v1 import saga_pb2_grpc as saga_rpc
from holdfast.privacy.v1 import privacy_pb2_grpc as privacy_rpc

from booking_svc import translate
from booking_svc.clients import inventory as inventory_client
from booking_svc.clients import payments as payment_client
from booking_svc.clients.inventory import InventoryClient
from booking_svc.clients.payments import PaymentClient
from booking_svc.config import BookingSettings
from booking_svc.domain.booking import Booking
from booking_svc.persistence.answers import answers_in
from booking_svc.persistence.repository import SqlBookings
from booking_svc.ports import Answers, Bookings
from booking_svc.saga.machine import Patience
from booking_svc.saga.runner import Runner
from booking_svc.servicer import (
    ACCESS,
    NAME,
    PRIVACY_NAME,
    SAGAS_NAME,
    BookingServicer,
    PrivacyServicer,
    SagaServicer,
)
from booking_svc.usecases import census
from booking_svc.usecases.answering import Answering, Lifetimes
from booking_svc.usecases.cancel_booking import CancelBooking
from booking_svc.usecases.changes import Changes
from booking_svc.usecases.confirm_booking import HOLD_MARGIN_S, ConfirmBooking
from booking_svc.usecases.follow_payments import FollowPayments
from booking_svc.usecases.journal import BookingJournal
from booking_svc.usecases.operate_sagas import OperateSagas
from booking_svc.usecases.privacy import BookingPrivacy
from booking_svc.usecases.read_bookings import ReadBookings
from booking_svc.usecases.recovery import Recovery
from booking_svc.usecases.retention import Retentions, retention
from booking_svc.usecases.sagas import RENEWALS, Sagas
from booking_svc.usecases.steps import Steps, Terms
from booking_svc.usecases.watch_booking import WatchBooking
from chassis.bell import Bell
from chassis.channels import Outgoing, breaker_to, open_channel
from chassis.clock import Clock, SystemClock
from chassis.database import Database, DatabaseTransactions
from chassis.events import EventFeed
from chassis.ids import Ids
from chassis.program import Program
from chassis.retention import INTERVAL_S
from chassis.server import Hosted
from chassis.settings import AuthSettings
from chassis.tasks import Tasks
from chassis.tls import PLAIN, Tls
from chassis.tls_settings import TlsSettings
from chassis.tokens import ServiceToken, service_token
from chassis.transactions import Transactions
from chassis.worker import Worker

# Between two streams of payment events.
RECONNECT_S = 1.0
# For events of other replicas, which ring no bell here.
NUMBERING_S = 1.0


async def wire(
    settings: BookingSettings,
    auth: AuthSettings,
    database: Database,
    clock: Clock | None = None,
    *,
    tls: Tls = PLAIN,
) -> Hosted:
    """The orchestrator, ready to be served."""
    token = own_token(auth, tls.settings)
    base, others = _Base(database, clock or SystemClock()), _Others(settings, token, tls)
    answers = answers_in(settings.redis_url.get_secret_value())
    journal = BookingJournal(
        base.transactions, translate.encode, base.clock, base.ids, base.changed
    )
    sagas = _sagas(settings, base, others, journal)
    bookings = _booking_servicer(settings, base, others, sagas, answers)
    operate = OperateSagas(base.transactions, sagas, journal, base.clock, base.ids)
    privacy = BookingPrivacy(base.transactions, base.clock, translate.without_person, answers)

    def register(server: grpc.aio.Server) -> None:
        rpc.add_BookingServiceServicer_to_server(bookings, server)
        saga_rpc.add_SagaServiceServicer_to_server(SagaServicer(operate), server)
        privacy_rpc.add_PrivacyServiceServicer_to_server(PrivacyServicer(privacy), server)

    async def close() -> None:
        await sagas.hand_back()
        await answers.close()
        await others.close()
        await database.close()

    return Hosted(
        name=NAME,
        others=(SAGAS_NAME, PRIVACY_NAME),
        register=register,
        access=ACCESS,
        ready=database.ping,
        close=close,
        tasks=base.tasks,
        stopping=base.stopping,
        workers=_workers(settings, base, others, sagas),
    )


class _Base:
    """What nearly every part needs."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.clock = clock
        self.ids = Ids(clock)
        # Sagas are spawned as its tasks too: `sagas_max` is their bound.
        self.tasks = Tasks()
        self.stopping = asyncio.Event()
        self.transactions: Transactions[Bookings] = DatabaseTransactions(database, SqlBookings)
        self.changes = Changes()
        # Rung when there is an event to tell, and when a saga is to be taken up.
        self.news, self.awake = Bell(), Bell()
        self.feed = EventFeed("booking events", self.transactions)

    def changed(self, booking: Booking) -> None:
        self.changes.ring(booking.booking_id)
        if booking.is_settled:
            self.news.ring()


class _Others:
    """The other services, each behind a breaker of its own."""

    def __init__(self, settings: BookingSettings, token: ServiceToken | None, tls: Tls) -> None:
        to_inventory = open_channel(settings.inventory_target, inventory_client.SERVICE, tls)
        to_payments = open_channel(settings.payment_target, payment_client.SERVICE, tls)
        self._channels = (to_inventory, to_payments)
        self.charging = Outgoing(payment_client.SERVICE, token, breaker_to("payments"))
        holding = Outgoing(inventory_client.SERVICE, token, breaker_to("inventory"))
        self.inventory = InventoryClient(to_inventory, holding)
        self.payments = PaymentClient(to_payments, self.charging, settings.payment_timeout_s)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


def _sagas(
    settings: BookingSettings, base: _Base, others: _Others, journal: BookingJournal
) -> Sagas:
    terms = Terms(
        give_up_s=settings.charge_give_up_s,
        hold_s=settings.payment_timeout_s + HOLD_MARGIN_S,
        reaccept=settings.late_payment == "reaccept",
    )
    runner = Runner(
        Steps(others.inventory, others.payments, base.clock, terms).actions(),
        journal,
        base.clock,
        Random(),
        base.stopping,
        lease_s=settings.lease_s,
        patience=Patience(tries=settings.undo_tries_max),
    )
    return Sagas(
        base.transactions,
        runner,
        base.tasks,
        base.clock,
        owner=base.ids.text("rep"),
        lease_s=settings.lease_s,
        running_max=settings.sagas_max,
    )


def _booking_servicer(
    settings: BookingSettings, base: _Base, others: _Others, sagas: Sagas, answers: Answers
) -> BookingServicer:
    lifetimes = Lifetimes(settings.idempotency_ttl_s, settings.idempotency_retention_s)
    read = ReadBookings(base.transactions)
    return BookingServicer(
        confirm=ConfirmBooking(
            transactions=base.transactions,
            inventory=others.inventory,
            sagas=sagas,
            answering=Answering(
                base.transactions,
                answers,
                sagas,
                translate.encode,
                clock=base.clock,
                lifetimes=lifetimes,
                stopping=base.stopping,
            ),
            can_charge=lambda: not others.charging.is_open,
            clock=base.clock,
            ids=base.ids,
            payment_timeout_s=settings.payment_timeout_s,
        ),
        cancel=CancelBooking(base.transactions, sagas),
        read=read,
        watch=WatchBooking(read, base.changes),
        feed=base.feed,
    )


def _workers(
    settings: BookingSettings, base: _Base, others: _Others, sagas: Sagas
) -> tuple[Worker, ...]:
    recovery = Recovery(base.transactions, sagas, base.clock, base.stopping)
    follow = FollowPayments(base.transactions, others.payments, base.clock, base.awake)
    kept = Retentions(
        keys_s=settings.idempotency_retention_s,
        events_s=settings.events_retention_s,
        history_s=settings.history_retention_s,
    )
    forget = retention(base.transactions, base.clock, kept)
    return (
        Worker("recovery", recovery.run_once, settings.recovery_interval_s, base.awake),
        Worker("leases", sagas.renew, settings.lease_s / RENEWALS),
        Worker("payments", follow.run_once, RECONNECT_S),
        Worker("outbox", base.feed.run_once, NUMBERING_S, base.news),
        Worker("retention", forget.run_once, INTERVAL_S),
        *_census(settings, base),
    )


def _census(settings: BookingSettings, base: _Base) -> tuple[Worker, ...]:
    """Only where somebody reads what is counted."""
    count = census.Census(base.transactions, base.clock).run_once
    return (Worker("census", count, census.INTERVAL_S),) if settings.metrics_listen else ()


def own_token(auth: AuthSettings, tls: TlsSettings | None = None) -> ServiceToken | None:
    """The token with which bookings call the other services; none if a certificate says it.

    Raises:
        SettingsError: there is no way to get one.
    """
    return service_token(auth, "booking_svc", "inventory payments", tls)


PROGRAM = Program(
    name="booking_svc",
    summary="Holdfast's orchestrator: bookings that are paid for exactly once, over gRPC.",
    settings=BookingSettings,
    migrations="booking_svc.persistence.migrations",
    wire=wire,
    check=own_token,
)
