"""How much is served at once, and how much one caller may ask."""

import hashlib
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.errors import TooMany

# So many callers are remembered; who has not asked for the longest is forgotten first.
CALLERS_MAX = 10_000
RETRY_AFTER_S = 1


class Places:
    """A number of places, each taken by one request; one caller gets only some of them."""

    def __init__(self, number: int, each: int) -> None:
        """Begin with all of them free; `each` is the most that one caller may hold."""
        self._free = number
        self._each = each
        self._held: Counter[str] = Counter()

    @contextmanager
    def taken(self, caller: str) -> Iterator[None]:
        """Hold one place for a caller.

        Raises:
            TooMany: none is free, or the caller holds as many as it may.
        """
        if self._free <= 0 or self._held[caller] >= self._each:
            raise TooMany(RETRY_AFTER_S)
        self._free -= 1
        self._held[caller] += 1
        try:
            yield
        finally:
            self._free += 1
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]


@dataclass
class _Bucket:
    tokens: float
    at_s: float


class Rates:
    """A bucket of tokens for each caller: a request takes one, and time fills it again."""

    def __init__(self, per_s: float, burst: int, now_s: Callable[[], float]) -> None:
        """Allow `per_s` requests a second (0: any number), and `burst` at once after a pause."""
        self._per_s = per_s
        self._burst = burst
        self._now_s = now_s
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request of a caller.

        Raises:
            TooMany: it has asked too much; says when it may ask again.
        """
        if not self._per_s:
            return
        bucket = self._bucket(caller)
        now_s = self._now_s()
        filled = bucket.tokens + (now_s - bucket.at_s) * self._per_s
        bucket.tokens, bucket.at_s = min(float(self._burst), filled), now_s
        if bucket.tokens < 1:
            raise TooMany(max(1, math.ceil((1 - bucket.tokens) / self._per_s)))
        bucket.tokens -= 1

    def _bucket(self, caller: str) -> _Bucket:
        # A caller is known by its token, which must not lie about in memory for long.
        name = hashlib.blake2b(caller.encode(), digest_size=16).digest()
        bucket = self._buckets.setdefault(name, _Bucket(float(self._burst), self._now_s()))
        self._buckets.move_to_end(name)
        if len(self._buckets) > CALLERS_MAX:
            self._buckets.popitem(last=False)
        return bucket
