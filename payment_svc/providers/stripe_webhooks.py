"""What Stripe tells unasked, and whether it is Stripe who tells it. Pure."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.outcome import Notice
from payment_svc.providers.stripe_mapping import intent_outcome, reference_of, refund_outcome

SIGNED_AT_MOST_AGO = timedelta(minutes=5)
# No clock counts more seconds than that.
TIMESTAMP_DIGITS_MAX = 12

# What the object of an event says, by the type of the event.
EVENTS = {
    "payment_intent.succeeded": intent_outcome,
    "payment_intent.payment_failed": intent_outcome,
    "payment_intent.canceled": intent_outcome,
    "payment_intent.processing": intent_outcome,
    "refund.created": refund_outcome,
    "refund.updated": refund_outcome,
    "refund.failed": refund_outcome,
    "charge.refund.updated": refund_outcome,
}


def require_signed(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
) -> None:
    """Let only what Stripe has signed pass, with one of our secrets, within the last minutes.

    Raises:
        WebhookRefused: it is not.
    """
    pairs = [part.strip().partition("=") for part in headers.get("stripe-signature", "").split(",")]
    stamp = next((value for name, _, value in pairs if name == "t"), "")
    if not stamp.isdecimal() or len(stamp) > TIMESTAMP_DIGITS_MAX:
        raise WebhookRefused
    if abs(now.timestamp() - int(stamp)) > SIGNED_AT_MOST_AGO.total_seconds():
        raise WebhookRefused
    given = [value.encode() for name, _, value in pairs if name == "v1"]
    signed = stamp.encode() + b"." + body
    for secret in filter(None, secrets):
        right = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
        if any(hmac.compare_digest(right, one) for one in given):
            return
    raise WebhookRefused


def read_event(body: bytes) -> Notice | None:
    """What an event says; none: nothing about a charge or a refund of ours.

    Raises:
        WebhookRefused: it is no event of Stripe.
    """
    try:
        event = json.loads(body)
        event_id, kind, about = event["id"], event["type"], event["data"]["object"]
        outcome_of, reference = EVENTS.get(kind), reference_of(about)
        if outcome_of is None or not reference:
            return None
        return Notice(f"{event_id}", reference, outcome_of(about))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # Signed, and not what Stripe sends: to refuse it shows it, and Stripe sends it again.
        raise WebhookRefused from None
