"""TLS of the servers that are not gRPC's: the gateway's HTTPS, and the metrics."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from support.certificates import Authority, Files

from chassis import metrics, tls_files
from chassis.metrics import served
from chassis.settings import SettingsError
from chassis.tls import Tls
from chassis.tls_files import TlsFiles, server_context
from chassis.tls_settings import TlsSettings
from gateway import program, wiring
from gateway.config import GatewaySettings
from gateway.connection import Connection

WAIT_S = 20.0


@pytest.fixture(autouse=True)
def _looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_files, "LOOK_EVERY_S", 0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def context_of(files: Files) -> ssl.SSLContext:
    certificate, key = str(files.certificate), str(files.key)
    return server_context(TlsFiles(certificate, key), certificate, key)


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.file))


def shown(port: int, authority: Authority) -> bytes:
    """The certificate that somebody new is shown."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as raw,
        trusting(authority).wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"").encode()


@asynccontextmanager
async def https(files: Files, **settings: object) -> AsyncIterator[int]:
    """The gateway, before services that are away; gives its port."""
    told = GatewaySettings(
        tls_cert_file=str(files.certificate), tls_key_file=str(files.key), **settings
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with wiring.opened(told, asyncio.Event()) as app:
            config = uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                ssl_context_factory=lambda *_: context_of(files),
            )
            server = uvicorn.Server(config)
            task = asyncio.create_task(server._serve([listener]))
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                await task


async def test_https_and_nothing_else(authority: Authority) -> None:
    """With a certificate the gateway speaks HTTPS, and no HTTP, and tells browsers so."""
    async with (
        https(authority.files("gateway"), hsts_s=60) as port,
        httpx.AsyncClient(verify=trusting(authority), trust_env=False) as http,
        httpx.AsyncClient(trust_env=False) as public,
    ):
        answer = await http.get(f"https://127.0.0.1:{port}/healthz")
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=60"
        refused = await http.get(f"https://127.0.0.1:{port}/nowhere")
        assert refused.headers["strict-transport-security"] == "max-age=60"
        with pytest.raises(httpx.HTTPError):
            await http.get(f"http://127.0.0.1:{port}/healthz")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await public.get(f"https://127.0.0.1:{port}/healthz")


@pytest.mark.parametrize("settings", [{"hsts_s": 0}, {"hsts_s": 60, "tls_cert_file": ""}])
async def test_browsers_are_told_only_where_it_is_true(settings: dict[str, object]) -> None:
    """Without HTTPS, or with the time 0, browsers are not told to come by HTTPS only."""
    async with (
        wiring.opened(GatewaySettings(**settings), asyncio.Event()) as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http,
    ):
        answer = await http.get("/healthz")
    assert answer.status_code == 200
    assert "strict-transport-security" not in answer.headers


async def test_tls_that_is_too_old(authority: Authority) -> None:
    """A caller that can speak TLS 1.1 at most gets no connection."""
    async with https(authority.files("gateway")) as port:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=old)
        writer.close()
        with pytest.warns(DeprecationWarning, match="deprecated"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old)


async def test_the_gateways_certificate_changes(authority: Authority) -> None:
    """A new certificate is shown to who comes new, half a pair is not; open connections go on."""
    files, later = authority.files("gateway"), authority.files("gateway", called="later")
    old, new = files.certificate.read_bytes(), later.certificate.read_bytes()
    async with (
        https(files) as port,
        httpx.AsyncClient(verify=trusting(authority), trust_env=False) as http,
    ):
        url = f"https://127.0.0.1:{port}/healthz"
        assert (await http.get(url)).status_code == 200
        assert await asyncio.to_thread(shown, port, authority) == old
        files.certificate.write_bytes(new)
        assert await asyncio.to_thread(shown, port, authority) == old
        files.become(later)
        assert await asyncio.to_thread(shown, port, authority) == new
        assert (await http.get(url)).status_code == 200


def test_a_handshake_that_hangs_is_cut(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    """Who connects to the gateway and begins no TLS is left; without TLS nothing is cut."""
    monkeypatch.setattr(program, "HANDSHAKE_TIMEOUT_S", 0.05)
    files = authority.files("gateway")

    async def silent() -> None:
        loop = asyncio.get_running_loop()
        tls = context_of(files)
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=tls)
        plain = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        other, kept = await asyncio.open_connection(*plain.sockets[0].getsockname())
        try:
            async with asyncio.timeout(WAIT_S):
                assert await reader.read() == b""
            assert not other.at_eof()
        finally:
            for one in (writer, kept, server, plain):
                one.close()

    with asyncio.Runner(loop_factory=program._Loop) as runner:
        runner.run(silent())


class Goodbye(asyncio.Protocol):
    """Closes a connection as soon as it is there, and tells when it is gone."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.gone.set()


async def greeted(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
) -> None:
    """Shake hands by TLS, and do no more, whatever comes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65_536))
        else:
            writer.write(outgoing.read())
            return


def test_a_farewell_that_is_not_answered(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    """A caller who does not take part in the end of a connection does not hold up the gateway."""
    monkeypatch.setattr(program, "FAREWELL_TIMEOUT_S", 0.05)
    files, protocol = authority.files("gateway"), Goodbye()

    async def silent() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: protocol, "127.0.0.1", 0, ssl=context_of(files))
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            async with asyncio.timeout(WAIT_S):
                await greeted(reader, writer, trusting(authority))
                await protocol.gone.wait()
        finally:
            writer.close()
            server.close()

    with asyncio.Runner(loop_factory=program._Loop) as runner:
        runner.run(silent())


async def test_when_a_certificate_is_over(authority: Authority) -> None:
    """The metrics say when a certificate is over, of the one that the program has now."""
    files = authority.files("payment_svc")
    own = Tls(TlsSettings(**files.settings))
    own.watch()
    read = metrics.CERTIFICATE_ENDS.labels("TLS_CERT_FILE")
    soon = read._child_samples()[0].value - time.time()
    assert 3000 < soon < 4000
    files.become(authority.files("payment_svc", called="next", lasts=timedelta(days=9)))
    assert read._child_samples()[0].value - time.time() > 700_000


def test_a_key_that_is_too_weak(authority: Authority) -> None:
    """A pair that fits, and that OpenSSL does not take, is told by its setting."""
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    files = authority.files("weak", key=weak)
    with pytest.raises(
        SettingsError, match=r"^TLS_CERT_FILE: .*weak.pem.* cannot be used: .*SMALL"
    ):
        Tls(TlsSettings(**files.settings)).server_context()


async def test_metrics_over_https(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """With TLS the metrics are read by HTTPS only, and who hangs in a handshake holds up nobody."""
    files = authority.files("payment_svc")
    context = Tls(TlsSettings(**files.settings)).server_context()
    async with served("payment_svc", "127.0.0.1:0", context) as port:
        hanging = await asyncio.open_connection("127.0.0.1", port)
        async with httpx.AsyncClient(verify=trusting(authority), trust_env=False) as http:
            answer = await http.get(f"https://127.0.0.1:{port}/metrics", timeout=WAIT_S)
            assert "holdfast_build_info" in answer.text
            with pytest.raises(httpx.HTTPError):
                await http.get(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_S)
        hanging[1].close()
    monkeypatch.setattr(metrics, "IDLE_S", 0.05)
    async with served("payment_svc", "127.0.0.1:0", context) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""
        writer.close()
