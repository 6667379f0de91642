"""The one place that joins the parts of the gateway."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from importlib import resources
from pathlib import Path

import grpc.aio
import msgspec
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from chassis.channels import open_channel
from chassis.tls import PLAIN, Tls
from gateway import answers, descriptors, pages, status
from gateway.answers import Response
from gateway.app import App, Page, Route
from gateway.binding import Binder
from gateway.codec import Codec, Style
from gateway.config import GatewaySettings
from gateway.console_files import ConsoleFiles
from gateway.descriptors import Contracts
from gateway.openapi_schemas import Numbers
from gateway.router import Router
from gateway.rules import Binding, bindings_of
from gateway.upstream import Upstream, is_serving

HTTP_BODY = "google.api.HttpBody"
OWN_CONTRACTS = "descriptors.binpb"
# How long it is believed that services serve.
READY_FOR_S = 1.0


@asynccontextmanager
async def opened(
    settings: GatewaySettings, stopping: asyncio.Event, tls: Tls = PLAIN
) -> AsyncIterator[App]:
    """The gateway, ready to be served.

    Raises:
        ContractError, RuleError, RouteConflict: the contracts cannot be had or followed.
        PagesError: the documentation is not installed.
    """
    targets = _targets(settings)
    contracts = await asyncio.to_thread(_contracts, settings, targets, tls)
    async with AsyncExitStack() as stack:
        channels = {}
        for name, target in targets.items():
            channel = open_channel(target, contracts.services[name], tls)
            channels[name] = await stack.enter_async_context(channel)
        bindings = [binding for one in contracts.services.values() for binding in bindings_of(one)]
        codec = Codec(Style(settings.int64_as_numbers, settings.decimal_as_numbers))
        router: Router[Route] = Router()
        for binding in bindings:
            service = binding.method.containing_service.full_name
            certified = bool(tls.settings.cert_file)
            upstream = Upstream(channels[service], binding.method, certified=certified)
            router.add(binding.verb, binding.template, _route(binding, upstream, codec))
        page = _pages(settings, contracts, bindings, channels)
        yield App(settings, router, page, stopping)


def _targets(settings: GatewaySettings) -> dict[str, str]:
    """Services by name, and where each is."""
    others: dict[str, str] = json.loads(settings.targets or "{}")
    return others or {
        "holdfast.booking.v1.BookingService": settings.booking_target,
        "holdfast.booking.v1.SagaService": settings.booking_target,
        "holdfast.payment.v1.PaymentService": settings.payment_target,
        "holdfast.inventory.v1.InventoryService": settings.inventory_target,
    }


def _contracts(settings: GatewaySettings, targets: dict[str, str], tls: Tls) -> Contracts:
    if settings.descriptors:
        return descriptors.from_file(Path(settings.descriptors), list(targets))
    if settings.targets:
        return descriptors.from_reflection(targets, tls)
    with resources.as_file(resources.files("holdfast") / OWN_CONTRACTS) as path:
        return descriptors.from_file(path, list(targets))


def _route(binding: Binding, upstream: Upstream, codec: Codec) -> Route:
    method = binding.method
    answer = message_factory.GetMessageClass(method.output_type)
    encode, gives_raw = codec.encode, method.output_type.full_name == HTTP_BODY
    if binding.response_body:
        field = method.output_type.fields_by_name[binding.response_body]

        def encode(message: Message) -> bytes:
            return codec.encode_field(message, field)

    return Route(
        template=binding.template.text,
        binder=Binder(binding, codec),
        upstream=upstream,
        told=status.of_success(method),
        new_answer=answer.FromString,
        encode=encode,
        raw=_is_raw(binding, method),
        takes_body=bool(binding.body),
        is_stream=method.server_streaming,
        gives_raw=gives_raw,
    )


def _is_raw(binding: Binding, method: MethodDescriptor) -> bool:
    """Whether the body is bytes that are not read here."""
    if binding.body in ("", "*"):
        return bool(binding.body) and method.input_type.full_name == HTTP_BODY
    kind = method.input_type.fields_by_name[binding.body].message_type
    return kind is not None and kind.full_name == HTTP_BODY


def _pages(
    settings: GatewaySettings,
    contracts: Contracts,
    bindings: list[Binding],
    channels: Mapping[str, grpc.aio.Channel],
) -> Page:
    readiness = _Readiness(channels)
    numbers = Numbers(settings.int64_as_numbers, settings.decimal_as_numbers)
    beside: list[pages.Pages | ConsoleFiles] = []
    if settings.docs:
        beside.append(pages.Pages(bindings, contracts.files, numbers))
    if settings.console and not settings.targets:
        # It knows our own services; of others it would be a page that fails.
        beside.append(ConsoleFiles())

    async def page(path: str, if_none_match: str) -> Response | None:
        if path == "/healthz":
            return _state(HTTPStatus.OK, {})
        if path == "/readyz":
            return await readiness.page()
        found = (one.page(path, if_none_match) for one in beside)
        return next((one for one in found if one is not None), None)

    return page


class _Readiness:
    """Whether all the services serve; asked once for many who ask at once."""

    def __init__(self, channels: Mapping[str, grpc.aio.Channel]) -> None:
        self._channels = channels
        self._known: dict[str, bool] = {}
        self._until_s = 0.0
        self._asking = asyncio.Lock()

    async def page(self) -> Response:
        """Say so."""
        async with self._asking:
            if time.monotonic() >= self._until_s:
                asked = (is_serving(channel, name) for name, channel in self._channels.items())
                answered = await asyncio.gather(*asked)
                self._known = dict(zip(self._channels, answered, strict=True))
                self._until_s = time.monotonic() + READY_FOR_S
        ready = all(self._known.values())
        return _state(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, self._known)


def _state(code: HTTPStatus, services: Mapping[str, bool]) -> Response:
    states = {name: "SERVING" if one else "NOT_SERVING" for name, one in services.items()}
    body = {"status": "SERVING" if code == HTTPStatus.OK else "NOT_SERVING", "services": states}
    return Response(code, msgspec.json.encode(body), {"content-type": answers.JSON})
