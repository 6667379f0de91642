"""A server says whether it can work, and stops in order."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from holdfast.inventory.v1 import inventory_pb2 as pb
from holdfast.inventory.v1 import inventory_pb2_grpc as rpc
from support import build
from support.client import As
from support.databases import Databases, on_mariadb
from support.inventory import hosted_inventory
from support.losing import connected_at_that_moment, refused_at_that_moment
from support.serving import ADDRESS, serving
from support.tokens import verifier

from chassis import health, server
from chassis.health import Health
from chassis.server import AddressTaken, Hosted, running
from chassis.worker import Worker
from inventory_svc.servicer import ACCESS, NAME

Status = health_pb2.HealthCheckResponse.ServingStatus
WAIT_S = 10


async def nothing() -> None:
    pass


def hosted(**changes: object) -> Hosted:
    given = {
        "name": NAME,
        "register": lambda server: rpc.add_InventoryServiceServicer_to_server(
            rpc.InventoryServiceServicer(), server
        ),
        "access": ACCESS,
        "ready": nothing,
        "close": nothing,
    }
    return Hosted(**{**given, **changes})


async def status_of(channel: grpc.aio.Channel, service: str = NAME) -> str:
    request = health_pb2.HealthCheckRequest(service=service)
    answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=WAIT_S)
    return Status.Name(answer.status)


async def wait_for_status(channel: grpc.aio.Channel, wanted: str) -> None:
    async with asyncio.timeout(WAIT_S):
        request = health_pb2.HealthCheckRequest(service=NAME)
        async for answer in health_pb2_grpc.HealthStub(channel).Watch(request):
            if Status.Name(answer.status) == wanted:
                return


async def test_health_follows_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose database stops answering is NOT_SERVING, and SERVING again afterwards."""
    monkeypatch.setattr(health, "INTERVAL_S", 0.01)
    answers = True

    async def ready() -> None:
        if not answers:
            raise ConnectionError

    async with serving(hosted(ready=ready)) as channel:
        await wait_for_status(channel, "SERVING")
        answers = False
        await wait_for_status(channel, "NOT_SERVING")
        assert await status_of(channel, "") == "NOT_SERVING"
        answers = True
        await wait_for_status(channel, "SERVING")


async def test_silence_counts_when_it_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that says nothing once is waited for; the second time, it is NOT_SERVING."""
    monkeypatch.setattr(health, "TIMEOUT_S", 0.01)
    silences = [False, True, False, True, True, False]

    async def ready() -> None:
        if silences.pop(0):
            await asyncio.Event().wait()

    report = health.Health((NAME,), ready)
    assert [await report.check() for _ in range(6)] == [True, True, True, True, False, True]


async def test_a_server_may_host_more_than_one_service() -> None:
    """Reflection lists the further services of a server, and its health covers them."""
    other = "holdfast.booking.v1.SagaService"
    async with serving(hosted(others=(other,))) as channel:
        assert await status_of(channel, other) == "SERVING"
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        call = ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        listed = {one.name for one in (await call.read()).list_services_response.service}
    assert {NAME, other} <= listed


@on_mariadb
async def test_a_service_without_its_database_is_not_serving(databases: Databases) -> None:
    """The inventory on a server that cannot be reached says so from its first moment."""
    database = databases.open("mysql+aiomysql://root@127.0.0.1:1/none")
    async with serving(await hosted_inventory(database)) as channel:
        assert await status_of(channel) == "NOT_SERVING"


async def test_a_service_with_its_database_is_serving(databases: Databases) -> None:
    """The inventory on a database that answers is SERVING when the port opens."""
    database = await databases.fresh("inventory_svc")
    async with serving(await hosted_inventory(database)) as channel:
        assert await status_of(channel) == "SERVING"


@pytest.mark.parametrize("loses", [refused_at_that_moment, connected_at_that_moment])
async def test_a_cancellation_that_a_driver_loses(
    loses: Callable[[], Awaitable[bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker and the look at the health end when told to, whatever loses it on its way."""
    monkeypatch.setattr(health, "INTERVAL_S", 0)

    for work in (Worker("it", loses, 3600).run, Health(("it",), loses).run):
        task = asyncio.create_task(work())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait({task}, timeout=WAIT_S)
        assert task.cancelled()


