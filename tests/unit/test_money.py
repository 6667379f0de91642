"""Money: exact on the way in and on the way out, or refused."""

from decimal import Decimal

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import money

# By ISO 4217; all others have two. Written down here, so that a table with a mistake is noticed.
OTHER_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS = {code: decimals for decimals, codes in OTHER_DECIMALS.items() for code in codes.split()}
# Metals, units of account and test codes: nobody pays with them.
WITHOUT = "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX"
NOT_TO_PAY_IN = frozenset(WITHOUT.split())
CODES = sorted({one.code for one in iso4217.Currency} - NOT_TO_PAY_IN)
MINOR_MAX = 10**money.DIGITS_MAX - 1
BIGINT_MAX = 2**63 - 1
currencies = st.sampled_from(CODES)
amounts = st.integers(min_value=1, max_value=MINOR_MAX)
# The digits of other scripts, which Python would read as numbers.
foreign_digits = st.characters(categories=["Nd"]).filter(lambda digit: not digit.isascii())


def decimals_of(currency: str) -> int:
    return DECIMALS.get(currency, 2)


def test_every_currency_has_its_own_decimals() -> None:
    """Every code of ISO 4217 has the decimals that the standard gives it, or is refused."""
    for code in CODES:
        assert money.exponent(code) == decimals_of(code), code
    for code in NOT_TO_PAY_IN:
        with pytest.raises(money.MoneyError, match="not a currency"):
            money.exponent(code)
    assert set(DECIMALS) <= set(CODES)


@given(minor=amounts, currency=currencies)
def test_minor_units_survive_the_way_out_and_back(minor: int, currency: str) -> None:
    """Every amount that can be stored is written as text that reads as the same amount."""
    text = money.to_text(minor, currency)
    assert money.to_minor(text, currency) == minor
    assert Decimal(text) * 10 ** decimals_of(currency) == minor
    assert len(text.partition(".")[2]) == decimals_of(currency)


@given(data=st.data(), currency=currencies)
def test_text_survives_the_way_in_and_out(data: st.DataObject, currency: str) -> None:
    """What a caller writes comes back as the same number, with all decimals of its currency."""
    decimals = decimals_of(currency)
    whole = data.draw(st.integers(0, 10 ** (money.DIGITS_MAX - decimals) - 1))
    written = data.draw(st.integers(0, decimals))
    part = data.draw(st.integers(0, 10**written - 1).filter(lambda part: whole + part > 0))
    text = f"{whole}.{part:0{written}}" if written else f"{whole}"
    back = money.to_text(money.to_minor(text, currency), currency)
    point = "." if decimals and not written else ""
    assert back == f"{text}{point}{'0' * (decimals - written)}"


@given(minor=st.integers(-BIGINT_MAX, BIGINT_MAX), currency=currencies)
def test_sums_are_written_exactly(minor: int, currency: str) -> None:
    """All that a column can hold, with either sign, is written digit by digit."""
    text = money.to_text(minor, currency)
    assert int(text.replace(".", "")) == minor
    assert "E" not in text


@given(minors=st.lists(amounts, min_size=1, max_size=50), currency=currencies)
def test_a_sum_is_the_same_in_both_worlds(minors: list[int], currency: str) -> None:
    """Fifty amounts add up alike as minor units and as decimals, and their sum fits a BIGINT."""
    texts = [money.to_text(minor, currency) for minor in minors]
    total = sum(money.to_minor(text, currency) for text in texts)
    assert Decimal(money.to_text(total, currency)) == sum(map(Decimal, texts))
    assert total <= BIGINT_MAX


@pytest.mark.parametrize("text", ["4.35", "1.13", "8.20", "1.005e2", "9999999999999.99"])
def test_no_cent_is_lost_to_a_fraction(text: str) -> None:
    """What is not whole when a binary fraction is multiplied by a hundred is whole here."""
    assert money.to_minor(text, "USD") == int(Decimal(text) * 100)


@given(minor=amounts, currency=currencies)
def test_spellings_of_a_number_are_one_amount(minor: int, currency: str) -> None:
    """Zeros left out or put in front, a sign, or a scientific spelling, change nothing."""
    amount = Decimal(minor).scaleb(-decimals_of(currency))
    short = f"{amount.normalize():f}"
    for spelling in (
        short, f"{amount.normalize():e}", f"{minor}E-{decimals_of(currency)}",
        f"+{amount:f}", f"000{amount:f}",
    ):  # fmt: skip
        assert money.to_minor(spelling, currency) == minor


