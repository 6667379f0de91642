"""Stripe: payments by tokens of cards, each taken once by an intent of two steps.

An intent is made first, with an idempotency key that follows from our reference, and takes no
money: whoever repeats that finds the same intent. So it is how a charge is looked up, and an
intent that is cancelled is a fence that no late charge passes. Then it is confirmed, once.

Stripe forgets keys after a day. Before that nobody confirms any more, and later still intents
are searched for by their metadata, which by then is complete; nothing is made any more.
"""

import logging
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import stripe
import structlog

from chassis.cards import Method
from chassis.clock import Clock
from chassis.errors import InvalidField
from payment_svc.domain.outcome import NotDone, Notice, Outcome, Succeeded, Unknown
from payment_svc.ports import Charge, KnownCard, Return
from payment_svc.providers import stripe_mapping as mapping
from payment_svc.providers import stripe_params as params
from payment_svc.providers import stripe_webhooks as webhooks
from payment_svc.providers.stripe_mapping import Failure, Json, Meaning

log = structlog.get_logger(__name__)

# What is written and read here. Webhook endpoints are made for the same version.
API_VERSION = "2026-10-28.endive"
API_BASE = stripe.DEFAULT_API_BASE

# Stripe keeps idempotency keys for 24 hours at least, and its search is never more than an
# hour behind. So nobody confirms for three hours before the search is trusted.
CONFIRM_FOR = timedelta(hours=20)
KEYS_KEPT_FOR = timedelta(hours=23)
# A fault that Stripe has stored for a key is all that the key ever gives: the next key is tried.
KEYS_MAX = 3
PAGE = 100
TESTING_KEYS = ("sk_test_", "rk_test_")

Answer = TypeVar("Answer")
Made = TypeVar("Made", bound=stripe.StripeObject)


@dataclass(frozen=True)
class StripeAccount:
    """Whose money it is, and how Stripe is reached."""

    api_key: str = field(repr=False)
    # Of the webhook endpoint; several while they are changed, none: every webhook is refused.
    webhook_secrets: tuple[str, ...] = field(repr=False)
    # How long one request may take.
    timeout_s: float
    api_base: str = API_BASE


class StripeFailed(Exception):
    """A request had no result. It carries no text of Stripe."""

    def __init__(self, failure: Failure) -> None:
        """Say what is known."""
        super().__init__(failure.cause)
        self.failure = failure


class NeverMade(StripeFailed):
    """Stripe refuses to make an intent of such an amount or currency: there is none, ever."""


