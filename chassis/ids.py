"""Ids that the program makes itself, so that a row's id is known before its transaction."""

import secrets
from datetime import UTC, datetime
from random import Random

from chassis.clock import Clock

EPOCH_MS = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
# 41 bits of milliseconds last until 2093; with 12 bits of chance an id stays below 2^53,
# the largest integer that every JSON reader takes exactly.
RANDOM_BITS = 12
# Crockford's base 32: no I, L, O, U, so that an id survives being read aloud.
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# A ULID's shape: 48 bits of milliseconds and 80 bits of chance in 26 characters.
TEXT_RANDOM_BITS = 80
TEXT_LENGTH = 26


class Ids:
    """Makes ids that grow with time.

    Within one process they are strictly increasing. Two processes may draw the
    same number in the same millisecond: the insert then fails and is tried again
    with new ids.
    """

    def __init__(self, clock: Clock, random: Random | None = None) -> None:
        """Draw the time from `clock` and the rest from `random` (the system's by default)."""
        self._clock = clock
        self._random = random or secrets.SystemRandom()
        self._last = 0

    def number(self) -> int:
        """One id: positive and below 2^53."""
        return self.numbers(1)[0]

    def numbers(self, count: int) -> list[int]:
        """`count` ids in growing order, each positive and below 2^53."""
        since_epoch = self._now_ms() - EPOCH_MS
        drawn = (since_epoch << RANDOM_BITS) | self._random.getrandbits(RANDOM_BITS)
        first = max(drawn, self._last + 1)
        self._last = first + count - 1
        return list(range(first, first + count))

    def text(self, prefix: str) -> str:
        """An id such as `pay_01K…`: sorts by time and cannot be guessed."""
        value = (self._now_ms() << TEXT_RANDOM_BITS) | self._random.getrandbits(TEXT_RANDOM_BITS)
        digits = (CROCKFORD[(value >> (5 * place)) & 31] for place in reversed(range(TEXT_LENGTH)))
        return f"{prefix}_{''.join(digits)}"

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
