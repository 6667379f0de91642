"""Taking what a provider tells unasked: each event once, in whatever order they come."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from chassis.tasks import Tasks
from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.log import Action
from payment_svc.domain.outcome import Notice
from payment_svc.domain.webhook import Webhook
from payment_svc.ports import Ledger
from payment_svc.usecases.settling import Settled, Settling, Told

log = structlog.get_logger(__name__)

BATCH = 100
EVENT_ID_LENGTH_MAX = 255


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
        notice = self._read(delivery)
        if notice is not None:
            await self._tasks.finish(self._take(notice), "webhook")

    async def run_once(self) -> bool:
        """Try one batch of events again that came before their payment; true if there is more."""
        now = self._records.clock.now()
        due = await self._records.read(lambda ledger: ledger.webhooks.due(now, BATCH))
        for webhook in due:
            await self._try_again(webhook)
        return len(due) == BATCH

    def _read(self, delivery: Delivery) -> Notice | None:
        if delivery.provider != self._provider.name:
            raise WebhookRefused
        notice = self._settling.asking.at_once(
            lambda: self._provider.read_webhook(delivery.headers, delivery.body)
        )
        if notice is not None and not 1 <= len(notice.event_id) <= EVENT_ID_LENGTH_MAX:
            raise WebhookRefused
        return notice

    async def _take(self, notice: Notice) -> None:
        now = self._records.clock.now()
        webhook = Webhook(self._provider.name, notice, now).still_unknown(now)

        async def unit(ledger: Ledger) -> Settled | None:
            if not await ledger.webhooks.add(webhook):
                log.info("webhook_again", event_id=notice.event_id)
                return None
            return await self._apply(ledger, webhook)

        self._go_back(await self._records.write(unit))

    async def _try_again(self, before: Webhook) -> None:
        webhook = before.still_unknown(self._records.clock.now())

        async def unit(ledger: Ledger) -> Settled | None:
            if not await ledger.webhooks.save(before, webhook):
                return None
            return await self._apply(ledger, webhook)

        self._go_back(await self._records.write(unit))

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

    def _go_back(self, settled: Settled | None) -> None:
        """Give back what turned out to be taken for nothing; the sender need not wait for it."""
        if settled is not None and settled.goes_back is not None:
            work = self._settling.give_back(settled.payment, settled.goes_back)
            self._tasks.spawn(work, settled.goes_back.refund_id)
