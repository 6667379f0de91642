"""A Stripe for tests: localstripe, which holds the money, behind a proxy that makes it stricter.

localstripe is a process of its own on loopback. The proxy adds what Stripe documents and
localstripe lacks (idempotency keys, confirmation with a token, refusals, search, limits of
refunds), and the faults that a network and a server have.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
from aiohttp import web

from support.redis import _free_port

API_KEY = "sk_test_localstripe"
LAUNCH = Path(__file__).with_name("stripe_launch.py")
START_MAX_S = 30
PAGE = 1000

Json = dict[str, Any]

# Stripe's tokens that are declined, as (decline code, code); localstripe knows one of them.
DECLINED = {
    "pm_card_visa_chargeDeclined": ("generic_decline", "card_declined"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("insufficient_funds", "card_declined"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
}
DECLINED_HERE = "pm_card_chargeCustomerFail"
# One whose owner must consent.
CONSENT = "pm_card_authenticationRequired"
CONSENT_HERE = {
    "type": "card",
    "card[number]": "4000002760003184",
    "card[exp_month]": "12",
    "card[exp_year]": "2030",
    "card[cvc]": "123",
}
GOOD = "pm_card_visa"
POOR = "pm_card_visa_chargeDeclinedInsufficientFunds"


class Fault(Enum):
    """What becomes of a request."""

    # It never arrives.
    DROP = auto()
    # It is carried out, and its answer is lost.
    LOSE = auto()
    # It fails before anything is done; the answer is stored under its key.
    BREAK = auto()
    # It is carried out, and the stored answer is a fault.
    BREAK_AFTER = auto()
    # It never arrives, and something on the way answers with a fault, which nobody stores.
    GATEWAY = auto()
    # There are too many of them.
    BUSY = auto()
    # The key of the account is not good.
    LOCKED_OUT = auto()


@contextmanager
def localstripe(folder: Path) -> Iterator[str]:
    """A localstripe until the block ends, and its address."""
    port = _free_port()
    program = [sys.executable, str(LAUNCH), "--from-scratch", "--port", str(port)]
    # It ends when this process is killed; only Linux can.
    bound = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with (folder / "localstripe.log").open("wb") as output:
        process = subprocess.Popen([*bound, *program], stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        ends_at = time.monotonic() + START_MAX_S
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > ends_at:
                message = (folder / "localstripe.log").read_text()[-2000:]
                raise RuntimeError(message)
            time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait(timeout=START_MAX_S)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/js.stripe.com/v3/", trust_env=False).is_success
    except httpx.HTTPError:
        return False


@dataclass
class Stored:
    """What is kept under an idempotency key."""

    asked: tuple[str, str]
    status: int
    body: Json


@dataclass
class StripeServer:
    """The proxy: its address, its faults, and what the localstripe behind it holds."""

    upstream: httpx.AsyncClient
    url: str = ""
    # To come, for the first requests whose path ends so.
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    # Every request that arrived, as "POST /v1/…" without the ids.
    requests: list[str] = field(default_factory=list)
    # Whether the search has seen anything yet.
    search_is_behind: bool = False
    # The status of new refunds, and of those whose status has changed since.
    refund_status: str = "succeeded"
    refunds_now: dict[str, str] = field(default_factory=dict)
    # Whether a stored answer says that it is one.
    says_replayed: bool = True
    # Held back until they are set, by the end of the path.
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    keys: dict[str, Stored] = field(default_factory=dict)
    _held: dict[str, asyncio.Event] = field(default_factory=dict)
    _running: set[str] = field(default_factory=set)
    # What localstripe does not keep, by the id of the thing.
    _more: dict[str, Json] = field(default_factory=dict)

    def fail(self, path: str, *faults: Fault) -> None:
        """Let the next requests whose path ends so fail like this."""
        self.faults += [(path, fault) for fault in faults]

    async def arrived(self, path: str) -> None:
        """Wait until a request is held back at this gate."""
        await self._held.setdefault(path, asyncio.Event()).wait()

    def forget_keys(self) -> None:
        """A day has passed."""
        self.keys.clear()

    def asked(self, request: str) -> int:
        """How often that was asked."""
        return self.requests.count(request)

    async def intents(self) -> list[Json]:
        """The intents that there are."""
        return await self._all("payment_intents")

    async def charges(self) -> list[Json]:
        """The attempts to take money."""
        return await self._all("charges")

    async def taken(self) -> int:
        """The money that was taken."""
        charges = await self.charges()
        return sum(one["amount"] for one in charges if one["status"] == "succeeded")

    async def returned(self) -> list[int]:
        """The refunds that there are, by their amounts."""
        return sorted(one["amount"] for one in await self._all("refunds"))

    async def _all(self, kind: str) -> list[Json]:
        answer = await self.upstream.get(f"/v1/{kind}", params={"limit": PAGE})
        return [self._patched(one) for one in answer.json()["data"]]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, after whatever befalls it."""
        body = await request.text()
        path = request.path
        self.requests.append(f"{request.method} {_pattern(path)}")
        fault = self._fault(path)
        for end, gate in self.gates.items():
            if path.endswith(end):
                self._held.setdefault(end, asyncio.Event()).set()
                await gate.wait()
        match fault:
            case Fault.DROP:
                return _hang_up(request)
            case Fault.GATEWAY:
                return web.Response(text="<html>Bad Gateway</html>", status=502)
            case Fault.BUSY:
                return _answer(*_error(429, "invalid_request_error", "lock_timeout"))
            case Fault.LOCKED_OUT:
                return _answer(*_error(401, "invalid_request_error"))
        status, said, replayed = await self._once(request, body, fault)
        if fault is Fault.LOSE:
            return _hang_up(request)
        return _answer(status, said, replayed=replayed and self.says_replayed)

    def _fault(self, path: str) -> Fault | None:
        for one in self.faults:
            if path.endswith(one[0]):
                self.faults.remove(one)
                return one[1]
        return None

    async def _once(
        self, request: web.Request, body: str, fault: Fault | None
    ) -> tuple[int, Json, bool]:
        """Carry a request out unless its key was used before."""
        key = request.headers.get("idempotency-key", "")
        if request.method != "POST" or not key:
            return (*await self._served(request, body), False)
        if key in self._running:
            return (*_error(409, "idempotency_error", "idempotency_key_in_use"), False)
        stored, asked = self.keys.get(key), (request.path, body)
        if stored is not None:
            if stored.asked != asked:
                return (*_error(400, "idempotency_error"), False)
            return stored.status, stored.body, True
        self._running.add(key)
        try:
            status, said = await self._carried_out(request, body, fault)
        finally:
            self._running.discard(key)
        # What does not pass validation is not stored.
        if status != 400 or said["error"].get("code") == "payment_intent_unexpected_state":
            self.keys[key] = Stored(asked, status, said)
        return status, said, False

    async def _carried_out(
        self, request: web.Request, body: str, fault: Fault | None
    ) -> tuple[int, Json]:
        broken = _error(500, "api_error")
        if fault is Fault.BREAK:
            return broken
        done = await self._served(request, body)
        return broken if fault is Fault.BREAK_AFTER else done

    async def _served(self, request: web.Request, body: str) -> tuple[int, Json]:
        form = dict(parse_qsl(body if request.method == "POST" else request.query_string))
        status, said = await self._asked_of(request, form)
        charge = said.get("latest_charge")
        if charge and form.get("expand[0]") != "latest_charge":
            said["latest_charge"] = charge["id"]
        return status, said

    async def _asked_of(self, request: web.Request, form: Json) -> tuple[int, Json]:
        match request.path.strip("/").split("/")[1:]:
            case ["payment_intents", "search"]:
                return await self._search(form)
            case ["payment_intents", intent_id, "confirm"]:
                return await self._confirm(intent_id, form)
            case ["payment_intents", intent_id, "cancel"]:
                return await self._cancel(intent_id, form)
            case ["refunds"] if request.method == "POST":
                return await self._refund(form)
            case ["payment_intents"] if form.get("currency") == "cup":
                return _error(400, "invalid_request_error", param="currency")
        return await self._forward(request.method, request.path, form)

    async def _forward(self, method: str, path: str, form: Json | None = None) -> tuple[int, Json]:
        sent = {"params": form} if method == "GET" else {"data": form}
        answer = await self.upstream.request(method, path, **sent)
        said = answer.json()
        if answer.status_code == 404:
            said["error"]["code"] = "resource_missing"
        return answer.status_code, self._patched(said)

    async def _search(self, form: Json) -> tuple[int, Json]:
        wanted = form["query"].removeprefix("metadata['holdfast_reference']:").strip("'")
        found = [
            one
            for one in await self.intents()
            if one["metadata"].get("holdfast_reference") == wanted and not self.search_is_behind
        ]
        return 200, {"object": "search_result", "data": found, "has_more": False}

    async def _confirm(self, intent_id: str, form: Json) -> tuple[int, Json]:
        path, token = f"/v1/payment_intents/{intent_id}", form["payment_method"]
        _, intent = await self._forward("GET", path)
        if intent["status"] not in ("requires_payment_method", "requires_confirmation"):
            return _error(400, "invalid_request_error", "payment_intent_unexpected_state")
        code = DECLINED.get(token)
        known = DECLINED_HERE if code else token
        if token == CONSENT:
            said = await self.upstream.post("/v1/payment_methods", data=CONSENT_HERE)
            known = said.json()["id"]
        status, _ = await self._forward("GET", f"/v1/payment_methods/{known}")
        if status != 200:
            return _error(400, "invalid_request_error", "resource_missing", "payment_method")
        # As Stripe has it, an intent that was declined may be tried anew.
        fresh = {"payment_method": known, "latest_charge": None}
        await self.upstream.post(path, json=fresh)
        status, said = await self._forward("POST", f"{path}/confirm")
        if status == 402:
            decline_code, failure_code = code or ("generic_decline", "card_declined")
            error = {"type": "card_error", "code": failure_code, "decline_code": decline_code}
            self._more[intent_id] = {"last_payment_error": error}
            return 402, {"error": {**said["error"], **error}}
        if said["status"] == "requires_action":
            assert form["error_on_requires_action"] == "true"
            secret = {"client_secret": said["client_secret"], "success": "false"}
            await self._forward("POST", f"{path}/_authenticate", secret)
            return _error(402, "card_error", "authentication_required")
        return status, said

    async def _cancel(self, intent_id: str, form: Json) -> tuple[int, Json]:
        status, said = await self._forward("POST", f"/v1/payment_intents/{intent_id}/cancel")
        if status == 400:
            return _error(400, "invalid_request_error", "payment_intent_unexpected_state")
        kept = {"cancellation_reason": form["cancellation_reason"], "last_payment_error": None}
        self._more[intent_id] = kept
        return status, self._patched(said)

    async def _refund(self, form: Json) -> tuple[int, Json]:
        query = {"payment_intent": form["payment_intent"], "limit": PAGE}
        status, intent = await self._forward("GET", f"/v1/payment_intents/{form['payment_intent']}")
        if status == 404:
            return _error(404, "invalid_request_error", "resource_missing", "payment_intent")
        _, before = await self._forward("GET", "/v1/refunds", query)
        held = intent["amount"] - sum(one["amount"] for one in before["data"])
        if int(form["amount"]) > held:
            code = "charge_already_refunded" if held == 0 else ""
            return _error(400, "invalid_request_error", code, "amount")
        status, said = await self._forward("POST", "/v1/refunds", form)
        self._more[said["id"]] = {"status": self.refund_status}
        return status, self._patched(said)

    def _patched(self, said: Json) -> Json:
        if isinstance(said.get("data"), list):
            return {**said, "data": [self._patched(one) for one in said["data"]]}
        more = dict(self._more.get(said.get("id", ""), {}))
        if said.get("id") in self.refunds_now:
            more["status"] = self.refunds_now[said["id"]]
        return {**said, **more}


def _pattern(path: str) -> str:
    parts = path.split("/")
    return "/".join("{id}" if one.startswith(("pi_", "re_")) else one for one in parts)


def _error(status: int, kind: str, code: str = "", param: str = "") -> tuple[int, Json]:
    error = {"type": kind, "message": "this text quotes the payer", "code": code, "param": param}
    return status, {"error": {name: value for name, value in error.items() if value}}


def _answer(status: int, said: Json, *, replayed: bool = False) -> web.Response:
    headers = {"idempotent-replayed": "true"} if replayed else {}
    return web.Response(
        text=json.dumps(said), status=status, content_type="application/json", headers=headers
    )


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@asynccontextmanager
async def stripe_server(url: str) -> AsyncIterator[StripeServer]:
    """A proxy that serves until the block ends, before an empty localstripe."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    # To read the machine's certificates takes long, and nobody asks for them.
    certain = {"verify": False, "trust_env": False}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10, **certain) as upstream:
        await upstream.delete("/_config/data")
        server = StripeServer(upstream)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", server.serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield server
        finally:
            await runner.cleanup()
