"""Services served in the test's process, over real sockets."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import grpc.aio

from chassis.server import Hosted, running
from support import tokens

ADDRESS = "127.0.0.1:0"
GRACE_S = 5.0
WAIT_S = 30.0


@asynccontextmanager
async def serving(hosted: Hosted, grace_s: float = GRACE_S) -> AsyncIterator[grpc.aio.Channel]:
    """Serve in this loop until the block ends; gives a channel to it."""
    async with (
        running(hosted, ADDRESS, tokens.verifier(), grace_s) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


@contextmanager
def serving_in_thread(
    make: Callable[[], AbstractAsyncContextManager[Hosted]],
) -> Iterator[int]:
    """Serve on a loop of its own in a thread, for stubs that block; gives the port."""
    started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with (
            make() as hosted,
            running(hosted, ADDRESS, tokens.verifier(), GRACE_S) as port,
        ):
            started.set_result((port, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        port, loop, stop = started.result(timeout=WAIT_S)
        yield port
        loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join(timeout=WAIT_S)
