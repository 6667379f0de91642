"""A circuit breaker: who does not answer is left alone for a moment."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto

import structlog

from chassis import metrics
from chassis.errors import CircuitOpen

log = structlog.get_logger(__name__)

FAILURES_MAX = 5
# As `holdfast_breaker_state` tells them.
CLOSED, HALF_OPEN, OPEN = 0, 1, 2
OPEN_S = 2.0


class Verdict(Enum):
    """What the end of a call says about the other side."""

    WORKS = auto()
    FAILS = auto()
    # It was we who gave up, say.
    NOTHING = auto()


def _fails(_error: Exception) -> Verdict:
    return Verdict.FAILS


class Breaker:
    """Lets calls through while the other side answers.

    - Closed: every call goes through. `failures_max` failures in a row open it.
    - Open: every call is refused at once, for `open_s` seconds.
    - Half-open, after that: one call goes through as a trial, the others are refused. If it
      works the breaker closes, if it fails the breaker is open again, and if it says nothing
      (it was cancelled) the next call is the trial.

    A call that began before the breaker opened, and ends later, changes nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        failures_max: int = FAILURES_MAX,
        open_s: float = OPEN_S,
        judge: Callable[[Exception], Verdict] = _fails,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Guard the calls to `name`; `judge` says what an exception of a call means."""
        self._name = name
        self._failures_max = failures_max
        self._open_s = open_s
        self._judge = judge
        self._now = now
        self._failures = 0
        # When the trial is due; none: closed.
        self._trial_at: float | None = None
        self._trial_runs = False
        self._state = metrics.BREAKER.labels(name)
        self._state.set(CLOSED)

    @property
    def is_open(self) -> bool:
        """Whether a call would be refused now."""
        return self._trial_runs or self._left_s() > 0

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Surround one call.

        Raises:
            CircuitOpen: the other side is left alone; nothing was called.
        """
        if self.is_open:
            raise CircuitOpen(self._name, self._left_s() or self._open_s)
        trial = self._trial_runs = self._trial_at is not None
        if trial:
            self._state.set(HALF_OPEN)
        verdict = Verdict.NOTHING
        try:
            yield
            verdict = Verdict.WORKS
        except Exception as error:
            verdict = self._judge(error)
            raise
        finally:
            self._note(verdict, trial=trial)

    def _left_s(self) -> float:
        return 0.0 if self._trial_at is None else max(0.0, self._trial_at - self._now())

    def _note(self, verdict: Verdict, *, trial: bool) -> None:
        if trial:
            self._trial_runs = False
        elif self._trial_at is not None:
            return
        if verdict is Verdict.WORKS:
            self._close()
        elif verdict is Verdict.FAILS:
            self._failures += 1
            if self._failures >= self._failures_max:
                self._open()

    def _open(self) -> None:
        if self._trial_at is None:
            log.warning("circuit_opened", target=self._name)
        self._trial_at = self._now() + self._open_s
        self._state.set(OPEN)

    def _close(self) -> None:
        if self._trial_at is not None:
            log.info("circuit_closed", target=self._name)
            self._state.set(CLOSED)
        self._failures = 0
        self._trial_at = None
