"""docs/scenarios.md: the cards to test with, from the table that the mock provider works by."""

from collections.abc import Iterator

from payment_svc.providers.mock_scenarios import SCENARIOS
from scripts.pages.markdown import table

INTRO = """\
# Cards to test with

The mock provider (`PAYMENT_PROVIDER=mock`) takes no money. With each of these cards it does the
same every time, whatever `PAYMENT_MOCK_SUCCESS_RATE` is, and with the token in its place, too. Any
expiry that is not over and any code will do. Every other valid number succeeds or is declined by
chance.

`holdfast cards` prints the same table of a running payment adapter. Webhooks are sent when
`PAYMENT_MOCK_WEBHOOK_URL` is set. Without them the payment adapter asks, and comes to the same end,
but for `refund-fails-late`: a refund that is done is not asked about.

This page is made by `make docs` from `payment_svc/providers/mock_scenarios.py`.
"""
COLUMNS = ("scenario", "card number", "token", "the provider", "the booking")


def made() -> str:
    """The page."""
    return "\n".join([INTRO, *table(COLUMNS, _rows())])


def _rows() -> Iterator[tuple[str, ...]]:
    for one in SCENARIOS:
        yield one.name, f"`{one.number}`", f"`{one.token}`", one.description, one.outcome
