"""The port `Answers` in Redis, and one that knows nothing, for a process without Redis.

A key of Redis holds `claim:<token>` while a first call runs, then the answer with a checksum
over all of it and its own name: what is damaged, or was meant for another key, is not known.
"""

import base64
import hashlib
import json
import secrets
from asyncio import timeout
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from booking_svc.domain.errors import PaymentFailed, SeatsLost
from booking_svc.ports import KeptAnswer, OurClaim
from chassis import addresses
from chassis.addresses import Sentinels
from chassis.breaker import Breaker
from chassis.errors import CircuitOpen, DomainError

log = structlog.get_logger(__name__)

# What a look may cost a caller: about what it saves, on a bad day.
BUDGET_S = 0.05
CONNECTIONS_MAX = 32
# What one sentinel may cost of that.
SENTINEL_S = 0.015
# A claim only saves others a look; after this time a first call is over, or recovered elsewhere.
CLAIM_S = 60.0
CLAIM = b"claim:"
KEPT = b"kept:1:"
REFUSALS: dict[str, type[DomainError]] = {kind.reason: kind for kind in (PaymentFailed, SeatsLost)}

# KEYS[1] the key; ARGV[1] a claim, ARGV[2] its time to live in ms. What is there; where there was
# nothing, that is the claim.
LOOK_UP_OR_CLAIM = """
local there = redis.call('GET', KEYS[1])
if there then
  return there
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
"""
# KEYS[1] the key; ARGV[1] a claim. Deletes that claim, and nothing else.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class NoAnswers:
    """Knows nothing: the database is asked each time."""

    async def look_up_or_claim(self, owner: str, key: str) -> KeptAnswer | OurClaim | None:  # noqa: ARG002
        """Nothing."""
        return None

    async def keep(self, owner: str, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Keep nothing."""

    async def release(self, owner: str, key: str, claim: OurClaim) -> None:
        """Release nothing."""

    async def forget(self, owner: str, keys: Sequence[str]) -> bool:  # noqa: ARG002
        """There is nothing to forget."""
        return True

    async def close(self) -> None:
        """Close nothing."""


class RedisAnswers:
    """Answers in Redis. Whatever goes wrong there, it knows nothing, and soon."""

    def __init__(self, url: str, budget_s: float) -> None:
        """Prepare for a Redis by its URL, connect when first used; wait for it no longer."""
        sentinels = addresses.of_sentinels(url)
        self._clients = [_one(url)] if sentinels is None else _primary_first(sentinels)
        self._redis = self._clients[0]
        self._budget_s = budget_s
        self._breaker = Breaker("redis")

    async def look_up_or_claim(self, owner: str, key: str) -> KeptAnswer | OurClaim | None:
        """What a key was answered; or our claim of it; or none: claimed by another, or not known.

        One atomic script: of two calls at one moment, one gets the claim.
        """
        name, claim = _name(owner, key), OurClaim(secrets.token_hex(16))
        there = await self._run(LOOK_UP_OR_CLAIM, name, _value(claim), int(CLAIM_S * 1000))
        if there == _value(claim):
            return claim
        return _read(name, there) if there is not None else None

    async def keep(self, owner: str, key: str, answer: KeptAnswer, ttl_s: float) -> None:
        """Remember a final answer, whatever was there. One command, so it needs no script."""
        name = _name(owner, key)
        value, ttl_ms = _written(name, answer), max(1, int(ttl_s * 1000))
        await self._within_budget(lambda: self._redis.set(name, value, px=ttl_ms))

    async def release(self, owner: str, key: str, claim: OurClaim) -> None:
        """Forget a claim, unless it is over and somebody else's is there."""
        name = _name(owner, key)
        await self._run(RELEASE, name, _value(claim))

    async def forget(self, owner: str, keys: Sequence[str]) -> bool:
        """Forget what keys were answered; false if that may have failed."""
        names = [_name(owner, key) for key in keys]
        return await self._within_budget(lambda: self._redis.delete(*names)) is not None

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()

    async def _run(self, script: str, name: str, *arguments: bytes | int) -> Any:
        return await self._within_budget(lambda: self._redis.eval(script, 1, name, *arguments))

    async def _within_budget(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What Redis says, or none."""
        try:
            with self._breaker.guard():
                async with timeout(self._budget_s):
                    return await ask()
        except CircuitOpen:
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, the database knows
            # Not its text: that may hold what was sent, or how to log in.
            log.warning("redis_gave_no_answer", cause=type(error).__name__)
            return None


def _one(url: str) -> Redis:
    pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS_MAX, **_options())
    return Redis.from_pool(pool)


def _primary_first(known_by: Sentinels) -> list[Redis]:
    """The primary Redis, whichever that is when a connection is opened; and the sentinels.

    A connection to one that is the primary no more is closed at its first refusal.
    """
    hosts = [tuple(host) for host in known_by.hosts]
    # One that is away without a word must leave time to ask another.
    asking = {**_options(), "socket_connect_timeout": SENTINEL_S, "socket_timeout": SENTINEL_S}
    manager = Sentinel(hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        known_by.name,
        manager,
        max_connections=CONNECTIONS_MAX,
        password=known_by.password,
        db=known_by.number,
        **_options(),
    )
    return [Redis.from_pool(pool), *manager.sentinels]


def _options() -> dict[str, Any]:
    # The oldest protocol, and no introductions: to connect must fit the budget too.
    return {"protocol": 2, "driver_info": None, "retry": Retry(NoBackoff(), 0)}


def answers_in(url: str) -> RedisAnswers | NoAnswers:
    """The answers in a Redis, or none at all where there is no URL."""
    return RedisAnswers(url, BUDGET_S) if url else NoAnswers()


def _name(owner: str, key: str) -> str:
    """Where an answer is kept: of a fixed length, and no two pairs share one."""
    digest = hashlib.sha256(f"{len(owner)}:{owner}{key}".encode()).hexdigest()
    return f"holdfast:booking:answer:{digest}"


def _value(claim: OurClaim) -> bytes:
    return CLAIM + claim.token.encode()


def _written(name: str, answer: KeptAnswer) -> bytes:
    fields: dict[str, Any] = {"fingerprint": answer.fingerprint}
    if isinstance(answer.message, bytes):
        fields["booking"] = base64.b64encode(answer.message).decode()
    else:
        refusal = answer.message
        # A list of pairs: the order is part of the answer.
        facts = list(refusal.metadata.items())
        fields["refusal"] = [refusal.reason, refusal.message, facts]
    payload = json.dumps(fields).encode()
    return KEPT + _checksum(name, payload) + payload


def _read(name: str, value: bytes) -> KeptAnswer | None:
    """What `_written` wrote; none for a claim and for whatever else may be there."""
    checksum_ends = len(KEPT) + hashlib.sha256().digest_size
    payload = value[checksum_ends:]
    if value[:checksum_ends] != KEPT + _checksum(name, payload):
        return None
    fields = json.loads(payload)
    if "booking" in fields:
        return KeptAnswer(fields["fingerprint"], base64.b64decode(fields["booking"]))
    reason, message, facts = fields["refusal"]
    # A newer program may know more refusals.
    kind = REFUSALS.get(reason)
    return KeptAnswer(fields["fingerprint"], kind(message, dict(facts))) if kind else None


def _checksum(name: str, payload: bytes) -> bytes:
    return hashlib.sha256(name.encode() + payload).digest()
