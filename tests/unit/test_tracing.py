"""Spans: none unless somebody reads them, one trace across programs, and no text of an error."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import structlog
from opentelemetry import context as otel_context
from opentelemetry.trace import INVALID_SPAN, SpanKind, StatusCode
from structlog.contextvars import get_contextvars
from support.payments import log_lines
from support.telemetry import PARENT_ID, TRACE_ID, TRACEPARENT, Spans, recorded, trace_of

from chassis import tracing

OTHER = "00-11111111111111111111111111111111-2222222222222222-01"
INVALID = [
    "",
    "rubbish",
    f"00-{TRACE_ID}-{PARENT_ID}",
    f"00-{'0' * 32}-{PARENT_ID}-01",
    f"00-{TRACE_ID}-{'0' * 16}-01",
    f"ff-{TRACE_ID}-{PARENT_ID}-01",
    TRACEPARENT.replace("0a", "0x"),
]
CARD = "4111111111111111"


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    token = otel_context.attach(otel_context.Context())
    yield
    otel_context.detach(token)
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recorded() as spans:
        yield spans


async def test_off_by_default() -> None:
    """Without an endpoint no span is made of whatever is done."""
    with (
        tracing.serving("served", {}) as served,
        tracing.inside("work", follows=OTHER) as work,
        tracing.part("part") as part,
        tracing.calling("call") as call,
    ):
        assert [served, work, part, call] == [INVALID_SPAN] * 4
        assert tracing.traceparent() == ""
        assert tracing.trace_id() == ""
        assert tracing.handed_on() == []


async def test_a_callers_trace_is_handed_on_without_spans() -> None:
    """A service that sends no spans hands on the trace of its caller, with what goes with it."""
    carrier = {"traceparent": TRACEPARENT, "tracestate": "shop=7", "authorization": "Bearer x"}
    with tracing.serving("served", carrier), tracing.calling("call"):
        assert tracing.traceparent() == TRACEPARENT
        assert tracing.trace_id() == TRACE_ID
        assert tracing.handed_on() == [("traceparent", TRACEPARENT), ("tracestate", "shop=7")]
        # As work that goes on when its caller has gone.
        begun = asyncio.create_task(asyncio.to_thread(tracing.trace_id))
    assert await begun == TRACE_ID
    assert tracing.handed_on() == []


@pytest.mark.parametrize("given", INVALID)
async def test_what_is_no_trace_is_not_handed_on(given: str) -> None:
    """What a caller gives as its trace, and is none, is not handed on."""
    with tracing.serving("served", {"traceparent": given}):
        assert tracing.handed_on() == []
        assert tracing.trace_id() == ""


@pytest.mark.parametrize("given", INVALID)
async def test_what_is_no_trace_begins_a_new_one(spans: Spans, given: str) -> None:
    """A request with what is no trace has one of its own, with no parent."""
    with tracing.serving("served", {"traceparent": given}):
        pass
    assert spans.one("served").parent is None


async def test_a_request_does_not_go_on_with_the_trace_of_another(spans: Spans) -> None:
    """A request without a trace has one of its own, whatever is under way around it."""
    with tracing.serving("first", {}), tracing.serving("second", {}):
        pass
    assert spans.one("second").parent is None
    assert trace_of(spans.one("first")) != trace_of(spans.one("second"))


async def test_one_trace_from_the_caller_to_whom_is_called(spans: Spans) -> None:
    """Serving is a child of the caller's span, calling of serving; the last one is handed on."""
    with (
        tracing.serving("served", {"traceparent": TRACEPARENT}),
        tracing.inside("work"),
        tracing.part("part"),
        tracing.calling("call", **{"rpc.system": "grpc"}),
    ):
        handed_on = dict(tracing.handed_on())["traceparent"]
    served, work, part, call = (spans.one(one) for one in ("served", "work", "part", "call"))
    assert {trace_of(one) for one in spans.all()} == {TRACE_ID}
    assert f"{served.parent.span_id:016x}" == PARENT_ID
    assert [one.parent.span_id for one in (work, part, call)] == [
        one.context.span_id for one in (served, work, part)
    ]
    assert handed_on == f"00-{TRACE_ID}-{call.context.span_id:016x}-01"
    kinds = [one.kind for one in (served, work, part, call)]
    assert kinds == [SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.CLIENT]
    assert dict(call.attributes) == {"rpc.system": "grpc"}


async def test_a_caller_that_is_not_recorded(spans: Spans) -> None:
    """A trace that its caller does not record is not recorded here, and handed on as such."""
    not_sampled = TRACEPARENT.removesuffix("01") + "00"
    with tracing.serving("served", {"traceparent": not_sampled}), tracing.part("part"):
        assert tracing.traceparent().startswith(f"00-{TRACE_ID}-")
        assert tracing.traceparent().endswith("-00")
    assert spans.all() == []


