"""A circuit breaker opens, tries again, and closes."""

import asyncio

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from chassis.breaker import Breaker, Verdict
from chassis.channels import judge
from chassis.errors import CircuitOpen, DeadlineTooShort, DependencyUnavailable, ScopeMissing
from chassis.status import to_status

FAILURES_MAX = 3
OPEN_S = 2.0


class Refusal(Exception):
    """With this the other side has answered."""


class Ours(Exception):
    """This is no doing of the other side."""


VERDICTS = {Refusal: Verdict.WORKS, Ours: Verdict.NOTHING, ConnectionError: Verdict.FAILS}


class Guarded:
    """A breaker with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.breaker = Breaker(
            "the inventory",
            failures_max=FAILURES_MAX,
            open_s=OPEN_S,
            judge=lambda error: VERDICTS[type(error)],
            now=lambda: self.now,
        )

    def call(self, error: type[Exception] | None = None, times: int = 1) -> None:
        for _ in range(times):
            try:
                with self.breaker.guard():
                    if error is not None:
                        raise error
            except tuple(VERDICTS):
                pass

    def opened(self) -> "Guarded":
        self.call(ConnectionError, FAILURES_MAX)
        assert self.breaker.is_open
        return self


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()


def test_failures_in_a_row_open_it(guarded: Guarded) -> None:
    """After so many failures in a row every call is refused, with the time until the next try."""
    guarded.call(ConnectionError, FAILURES_MAX - 1)
    assert not guarded.breaker.is_open
    guarded.call(ConnectionError)
    guarded.now += 0.5
    with pytest.raises(CircuitOpen, match="the inventory") as caught, guarded.breaker.guard():
        pytest.fail("it was called")
    assert caught.value.retry_after_s == OPEN_S - 0.5
    assert isinstance(caught.value, DependencyUnavailable)


@pytest.mark.parametrize("answer", [None, Refusal])
def test_an_answer_starts_the_count_anew(guarded: Guarded, answer: type[Exception] | None) -> None:
    """Failures with an answer between them, be it a refusal, do not open it."""
    for _ in range(3):
        guarded.call(ConnectionError, FAILURES_MAX - 1)
        guarded.call(answer)
    assert not guarded.breaker.is_open


def test_what_says_nothing_counts_for_nothing(guarded: Guarded) -> None:
    """An end that says nothing of the other side is no failure, and no answer either."""
    guarded.call(ConnectionError, FAILURES_MAX - 1)
    guarded.call(Ours, 10)
    assert not guarded.breaker.is_open
    guarded.call(ConnectionError)
    assert guarded.breaker.is_open


@pytest.mark.parametrize("answer", [None, Refusal])
def test_a_trial_that_is_answered_closes_it(
    guarded: Guarded, answer: type[Exception] | None
) -> None:
    """After its time one call goes through; if it is answered, all do, as if nothing had been."""
    guarded.opened().now += OPEN_S
    assert not guarded.breaker.is_open
    guarded.call(answer)
    guarded.call(ConnectionError, FAILURES_MAX - 1)
    assert not guarded.breaker.is_open


def test_a_trial_that_fails_opens_it_again(guarded: Guarded) -> None:
    """One failure of the trial is enough, and the whole time runs anew."""
    guarded.opened().now += OPEN_S
    guarded.call(ConnectionError)
    guarded.now += OPEN_S - 0.1
    assert guarded.breaker.is_open
    guarded.now += 0.1
    assert not guarded.breaker.is_open


def test_there_is_one_trial_at_a_time(guarded: Guarded) -> None:
    """While the trial runs all other calls are refused, and told to wait for more than nothing."""
    guarded.opened().now += OPEN_S
    with guarded.breaker.guard():
        assert guarded.breaker.is_open
        with pytest.raises(CircuitOpen) as caught, guarded.breaker.guard():
            pytest.fail("it was called")
    assert caught.value.retry_after_s == OPEN_S
    assert not guarded.breaker.is_open


async def test_a_cancelled_trial_makes_way_for_the_next(guarded: Guarded) -> None:
    """A trial that is cancelled says nothing: the next call is the trial."""
    guarded.opened().now += OPEN_S

    async def hang() -> None:
        with guarded.breaker.guard():
            await asyncio.Event().wait()

    trial = asyncio.create_task(hang())
    await asyncio.sleep(0)
    assert guarded.breaker.is_open
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert not guarded.breaker.is_open
    guarded.call(ConnectionError)
    assert guarded.breaker.is_open


@pytest.mark.parametrize("error", [None, ConnectionError])
def test_who_comes_late_changes_nothing(guarded: Guarded, error: type[Exception] | None) -> None:
    """A call from before the breaker opened neither closes it nor makes its time longer."""
    late = guarded.breaker.guard()
    late.__enter__()
    guarded.opened().now += 1
    late.__exit__(error, error() if error is not None else None, None)
    assert guarded.breaker.is_open
    guarded.now += OPEN_S - 1
    assert not guarded.breaker.is_open


def test_only_changes_are_logged(guarded: Guarded) -> None:
    """The log says once that a circuit opened, and once that it closed."""
    with capture_logs() as lines:
        guarded.opened().now += OPEN_S
        guarded.call(ConnectionError)
        guarded.now += OPEN_S
        guarded.call(times=2)
    assert [(line["event"], line["target"]) for line in lines] == [
        ("circuit_opened", "the inventory"),
        ("circuit_closed", "the inventory"),
    ]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("UNAVAILABLE", Verdict.FAILS),
        ("DEADLINE_EXCEEDED", Verdict.FAILS),
        ("INTERNAL", Verdict.FAILS),
        ("UNKNOWN", Verdict.FAILS),
        ("CANCELLED", Verdict.NOTHING),
        ("RESOURCE_EXHAUSTED", Verdict.NOTHING),
    ],
)
def test_what_a_bare_code_says(code: str, verdict: Verdict) -> None:
    """Without a reason of ours, a call is judged by its code."""
    metadata = grpc.aio.Metadata()
    assert judge(grpc.aio.AioRpcError(grpc.StatusCode[code], metadata, metadata)) is verdict


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ScopeMissing(frozenset({"payments"})), Verdict.WORKS),
        (DependencyUnavailable("the database is not available"), Verdict.FAILS),
    ],
)
def test_what_a_reason_says(error: ScopeMissing | DependencyUnavailable, verdict: Verdict) -> None:
    """A service that refuses with a reason works; one that lacks what it needs does not."""
    status = to_status(error)
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    code = grpc.StatusCode[error.kind.name]
    failed = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, error.message)
    assert judge(failed) is verdict


def test_our_own_haste_says_nothing() -> None:
    """That the caller's time ran out is not held against the other service."""
    assert judge(DeadlineTooShort()) is Verdict.NOTHING
