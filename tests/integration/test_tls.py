"""TLS between services, over real sockets with real certificates: who gets in, and as whom."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import Message
from holdfast.payment.v1 import payment_pb2 as pb
from holdfast.payment.v1 import payment_pb2_grpc as rpc
from support.certificates import Authority, Files
from support.serving import ADDRESS, GRACE_S
from support.tokens import SECRET, metadata_for, verifier

from chassis import context as call_context
from chassis import server as chassis_server
from chassis import tls_files
from chassis.channels import Outgoing, open_channel
from chassis.interceptors.around import Context
from chassis.server import AddressTaken, Hosted, running
from chassis.settings import AuthSettings
from chassis.status import from_rpc_error
from chassis.tls import PLAIN, Tls, channel_credentials, open_blocking
from chassis.tls_channel import FollowingChannel
from chassis.tls_files import Material
from chassis.tls_settings import TlsSettings
from chassis.tokens import service_token
from gateway import wiring
from gateway.config import GatewaySettings
from payment_svc.servicer import ACCESS, NAME

SERVICE = pb.DESCRIPTOR.services_by_name["PaymentService"]
REQUEST = pb.GetPaymentRequest(payment_id="PAY-1")
PATH = "/api/payment/PAY-1"
WAIT_S = 20.0
IN, OUT = "in", "out"
KNOWN = '{"one": "payments", "two": "payments", "spiffe://x/three": "payments"}'


class Payments(rpc.PaymentServiceServicer):
    """Says who calls; its stream says it until it is left."""

    def __init__(self) -> None:
        self.more = asyncio.Semaphore(0)

    async def GetPayment(self, _request: pb.GetPaymentRequest, _context: Context) -> pb.Payment:
        return pb.Payment(payment_id="PAY-1", user_id=call_context.caller().user_id)

    async def StreamPaymentEvents(
        self, _request: pb.StreamPaymentEventsRequest, _context: Context
    ) -> AsyncIterator[pb.PaymentEvent]:
        while True:
            await self.more.acquire()
            yield pb.PaymentEvent(cursor=call_context.caller().user_id)


class Served:
    """Payments, served with TLS or without."""

    def __init__(self, payments: Payments, port: int) -> None:
        self.payments = payments
        self.port = port

    def target(self, host: str = "127.0.0.1") -> str:
        return f"{host}:{self.port}"


async def nothing() -> None:
    pass


@asynccontextmanager
async def served(tls: Tls) -> AsyncIterator[Served]:
    payments = Payments()
    hosted = Hosted(
        name=NAME,
        register=lambda one: rpc.add_PaymentServiceServicer_to_server(payments, one),
        access=ACCESS,
        ready=nothing,
        close=nothing,
    )
    async with running(hosted, ADDRESS, verifier(), GRACE_S, tls=tls) as port:
        yield Served(payments, port)


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_files, "LOOK_EVERY_S", 0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def tls(files: Files, **changes: str) -> Tls:
    return Tls(TlsSettings(**{**files.settings, **changes}))


def material(files: Files, ca: Path | None = None) -> Material:
    """What a caller has, whatever is wrong with it."""
    return Material(
        files.certificate.read_bytes(), files.key.read_bytes(), (ca or files.ca).read_bytes()
    )


async def caller_of(channel: grpc.aio.Channel, **metadata: str) -> str:
    """As whom a call gets in, or why it does not."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
    try:
        answer = await rpc.PaymentServiceStub(channel).GetPayment(
            REQUEST, timeout=WAIT_S, metadata=pairs
        )
    except grpc.aio.AioRpcError as error:
        info = from_rpc_error(error)
        return info.reason or info.code.name
    return str(answer.user_id)


MODES = ("plaintext", "encrypted", "mutual", "asks nobody")
CALLERS = {
    # In the order of the modes.
    "plaintext": (IN, OUT, OUT, OUT),
    "no certificate": (OUT, IN, OUT, IN),
    "right certificate": (OUT, IN, IN, IN),
    "foreign certificate": (OUT, IN, OUT, IN),
    "expired certificate": (OUT, IN, OUT, IN),
    "believes others": (OUT, OUT, OUT, OUT),
    "another name": (OUT, OUT, OUT, OUT),
}