@given(
    digit=st.integers(1, 9),
    power=st.integers(0, money.DIGITS_MAX - 1),
    mark=st.sampled_from(["e", "E", "e+", "E+0"]),
    currency=currencies,
)
def test_powers_of_ten(digit: int, power: int, mark: str, currency: str) -> None:
    """`1e5` is 100000, as the contract's type of decimals has it, if that is not too much."""
    decimals = decimals_of(currency)
    text = f"{digit}{mark}{power}"
    if power + decimals < money.DIGITS_MAX:
        assert money.to_minor(text, currency) == digit * 10 ** (power + decimals)
    else:
        with pytest.raises(money.MoneyError, match="no more than 15 digits"):
            money.to_minor(text, currency)


@given(minor=amounts, last=st.integers(0, 9), currency=currencies)
def test_one_decimal_too_many_is_refused(minor: int, last: int, currency: str) -> None:
    """Nothing is rounded: one decimal more than the currency has is refused, also if it is 0."""
    decimals = decimals_of(currency)
    # Short enough that only the decimals can be what is wrong.
    text = money.to_text(minor % 10**8 + 1, currency)
    text = f"{text}{last}" if decimals else f"{text}.{last}"
    with pytest.raises(money.MoneyError, match=f"no more than {decimals} decimals, as {currency}"):
        money.to_minor(text, currency)


@given(minor=amounts, currency=currencies)
def test_a_negative_amount_is_refused(minor: int, currency: str) -> None:
    """An amount with a minus sign is none."""
    with pytest.raises(money.MoneyError, match="greater than zero"):
        money.to_minor(money.to_text(-minor, currency), currency)


@given(
    text=st.sampled_from(["0", "-0", "+0", "0.", ".0", "0.0", "-0.00", "0e5", "0E-2", "0E+99999"]),
    currency=currencies,
)
def test_nothing_is_no_amount(text: str, currency: str) -> None:
    """Zero is refused in every spelling and every currency."""
    with pytest.raises(money.MoneyError, match="greater than zero"):
        money.to_minor(text, currency)


@given(minor=st.integers(MINOR_MAX + 1, 10**30), currency=currencies)
def test_a_sixteenth_digit_is_refused(minor: int, currency: str) -> None:
    """More digits than may be stored are refused, however many."""
    text = f"{minor}E-{decimals_of(currency)}"
    with pytest.raises(money.MoneyError, match="no more than 15 digits"):
        money.to_minor(text, currency)


@given(digits=st.text(foreign_digits, min_size=1, max_size=5), currency=currencies)
def test_digits_of_other_scripts_are_refused(digits: str, currency: str) -> None:
    """What Python reads as a number in another script is none here, alone or among ours."""
    for text in (digits, f"1{digits}", f"{digits}.00"):
        with pytest.raises(money.MoneyError, match="decimal number"):
            money.to_minor(text, currency)


@pytest.mark.parametrize(
    ("text", "currency", "why"),
    [
        ("0", "USD", "greater than zero"),
        ("-1.00", "USD", "greater than zero"),
        ("1.001", "USD", "no more than 2 decimals"),
        ("1.000", "USD", "no more than 2 decimals"),
        ("1.", "BTC", "not a currency"),
        ("1e-1", "JPY", "no more than 0 decimals"),
        ("1.00000", "CLF", "no more than 4 decimals"),
        ("1.5", "JPY", "no more than 0 decimals"),
        ("1.0001", "KWD", "no more than 3 decimals"),
        ("10000000000000.00", "USD", "no more than 15 digits"),
        ("1E+30", "USD", "no more than 15 digits"),
        ("1E-30", "USD", "no more than 2 decimals"),
        ("1" + "0" * 40, "USD", "decimal number"),
        ("NaN", "USD", "decimal number"),
        ("nan123", "USD", "decimal number"),
        ("sNaN", "USD", "decimal number"),
        ("-sNaN", "USD", "decimal number"),
        ("Infinity", "USD", "decimal number"),
        ("inf", "USD", "decimal number"),
        ("-inf", "USD", "decimal number"),
        ("1E+9999999999999999999", "USD", "decimal number"),
        ("", "USD", "decimal number"),
        (" 1.00", "USD", "decimal number"),
        ("1.00\n", "USD", "decimal number"),
        ("1 0", "USD", "decimal number"),
        ("1\0", "USD", "decimal number"),
        ("0x10", "USD", "decimal number"),
        ("1e", "USD", "decimal number"),
        ("--1", "USD", "decimal number"),
        ("1.0.0", "USD", "decimal number"),
        ("1_000", "USD", "decimal number"),
        ("1,00", "USD", "decimal number"),
        ("$1", "USD", "decimal number"),
        ("\u0661", "USD", "decimal number"),
        ("1\u066b5", "USD", "decimal number"),
        ("\uff11", "USD", "decimal number"),
        ("1\u00a0", "USD", "decimal number"),
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
