"""Taking what a provider tells unasked: each event once, in whatever order they come."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from chassis.tasks import Tasks
from payment_svc import metrics
from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.log import Action
from payment_svc.domain.outcome import Notice
from payment_svc.domain.webhook import Webhook
from payment_svc.ports import Ledger
from payment_svc.usecases.parallel import for_each
from payment_svc.usecases.settling import Settled, Settling, Told

log = structlog.get_logger(__name__)

BATCH = 100
EVENT_ID_LENGTH_MAX = 255
# Our own names are shorter.
REFERENCE_LENGTH_MAX = 64
# Far more than any event has. Whoever sends more need not be verified: that takes time, and
# anybody may send something.
BODY_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Delivery:
    """A webhook as it came: nothing in it is to be trusted yet."""

    provider: str
    # With lower-case names.
    headers: Mapping[str, str]
    body: bytes


class Webhooks:
    """Stores events with their effect, and tries again what came too early."""

    def __init__(self, settling: Settling, tasks: Tasks) -> None:
        """Work on these; what an event leads to goes on as one of `tasks`."""
        self._settling = settling
        self._records = settling.records
        self._provider = settling.asking.provider
        self._tasks = tasks

    async def __call__(self, delivery: Delivery) -> None:
        """Take a webhook. When this returns, it is stored.

        Raises:
            WebhookRefused: it cannot be trusted.
        """
        try:
            notice = self._read(delivery)
        except WebhookRefused:
            self._count(metrics.REFUSED)
            raise
        if notice is None:
            self._count(metrics.IGNORED)
        else:
            await self._tasks.finish(self._take(notice), "webhook")

    async def run_once(self) -> bool:
        """Try one batch of events again that came before their payment; true if there is more."""
        now = self._records.clock.now()
        due = await self._records.read(lambda ledger: ledger.webhooks.due(now, BATCH))
        # All are tried: one that fails must not hold up those behind it.
        await for_each(due, self._try_again)
        return len(due) == BATCH

    def _read(self, delivery: Delivery) -> Notice | None:
        if delivery.provider != self._provider.name or len(delivery.body) > BODY_BYTES_MAX:
            raise WebhookRefused
        notice = self._settling.asking.at_once(
            lambda: self._provider.read_webhook(delivery.headers, delivery.body)
        )
        if notice is None:
            return None
        if not _is_name(notice.event_id, EVENT_ID_LENGTH_MAX):
            raise WebhookRefused
        if not _is_name(notice.reference, REFERENCE_LENGTH_MAX):
            log.info("webhook_about_nothing_of_ours", event_id=notice.event_id)
            return None
        return notice

    async def _take(self, notice: Notice) -> None:
        now = self._records.clock.now()
        webhook = Webhook(self._provider.name, notice, now).still_unknown(now)

        async def unit(ledger: Ledger) -> tuple[str, Settled | None]:
            if not await ledger.webhooks.add(webhook):
                log.info("webhook_again", event_id=notice.event_id)
                return metrics.DUPLICATE, None
            settled = await self._apply(ledger, webhook)
            return metrics.APPLIED if settled else metrics.KEPT, settled

        outcome, settled = await self._records.write(unit)
        self._count(outcome)
        self._go_back(settled)

    async def _try_again(self, before: Webhook) -> None:
        webhook = before.still_unknown(self._records.clock.now())

        async def unit(ledger: Ledger) -> Settled | None:
            if not await ledger.webhooks.save(before, webhook):
                return None
            return await self._apply(ledger, webhook)

        settled = await self._records.write(unit)
        if settled is not None:
            self._count(metrics.APPLIED)
        self._go_back(settled)

    async def _apply(self, ledger: Ledger, webhook: Webhook) -> Settled | None:
        """Let an event take effect, if what it is about is here."""
        notice = webhook.notice
        told = Told(Action.WEBHOOK, notice.outcome, notice.event_id)
        settled = await self._settle(ledger, notice.reference, told)
        if settled is not None:
            await ledger.webhooks.save(webhook, webhook.took_effect())
        elif webhook.next_try_at is None:
            log.warning("webhook_given_up", event_id=notice.event_id, about=notice.reference)
        else:
            log.info("webhook_kept", event_id=notice.event_id, about=notice.reference)
        return settled

    async def _settle(self, ledger: Ledger, reference: str, told: Told) -> Settled | None:
        refund = await ledger.refund(reference)
        if refund is None:
            return await self._settling.settle_charge(ledger, reference, told)
        return await self._settling.settle_refund(ledger, refund.payment_id, reference, told)

    def _count(self, outcome: str) -> None:
        metrics.WEBHOOKS.labels(self._provider.name, outcome).inc()

    def _go_back(self, settled: Settled | None) -> None:
        """Give back what turned out to be taken for nothing; the sender need not wait for it."""
        if settled is not None and settled.goes_back is not None:
            work = self._settling.give_back(settled.payment, settled.goes_back)
            self._tasks.spawn(work, settled.goes_back.refund_id)


def _is_name(text: str, length_max: int) -> bool:
    """Whether a name can be stored, and is one everywhere: MySQL overlooks spaces at its end."""
    return 1 <= len(text) <= length_max and text.isprintable() and text == text.strip()
