"""The mock provider's rules: which card or token gives which outcome, and what chance decides.

A scenario has the same outcome at any success rate; any other valid card number follows it.
`docs/scenarios.md` is made from this table.
"""

from dataclasses import dataclass
from enum import Enum, auto
from random import Random

from chassis.cards import Card, Method
from chassis.errors import InvalidField
from chassis.ids import CROCKFORD, TEXT_LENGTH
from payment_svc.domain.outcome import DeclineCode, Declined, Succeeded
from payment_svc.ports import KnownCard

# What is pending is final after so long; a refund that fails, fails after so long.
SETTLES_AFTER_S = 3.0
# A late webhook comes so long after what it tells.
WEBHOOK_LATE_S = 10.0
# A webhook that is overtaken comes so long after the one that overtakes it.
WEBHOOK_OVERTAKEN_S = 2.0
# How often the webhook that is repeated is delivered.
WEBHOOK_COPIES = 3
TOKEN_PREFIX = "pm_mock_"  # noqa: S105 - it names a scenario, and opens nothing
TOKEN_UNKNOWN = "is none of the mock provider's: see `holdfast cards`"  # noqa: S105 - a message


class Fault(Enum):
    """What keeps the answer to a charge from its caller."""

    NONE = auto()
    # The charge is done, and the answer to its first call is lost.
    ANSWER_LOST = auto()
    # The first call is lost on its way: nothing is done. A second one arrives.
    CHARGE_LOST = auto()
    # The first call is answered with a 5xx, and nothing is done. A second one is served.
    SERVER_ERROR = auto()
    # The charge is done, and no call is answered, however long one waits.
    HANG = auto()


class RefundFault(Enum):
    """What goes wrong with the first refund of a charge. The next one succeeds."""

    NONE = auto()
    # It is pending, and fails when it settles.
    FAILS = auto()
    # It succeeds at once, and fails later: the bank sends the money back.
    FAILS_LATE = auto()


@dataclass(frozen=True)
class Script:
    """What the provider does with a charge."""

    # None: it succeeds.
    declined: DeclineCode | None = None
    # 0: the outcome is there at once; else the charge is pending for so long.
    settles_after_s: float = 0
    fault: Fault = Fault.NONE
    refund_fault: RefundFault = RefundFault.NONE
    # How often the webhook of its end is delivered.
    webhook_copies: int = 1
    # How long after its end that is told, and how long after its beginning that it is pending.
    end_told_after_s: float = 0
    pending_told_after_s: float = 0
    # Whether the charge is answered only when the webhook of its end was delivered.
    webhook_first: bool = False


@dataclass(frozen=True)
class Scenario:
    """A card, or the token in its place, with which the same happens every time."""

    name: str
    number: str
    # What the provider does.
    description: str
    # What becomes of a booking that is paid with it.
    outcome: str
    script: Script

    @property
    def token(self) -> str:
        """What stands for the card."""
        return TOKEN_PREFIX + self.name.replace("-", "_")

    @property
    def card(self) -> KnownCard:
        """The same for those who only use it."""
        return KnownCard(self.name, self.number, self.token, self.description, self.outcome)


