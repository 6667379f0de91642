"""What Stripe's answers mean here. Pure: it asks nobody.

Answers are taken as the JSON that Stripe documents, not as objects of its library.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from payment_svc.domain.outcome import (
    DeclineCode,
    Declined,
    NotDone,
    Outcome,
    Pending,
    Succeeded,
)
from payment_svc.ports import Charge, Return
from payment_svc.providers.stripe_params import REFERENCE, intent_params

Json = Mapping[str, Any]

# An error of HTTP from here on is a fault of the server.
SERVER_ERROR = 500

# An intent that is cancelled for this reason has refused its means of payment for good. One
# that is called off is cancelled for the other one.
REFUSED = "abandoned"
CALLED_OFF = "requested_by_customer"
UNTOUCHED = frozenset({"requires_payment_method", "requires_confirmation"})

_CODES = {
    "insufficient_funds": DeclineCode.INSUFFICIENT_FUNDS,
    "expired_card": DeclineCode.EXPIRED_CARD,
}


def is_of(intent: Json, charge: Charge) -> bool:
    """Whether an intent that was found is really that of a charge."""
    wanted = intent_params(charge)
    same = all(intent.get(name) == wanted[name] for name in ("amount", "currency"))
    return same and reference_of(intent) == charge.reference


def is_refund_of(refund: Json, order: Return) -> bool:
    """Whether a refund that was found is that of an order."""
    return reference_of(refund) == order.reference


def is_untouched(intent: Json) -> bool:
    """Whether nobody has tried to take the money of an intent, and somebody still may."""
    return intent.get("status") in UNTOUCHED and _failure(intent) is None


def intent_outcome(intent: Json) -> Outcome:
    """What became of a charge, by the state of its intent.

    A failed attempt is the end here, though Stripe would let one try again.
    """
    failure = _failure(intent)
    match intent.get("status"):
        case "succeeded":
            return Succeeded(intent["id"])
        case "canceled" if failure is None and intent.get("cancellation_reason") == REFUSED:
            return decline()
        case "canceled" | "requires_payment_method" | "requires_confirmation":
            return NotDone() if failure is None else failure
    return Pending()


def void_outcome(intent: Json) -> Outcome:
    """The same after a void: only an intent that is cancelled can surely never be paid."""
    match intent.get("status"):
        case "succeeded":
            return Succeeded(intent["id"])
        case "canceled":
            return NotDone()
    return Pending()


def refund_outcome(refund: Json) -> Outcome:
    """What became of a refund."""
    match refund.get("status"):
        case "succeeded":
            return Succeeded(refund["id"])
        case "failed" | "canceled":
            return decline()
    return Pending()


def strongest(outcomes: Iterable[Outcome]) -> Outcome:
    """What became of a charge with several intents: money counts most, then what may be money."""
    order = (Succeeded, Pending, Declined)
    said = list(outcomes)
    for kind in order:
        for outcome in said:
            if isinstance(outcome, kind):
                return outcome
    return NotDone()


def decline(*codes: object) -> Declined:
    """A decline, for the first of Stripe's codes that says more than that."""
    known = (_CODES[code] for code in codes if isinstance(code, str) and code in _CODES)
    return Declined(next(known, DeclineCode.CARD_DECLINED))


def _failure(intent: Json) -> Declined | None:
    """Why the attempt to take the money failed; none: it did not, or there was none.

    Stripe forgets the error when the intent changes, and keeps the charge.
    """
    error, charge = intent.get("last_payment_error"), intent.get("latest_charge")
    if isinstance(error, Mapping):
        return decline(error.get("decline_code"), error.get("code"))
    if isinstance(charge, Mapping) and charge.get("status") == "failed":
        result = charge.get("outcome")
        reason = result.get("reason") if isinstance(result, Mapping) else None
        return decline(reason, charge.get("failure_code"))
    return None


def reference_of(thing: Json) -> str:
    """Our own name for an intent or a refund; empty: it is none of ours."""
    metadata = thing.get("metadata")
    reference = metadata.get(REFERENCE) if isinstance(metadata, Mapping) else None
    return reference if isinstance(reference, str) else ""


class Meaning(StrEnum):
    """What an error says of the request that it answers."""

    # It was carried out, and the bank declined.
    DECLINED = "declined"
    # It was not carried out, and never will be as it is.
    REFUSED = "refused"
    # It was not carried out. What became of earlier ones of the same name, it does not say.
    NOT_NOW = "not now"
    # It may be carried out or not.
    NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Failure:
    """An error of Stripe, without its text, which may quote the payer's data."""

    # Of HTTP; 0: there was no answer.
    status: int = 0
    type: str = ""
    code: str = ""
    # The parameter that is wrong.
    param: str = ""
    decline_code: str = ""
    # Whether it is the stored answer to an earlier request with the same key.
    replayed: bool = False

    @property
    def meaning(self) -> Meaning:
        """What it says of the request that it answers."""
        return next((row.meaning for row in FAILURES if row.fits(self)), Meaning.NO_ANSWER)

    @property
    def cause(self) -> str:
        """It in words that are all our own."""
        return (
            f"Stripe: {self.meaning} ({self.status})" if self.status else f"Stripe: {self.meaning}"
        )

    @property
    def declined(self) -> Declined:
        """It as a decline."""
        return decline(self.decline_code, self.code)

    @property
    def refuses_charge(self) -> bool:
        """Whether Stripe takes no such amount or currency: there is no such charge, ever."""
        return self.meaning is Meaning.REFUSED and self.param in ("amount", "currency")

    @property
    def is_for_ever(self) -> bool:
        """Whether it is a fault that Stripe has stored: its key will never give another answer."""
        return self.replayed and self.status >= SERVER_ERROR


@dataclass(frozen=True)
class Row:
    """One line of the table of errors. What is empty fits all."""

    meaning: Meaning
    status: int = 0
    type: str = ""
    code: str = ""
    param: str = ""

    def fits(self, failure: Failure) -> bool:
        """Whether it is about this one."""
        names = ("status", "type", "code", "param")
        return all(getattr(self, name) in (0, "", getattr(failure, name)) for name in names)


# The first line that fits counts; none: NO_ANSWER, as for a lost connection and all faults
# of the server.
FAILURES = (
    # The key came with other parameters: it says nothing about the first ones.
    Row(Meaning.NO_ANSWER, type="idempotency_error"),
    Row(Meaning.NOT_NOW, code="rate_limit"),
    Row(Meaning.NOT_NOW, 429),
    Row(Meaning.NOT_NOW, 401),
    Row(Meaning.NOT_NOW, 403),
    Row(Meaning.DECLINED, 402),
    Row(Meaning.REFUSED, 400, code="resource_missing", param="payment_method"),
    # Maybe another account is asked than the one that did it: that one does not know.
    Row(Meaning.NO_ANSWER, code="resource_missing"),
    Row(Meaning.REFUSED, 400),
)
