"""The mock provider's webhooks: when they are tried, and which of them are believed."""

import base64
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from standardwebhooks import Webhook
from support.clock import START

from payment_svc.domain.errors import WebhookRefused
from payment_svc.domain.outcome import DeclineCode, Declined, Notice, Outcome, Pending, Succeeded
from payment_svc.providers import mock_notices
from payment_svc.providers.mock_notices import Fact, WebhookEntry, signer_of

SECRET, OTHER = (f"whsec_{base64.b64encode(32 * one).decode()}" for one in (b"s", b"o"))
# As Standard Webhooks publishes it: the whole time since the first attempt.
SCHEDULE = (
    "00:00:00", "00:00:05", "00:05:05", "00:35:05", "02:35:05",
    "07:35:05", "17:35:05", "31:35:05", "51:35:05", "75:35:05",
)  # fmt: skip


class NoChance(Random):
    """Always the least."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return a


class MostChance(Random):
    """Always the most."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002
        return b


def seconds(text: str) -> int:
    hours, minutes, rest = map(int, text.split(":"))
    return 3600 * hours + 60 * minutes + rest


def entry(kind: str = "charge.succeeded", **more: str) -> WebhookEntry:
    return Fact(kind, "pay_1", START, 15000, "USD", **more).told(START)


def signed(body: str, secret: str = SECRET, sent_at: datetime = START) -> dict[str, str]:
    mine = WebhookEntry("msg_1", "pay_1", body, START, START)
    return mock_notices.headers(signer_of(secret), mine, sent_at)


def read(
    headers: dict[str, str], body: str | bytes, *secrets: str, now: datetime = START
) -> Notice | None:
    raw = body.encode() if isinstance(body, str) else body
    return mock_notices.read([signer_of(one) for one in secrets or (SECRET,)], headers, raw, now)


def test_the_schedule_is_the_published_one() -> None:
    """A webhook that fails is tried when Standard Webhooks says, ten times, and then given up."""
    one, at = entry(), []
    while one.due_at is not None:
        at.append((one.due_at - START).total_seconds())
        one = mock_notices.failed(one, one.due_at, NoChance())
    assert at == [seconds(text) for text in SCHEDULE]
    assert (one.attempts, one.delivered_at) == (10, None)


def test_chance_adds_a_little() -> None:
    """Chance makes an attempt later by a tenth of its pause at most, and never earlier."""
    one = mock_notices.failed(entry(), START, MostChance())
    assert one.due_at == START + timedelta(seconds=5.5)
    drawn = {mock_notices.failed(entry(), START, Random(seed)).due_at for seed in range(50)}
    assert len(drawn) > 40


def test_copies_are_due_at_once() -> None:
    """A webhook that is to come three times is due at once again twice, and then done."""
    one, times = Fact("charge.succeeded", "pay_1", START, 1, "USD").told(START, copies=3), 0
    while one.due_at is not None:
        one, times = mock_notices.delivered(one, START), times + 1
    assert times == 3
    assert one.delivered_at == START


def test_a_webhook_has_one_name() -> None:
    """What is told of one reference has one id, and anything else another."""
    names = [entry(kind).webhook_id for kind in ("charge.pending", "charge.succeeded")]
    names.append(Fact("charge.pending", "pay_2", START, 15000, "USD").told(START).webhook_id)
    assert len(set(names)) == 3
    assert entry("charge.pending").webhook_id == names[0]
    assert all(name.startswith("msg_") and len(name) == 30 for name in names)


def test_the_longest_body_fits() -> None:
    """The longest body that there can be has room in its column."""
    most = Fact(
        "refund.succeeded", "x" * 64, START, 2**63, "USD", "x" * 64, "INSUFFICIENT_FUNDS"
    ).told(START)
    assert len(most.body) < mock_notices.BODY_LENGTH_MAX


@pytest.mark.parametrize(
    ("kind", "more", "outcome"),
    [
        ("charge.succeeded", {"transaction_id": "txn_1"}, Succeeded("txn_1")),
        ("charge.pending", {}, Pending()),
        ("charge.declined", {"decline_code": "EXPIRED_CARD"}, Declined(DeclineCode.EXPIRED_CARD)),
        ("refund.succeeded", {"transaction_id": "txn_1"}, Succeeded("txn_1")),
        ("refund.pending", {}, Pending()),
        ("refund.failed", {"decline_code": "EXPIRED_CARD"}, Declined(DeclineCode.EXPIRED_CARD)),
    ],
)
def test_what_is_written_is_read(kind: str, more: dict[str, str], outcome: Outcome) -> None:
    """What one provider tells, another with the same secret reads, and so does the library."""
    now = datetime.now(UTC)
    one = entry(kind, **more)
    headers = mock_notices.headers(signer_of(SECRET), one, now)
    notice = Notice(one.webhook_id, "pay_1", outcome)
    assert read(headers, one.body, now=now) == notice
    told = Webhook(SECRET).verify(one.body, headers)
    assert told["type"] == kind
    assert told["data"]["reference"] == "pay_1"
    assert datetime.fromisoformat(told["timestamp"]) == START