@pytest.mark.parametrize("mode", MODES)
async def test_who_gets_a_connection(tmp_path: Path, authority: Authority, mode: str) -> None:
    """For each kind of listener and of caller: who gets through, and who gets no connection."""
    foreign = Authority(tmp_path, "foreign")
    right, server = authority.files("one"), authority.files("server", hosts=["127.0.0.1"])
    expired = authority.files("old", lasts=timedelta(hours=-1))
    listens = {
        "plaintext": PLAIN,
        "encrypted": tls(server, ca_file=""),
        "mutual": tls(server),
        "asks nobody": tls(server, clients="none"),
    }[mode]
    shows = {
        "no certificate": Material(ca=authority.file.read_bytes()),
        "right certificate": material(right),
        "foreign certificate": material(foreign.files("mine"), authority.file),
        "expired certificate": material(expired),
        "believes others": material(right, foreign.file),
        "another name": material(right),
    }
    found = {}
    async with served(listens) as one:
        for name in CALLERS:
            # The server's certificate is for its number, and not for this name.
            target = one.target("localhost" if name == "another name" else "127.0.0.1")
            channel = (
                grpc.aio.secure_channel(target, channel_credentials(shows[name]))
                if name in shows
                else grpc.aio.insecure_channel(target)
            )
            async with channel:
                told = await caller_of(channel, **dict(metadata_for("ann", "payments")))
            assert told in ("ann", "UNAVAILABLE")
            found[name] = IN if told == "ann" else OUT
    assert found == {name: ways[MODES.index(mode)] for name, ways in CALLERS.items()}


async def test_a_key_that_grpc_does_not_take(authority: Authority) -> None:
    """A pair that fits, and that gRPC cannot use, is told of where the listener cannot begin."""
    odd = authority.files("one", key=ec.generate_private_key(ec.BrainpoolP256R1()))
    with pytest.raises(AddressTaken, match=r"gRPC does not take the kind of key of TLS_CERT_FILE"):
        async with served(tls(odd)):
            pass


async def test_services_by_certificate(authority: Authority) -> None:
    """Without a token a certificate's name says who calls, a host's or a service's, if it is known.

    A token counts for itself, a bad one for nothing, and nothing else that is sent counts at all.
    """
    three = authority.files("three", uri="spiffe://x/three")
    gateway = authority.files("gateway")
    ann = dict(metadata_for("ann", "payments"))
    async with served(tls(authority.files("server"), services=KNOWN)) as one:
        target = one.target()
        async with open_channel(target, SERVICE, tls(authority.files("one"))) as channel:
            assert isinstance(channel, FollowingChannel)
            assert await caller_of(channel) == "service:one"
            assert await caller_of(channel, **ann) == "ann"
            for bad in ("", "Bearer", "Bearer garbage", "Basic eDp5", f"Bearer {SECRET}"):
                told = await caller_of(channel, authorization=bad)
                assert told in ("TOKEN_MISSING", "TOKEN_INVALID")
        async with open_channel(target, SERVICE, tls(three)) as channel:
            assert await caller_of(channel) == "service:spiffe://x/three"
        async with open_channel(target, SERVICE, tls(gateway)) as channel:
            assert await caller_of(channel) == "TOKEN_MISSING"
            assert await caller_of(channel, **ann) == "ann"
            forged = await caller_of(
                channel, peer_dns="one", x_forwarded_client_cert="DNS=one", x_subject="CN=one"
            )
            assert forged == "TOKEN_MISSING"


async def test_a_token_makes_nobody_a_service(authority: Authority) -> None:
    """A token whose user is called as a service that is known by its certificate is refused."""
    async with (
        served(tls(authority.files("server"), services=KNOWN)) as one,
        open_channel(one.target(), SERVICE, tls(authority.files("four"))) as channel,
    ):
        for name in ("service:one", "service:spiffe://x/three"):
            told = await caller_of(channel, **dict(metadata_for(name, "payments")))
            assert told == "TOKEN_INVALID"
        for name in ("one", "service:four", "service:"):
            told = await caller_of(channel, **dict(metadata_for(name, "payments")))
            assert told == name


