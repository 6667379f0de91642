"""Cards: checked, then forgotten but for what may be kept."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.cards import Card, CardSummary, passes_luhn
from chassis.errors import InvalidField

VISA = "4111111111111111"
TODAY = date(2026, 11, 16)


def card(number: str = VISA, month: int = 12, year: int = 2030) -> Card:
    return Card("CREDIT_CARD", number, month, year, "987")


@given(digits=st.text("0123456789", min_size=11, max_size=18), slip=st.integers(1, 9))
def test_one_wrong_digit_is_always_found(digits: str, slip: int) -> None:
    """Exactly one check digit fits, and changing any single digit makes a number wrong."""
    (number,) = (digits + last for last in "0123456789" if passes_luhn(digits + last))
    for place, digit in enumerate(number):
        wrong = str((int(digit) + slip) % 10)
        assert not passes_luhn(number[:place] + wrong + number[place + 1 :])


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        (VISA, "visa"),
        ("5555555555554444", "mastercard"),
        ("2223003122003222", "mastercard"),
        ("378282246310005", "amex"),
        ("6011111111111117", "discover"),
        ("9000000000000001", "unknown"),
    ],
)
def test_what_is_kept_of_a_card(number: str, brand: str) -> None:
    """Type, brand and the last four digits are kept."""
    assert card(number).summary() == CardSummary("CREDIT_CARD", brand, number[-4:])


@pytest.mark.parametrize(
    ("month", "year", "fields"),
    [
        (11, 2026, []),
        (1, 2027, []),
        (10, 2026, ["payment_method.expiry_year"]),
        (12, 2025, ["payment_method.expiry_year"]),
    ],
)
def test_a_card_is_good_to_the_end_of_its_month(month: int, year: int, fields: list[str]) -> None:
    """A card expires when the month printed on it is over."""
    found: list[str] = []
    try:
        card(month=month, year=year).check(TODAY)
    except InvalidField as error:
        found = [field for field, _ in error.violations]
    assert found == fields


def test_all_that_is_wrong_is_said_without_the_number() -> None:
    """A wrong check digit and an old expiry are reported together, and the number is not."""
    with pytest.raises(InvalidField) as caught:
        card("4111111111111112", year=2020).check(TODAY)
    assert len(caught.value.violations) == 2
    assert "411111" not in str(caught.value)


def test_number_and_code_never_show() -> None:
    """Neither the text of a card nor its fingerprint holds its number or its code."""
    shown = repr(card()) + str(card()) + "".join(card().fingerprint_parts())
    assert VISA not in shown
    assert VISA[:12] not in shown
    assert "987" not in shown