SCENARIOS = (
    Scenario(
        "success",
        "4242424242424242",
        "succeeds",
        "CONFIRMED",
        Script(),
    ),
    Scenario(
        "insufficient-funds",
        "4000000000009995",
        "declines, `INSUFFICIENT_FUNDS`",
        "FAILED, and its seats are free again",
        Script(DeclineCode.INSUFFICIENT_FUNDS),
    ),
    Scenario(
        "card-declined",
        "4000000000000002",
        "declines, `CARD_DECLINED`",
        "FAILED, and its seats are free again",
        Script(DeclineCode.CARD_DECLINED),
    ),
    Scenario(
        "expired-card",
        "4000000000000069",
        "declines, `EXPIRED_CARD`",
        "FAILED, and its seats are free again",
        Script(DeclineCode.EXPIRED_CARD),
    ),
    Scenario(
        "pending-then-success",
        "4000000000003188",
        "is pending, and succeeds after 3 s",
        "PENDING for 3 s, then CONFIRMED",
        Script(settles_after_s=SETTLES_AFTER_S),
    ),
    Scenario(
        "pending-then-failure",
        "4000000000003196",
        "is pending, and declines after 3 s, `CARD_DECLINED`",
        "PENDING for 3 s, then FAILED",
        Script(DeclineCode.CARD_DECLINED, settles_after_s=SETTLES_AFTER_S),
    ),
    Scenario(
        "lost-answer",
        "4000000000003204",
        "charges, and the answer is lost",
        "CONFIRMED, charged once, when a webhook tells or the provider is asked",
        Script(fault=Fault.ANSWER_LOST),
    ),
    Scenario(
        "lost-charge",
        "4000000000003212",
        "loses the charge before it is done; a second try succeeds",
        "CONFIRMED at the second try",
        Script(fault=Fault.CHARGE_LOST),
    ),
    Scenario(
        "server-error",
        "4000000000003220",
        "answers the first try with a 5xx and does nothing; a second try succeeds",
        "CONFIRMED at the second try",
        Script(fault=Fault.SERVER_ERROR),
    ),
    Scenario(
        "hang",
        "4000000000003238",
        "charges, and never answers; a webhook or a question tells",
        "PENDING until a webhook tells or the provider is asked, then CONFIRMED",
        Script(fault=Fault.HANG),
    ),
    Scenario(
        "duplicate-webhook",
        "4000000000003246",
        "is pending, succeeds after 3 s, and tells so in one webhook that comes three times",
        "PENDING for 3 s, then CONFIRMED, once",
        Script(settles_after_s=SETTLES_AFTER_S, webhook_copies=WEBHOOK_COPIES),
    ),
    Scenario(
        "late-webhook",
        "4000000000003253",
        "is pending, succeeds after 3 s, and tells so 10 s later",
        "PENDING until the provider is asked, then CONFIRMED; the webhook changes nothing",
        Script(settles_after_s=SETTLES_AFTER_S, end_told_after_s=WEBHOOK_LATE_S),
    ),
    Scenario(
        "webhooks-out-of-order",
        "4000000000003261",
        "is pending, succeeds after 3 s, and tells that it is pending 2 s after that it succeeded",
        "PENDING for 3 s, then CONFIRMED, and stays so",
        Script(
            settles_after_s=SETTLES_AFTER_S,
            pending_told_after_s=SETTLES_AFTER_S + WEBHOOK_OVERTAKEN_S,
        ),
    ),
    Scenario(
        "webhook-before-answer",
        "4000000000003279",
        "succeeds, and its webhook comes before its answer",
        "CONFIRMED, once",
        Script(webhook_first=True),
    ),
    Scenario(
        "refund-fails",
        "4000000000003287",
        "succeeds; its first refund is pending, and fails after 3 s; the next one succeeds",
        "CONFIRMED; cancelled, it is CANCELLED with the second refund",
        Script(refund_fault=RefundFault.FAILS),
    ),
    Scenario(
        "refund-fails-late",
        "4000000000003295",
        "succeeds; its first refund succeeds, and fails 3 s later; the next one succeeds",
        "CONFIRMED; cancelled, it is CANCELLED, and the refund that came back is made again",
        Script(refund_fault=RefundFault.FAILS_LATE),
    ),
)

_BY_NAME = {one.name: one for one in SCENARIOS}
_BY_NUMBER = {one.number: one for one in SCENARIOS}
_BY_TOKEN = {one.token: one for one in SCENARIOS}


@dataclass(frozen=True)
class Decision:
    """What becomes of a charge, and how it is told."""

    outcome: Succeeded | Declined
    script: Script
    # The name of the scenario; none: chance decided.
    scenario: str | None = None


def scenario_of(method: Method) -> Scenario | None:
    """The scenario of a means of payment; none: chance decides.

    Raises:
        InvalidField: a token of no scenario.
    """
    if isinstance(method, Card):
        return _BY_NUMBER.get(method.number)
    if method.token not in _BY_TOKEN:
        raise InvalidField(("payment_method.token", TOKEN_UNKNOWN))
    return _BY_TOKEN[method.token]


def script_of(name: str | None) -> Script:
    """The script of a charge by what is kept of it; of no scenario, or one that is gone: plain."""
    found = _BY_NAME.get(name or "")
    return found.script if found else Script()


def decide(method: Method, success_rate: float, chance: Random) -> Decision:
    """What becomes of a charge.

    Raises:
        InvalidField: a token of no scenario.
    """
    scenario = scenario_of(method)
    declines = chance.random() >= success_rate
    code = chance.choice(list(DeclineCode))
    script = scenario.script if scenario else Script(code if declines else None)
    name = scenario.name if scenario else None
    if script.declined is not None:
        return Decision(Declined(script.declined), script, name)
    return Decision(Succeeded(transaction_id(chance)), script, name)


def transaction_id(chance: Random) -> str:
    """The provider's name for what it did: `txn_` and 26 letters and digits."""
    return _id("txn", chance)


def webhook_id(chance: Random) -> str:
    """The provider's name for a webhook: `msg_` and 26 letters and digits."""
    return _id("msg", chance)


def _id(prefix: str, chance: Random) -> str:
    return f"{prefix}_{''.join(chance.choices(CROCKFORD, k=TEXT_LENGTH))}"
