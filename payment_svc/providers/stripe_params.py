"""What is sent to Stripe: amounts, tokens, and what intents and refunds are made of. Pure."""

from typing import Any

from chassis import money
from chassis.cards import Method, Token
from chassis.errors import InvalidField
from payment_svc.ports import Charge, KnownCard, Return

# The metadata of intents and refunds in which our own name for them stands.
REFERENCE = "holdfast_reference"

# Amounts. Stripe writes some currencies with other decimals than ISO 4217 has, and takes
# three decimals only if the last one is 0. What is in none of these sets and has two
# decimals is passed on as it is; whether Stripe takes it, Stripe says.
ZERO_DECIMAL = frozenset({
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
    "XOF", "XPF",
})  # fmt: skip
WHOLE_IN_HUNDREDTHS = frozenset({"ISK", "UGX"})
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
DIGITS_MAX = 12

TOKEN_PREFIX = "pm_"  # noqa: S105 - it begins every token, and opens nothing


def to_stripe(amount_minor: int, currency: str) -> int:
    """An amount in minor units of ISO 4217, as Stripe writes it.

    Raises:
        InvalidField: Stripe cannot write it.
    """
    decimals = money.exponent(currency)
    if currency in WHOLE_IN_HUNDREDTHS:
        amount = amount_minor * 100
    elif currency in ZERO_DECIMAL:
        amount, rest = divmod(amount_minor, 10**decimals)
        if rest:
            raise InvalidField(("amount", f"must be a whole number: Stripe takes whole {currency}"))
    elif currency in THREE_DECIMAL:
        amount = amount_minor
        if amount % 10:
            what = f"must have no more than 2 decimals: Stripe rounds {currency} to tens"
            raise InvalidField(("amount", what))
    elif decimals == 2:  # noqa: PLR2004 - what Stripe does with all the others
        amount = amount_minor
    else:
        raise InvalidField(("currency", f"Stripe does not take {currency}"))
    if amount >= 10**DIGITS_MAX:
        raise InvalidField(("amount", "is more than Stripe takes at once"))
    return amount


def token_of(method: Method) -> str:
    """The token to charge.

    Raises:
        InvalidField: it is none of Stripe's.
    """
    if not isinstance(method, Token):
        what = "is not taken here: this deployment takes tokens of Stripe, not card numbers"
        raise InvalidField(("payment_method.card_number", what))
    if not method.token.startswith(TOKEN_PREFIX):
        what = f"must be the id of a payment method of Stripe: {TOKEN_PREFIX}…"
        raise InvalidField(("payment_method.token", what))
    return method.token


def intent_params(charge: Charge) -> dict[str, Any]:
    """What an intent is made of: it follows from the charge alone, so anybody can ask again.

    Stripe refuses a key that comes with other parameters. So a version that changes what is
    here gets no answer about the open charges of the one before, for as long as keys are kept.
    """
    return {
        "amount": to_stripe(charge.amount_minor, charge.currency),
        "currency": charge.currency.lower(),
        "payment_method_types": ["card"],
        "metadata": {REFERENCE: charge.reference},
    }


def refund_params(order: Return) -> dict[str, Any]:
    """What a refund is made of. It follows from the order alone, too."""
    return {
        "payment_intent": order.transaction_id,
        "amount": to_stripe(order.amount_minor, order.currency),
        "metadata": {REFERENCE: order.reference},
    }


def search_query(reference: str) -> str:
    """How to search for the intents of a charge."""
    return f"metadata['{REFERENCE}']:'{reference}'"


_DECLINED = "FAILED, and its seats are free again"
TEST_CARDS = (
    KnownCard("success", "", "pm_card_visa", "succeeds", "CONFIRMED"),
    KnownCard(
        "insufficient-funds",
        "",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "declines, `INSUFFICIENT_FUNDS`",
        _DECLINED,
    ),
    KnownCard(
        "card-declined",
        "",
        "pm_card_visa_chargeDeclined",
        "declines, `CARD_DECLINED`",
        _DECLINED,
    ),
    KnownCard(
        "expired-card",
        "",
        "pm_card_chargeDeclinedExpiredCard",
        "declines, `EXPIRED_CARD`",
        _DECLINED,
    ),
    KnownCard(
        "authentication",
        "",
        "pm_card_authenticationRequired",
        "asks the payer to confirm, who cannot here: declines, `CARD_DECLINED`",
        _DECLINED,
    ),
)