async def test_the_gateway_lends_its_certificate_to_nobody(authority: Authority) -> None:
    """Who sends the gateway no token is nobody, though a service is told to know the gateway."""
    services = '{"gateway": "payments"}'
    async with served(tls(authority.files("server"), services=services)) as one:
        settings, own = (
            GatewaySettings(payment_target=one.target()),
            tls(authority.files("gateway")),
        )
        async with (
            wiring.opened(settings, asyncio.Event(), own) as app,
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http,
        ):
            refused = await http.get(PATH)
            served_one = await http.get(PATH, headers=dict(metadata_for("ann", "payments")))
    assert refused.status_code == 401
    assert "TOKEN_MISSING" in refused.text
    assert served_one.json()["userId"] == "ann"


async def test_a_known_service_has_its_scopes_and_no_more(authority: Authority) -> None:
    """What a certificate opens are the scopes beside its name."""
    services = '{"one": "inventory"}'
    async with (
        served(tls(authority.files("server"), services=services)) as one,
        open_channel(one.target(), SERVICE, tls(authority.files("one"))) as channel,
    ):
        assert await caller_of(channel) == "SCOPE_MISSING"


async def test_names_are_nothing_where_nobody_is_asked(authority: Authority) -> None:
    """A listener that asks for no certificate knows nobody by one, also who would show it."""
    async with (
        served(tls(authority.files("server"), clients="none")) as one,
        open_channel(one.target(), SERVICE, tls(authority.files("one"))) as channel,
    ):
        assert await caller_of(channel) == "TOKEN_MISSING"


async def test_calls_in_a_services_own_name_need_no_token(authority: Authority) -> None:
    """Outgoing calls and streams of a service with a certificate send no token, and get through."""
    own = tls(authority.files("one"))
    token = service_token(AuthSettings(), "booking_svc", "payments", own.settings)
    outgoing = Outgoing(SERVICE, token)
    async with (
        served(tls(authority.files("server"), services=KNOWN)) as one,
        open_channel(one.target(), SERVICE, own) as channel,
    ):
        stub = rpc.PaymentServiceStub(channel)
        answer: Any = await outgoing.call(stub.GetPayment, REQUEST, timeout_s=WAIT_S)
        assert answer.user_id == "service:one"
        one.payments.more.release()
        stream = outgoing.stream(stub.StreamPaymentEvents, pb.StreamPaymentEventsRequest())
        first: Message = await anext(stream)
        assert first == pb.PaymentEvent(cursor="service:one")


class Steady:
    """Calls without a pause of one method, bound once, as a client has it; who each was."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._method = rpc.PaymentServiceStub(channel).GetPayment
        self.told: list[str] = []
        self._came = asyncio.Condition()

    async def run(self) -> None:
        while True:
            try:
                answer = await self._method(REQUEST, timeout=WAIT_S)
                self.told.append(answer.user_id)
            except grpc.aio.AioRpcError as error:
                self.told.append(error.code().name)
            async with self._came:
                self._came.notify_all()

    async def some_more(self, calls: int = 40) -> None:
        wanted = len(self.told) + calls
        async with self._came:
            await self._came.wait_for(lambda: len(self.told) >= wanted)


async def test_certificates_change_while_calls_go_on(authority: Authority) -> None:
    """Both sides get new certificates, again and again: no call fails, and a stream goes on.

    Calls after the change are of the new name, over a new connection; the old one is closed when
    the stream that is on it is over.
    """
    server, client = authority.files("server"), authority.files("one", called="client")
    old = client.certificate.read_bytes()
    async with (
        asyncio.timeout(WAIT_S * 3),
        served(tls(server, services=KNOWN)) as one,
        open_channel(one.target(), SERVICE, tls(client)) as channel,
    ):
        assert isinstance(channel, FollowingChannel)
        watch = rpc.PaymentServiceStub(channel).StreamPaymentEvents
        stream = watch(pb.StreamPaymentEventsRequest())
        one.payments.more.release()
        assert (await stream.read()).cursor == "service:one"
        steady = Steady(channel)
        tasks = [asyncio.create_task(steady.run()) for _ in range(5)]
        for turn in range(6):
            server.become(authority.files("server", called="next"))
            client.become(authority.files("two" if turn % 2 == 0 else "one", called="next"))
            await steady.some_more()
            one.payments.more.release()
            # Over the connection that it has.
            assert (await stream.read()).cursor == "service:one"
        client.become(authority.files("two", called="next"))
        # What had begun before is over.
        await steady.some_more()
        before = len(steady.told)
        await steady.some_more()
        assert set(steady.told[before + 5 :]) == {"service:two"}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert set(steady.told) == {"service:one", "service:two"}
        assert len(steady.told) > 300
        assert client.certificate.read_bytes() != old
        # All but that of the stream are closed, and then that one, too.
        await until_left(channel, 1)
        stream.cancel()
        await until_left(channel, 0)


async def until_left(channel: FollowingChannel, connections: int) -> None:
    while len(channel._left) != connections:  # noqa: ASYNC110 - nothing tells when it is
        await asyncio.sleep(0.01)


def shown(port: int) -> bytes:
    """The certificate that a listener shows to somebody new."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as raw,
        context.wrap_socket(raw) as connection,
    ):
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"").encode()


