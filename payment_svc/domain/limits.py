"""How much one payment may be, currency by currency, as an operator writes it down."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis import money
from chassis.errors import InvalidField

FORM = "CURRENCY LEAST MOST, such as USD 0.50 10000.00, with - for no bound"
NO_BOUND = "-"


class LimitsError(ValueError):
    """The text is no limits; says where, and why."""


@dataclass(frozen=True)
class Range:
    """The least and the most that a payment in one currency may be; none: no bound."""

    least_minor: int | None
    most_minor: int | None

    def holds(self, amount_minor: int) -> bool:
        """Whether an amount is within it; both ends are."""
        above = self.least_minor is None or amount_minor >= self.least_minor
        return above and (self.most_minor is None or amount_minor <= self.most_minor)

    def is_empty(self) -> bool:
        """Whether no amount is within it."""
        return self.most_minor is not None and not self.holds(self.most_minor)

    def in_words(self, currency: str) -> str:
        """What an amount must be."""
        least, most = (
            "" if minor is None else money.to_text(minor, currency)
            for minor in (self.least_minor, self.most_minor)
        )
        if least and most:
            return f"must be from {least} to {most} {currency}"
        bound = f"at least {least}" if least else f"at most {most}"
        return f"must be {bound} {currency}"


@dataclass(frozen=True)
class Limits:
    """The ranges of some currencies. A currency without one has no limits."""

    ranges: Mapping[str, Range] = field(default_factory=dict)

    def check(self, amount_minor: int, currency: str) -> None:
        """Refuse what is too little or too much.

        Raises:
            InvalidField: it is; says what is taken.
        """
        allowed = self.ranges.get(currency)
        if allowed is not None and not allowed.holds(amount_minor):
            raise InvalidField(("amount", allowed.in_words(currency)))


def parse_limits(text: str) -> Limits:
    """Read `"USD 0.50 10000.00, JPY 50 -"`; empty: no limits.

    Raises:
        LimitsError: it is not of this form, a currency or an amount is none, or a currency is
            there twice.
    """
    ranges: dict[str, Range] = {}
    for entry in text.split(",") if text.strip() else ():
        currency, allowed = _parse_entry(entry)
        if currency in ranges:
            message = f"names {currency} twice"
            raise LimitsError(message)
        ranges[currency] = allowed
    return Limits(ranges)


def _parse_entry(entry: str) -> tuple[str, Range]:
    words = entry.split()
    if len(words) != len(("currency", "least", "most")):
        message = f"{entry.strip()!r} must be {FORM}; one after another by commas"
        raise LimitsError(message)
    currency, least, most = words
    allowed = Range(_bound(least, currency), _bound(most, currency))
    if allowed.least_minor is None and allowed.most_minor is None:
        message = f"{currency} needs a least or a most; leave it out to have no limits"
        raise LimitsError(message)
    if allowed.is_empty():
        message = f"{currency}: the least, {least}, is more than the most, {most}"
        raise LimitsError(message)
    return currency, allowed


def _bound(text: str, currency: str) -> int | None:
    try:
        money.exponent(currency)
    except money.MoneyError as error:
        raise LimitsError(str(error)) from None
    if text == NO_BOUND:
        return None
    try:
        return money.to_minor(text, currency)
    except money.MoneyError as error:
        message = f"{currency} {text}: {error}"
        raise LimitsError(message) from None
