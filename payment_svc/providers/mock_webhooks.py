"""The mock provider's webhooks are delivered: over HTTP, signed, again and again until they are."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from random import Random
from typing import Protocol

import httpx
import structlog

from chassis.clock import Clock
from chassis.errors import DependencyUnavailable, Overloaded
from payment_svc.providers import mock_notices
from payment_svc.providers.mock_notices import WebhookEntry

log = structlog.get_logger(__name__)

# Between two looks for what is due; what is due at once rings a bell.
POLL_S = 1.0
# For one attempt, from the first byte to the status.
TIMEOUT_S = 15.0
# So many attempts run at once: who does not answer holds up the others only when these are all his.
AT_ONCE = 32
# How long a round waits for its attempts before it looks for others.
PATIENCE_S = 1.0


class WebhookQueue(Protocol):
    """The webhooks in the books."""

    async def due_webhooks(self, now: datetime, limit: int) -> Sequence[WebhookEntry]:
        """Those to be tried by now; the longest due first."""

    async def change_webhook(self, before: WebhookEntry, after: WebhookEntry) -> bool:
        """Store what became of one; false if it is not any more as it was before."""


class MockWebhooks:
    """Delivers what is due. Any number of replicas may do so from one queue.

    Each attempt is leased by a conditional update; a replica that dies in the middle of one
    leads to another attempt, so that a webhook may come twice, and does not get lost.
    """

    def __init__(  # noqa: PLR0913 - where to, and all that it takes
        self,
        url: str,
        secret: str,
        clock: Clock,
        queue: WebhookQueue,
        random: Random,
        *,
        ca_file: str = "",
    ) -> None:
        """Deliver to this URL, signed with this secret (`whsec_…`).

        Over HTTPS a receiver is believed for whom a public authority vouches, or one of `ca_file`.

        Raises:
            ValueError: the secret is not one.
        """
        self._url = url
        self._signer = mock_notices.signer_of(secret)
        self._clock = clock
        self._queue = queue
        self._random = random
        trusted = httpx.create_ssl_context(trust_env=False)
        if ca_file:
            trusted.load_verify_locations(ca_file)
        # An attempt has its own time as a whole. The receiver is ours: no proxy is in between.
        self._client = httpx.AsyncClient(verify=trusted, timeout=None, trust_env=False)  # noqa: S113
        self._under_way: set[asyncio.Task[None]] = set()

    async def run_once(self) -> bool:
        """Begin what is due, and wait for it a little; true if there may be more to do at once."""
        free = AT_ONCE - len(self._under_way)
        due = await self._queue.due_webhooks(self._clock.now(), free) if free else ()
        begun = {asyncio.create_task(self._try(one), name="mock webhook") for one in due}
        self._under_way |= begun
        for task in begun:
            task.add_done_callback(self._under_way.discard)
        if begun:
            await asyncio.wait(begun, timeout=PATIENCE_S)
        elif not free:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        return bool(begun) or not free

    async def close(self) -> None:
        """Leave what is under way; others will try it again. Close the connections."""
        under_way = tuple(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._client.aclose()

    async def _try(self, entry: WebhookEntry) -> None:
        try:
            mine = mock_notices.leased(entry, self._clock.now())
            if not await self._queue.change_webhook(entry, mine):
                return
            cause = await self._send(mine)
            await self._queue.change_webhook(mine, self._after(mine, cause))
        except (DependencyUnavailable, Overloaded) as error:
            # The books come back, and the webhook is due again when its lease is over.
            log.warning("webhook_waits", webhook=entry.webhook_id, cause=error.message)
        except Exception:
            log.exception("webhook_failed", webhook=entry.webhook_id)

    def _after(self, entry: WebhookEntry, cause: str) -> WebhookEntry:
        now = self._clock.now()
        if not cause:
            return mock_notices.delivered(entry, now)
        after = mock_notices.failed(entry, now, self._random)
        log.info(
            "webhook_not_delivered" if after.due_at else "webhook_given_up",
            webhook=entry.webhook_id,
            attempts=after.attempts,
            cause=cause,
        )
        return after

    async def _send(self, entry: WebhookEntry) -> str:
        """Try once; returns why it was not delivered, or nothing."""
        headers = mock_notices.headers(self._signer, entry, self._clock.now())
        try:
            # Of the answer only its status counts: who sends its body for ever is not listened to.
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._client.stream(
                    "POST", self._url, content=entry.body.encode(), headers=headers
                ) as response,
            ):
                return "" if response.is_success else f"status {response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return type(error).__name__