async def test_half_a_pair_changes_nothing(authority: Authority) -> None:
    """While a new certificate stands beside the old key, new connections get the old pair."""
    server, client = authority.files("server"), tls(authority.files("one"))
    later = authority.files("server", called="later")
    old, new = server.certificate.read_bytes(), later.certificate.read_bytes()
    async with served(tls(server, services=KNOWN)) as one:
        assert await asyncio.to_thread(shown, one.port) == old
        server.certificate.write_bytes(new)
        assert await asyncio.to_thread(shown, one.port) == old
        async with open_channel(one.target(), SERVICE, client) as channel:
            assert await caller_of(channel) == "service:one"
            server.key.write_bytes(later.key.read_bytes())
            assert await asyncio.to_thread(shown, one.port) == new
            assert await caller_of(channel) == "service:one"
        async with open_channel(one.target(), SERVICE, client) as channel:
            assert await caller_of(channel) == "service:one"


async def test_another_authority(authority: Authority, tmp_path: Path) -> None:
    """A listener believes a new authority as soon as it is in its file, and only then."""
    foreign = Authority(tmp_path, "foreign")
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.file.read_bytes())
    server = tls(authority.files("server"), ca_file=str(bundle), services=KNOWN)
    theirs = tls(foreign.files("two"), ca_file=str(authority.file))
    async with served(server) as one:
        async with open_channel(one.target(), SERVICE, theirs) as channel:
            assert await caller_of(channel) == "UNAVAILABLE"
        bundle.write_bytes(authority.file.read_bytes() + foreign.file.read_bytes())
        async with open_channel(one.target(), SERVICE, theirs) as channel:
            assert await caller_of(channel) == "service:two"


async def test_who_says_nothing_of_tls_is_left(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    """A connection on which no handshake comes is closed by the listener."""
    monkeypatch.setattr(chassis_server, "GREETING_TIMEOUT_MS", 100)
    async with served(tls(authority.files("server"))) as one:
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""
        writer.close()


async def test_a_channel_as_grpc_has_it(authority: Authority) -> None:
    """A channel that follows its files can be waited for and looked at, and closes all at once."""
    own = tls(authority.files("one"))
    async with served(tls(authority.files("server"), services=KNOWN)) as one:
        channel = open_channel(one.target(), SERVICE, own)
        idle = channel.get_state(try_to_connect=True)
        assert idle is grpc.ChannelConnectivity.IDLE
        async with asyncio.timeout(WAIT_S):
            await channel.wait_for_state_change(idle)
            await channel.channel_ready()
        stream = rpc.PaymentServiceStub(channel).StreamPaymentEvents(
            pb.StreamPaymentEventsRequest()
        )
        await channel.close()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await stream.read()


async def test_a_channel_that_waits(authority: Authority) -> None:
    """A channel of the command line shows its certificate, too."""
    own = tls(authority.files("one"))
    async with served(tls(authority.files("server"), services=KNOWN)) as one:

        def ask() -> str:
            with open_blocking(one.target(), (), own.files) as channel:
                call: Any = rpc.PaymentServiceStub(channel).GetPayment
                return str(call(REQUEST, timeout=WAIT_S).user_id)

        assert await asyncio.to_thread(ask) == "service:one"