class StripeProvider:
    """`Provider` for an account of Stripe."""

    name = "stripe"

    def __init__(self, account: StripeAccount, clock: Clock) -> None:
        """Charge for this account; what is old, is old by this clock."""
        # They write each request, and the text of each error, which may quote the payer's data.
        for talkative in ("stripe", "httpx"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        self._account = account
        self._clock = clock
        self._http = stripe.HTTPXClient(timeout=account.timeout_s)
        client = stripe.StripeClient(
            account.api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": account.api_base.rstrip("/")},
            max_network_retries=0,
            http_client=self._http,
        )
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call] # it has no types

    def known_cards(self) -> Sequence[KnownCard]:
        """Stripe's own, if the account takes no real money."""
        return params.TEST_CARDS if self._account.api_key.startswith(TESTING_KEYS) else ()

    def check(self, charge: Charge, method: Method) -> None:
        """Refuse card numbers, and what Stripe cannot write."""
        params.token_of(method)
        params.to_stripe(charge.amount_minor, charge.currency)

    async def charge(self, charge: Charge, method: Method) -> Outcome:
        """Make the intent, or find it, and confirm it unless that was done before."""
        token = params.token_of(method)
        if self._age(charge.asked_at) >= CONFIRM_FOR:
            return await self.lookup(charge)
        return await _told(self._charge(charge, token))

    async def lookup(self, charge: Charge) -> Outcome:
        """What the intent says; one that was not there is made, and takes nothing."""
        return await _told(self._lookup(charge))

    async def void(self, charge: Charge) -> Outcome:
        """Cancel the intent; one that was not there is made for it."""
        return await _told(self._void(charge))

    async def refund(self, order: Return) -> Outcome:
        """Give back, and say how that stands now."""
        try:
            wanted = params.refund_params(order)
        except InvalidField:
            return mapping.decline()
        return await _told(self._refund(order, wanted))

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        """What an event of Stripe says, if it is signed with one of our secrets."""
        secrets = self._account.webhook_secrets
        webhooks.require_signed(headers, body, secrets, self._clock.now())
        return webhooks.read_event(body)

    async def _charge(self, charge: Charge, token: str) -> Outcome:
        try:
            intent, is_new = await self._made(charge)
        except NeverMade:
            return mapping.decline()
        present = intent if is_new else await self._present(intent["id"])
        return await self._confirmed(charge, token, present, 1)

    async def _confirmed(self, charge: Charge, token: str, intent: Json, number: int) -> Outcome:
        """What becomes of an intent that is confirmed unless it was before."""
        if not mapping.is_untouched(intent):
            return mapping.intent_outcome(intent)
        key = f"{_key(charge.reference)}/confirm/{number}"
        try:
            confirmed = await _call(
                self._intents.confirm_async(
                    intent["id"],
                    {
                        "payment_method": token,
                        # Nobody is there to ask: what needs that is declined.
                        "error_on_requires_action": True,
                        "expand": ["latest_charge"],
                    },
                    {"idempotency_key": key},
                )
            )
        except StripeFailed as failed:
            failure = failed.failure
            if failure.meaning is Meaning.DECLINED:
                return failure.declined
            if failure.meaning is Meaning.REFUSED:
                return await self._refused(charge, intent, failure)
            if failure.is_for_ever and number < KEYS_MAX:
                present = await self._present(intent["id"])
                return await self._confirmed(charge, token, present, number + 1)
            raise
        return mapping.intent_outcome(confirmed.to_dict())

    async def _refused(self, charge: Charge, intent: Json, failure: Failure) -> Outcome:
        """Stripe does not take the token, so the intent ends; or somebody else was faster."""
        codes = {"code": failure.code, "param": failure.param}
        log.warning("stripe_refused_to_confirm", reference=charge.reference, **codes)
        return mapping.intent_outcome(await self._cancelled(intent["id"], mapping.REFUSED))

    async def _lookup(self, charge: Charge) -> Outcome:
        try:
            found = await self._ids(charge)
        except NeverMade:
            return mapping.decline()
        present = [await self._present(intent_id) for intent_id in found]
        return mapping.strongest(map(mapping.intent_outcome, present))

    async def _void(self, charge: Charge) -> Outcome:
        try:
            found = await self._ids(charge)
        except NeverMade:
            return NotDone()
        off = [await self._cancelled(intent_id, mapping.CALLED_OFF) for intent_id in found]
        return mapping.strongest(map(mapping.void_outcome, off))

    async def _ids(self, charge: Charge) -> list[str]:
        """The intents of a charge: one while Stripe knows the key, later maybe none or several."""
        if self._age(charge.asked_at) < KEYS_KEPT_FOR:
            intent, _ = await self._made(charge)
            return [intent["id"]]
        query = params.search_query(charge.reference)
        found = await _call(self._intents.search_async({"query": query, "limit": PAGE}))
        intents = [intent.to_dict() for intent in found.data]
        return [intent["id"] for intent in intents if mapping.is_of(intent, charge)]

    async def _made(self, charge: Charge) -> tuple[Json, bool]:
        """The intent of a charge as it was when it was made, and whether that was now.

        All who ask go through the same keys in the same order, so they find the same intent.
        An intent behind a fault is known to nobody, and never confirmed.
        """
        wanted: Any = params.intent_params(charge)
        number = 1
        while True:
            key = f"{_key(charge.reference)}/create/{number}"
            try:
                made = await _call(self._intents.create_async(wanted, {"idempotency_key": key}))
            except StripeFailed as failed:
                if failed.failure.refuses_charge:
                    raise NeverMade(failed.failure) from None
                if not failed.failure.is_for_ever or number == KEYS_MAX:
                    raise
                number += 1
            else:
                return made.to_dict(), not _is_replayed(made)

    async def _present(self, intent_id: str) -> Json:
        """An intent as it is now."""
        found = await _call(self._intents.retrieve_async(intent_id, {"expand": ["latest_charge"]}))
        return found.to_dict()

    async def _cancelled(self, intent_id: str, reason: Any) -> Json:
        """An intent after it was cancelled, or as it is if it cannot be."""
        try:
            off = await _call(
                self._intents.cancel_async(
                    intent_id, {"cancellation_reason": reason, "expand": ["latest_charge"]}
                )
            )
        except StripeFailed as failed:
            if failed.failure.meaning is not Meaning.REFUSED:
                raise
            return await self._present(intent_id)
        return off.to_dict()

    async def _refund(self, order: Return, wanted: Any) -> Outcome:
        if self._age(order.asked_at) >= KEYS_KEPT_FOR:
            found = await self._refund_of(order)
            if found is not None:
                return mapping.refund_outcome(found)
        key = f"{_key(order.reference)}/refund"
        try:
            made = await _call(self._refunds.create_async(wanted, {"idempotency_key": key}))
        except StripeFailed as failed:
            if failed.failure.meaning is Meaning.REFUSED:
                codes = {"code": failed.failure.code, "param": failed.failure.param}
                log.warning("stripe_refused_to_refund", reference=order.reference, **codes)
                return mapping.decline()
            raise
        said = mapping.refund_outcome(made.to_dict())
        if isinstance(said, Succeeded) and not _is_replayed(made):
            return said
        present = await _call(self._refunds.retrieve_async(made["id"]))
        return mapping.refund_outcome(present.to_dict())

    async def _refund_of(self, order: Return) -> Json | None:
        """The refund of an order among those of its intent."""
        listed = await _call(
            self._refunds.list_async({"payment_intent": order.transaction_id, "limit": PAGE})
        )
        with _failures():
            async for refund in listed.auto_paging_iter():
                found = refund.to_dict()
                if mapping.is_refund_of(found, order):
                    return found
        return None

    def _age(self, asked_at: datetime) -> timedelta:
        return self._clock.now() - asked_at


