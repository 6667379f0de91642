"""Means of payment: what can be checked without a provider, and what may be kept.

The check digit is that of ISO/IEC 7812-1, annex B (Luhn).
"""

from dataclasses import dataclass, field
from datetime import date

from chassis.errors import InvalidField

# A digit doubled, its own digits added up.
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_BRANDS = (
    ("4", "visa"),
    ("5", "mastercard"),
    ("2", "mastercard"),
    ("3", "amex"),
    ("6", "discover"),
)
_NUMBER_LENGTHS = range(12, 20)
_SEPARATORS = str.maketrans("", "", "-_")


@dataclass(frozen=True)
class CardSummary:
    """What is kept of a means of payment. Brand and digits are empty for a token."""

    type: str
    brand: str
    last_four: str


@dataclass(frozen=True)
class Card:
    """A card as the payer gave it. Number and code never show in a `repr`."""

    type: str
    number: str = field(repr=False)
    expiry_month: int
    expiry_year: int
    cvv: str = field(repr=False)

    def check(self, today: date) -> None:
        """Refuse what no provider would take.

        Raises:
            InvalidField: wrong check digit, or past its expiry; names the field.
        """
        wrong = []
        if not passes_luhn(self.number):
            wrong.append(("payment_method.card_number", "has a wrong check digit"))
        if (self.expiry_year, self.expiry_month) < (today.year, today.month):
            wrong.append(("payment_method.expiry_year", "is in the past: the card has expired"))
        if wrong:
            raise InvalidField(*wrong)

    def summary(self) -> CardSummary:
        """What may be stored and shown."""
        return CardSummary(self.type, brand(self.number), self.number[-4:])

    def fingerprint_parts(self) -> tuple[str, ...]:
        """What tells two requests apart without the number and the code."""
        kept = self.summary()
        expiry = f"{self.expiry_year:04d}-{self.expiry_month:02d}"
        return (kept.type, kept.brand, kept.last_four, expiry)


@dataclass(frozen=True)
class Token:
    """A means of payment that the provider knows already, by the provider's name for it."""

    # May be TYPE_UNSPECIFIED.
    type: str
    token: str = field(repr=False)

    def check(self, today: date) -> None:  # noqa: ARG002 - only its provider knows how long it is good
        """Refuse a card number: what is kept of a token tells it to whoever tries all numbers.

        Raises:
            InvalidField: it looks like one.
        """
        digits = self.token.translate(_SEPARATORS)
        if digits.isdecimal() and len(digits) in _NUMBER_LENGTHS and passes_luhn(digits):
            what = "is a card number, and must be the provider's name for one"
            raise InvalidField(("payment_method.token", what))

    def summary(self) -> CardSummary:
        """What may be stored and shown."""
        return CardSummary(self.type, "", "")

    def fingerprint_parts(self) -> tuple[str, ...]:
        """What tells two requests apart."""
        return (self.type, "token", self.token)


Method = Card | Token


def passes_luhn(number: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[0::2]) + sum(_DOUBLED[digit] for digit in digits[1::2])) % 10 == 0


def brand(number: str) -> str:
    """The network of a card, by its first digit; `unknown` if it is none of the known."""
    return next((name for first, name in _BRANDS if number.startswith(first)), "unknown")
