"""All our services behind their real interceptors, with servicers that only note what reaches them.

And tokens of every kind, good ones and forged ones, for each way to check them.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import jwt
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from booking_svc import wiring as booking_wiring
from booking_svc.config import BookingSettings
from chassis import tokens
from chassis.server import Hosted, running
from chassis.settings import AuthSettings
from chassis.status import from_rpc_error
from chassis.tokens import Verifier
from payment_svc import wiring as payment_wiring
from payment_svc.config import PaymentSettings
from support.databases import SQLITE, Databases
from support.inventory import hosted_inventory
from support.methods import CONTRACTS, METHODS, path_of, request_of
from support.payments import ScriptedProvider
from support.serving import ADDRESS, GRACE_S
from support.tokens import AUDIENCE, SECRET, auth_settings

REACHED = "reached"
TIMEOUT_S = 30.0
KEY_SOURCES = ("secret", "public key")


class Keys:
    """The keys of servers that check tokens in one of the two ways, and those of a stranger."""

    def __init__(self, source: str, folder: Path) -> None:
        self._folder = folder
        self._private = rsa.generate_private_key(65537, 2048)
        self.by_secret = source == "secret"

    @property
    def verifier(self) -> Verifier:
        if self.by_secret:
            return tokens.verifier(auth_settings())
        path = self._folder / "key.pem"
        path.write_bytes(self._pem)
        return tokens.verifier(AuthSettings(public_key_file=str(path)))

    def good(self, scope: str | None, **changes: Any) -> str:
        """A token that is signed as it should be; a change to `None` takes the claim away."""
        if self.by_secret:
            return jwt.encode(claims(scope, **changes), SECRET, algorithm="HS256")
        return jwt.encode(claims(scope, **changes), self._private, algorithm="RS256")

    def strangers(self, scope: str) -> str:
        """The same, signed by somebody else."""
        if self.by_secret:
            secret = "another secret, also of 32 bytes or more"
            return jwt.encode(claims(scope), secret, algorithm="HS256")
        return jwt.encode(claims(scope), rsa.generate_private_key(65537, 2048), algorithm="RS256")

    def unsigned(self, scope: str) -> str:
        return jwt.encode(claims(scope), None, algorithm="none")

    def of_another_algorithm(self, scope: str) -> str:
        """RS256 where HS256 is wanted; where RS256 is, HS256 with the public key as the secret."""
        if self.by_secret:
            return jwt.encode(claims(scope), self._private, algorithm="RS256")
        # The library refuses to make it.
        parts = [{"alg": "HS256", "typ": "JWT"}, claims(scope)]
        body = b".".join(jwt.utils.base64url_encode(json.dumps(part).encode()) for part in parts)
        signature = jwt.get_algorithm_by_name("HS256").sign(body, self._pem)
        return b".".join([body, jwt.utils.base64url_encode(signature)]).decode()

    def altered(self, scope: str) -> str:
        """A token for nothing whose claims were replaced afterwards."""
        header, _, signature = self.good("").split(".")
        told = jwt.utils.base64url_encode(json.dumps(claims(scope)).encode()).decode()
        return f"{header}.{told}.{signature}"

    @property
    def _pem(self) -> bytes:
        kind = form.PublicFormat.SubjectPublicKeyInfo
        return self._private.public_key().public_bytes(form.Encoding.PEM, kind)


def claims(scope: str | None, **changes: Any) -> dict[str, Any]:
    told = {"sub": "ann", "scope": scope, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    return {name: value for name, value in (told | changes).items() if value is not None}


class Servers:
    """The programs of all services as they are wired, but for what is behind their doors."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        # The paths of the methods that were called, in order.
        self.reached: list[str] = []
        # Where each program is, once started.
        self.targets: dict[str, str] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._requests = {path_of(one): request_of(one) for one in METHODS}

    async def start(self, databases: Databases, stack: AsyncExitStack) -> None:
        for program, make in WIRED.items():
            hosted = replace(await make(databases), register=self._register(program), workers=())
            serving = running(hosted, ADDRESS, self.keys.verifier, GRACE_S)
            self.targets[program] = f"127.0.0.1:{await stack.enter_async_context(serving)}"
            channel = grpc.aio.insecure_channel(self.targets[program])
            self._channels[program] = await stack.enter_async_context(channel)

    async def ask(self, method: MethodDescriptor, authorization: str) -> str:
        """Call a method with a request that is right: `reached`, or the code and the reason."""
        program = next(
            one for one, found in CONTRACTS.items() if method.containing_service in found
        )
        channel, path = self._channels[program], path_of(method)
        shape = channel.unary_stream if method.server_streaming else channel.unary_unary
        metadata = [("authorization", authorization)] if authorization else []
        before = len(self.reached)
        call = shape(path)(
            self._requests[path].SerializeToString(), metadata=metadata, timeout=TIMEOUT_S
        )
        try:
            if method.server_streaming:
                await call.read()
            else:
                await call
        except grpc.aio.AioRpcError as error:
            assert len(self.reached) == before, f"{path} was refused, and served"
            return f"{error.code().name} {from_rpc_error(error).reason}"
        assert self.reached[before:] == [path]
        return REACHED

    async def ask_all(self, authorization: str) -> dict[str, str]:
        """Call every method there is; what each answers, by name."""
        return {one.name: await self.ask(one, authorization) for one in METHODS}

    def _register(self, program: str) -> Callable[[grpc.aio.Server], None]:
        def register(server: grpc.aio.Server) -> None:
            for contract in CONTRACTS[program]:
                handlers = {one.name: self._handler(one) for one in contract.methods}
                generic = grpc.method_handlers_generic_handler(contract.full_name, handlers)
                server.add_generic_rpc_handlers((generic,))

        return register

    def _handler(self, method: MethodDescriptor) -> Any:
        answer = GetMessageClass(method.output_type)
        read = GetMessageClass(method.input_type).FromString

        async def once(_request: Any, _context: Any) -> Any:
            self.reached.append(path_of(method))
            return answer()

        async def stream(_request: Any, _context: Any) -> AsyncIterator[Any]:
            self.reached.append(path_of(method))
            yield answer()

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, read, answer.SerializeToString)
        return grpc.unary_unary_rpc_method_handler(once, read, answer.SerializeToString)


async def _booking(databases: Databases) -> Hosted:
    database = await databases.fresh("booking_svc")
    return await booking_wiring.wire(BookingSettings(), auth_settings(), database)


async def _inventory(databases: Databases) -> Hosted:
    return await hosted_inventory(await databases.fresh("inventory_svc"))


async def _payment(databases: Databases) -> Hosted:
    database = await databases.fresh("payment_svc")
    provider = ScriptedProvider()
    return await payment_wiring.wire(
        PaymentSettings(), auth_settings(), database, provider=provider
    )


WIRED = {"booking_svc": _booking, "inventory_svc": _inventory, "payment_svc": _payment}


@asynccontextmanager
async def servers(source: str, folder: Path) -> AsyncIterator[Servers]:
    """All of them, which check tokens in one of the ways of `KEY_SOURCES`."""
    async with Databases(SQLITE, folder) as databases, AsyncExitStack() as stack:
        started = Servers(Keys(source, folder))
        await started.start(databases, stack)
        yield started
