"""What the mock provider tells unasked: the webhooks, when they are due, and how they are read.

They follow Standard Webhooks: the headers `webhook-id`, `webhook-timestamp` and
`webhook-signature`, and a body `{"type": …, "timestamp": …, "data": {"reference": …, …}}` that
never holds a card. Pure: no clock, no database, no network.

A charge or refund that ends later has two of them from the beginning, that it is pending and how
it ends; the second is due when it does. A charge that is voided is told no more of.
"""

import hmac
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.outcome import DeclineCode, Declined, Notice, Outcome, Pending, Succeeded
from payment_svc.providers.mock_scenarios import webhook_id

# The published schedule of Standard Webhooks, in seconds after the attempt before; then it is
# given up.
RETRIES_AFTER_S = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
# An attempt comes later than that by up to this share, so that not all come at once.
JITTER = 0.1
# Longer than an attempt takes. Of who dies in the middle, another tries again after it.
LEASE_S = 30.0
# How old a webhook may be, or how far ahead.
TOLERANCE_S = 300
SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets begin
# More than the longest body has.
BODY_LENGTH_MAX = 1000


@dataclass(frozen=True)
class WebhookEntry:
    """One webhook in the books."""

    # The same at each delivery.
    webhook_id: str
    # The charge or refund that it is about, by the client's name.
    reference: str
    # The same at each delivery.
    body: str
    created_at: datetime
    # When it is to be tried next, or when whoever tries it now has had the time; none: never.
    due_at: datetime | None
    # How often its delivery has failed.
    attempts: int = 0
    # How often it is to be delivered yet.
    copies_left: int = 1
    delivered_at: datetime | None = None


@dataclass(frozen=True)
class Fact:
    """Something that is so, or will be, from a moment on."""

    # Such as `charge.succeeded`.
    type: str
    reference: str
    happens_at: datetime
    amount_minor: int
    currency: str
    # Our name for what was done, and why it was not; empty where there is none.
    transaction_id: str = ""
    decline_code: str = ""

    def told(self, now: datetime, *, after_s: float = 0, copies: int = 1) -> WebhookEntry:
        """The webhook of it, due so long after it."""
        data = {
            "reference": self.reference,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "transaction_id": self.transaction_id,
            "decline_code": self.decline_code,
        }
        body = {"type": self.type, "timestamp": self.happens_at.isoformat(), "data": data}
        return WebhookEntry(
            webhook_id=name_of(self.type, self.reference),
            reference=self.reference,
            body=json.dumps(body, separators=(",", ":")),
            created_at=now,
            due_at=self.happens_at + timedelta(seconds=after_s),
            copies_left=copies,
        )


def name_of(kind: str, reference: str) -> str:
    """The id of the webhook that tells this: each thing is told once, so it is made of that."""
    return webhook_id(Random(f"{kind}/{reference}"))


def leased(entry: WebhookEntry, now: datetime) -> WebhookEntry:
    """The entry while its delivery is tried."""
    return replace(entry, due_at=now + timedelta(seconds=LEASE_S))


def delivered(entry: WebhookEntry, now: datetime) -> WebhookEntry:
    """The entry after a delivery: done, or due again at once if it is to come several times."""
    left = entry.copies_left - 1
    return replace(entry, copies_left=left, due_at=now if left else None, delivered_at=now)


def failed(entry: WebhookEntry, now: datetime, random: Random) -> WebhookEntry:
    """The entry after an attempt that failed: due again later, or given up."""
    attempts = entry.attempts + 1
    if attempts > len(RETRIES_AFTER_S):
        return replace(entry, attempts=attempts, due_at=None)
    pause_s = RETRIES_AFTER_S[entry.attempts] * random.uniform(1, 1 + JITTER)
    return replace(entry, attempts=attempts, due_at=now + timedelta(seconds=pause_s))


def signer_of(secret: str) -> Webhook:
    """What signs and verifies with a secret.

    Raises:
        ValueError: it is not one of Standard Webhooks: `whsec_` and then base64.
    """
    try:
        if secret.startswith(SECRET_PREFIX):
            return Webhook(secret)
    except (EmptyWebhookSecretError, ValueError):
        pass
    message = f"a webhook secret is `{SECRET_PREFIX}` and then base64"
    raise ValueError(message)


def headers(signer: Webhook, entry: WebhookEntry, now: datetime) -> dict[str, str]:
    """The headers of one attempt."""
    return {
        "content-type": "application/json",
        "webhook-id": entry.webhook_id,
        "webhook-timestamp": str(math.floor(now.timestamp())),
        "webhook-signature": signer.sign(entry.webhook_id, now.astimezone(UTC), entry.body),
    }


def read(
    verifiers: Sequence[Webhook], headers: Mapping[str, str], body: bytes, now: datetime
) -> Notice | None:
    """What a webhook says; none: it is of a type that is not known here.

    Raises:
        WebhookRefused: it cannot be trusted.
    """
    try:
        name, text = headers["webhook-id"], body.decode()
        sent_at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
        given = headers["webhook-signature"].split()
        signed = [one.sign(name, sent_at, text) for one in verifiers]
        if abs((now - sent_at).total_seconds()) > TOLERANCE_S or not _one_of(signed, given):
            raise WebhookRefused
        told = json.loads(text)
        outcome = _outcome_of(told["type"], told["data"])
        return None if outcome is None else Notice(name, str(told["data"]["reference"]), outcome)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise WebhookRefused from None


def _one_of(signed: Sequence[str], given: Sequence[str]) -> bool:
    """Whether a signature is ours; how long that takes does not tell how near it is."""
    pairs = ((ours.encode(), theirs.encode()) for ours in signed for theirs in given)
    return any(hmac.compare_digest(ours, theirs) for ours, theirs in pairs)


def _outcome_of(kind: str, data: Mapping[str, str]) -> Outcome | None:
    match kind:
        case "charge.succeeded" | "refund.succeeded":
            return Succeeded(data["transaction_id"])
        case "charge.pending" | "refund.pending":
            return Pending()
        case "charge.declined" | "refund.failed":
            return Declined(DeclineCode(data["decline_code"]))
    return None
