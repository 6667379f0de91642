"""Amounts of money: decimal text on the wire, integer minor units inside, never a float."""

from decimal import Decimal, InvalidOperation

import iso4217

# Of the amount in minor units. Fifty amounts of this size still fit a BIGINT.
DIGITS_MAX = 15
# Longer text is refused unread: Decimal would otherwise build numbers of any size.
TEXT_LENGTH_MAX = 40


class MoneyError(ValueError):
    """An amount or a currency that is refused; its text says why."""


def exponent(currency: str) -> int:
    """The number of decimals of an ISO 4217 currency: JPY 0, USD 2, KWD 3.

    Raises:
        MoneyError: ISO 4217 has no such currency, or it is not one to pay in (gold, test codes).
    """
    try:
        decimals = iso4217.Currency(currency).exponent
    except ValueError:
        decimals = None
    if decimals is None:
        message = f"{currency!r} is not a currency of ISO 4217"
        raise MoneyError(message)
    return decimals


def to_minor(text: str, currency: str) -> int:
    """Read a decimal amount as minor units: `("150.00", "USD")` is 15000.

    Raises:
        MoneyError: not a number, not positive, more decimals than the currency has,
            or more than 15 digits.
    """
    decimals = exponent(currency)
    amount = _parse(text)
    if amount <= 0:
        message = "must be greater than zero"
        raise MoneyError(message)
    if amount.adjusted() + decimals >= DIGITS_MAX:
        message = f"must have no more than {DIGITS_MAX} digits"
        raise MoneyError(message)
    if -int(amount.as_tuple().exponent) > decimals:
        message = f"must have no more than {decimals} decimals, as {currency} has"
        raise MoneyError(message)
    return int(amount.scaleb(decimals))


def to_text(minor: int, currency: str) -> str:
    """Write minor units as a decimal with all decimals of the currency: `"150.00"`."""
    return f"{Decimal(minor).scaleb(-exponent(currency)):f}"


def _parse(text: str) -> Decimal:
    message = "must be a decimal number, such as 150.00"
    if len(text) > TEXT_LENGTH_MAX or not text.isascii() or "_" in text:
        raise MoneyError(message)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise MoneyError(message) from None
    if not amount.is_finite() or text != text.strip():
        raise MoneyError(message)
    return amount