@pytest.mark.parametrize("known", [(SECRET, OTHER), (OTHER, SECRET)])
def test_secrets_can_be_changed(known: tuple[str, str]) -> None:
    """While there are two secrets, what is signed with either is believed."""
    body = entry("charge.pending").body
    for secret in (SECRET, OTHER):
        assert read(signed(body, secret), body, *known)
        with pytest.raises(WebhookRefused):
            read(signed(body, secret), body, *(one for one in known if one != secret))


def test_one_good_signature_is_enough() -> None:
    """Of several signatures one has to be good; of another version it does not count."""
    body = entry("charge.pending").body
    good = signed(body)
    ours = good["webhook-signature"]
    for text in (f"v1,AAAA {ours}", f"v2 {ours} v1a,{ours[3:]}"):
        assert read({**good, "webhook-signature": text}, body)
    for text in (f"v2{ours[2:]}", ours[3:], f"{ours}x", "", "v1,", "ü"):
        with pytest.raises(WebhookRefused):
            read({**good, "webhook-signature": text}, body)


def test_without_secrets_nothing_is_believed() -> None:
    """Where no secret is set every webhook is refused."""
    body = entry("charge.pending").body
    with pytest.raises(WebhookRefused):
        mock_notices.read([], signed(body), body.encode(), START)


@pytest.mark.parametrize(
    ("age_s", "good"), [(300, True), (301, False), (-300, True), (-301, False)]
)
def test_what_is_old_is_refused(age_s: int, good: bool) -> None:  # noqa: FBT001 - a parameter
    """A webhook that was signed more than five minutes ago, or ahead, is refused."""
    body = entry("charge.pending").body
    headers, now = signed(body), START + timedelta(seconds=age_s)
    if good:
        assert read(headers, body, now=now)
    else:
        with pytest.raises(WebhookRefused):
            read(headers, body, now=now)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x", "msg_2", "1", "-1", "9" * 30, "1.5", "NaN"])
def test_what_was_altered_is_refused(name: str, value: str | None) -> None:
    """A header that is missing, malformed or of another webhook has it refused."""
    body = entry("charge.pending").body
    headers = signed(body)
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    with pytest.raises(WebhookRefused):
        read(headers, body)


def test_another_body_is_refused() -> None:
    """A signature is that of one body, to the byte."""
    body = entry("charge.pending").body
    for other in (f"{body} ", body.replace("pay_1", "pay_2"), "", b"\xff" + body.encode()):
        with pytest.raises(WebhookRefused):
            read(signed(body), other)


MALFORMED: list[Any] = [
    None,
    [],
    "charge.succeeded",
    {},
    {"type": "charge.pending"},
    {"type": "charge.pending", "data": {}},
    {"type": "charge.pending", "data": []},
    {"type": "charge.succeeded", "data": {"reference": "pay_1"}},
    {"type": "charge.declined", "data": {"reference": "pay_1", "decline_code": "OTHER"}},
]


@pytest.mark.parametrize("told", MALFORMED, ids=json.dumps)
def test_what_says_nothing_is_refused(told: Any) -> None:
    """A webhook that is signed and not of its form is refused; so is what is no JSON."""
    for body in (json.dumps(told), f"{json.dumps(told)}}}"):
        with pytest.raises(WebhookRefused):
            read(signed(body), body)


def test_what_is_not_known_is_nothing() -> None:
    """A signed webhook of a type that is not known says nothing, and is no fault."""
    body = json.dumps({"type": "dispute.opened", "data": {"reference": "pay_1"}})
    assert read(signed(body), body) is None


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_a", "whsec_!", SECRET.removeprefix("whsec_")]
)
def test_what_is_no_secret_is_refused(secret: str) -> None:
    """A secret that is none is refused at the start, and not shown."""
    with pytest.raises(ValueError, match=r"^a webhook secret is `whsec_` and then base64$"):
        signer_of(secret)
