"""Money: exact on the way in and on the way out, or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import money

EXPONENTS = {"JPY": 0, "USD": 2, "KWD": 3}
currencies = st.sampled_from(sorted(EXPONENTS))
amounts = st.integers(min_value=1, max_value=10**money.DIGITS_MAX - 1)


@pytest.mark.parametrize(("currency", "decimals"), EXPONENTS.items())
def test_a_currency_has_its_own_decimals(currency: str, decimals: int) -> None:
    """The decimals of a currency are those of ISO 4217."""
    assert money.exponent(currency) == decimals


@given(minor=amounts, currency=currencies)
def test_minor_units_survive_the_way_out_and_back(minor: int, currency: str) -> None:
    """Every amount that can be stored is written as text that reads as the same amount."""
    text = money.to_text(minor, currency)
    assert money.to_minor(text, currency) == minor
    assert Decimal(text) * 10 ** EXPONENTS[currency] == minor
    assert len(text.partition(".")[2]) == EXPONENTS[currency]


@given(minor=amounts, currency=currencies)
def test_spellings_of_a_number_are_one_amount(minor: int, currency: str) -> None:
    """Trailing zeros left out, or a scientific spelling, change nothing."""
    amount = Decimal(minor).scaleb(-EXPONENTS[currency])
    for spelling in (f"{amount.normalize():f}", f"{amount.normalize():e}", f"+{amount:f}"):
        assert money.to_minor(spelling, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "why"),
    [
        ("0", "USD", "greater than zero"),
        ("-1.00", "USD", "greater than zero"),
        ("1.001", "USD", "no more than 2 decimals"),
        ("1.000", "USD", "no more than 2 decimals"),
        ("1.5", "JPY", "no more than 0 decimals"),
        ("1.0001", "KWD", "no more than 3 decimals"),
        ("10000000000000.00", "USD", "no more than 15 digits"),
        ("1E+30", "USD", "no more than 15 digits"),
        ("1E-30", "USD", "no more than 2 decimals"),
        ("1" + "0" * 40, "USD", "decimal number"),
        ("NaN", "USD", "decimal number"),
        ("sNaN", "USD", "decimal number"),
        ("Infinity", "USD", "decimal number"),
        ("1E+9999999999999999999", "USD", "decimal number"),
        ("", "USD", "decimal number"),
        (" 1.00", "USD", "decimal number"),
        ("1_000", "USD", "decimal number"),
        ("1,00", "USD", "decimal number"),
        ("$1", "USD", "decimal number"),
        ("\u0661", "USD", "decimal number"),
        ("1.00", "XXX", "not a currency"),
        ("1.00", "XAU", "not a currency"),
        ("1.00", "usd", "not a currency"),
        ("1.00", "", "not a currency"),
    ],
)
def test_what_is_not_an_amount_is_refused(text: str, currency: str, why: str) -> None:
    """Each refusal says what an amount must be."""
    with pytest.raises(money.MoneyError, match=why):
        money.to_minor(text, currency)


@given(text=st.text(max_size=50), currency=currencies)
def test_any_text_is_an_amount_or_a_refusal(text: str, currency: str) -> None:
    """Nothing that a caller can send comes out as another exception, or as an impossible amount."""
    try:
        minor = money.to_minor(text, currency)
    except money.MoneyError:
        return
    assert 0 < minor < 10**money.DIGITS_MAX