async def test_a_stop_is_in_order() -> None:
    """Stopping: NOT_SERVING, running work ends, workers end, and only then the pools close."""
    order: list[str] = []
    may_end, working = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        order.append("work")

    async def run_once() -> bool:
        working.set()
        try:
            return await asyncio.Event().wait()
        finally:
            order.append("worker")

    async def close() -> None:
        order.append("pools")

    service = hosted(close=close, workers=(Worker("w", run_once, 1),))
    async with running(service, "127.0.0.1:0", verifier(), 5) as port:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest(service=NAME)
            )
            assert Status.Name((await watch.read()).status) == "SERVING"
            service.tasks.spawn(work(), "work")
            await working.wait()
            watch.cancel()
        asyncio.get_running_loop().call_later(0.05, may_end.set)
    assert order == ["work", "worker", "pools"]


async def test_a_stop_lets_calls_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is being served when the server stops is served to its end, and answered."""
    monkeypatch.setattr(server, "LAST_ANSWERS_S", 0.01)
    working = asyncio.Event()

    class Slow(rpc.InventoryServiceServicer):
        async def GetReservations(self, _request: Any, _context: Any) -> Any:
            working.set()
            await asyncio.sleep(0.5)
            return pb.GetReservationsResponse()

    service = hosted(register=lambda it: rpc.add_InventoryServiceServicer_to_server(Slow(), it))
    async with asyncio.timeout(WAIT_S), AsyncExitStack() as stack:
        port = await stack.enter_async_context(running(service, ADDRESS, verifier(), WAIT_S))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = As(rpc.InventoryServiceStub(channel), "ann").GetReservations(build.get(1))
            await working.wait()
            await stack.aclose()
            await call


async def test_a_stop_is_announced_first_of_all() -> None:
    """Who waits for the stop of the server hears of it while running work may still end."""
    heard = asyncio.Event()
    service = hosted()

    async def work() -> None:
        await service.stopping.wait()
        heard.set()

    async with asyncio.timeout(WAIT_S), running(service, "127.0.0.1:0", verifier(), 600):
        service.tasks.spawn(work(), "work")
        assert not service.stopping.is_set()
    assert heard.is_set()


async def test_a_stop_tells_those_who_watch() -> None:
    """Whoever watches the health of a service hears NOT_SERVING while it drains."""
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        context = running(hosted(), "127.0.0.1:0", verifier(), 1)
        port = await context.__aenter__()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = health_pb2.HealthCheckRequest(service=NAME)
            watch = health_pb2_grpc.HealthStub(channel).Watch(request)
            heard = [Status.Name((await watch.read()).status)]
            stopping = group.create_task(context.__aexit__(None, None, None))
            heard.append(Status.Name((await watch.read()).status))
            watch.cancel()
            await stopping
    assert heard == ["SERVING", "NOT_SERVING"]


async def test_work_that_does_not_end_is_cut_short() -> None:
    """A stop waits for running work for its grace and no longer."""
    cut: list[bool] = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut.append(True)

    service = hosted()
    async with asyncio.timeout(WAIT_S), running(service, "127.0.0.1:0", verifier(), 0.1):
        service.tasks.spawn(endless(), "endless")
        await asyncio.sleep(0)
    assert cut == [True]


async def test_an_address_that_is_taken_is_said_so() -> None:
    """A second server on one port is refused, with the address in the text."""
    async with running(hosted(), "127.0.0.1:0", verifier(), 1) as port:
        with pytest.raises(AddressTaken, match=f"127.0.0.1:{port}: taken"):
            async with running(hosted(), f"127.0.0.1:{port}", verifier(), 1):
                pass
