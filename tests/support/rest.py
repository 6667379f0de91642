"""A client of the gateway that sees JSON as it is written, digit by digit."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from support.tokens import token_for

JSON = "application/json"
WAIT_S = 30.0
# What nobody outside has to know: of the code, of databases, of addresses, and cards.
INTERNAL = re.compile(
    r"Traceback|Exception|\.py\b|sqlite|sqlalchemy|pymysql|\bSELECT\b|\bINSERT\b"
    r"|debug_error|grpc(?!-timeout)|127\.0\.0\.1|ipv4:|errno|4242424242424242|4111111111111111",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Digits:
    """A number with a point in it, as it is written."""

    text: str


@dataclass(frozen=True, eq=False)
class Like:
    """Equal to any text of this form."""

    pattern: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self.pattern, other) is not None

    __hash__ = None  # type: ignore[assignment]


PAYMENT_ID = Like("pay_[0-9A-Z]{26}")
TIME = Like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
REQUEST_ID = Like("[0-9a-f]{32}")


def exact(answer: httpx.Response | bytes | str) -> Any:
    """JSON with the digits of its numbers."""
    text = answer.content if isinstance(answer, httpx.Response) else answer
    return json.loads(text, parse_float=Digits)


def picked(answer: Any, expected: Any) -> Any:
    """An answer without the members that are not expected: more of them may be added."""
    if isinstance(answer, dict) and isinstance(expected, dict):
        return {name: picked(answer[name], expected[name]) for name in expected if name in answer}
    if isinstance(answer, list) and isinstance(expected, list) and len(answer) == len(expected):
        return [picked(*pair) for pair in zip(answer, expected, strict=True)]
    return answer


def says(answer: httpx.Response, expected: dict[str, Any]) -> bool:
    """Whether an answer has these members, with these values."""
    found = picked(exact(answer), expected)
    # What is not so is seen in the message of the assertion.
    assert found == expected, answer.text
    return True


def refused(answer: httpx.Response, status: int, reason: str, code: str, **facts: str) -> bool:
    """Whether an answer is this refusal, with the body of an error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == JSON
    body = answer.json()
    assert list(body)[:2] == ["error", "message"], body
    assert list(body)[-2:] == ["code", "details"], body
    assert body["message"], body
    return says(answer, {"error": reason, "code": code, **facts})


class Rest:
    """Calls the gateway as a user; no answer may say what is nobody's business."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=WAIT_S, trust_env=False)

    def __call__(  # noqa: PLR0913 - what a call can carry
        self,
        verb: str,
        path: str,
        body: Any = None,
        *,
        user: str = "ann",
        scope: str = "bookings",
        key: str = "",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request: as nobody if `user` is empty, with bytes or text as they stand."""
        sent = {"authorization": f"Bearer {token_for(user, scope)}"} if user else {}
        if key:
            sent["idempotency-key"] = key
        if body is not None:
            sent["content-type"] = JSON
            body = body if isinstance(body, str | bytes) else json.dumps(body)
        answer = self._client.request(verb, path, content=body, headers=sent | (headers or {}))
        told = f"{answer.headers} {answer.text}"
        assert not INTERNAL.search(told), told
        return answer

    def event(self, seats: int = 4) -> int:
        """Create an event with the seats A1, A2 …; its id."""
        made = [{"seatNumber": f"A{n}", "price": 75} for n in range(1, seats + 1)]
        body = {"name": "Gala", "currency": "USD", "seats": made}
        return int(self("POST", "/api/inventory/events", body, scope="admin").json()["eventId"])

    def hold(self, event_id: int, *seats: str, user: str = "ann", ttl: str = "600s") -> list[int]:
        """Reserve seats; the ids of the reservations."""
        body = {"eventId": event_id, "seatNumbers": seats, "ttl": ttl}
        answer = self("POST", "/api/inventory/reservations", body, user=user)
        return [one["reservationId"] for one in answer.json()["reservations"]]

    @classmethod
    @contextmanager
    def open(cls, url: str) -> Iterator["Rest"]:
        """A client, until the block ends."""
        rest = cls(url)
        try:
            yield rest
        finally:
            rest._client.close()