def _key(reference: str) -> str:
    """What the idempotency keys of a charge or a refund begin with."""
    return f"holdfast/{reference}"


def _is_replayed(answer: stripe.StripeObject) -> bool:
    """Whether it is the stored answer to an earlier request: how it was then, not how it is."""
    response = answer.last_response
    return response is not None and _says_replayed(response.headers)


def _says_replayed(headers: Mapping[str, str] | None) -> bool:
    return (headers or {}).get("idempotent-replayed") == "true"


async def _told(outcome: Awaitable[Outcome]) -> Outcome:
    """An outcome; a request that had no result is Unknown."""
    try:
        return await outcome
    except StripeFailed as failed:
        return Unknown(failed.failure.cause)


async def _call(request: Awaitable[Answer]) -> Answer:
    with _failures():
        return await request


@contextmanager
def _failures() -> Iterator[None]:
    """Turn the library's errors into ours, without their text."""
    try:
        yield
    except stripe.StripeError as error:
        raise StripeFailed(_failure_of(error)) from None


def _failure_of(error: stripe.StripeError) -> Failure:
    body = error.json_body
    details = body.get("error") if isinstance(body, dict) else None

    def said(name: str) -> str:
        value = details.get(name) if isinstance(details, dict) else None
        return value if isinstance(value, str) else ""

    return Failure(
        status=error.http_status or 0,
        type=said("type"),
        code=said("code"),
        param=said("param"),
        decline_code=said("decline_code"),
        replayed=_says_replayed(error.headers),
    )
