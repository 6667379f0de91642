"""Metrics are read over HTTP, where the settings say, for as long as the program serves."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable
from importlib.metadata import version

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.telemetry import Tally, value

from chassis import metrics
from chassis.metrics import MetricsAddressTaken, served

WAIT_S = 20.0
ANYWHERE = "127.0.0.1:0"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - nothing tells when it is
            await asyncio.sleep(0.005)


async def scrape(port: int) -> str:
    async with httpx.AsyncClient(trust_env=False, timeout=WAIT_S) as http:
        answer = await http.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


async def test_what_is_measured_is_served() -> None:
    """A scrape is text that Prometheus reads: which program it is, its process, its loop."""
    async with served("booking_svc", ANYWHERE) as port:
        families = {one.name: one for one in text_string_to_metric_families(await scrape(port))}
    assert value("holdfast_build_info", "booking_svc", version("holdfast")) == 1
    told = [one.labels for one in families["holdfast_build_info"].samples]
    assert {"program": "booking_svc", "version": version("holdfast")} in told
    assert families["process_resident_memory_bytes"].samples[0].value > 0
    assert families["holdfast_event_loop_lag_seconds"].type == "histogram"
    # When each series was made is of no use to anybody.
    assert not [name for name in families if name.endswith("_created")]


async def test_not_at_all() -> None:
    """Without an address nothing is listened on and nothing runs."""
    await asyncio.to_thread(threading.active_count)
    threads, tasks = threading.active_count(), asyncio.all_tasks()
    async with served("booking_svc", "") as port:
        assert port == 0
        assert threading.active_count() == threads
        assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_it_ends_with_the_program(host: str) -> None:
    """When the block ends the port is free again, and no thread and no task is left."""
    await asyncio.to_thread(threading.active_count)
    threads, tasks = threading.active_count(), asyncio.all_tasks()
    async with served("booking_svc", f"{host}:0") as port:
        assert threading.active_count() == threads + 1
    # Who was asked by a client answers in a thread of its own, which ends by itself.
    await until(lambda: threading.active_count() == threads)
    assert asyncio.all_tasks() == tasks
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


async def test_it_ends_when_the_program_fails() -> None:
    """An error within the block comes out as it is, and the port is free again."""
    with pytest.raises(LookupError):
        async with served("booking_svc", ANYWHERE) as port:
            raise LookupError
    async with served("booking_svc", f"127.0.0.1:{port}") as again:
        assert again == port


async def test_a_scraper_that_says_nothing_does_not_hold_up_the_end() -> None:
    """Who connects and asks for nothing keeps neither the others nor the end of the program."""
    async with asyncio.timeout(WAIT_S):
        async with served("booking_svc", ANYWHERE) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            assert "holdfast_build_info" in await scrape(port)
        writer.close()


async def test_who_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection over which nothing comes is closed, and with it the thread that waits for it."""
    monkeypatch.setattr(metrics, "IDLE_S", 0.05)
    async with served("booking_svc", ANYWHERE) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\n")
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""
        writer.close()


async def test_who_leaves_early_is_no_news(capfd: pytest.CaptureFixture[str]) -> None:
    """A scraper that resets its connection leaves no traceback among the log lines."""
    await asyncio.to_thread(threading.active_count)
    threads = threading.active_count()
    async with served("booking_svc", ANYWHERE) as port:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Half of a request: the server is waiting for the rest.
                client.sendall(b"GET /metrics HTTP/1.1\r\n")
                await scrape(port)
        await until(lambda: threading.active_count() <= threads + 1)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("listen", ["taken", "192.0.2.1:0", "nowhere.invalid:0"])
async def test_an_address_that_cannot_be_had(listen: str) -> None:
    """An address that is taken, or not of this machine, is one sentence that names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if listen == "taken":
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(MetricsAddressTaken) as caught:
            async with served("booking_svc", listen):
                pass
    wanted = f"cannot serve metrics on {listen}: taken, or not an address of this machine"
    assert str(caught.value) == wanted


async def test_a_loop_that_is_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a call held up the event loop is seen."""
    monkeypatch.setattr(metrics, "LOOP_EVERY_S", 0.01)
    tally = Tally()
    async with served("booking_svc", ANYWHERE):
        await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251 - that is the mistake that is to be seen
        await until(lambda: bool(tally.of("holdfast_event_loop_lag_seconds_count")))
        assert tally.of("holdfast_event_loop_lag_seconds_sum")[()] > 0.15
