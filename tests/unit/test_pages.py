"""Page tokens: opaque, and good for their own list only."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import pages
from chassis.errors import InvalidField


@given(number=st.integers(0, 10**16 - 1))
def test_a_token_leads_back_to_its_place(number: int) -> None:
    """A token of a list gives the key that it was made of."""
    assert pages.decode_number("seats of 7", pages.encode("seats of 7", number)) == number


@given(key=st.text(st.characters(blacklist_categories=["Cs"])))
def test_any_text_can_be_a_key(key: str) -> None:
    """Keys of lists that are ordered by text survive too."""
    assert pages.decode("payments", pages.encode("payments", key)) == key


@given(listing=st.text(st.characters(blacklist_categories=["Cs"]), max_size=80))
def test_any_list_can_be_paged(listing: str) -> None:
    """Whatever a list is called, newlines too, its token is short, and good for it."""
    token = pages.encode(listing, 7)
    assert len(token) <= 16
    assert pages.decode_number(listing, token) == 7


def test_the_first_page_has_no_token() -> None:
    """An empty token means the beginning."""
    assert pages.decode("payments", "") is None
    assert pages.decode_number("payments", "") is None


@pytest.mark.parametrize(
    "token",
    [
        pages.encode("seats of 8", 1),
        pages.encode("seats of 7", "x"),
        pages.encode("seats of 7", -1),
        pages.encode("seats of 7", 10**16),
        pages.encode("seats of 7", "1\n2"),
        base64.urlsafe_b64encode(b"seats of 7").decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        "rubbish",
        "a",
        "é",
    ],
)
def test_a_token_of_elsewhere_is_refused(token: str) -> None:
    """A token of another list, or rubbish, is an INVALID_FIELD `page_token`."""
    with pytest.raises(InvalidField) as caught:
        pages.decode_number("seats of 7", token)
    assert [field for field, _ in caught.value.violations] == ["page_token"]


@given(token=st.text(max_size=60))
def test_no_token_is_a_fault(token: str) -> None:
    """Whatever is sent as a token is read or refused, never another exception."""
    try:
        pages.decode_number("seats of 7", token)
    except InvalidField as error:
        assert error.violations  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(("asked", "given"), [(0, 100), (1, 1), (1000, 1000), (1001, 1000)])
def test_a_page_is_cut_down_and_not_refused(asked: int, given: int) -> None:
    """No size means the default, and too large a size the largest."""
    assert pages.size(asked, default=100, most=1000) == given
