"""Buyers who book through the gateway without a pause, and write down what they are answered."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import httpx

from chassis.tokens import Minter

BUYERS = 6
# Between two bookings of one buyer, and between two tries of one call.
PAUSE_S = 0.15
AGAIN_S = 0.3
CALL_TIMEOUT_S = 20.0
TOKEN_LIFETIME_S = 3600
FINAL = {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.PAYMENT_REQUIRED}
PAYMENT = {
    "type": "CREDIT_CARD",
    "cardNumber": "4242424242424242",
    "expiryMonth": 12,
    "expiryYear": 2030,
    "cvv": "123",
}


@dataclass
class Seen:
    """What the buyers have seen so far."""

    # When each booking was confirmed.
    confirmed_at: list[float] = field(default_factory=list)
    # When each call was answered with an error, and with which.
    errors: list[tuple[float, str]] = field(default_factory=list)
    failed: int = 0
    # Bookings that were asked for and not answered to the end.
    open: int = 0

    def gap_s(self, since: float, until: float) -> float:
        """The longest time without a confirmed booking."""
        inside = [at for at in self.confirmed_at if since <= at <= until]
        edges = [since, *inside, until]
        return max(later - earlier for earlier, later in pairwise(edges))

    def errors_of(self, since: float, until: float) -> Counter[str]:
        """The errors by what they were."""
        return Counter(what for at, what in self.errors if since <= at <= until)


class Load:
    """Buyers of one event."""

    def __init__(self, gateway: str, event_id: int, minter: Minter, journal: Path) -> None:
        """Buy by way of a gateway, and write to `journal` what the auditor reads."""
        self.seen = Seen()
        self._gateway = gateway
        self._event_id = event_id
        self._minter = minter
        self._journal = journal
        self._seats = count()
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Buy until `end`, and then until all that was begun is answered."""
        with self._journal.open("w", encoding="utf-8") as file:
            async with asyncio.TaskGroup() as group:
                for number in range(BUYERS):
                    buyer = _Buyer(self, f"buyer-{number}", self._minter, file)
                    group.create_task(buyer.run(self._gateway))

    def end(self) -> None:
        """Begin nothing more."""
        self._ending.set()

    @property
    def ends(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._ending.is_set()

    def next_seat(self) -> str:
        """A seat that nobody has asked for."""
        return f"S{next(self._seats)}"

    @property
    def event_id(self) -> int:
        """Of which seats are bought."""
        return self._event_id


class _Buyer:
    def __init__(self, load: Load, name: str, minter: Minter, journal: Any) -> None:
        self._load = load
        self._name = name
        self._journal = journal
        token = minter.mint(name, "bookings", TOKEN_LIFETIME_S)
        self._headers = {"authorization": f"Bearer {token}"}

    async def run(self, gateway: str) -> None:
        # On this machine: no proxy is in between.
        async with httpx.AsyncClient(
            base_url=f"http://{gateway}",
            headers=self._headers,
            trust_env=False,
            timeout=CALL_TIMEOUT_S,
        ) as client:
            while not self._load.ends:
                seat = self._load.next_seat()
                held = await self._hold(client, seat)
                if held:
                    self._load.seen.open += 1
                    # Chance would make a key that looks like a card now and then, which the
                    # auditor would say.
                    await self._book(client, held, f"for-{seat}")
                    self._load.seen.open -= 1
                await asyncio.sleep(PAUSE_S)

    async def _hold(self, client: httpx.AsyncClient, seat: str) -> list[int]:
        """Hold a seat; none: it is not known that it is held."""
        request = {"eventId": self._load.event_id, "seatNumbers": [seat]}
        answer = await self._ask(client, "/api/inventory/reservations", request, {})
        if answer is None or answer.status_code != HTTPStatus.OK:
            return []
        return [one["reservationId"] for one in answer.json()["reservations"]]

    async def _book(self, client: httpx.AsyncClient, held: list[int], key: str) -> None:
        """Pay, and ask with the same key until there is a final answer."""
        request = {"reservationIds": held, "paymentMethod": PAYMENT}
        while True:
            answer = await self._ask(
                client, "/api/bookings/confirm", request, {"idempotency-key": key}
            )
            if answer is not None:
                self._write(key, answer)
                if answer.status_code in FINAL:
                    return
            await asyncio.sleep(AGAIN_S)

    async def _ask(
        self, client: httpx.AsyncClient, path: str, request: Any, headers: dict[str, str]
    ) -> httpx.Response | None:
        """The answer; none: there was none, or an error."""
        try:
            answer = await client.post(path, json=request, headers=headers)
        except httpx.HTTPError as error:
            self._note(type(error).__name__)
            return None
        if answer.is_success or answer.status_code == HTTPStatus.PAYMENT_REQUIRED:
            return answer
        self._note(f"{answer.status_code} {_reason(answer)}".strip())
        return None

    def _note(self, what: str) -> None:
        self._load.seen.errors.append((time.monotonic(), what))

    def _write(self, key: str, answer: httpx.Response) -> None:
        body = answer.json()
        if answer.status_code == HTTPStatus.PAYMENT_REQUIRED:
            self._load.seen.failed += 1
            body = {"status": "FAILED", **body}
        elif body["status"] == "CONFIRMED":
            self._load.seen.confirmed_at.append(time.monotonic())
        names = {name: body[name] for name in ("bookingId", "bookingReference") if name in body}
        if not names:
            return
        entry = {
            "key": key,
            "userId": self._name,
            **names,
            "status": body["status"],
            "at": datetime.now(UTC).isoformat(),
        }
        self._journal.write(json.dumps(entry) + "\n")
        self._journal.flush()


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("error", ""))
    except ValueError:
        return ""


def seats(number: int) -> Iterator[str]:
    """The names of the seats that are bought, so many."""
    return (f"S{one}" for one in range(number))
