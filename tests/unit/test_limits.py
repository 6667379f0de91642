"""Limits of amounts: read as an operator writes them, and kept to the cent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import money
from chassis.errors import InvalidField
from payment_svc.domain.limits import Limits, LimitsError, parse_limits

TEXT = "USD 0.50 10000.00, JPY - 1000000,KWD 0.001 -"
amounts = st.integers(min_value=1, max_value=10**money.DIGITS_MAX - 1)
currencies = st.sampled_from(["USD", "JPY", "KWD"])


def refusal(limits: Limits, amount_minor: int, currency: str) -> str:
    """What a caller is told of an amount; empty if it is taken."""
    try:
        limits.check(amount_minor, currency)
    except InvalidField as refused:
        ((field, what),) = refused.violations
        assert field == "amount"
        return what
    return ""


@pytest.mark.parametrize(
    ("amount_minor", "currency", "told"),
    [
        (49, "USD", "must be from 0.50 to 10000.00 USD"),
        (50, "USD", ""),
        (1_000_000, "USD", ""),
        (1_000_001, "USD", "must be from 0.50 to 10000.00 USD"),
        (1, "JPY", ""),
        (1_000_000, "JPY", ""),
        (1_000_001, "JPY", "must be at most 1000000 JPY"),
        (1, "KWD", ""),
        (999_999_999_999_999, "KWD", ""),
        (1, "EUR", ""),
        (999_999_999_999_999, "EUR", ""),
    ],
)
def test_both_ends_are_within(amount_minor: int, currency: str, told: str) -> None:
    """An amount at a bound is taken, one beyond it is told the bounds; others have no bounds."""
    assert refusal(parse_limits(TEXT), amount_minor, currency) == told


def test_a_least_without_a_most() -> None:
    """Where only too little is refused, only the least is told."""
    limits = parse_limits("USD 1.50 -")
    assert refusal(limits, 149, "USD") == "must be at least 1.50 USD"
    assert refusal(limits, 150, "USD") == ""


@pytest.mark.parametrize("text", ["", "  "])
def test_no_limits(text: str) -> None:
    """Empty text is no limits."""
    assert parse_limits(text) == Limits({})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("USD", "'USD' must be CURRENCY LEAST MOST, such as USD 0.50 10000.00, with - for no"),
        ("USD 0.50", "'USD 0.50' must be CURRENCY LEAST MOST"),
        ("USD 0.50 1 2", "'USD 0.50 1 2' must be CURRENCY LEAST MOST"),
        ("USD 0,50 10", "'USD 0' must be CURRENCY LEAST MOST"),
        ("USD 1 2,", "'' must be CURRENCY LEAST MOST"),
        ("USD=1 2", "'USD=1 2' must be CURRENCY LEAST MOST"),
        ("usd 1 2", "'usd' is not a currency of ISO 4217"),
        ("USB - 2", "'USB' is not a currency of ISO 4217"),
        ("XAU - 2", "'XAU' is not a currency of ISO 4217"),
        ("* 1 2", r"'\*' is not a currency of ISO 4217"),
        ("USD 0.505 2", "USD 0.505: must have no more than 2 decimals, as USD has"),
        ("JPY 1 2.0", "JPY 2.0: must have no more than 0 decimals, as JPY has"),
        ("USD 0 2", "USD 0: must be greater than zero"),
        ("USD 1 inf", "USD inf: must be a decimal number"),
        ("USD 1 10000000000000", "USD 10000000000000: must have no more than 15 digits"),
        ("USD 2.01 2", "USD: the least, 2.01, is more than the most, 2"),
        ("USD - -", "USD needs a least or a most; leave it out to have no limits"),
        ("USD 1 2, JPY 1 2, USD 1 -", "names USD twice"),
    ],
)
def test_what_is_no_limits(text: str, told: str) -> None:
    """Each mistake says which entry is wrong, and what it must be."""
    with pytest.raises(LimitsError, match=f"^{told}"):
        parse_limits(text)


@given(currency=currencies, bounds=st.tuples(amounts, amounts), amount_minor=amounts)
def test_what_is_written_is_what_is_kept(
    currency: str, bounds: tuple[int, int], amount_minor: int
) -> None:
    """An amount is taken exactly when it is not below the least and not above the most."""
    least, most = sorted(bounds)
    limits = parse_limits(
        f"{currency} {money.to_text(least, currency)} {money.to_text(most, currency)}"
    )
    for amount in (amount_minor, least - 1, least, most, most + 1):
        assert (refusal(limits, amount, currency) == "") == (least <= amount <= most)


@given(text=st.text(alphabet="USDJPY 0159.,-*", max_size=30))
def test_any_text_is_limits_or_a_mistake(text: str) -> None:
    """Nothing that an operator can type comes out as another error, or as a range of nothing."""
    try:
        limits = parse_limits(text)
    except LimitsError:
        return
    for allowed in limits.ranges.values():
        assert allowed.holds(allowed.least_minor or allowed.most_minor or 0)