async def test_a_part_of_no_trace(spans: Spans) -> None:
    """What is done for nobody is no trace: a worker that looks for work leaves no span of it."""
    with tracing.part("database read"):
        pass
    assert spans.all() == []


async def test_work_that_is_taken_over_later(spans: Spans) -> None:
    """Work that goes on in another trace is linked to what began it."""
    with tracing.inside("work", follows=TRACEPARENT):
        pass
    work = spans.one("work")
    assert work.parent is None
    assert trace_of(work) != TRACE_ID
    (link,) = work.links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" == f"{TRACE_ID}-{PARENT_ID}"


@pytest.mark.parametrize("follows", [*INVALID, TRACEPARENT])
async def test_work_in_the_trace_that_began_it(spans: Spans, follows: str) -> None:
    """Work is linked neither to its own trace nor to what is none."""
    with (
        tracing.serving("served", {"traceparent": TRACEPARENT}),
        tracing.inside("work", follows=follows),
    ):
        pass
    assert spans.one("work").links == ()
    assert trace_of(spans.one("work")) == TRACE_ID


async def test_a_note(spans: Spans) -> None:
    """What is noted of the work in hand is on its further log lines and on its span; no blanks."""
    with tracing.serving("served", {}):
        tracing.note(request_id="r-1", booking_reference="", booking_id=7)
        assert get_contextvars() == {"request_id": "r-1", "booking_id": 7}
    assert dict(spans.one("served").attributes) == {
        "holdfast.request_id": "r-1",
        "holdfast.booking_id": 7,
    }


async def test_a_note_without_spans() -> None:
    """What is noted is on the log lines also where no span is made."""
    with tracing.serving("served", {"traceparent": TRACEPARENT}):
        tracing.note(request_id="r-1")
        assert get_contextvars() == {"request_id": "r-1"}


@pytest.mark.parametrize(
    "span",
    [
        lambda: tracing.serving("work", {}),
        lambda: tracing.calling("work"),
        lambda: tracing.inside("work"),
        lambda: tracing.part("work"),
    ],
    ids=["serving", "calling", "inside", "part"],
)
async def test_no_text_of_an_error(spans: Spans, span: Callable[[], Iterator[object]]) -> None:
    """An error that passes through a span leaves nothing of its text or its type there."""

    def fail() -> None:
        message = f"cannot charge {CARD}"
        raise LookupError(message) from ValueError(CARD)

    with tracing.serving("served", {}), pytest.raises(LookupError), span():
        fail()
    work = spans.one("work")
    assert (work.events, work.status.status_code) == ((), StatusCode.UNSET)
    assert CARD not in spans.text()
    assert "LookupError" not in spans.text()


async def test_a_span_that_failed(spans: Spans) -> None:
    """A span that is marked as failed says why, in the word that it was given."""
    with tracing.calling("call") as span:
        tracing.fail(span, "UNAVAILABLE")
    status = spans.one("call").status
    assert (status.status_code, status.description) == (StatusCode.ERROR, "UNAVAILABLE")


async def test_the_trace_of_a_traceparent() -> None:
    """The trace in a stored `traceparent` is found; in what is none there is none."""
    assert tracing.trace_id(TRACEPARENT) == TRACE_ID
    assert [tracing.trace_id(one) for one in INVALID] == [""] * len(INVALID)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
    ids=["none", "empty", "disabled"],
)
async def test_nothing_is_sent_unless_it_is_told_where(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """Without an endpoint, or with OpenTelemetry disabled, a program that starts makes no spans."""
    for name in (*tracing.ENDPOINTS, tracing.OFF):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tracing, "send_to", lambda _: pytest.fail("it sends"))
    tracing.configure("booking_svc")()
    with tracing.serving("served", {}) as span:
        assert span is INVALID_SPAN


def test_what_a_caller_gives_as_its_trace_is_not_logged() -> None:
    """A state of a trace that is none is thrown away, and nobody writes down what was in it."""
    with log_lines() as lines:
        given = {"traceparent": TRACEPARENT, "tracestate": f"card {CARD}, shop=7;{CARD}\x1b"}
        with tracing.serving("served", given):
            assert CARD not in str(tracing.handed_on())
    assert CARD not in lines.getvalue()


async def test_apart(spans: Spans) -> None:
    """What is done apart is no part of the trace around it, which goes on after it."""
    with tracing.inside("around"):
        with tracing.apart(), tracing.part("apart"):
            assert tracing.traceparent() == ""
        with tracing.part("after"):
            pass
    assert spans.names() == ["after", "around"]
