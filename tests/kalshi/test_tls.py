"""Real sockets and real certificates: whom both halves of the client trust, what a refusal says, what a bomb costs."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import random
import ssl
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio_websocket
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fsm_exec.core.errors import UserError, VenueUnavailable
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.http_wire import BODY_MAX_BYTES
from fsm_exec.kalshi.tls import make_context, shared_context
from fsm_exec.kalshi.websocket_dial import HANDSHAKE_MAX_BYTES, dial_url
from fsm_exec.wire.rest import WS_PATH

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Listener

AS_OF = b'{"as_of_time": "2026-10-01T12:00:00Z"}'
WAIT_S = 20
# Of a client whose stream alone is tried: a read that is cancelled in its handshake leaves httpcore's socket to the
# garbage collector.
NOBODY = "http://127.0.0.1:9/trade-api/v2"


def signed(name: str, by: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None, host: str) -> tuple[bytes, bytes]:
    """A certificate and its key, PEM: by an authority, or an authority itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = by or (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
    )
    pem = builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, secret


class Authority:
    """A certificate authority of the test's own, and the contexts of servers it vouches for."""

    def __init__(self, directory: Path, name: str = "the test's authority") -> None:
        self._directory = directory
        self.path = directory / "authority.pem"
        pem, secret = signed(name, None, "127.0.0.1")
        self.path.write_bytes(pem)
        key = serialization.load_pem_private_key(secret, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._signer = x509.load_pem_x509_certificate(pem).subject, key

    def server(self, host: str = "127.0.0.1") -> ssl.SSLContext:
        pem, secret = signed("server", self._signer, host)
        path = self._directory / f"server-{host}.pem"
        path.write_bytes(pem + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """The context of the process is made anew, with the variables of the test."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)
    shared_context.cache_clear()
    yield Authority(tmp_path)
    shared_context.cache_clear()


Handler = Callable[[trio.abc.Stream], Awaitable[None]]


async def answer_as_of(stream: trio.abc.Stream) -> None:
    await send(stream, AS_OF)


async def send(stream: trio.abc.Stream, body: bytes, *headers: bytes) -> bytes:
    """Read one request and answer it; returns what was asked."""
    asked = bytes(await stream.receive_some(65_536))
    head = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), b"Connection: close", *headers]
    await stream.send_all(b"\r\n".join(head) + b"\r\n\r\n" + body)
    return asked


@asynccontextmanager
async def http_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Its address; each connection is the handler's."""

    async def serve(stream: trio.abc.Stream) -> None:
        try:
            await handler(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # a handshake that the client broke off
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        if tls is None:
            (plain,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            assert isinstance(plain, trio.SocketListener)
            port = plain.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, serve, [plain])
        else:
            secure = await trio.open_ssl_over_tcp_listeners(0, tls, host="127.0.0.1")
            below = secure[0].transport_listener
            assert isinstance(below, trio.SocketListener)
            port = below.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, serve, secure)
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}/trade-api/v2"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def stream_server(tls: ssl.SSLContext) -> AsyncIterator[str]:
    async def serve(request: trio_websocket.WebSocketRequest) -> None:
        socket = await request.accept()
        with suppress(trio_websocket.ConnectionClosed):
            while True:
                await socket.get_message()

    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, serve, "127.0.0.1", 0, tls)
        yield f"wss://127.0.0.1:{server.port}{WS_PATH}"
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def client_of(kit: Kit, rest_url: str, ws_url: str = "ws://127.0.0.1:9" + WS_PATH) -> AsyncIterator[KalshiClient]:
    async with open_client(
        base_url=rest_url,
        api_key_id=kit.key_id,
        key=kit.key,
        dial=dial_url(ws_url),
        wall_us=lambda: kit.now_us,
        rng=random.Random(1),
        log=kit.log,
    ) as client:
        yield client


async def the_stream(client: KalshiClient, kit: Kit, listener: Listener) -> str:
    """Whether the stream connects: empty, or why not."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.stream, listener, ())
        with trio.fail_after(WAIT_S):
            while "connected" not in listener.kinds():
                lost = [line for line in kit.log.lines if line.startswith("stream_lost")]
                if lost:
                    nursery.cancel_scope.cancel()
                    return lost[0]
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    return ""


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_one_variable_counts_for_both_halves(
    authority: Authority, kit: Kit, listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    """And nobody's wish to log the keys of the session is heard."""
    if variable == "SSL_CERT_FILE":
        monkeypatch.setenv(variable, str(authority.path))
    else:
        directory = tmp_path / "certs"
        directory.mkdir()
        (directory / "authority.pem").symlink_to(authority.path)
        await trio.run_process(["openssl", "rehash", str(directory)])
        monkeypatch.setenv(variable, str(directory))
    keys = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    tls = authority.server()
    async with http_server(answer_as_of, tls) as rest, client_of(kit, rest) as client:
        # Whatever comes after the first answer is not served: but it came, and so its connection was trusted.
        with pytest.raises(VenueUnavailable, match="RawOrdersPage"):
            await client.fetch_orders()
    async with stream_server(tls) as ws, client_of(kit, NOBODY, ws) as client:
        assert await the_stream(client, kit, listener) == ""
    assert not keys.exists()


@pytest.mark.parametrize("half", ["rest", "stream"])
async def test_an_authority_that_is_new_on_this_machine_is_trusted_without_a_restart(
    authority: Authority, kit: Kit, listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, half: str
) -> None:
    """The server's certificate comes from another authority than before: the first connection is refused, the next one
    is judged by what the file holds now."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "its successor")
    shared_context()  # as the process began
    authority.path.write_bytes(other.path.read_bytes())
    if half == "rest":
        async with http_server(answer_as_of, other.server()) as rest, client_of(kit, rest) as client:
            with pytest.raises(VenueUnavailable, match="certificate verify failed"):
                await client.fetch_orders()
            with pytest.raises(VenueUnavailable, match="RawOrdersPage"):  # it came, and so was trusted
                await client.fetch_orders()
        return
    async with stream_server(other.server()) as ws, client_of(kit, NOBODY, ws) as client:
        assert "certificate verify failed" in await the_stream(client, kit, listener)
        kit.log.lines.clear()
        assert await the_stream(client, kit, listener) == ""


@pytest.mark.parametrize(
    ("trusted", "host", "says"),
    [(False, "127.0.0.1", "unable to get local issuer"), (True, "127.0.0.2", "IP address mismatch")],
)
async def test_a_certificate_that_is_refused_is_named_in_the_line(
    authority: Authority,
    kit: Kit,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    trusted: bool,
    host: str,
    says: str,
) -> None:
    """On both halves: what failed, and why."""
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    tls = authority.server(host)
    async with http_server(answer_as_of, tls) as rest, client_of(kit, rest) as client:
        with pytest.raises(VenueUnavailable, match="certificate verify failed") as caught:
            await client.fetch_orders()
    async with stream_server(tls) as ws, client_of(kit, NOBODY, ws) as client:
        lost = await the_stream(client, kit, listener)
    for line in (str(caught.value), lost):
        assert "certificate verify failed" in line
        assert says in line
        assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SSL_CERT_FILE", "/nowhere/x.pem", "No such file"),
        ("SSL_CERT_FILE", "/dev/null", "holds no certificates"),
        ("SSL_CERT_DIR", "/nowhere", "is no directory"),
    ],
)
def test_certificates_that_cannot_be_read_are_said(name: str, value: str, says: str) -> None:
    """Nobody is trusted by mistake, and nobody is distrusted in silence."""
    with pytest.raises(UserError, match=f"{name} '{value}'.*{says}"):
        make_context({name: value})


async def test_nothing_compressed_is_asked_for_and_a_little_is_read_all_the_same(kit: Kit) -> None:
    """A server, or one that stands before it, may compress what nobody asked it to."""
    asked = b""
    packed = {b"gzip": gzip.compress(AS_OF), b"deflate": zlib.compress(AS_OF)}
    for encoding, body in packed.items():

        async def handler(stream: trio.abc.Stream, body: bytes = body, encoding: bytes = encoding) -> None:
            nonlocal asked
            asked = await send(stream, body, b"Content-Encoding: " + encoding)

        async with http_server(handler) as rest, client_of(kit, rest) as client:
            assert await client._rest.endpoints.fetch("/exchange/user_data_timestamp") == AS_OF
    assert b"Accept-Encoding: identity\r\n" in asked


async def test_a_bomb_costs_little(kit: Kit) -> None:
    """200 MB out of 200 KB: refused after as much of it as any answer may have."""
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(200)), packer.flush()])
    assert len(bomb) < 250_000

    async def handler(stream: trio.abc.Stream) -> None:
        await send(stream, bomb, b"Content-Encoding: gzip")

    async with http_server(handler) as rest, client_of(kit, rest) as client:
        tracemalloc.start()
        try:
            with pytest.raises(VenueUnavailable, match=f"inflates to more than {BODY_MAX_BYTES} bytes"):
                await client.fetch_orders()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 3 * BODY_MAX_BYTES


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (AS_OF, b"br", "encoding 'br', which was not asked for"),
        (AS_OF, b"gzip", "cannot be inflated"),
        (gzip.compress(AS_OF * 50)[:-9], b"gzip", "breaks off"),
    ],
    ids=["not asked for", "no gzip", "cut"],
)
async def test_what_cannot_be_inflated_is_said(kit: Kit, body: bytes, encoding: bytes, says: str) -> None:
    """As any answer that broke: nothing is proven by it."""

    async def handler(stream: trio.abc.Stream) -> None:
        await send(stream, body, b"Content-Encoding: " + encoding)

    async with http_server(handler) as rest, client_of(kit, rest) as client:
        with pytest.raises(VenueUnavailable, match=says):
            await client.fetch_orders()


async def test_an_answer_without_end_is_given_up(kit: Kit) -> None:
    """As soon as it is too long: the rest is not waited for, and the connection is closed."""
    sent, closed = 0, trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await stream.receive_some(65_536)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while True:
                await stream.send_all(bytes(1_000_000))
                sent += 1_000_000
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            closed.set()

    async with http_server(handler) as rest, client_of(kit, rest) as client:
        with pytest.raises(VenueUnavailable, match=f"longer than {BODY_MAX_BYTES} bytes"):
            await client.fetch_orders()
        with trio.fail_after(WAIT_S):
            await closed.wait()
    assert sent < 3 * BODY_MAX_BYTES


async def test_a_refusal_without_end_is_given_up(kit: Kit, listener: Listener) -> None:
    """The answer to the stream's handshake is bounded too, and the line says so."""
    closed = trio.Event()

    async def handler(stream: trio.abc.Stream) -> None:
        await stream.receive_some(65_536)
        await stream.send_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                await stream.send_all(bytes(100_000))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            closed.set()

    async with http_server(handler) as url:
        ws = url.replace("http:", "ws:").replace("/trade-api/v2", WS_PATH)
        async with client_of(kit, NOBODY, ws) as client:
            assert f"the handshake's answer is longer than {HANDSHAKE_MAX_BYTES} bytes" in await the_stream(
                client, kit, listener
            )
        with trio.fail_after(WAIT_S):
            await closed.wait()


def test_no_core_is_left_behind() -> None:
    """Of a command that may hold a key: whatever the shell allowed."""
    script = (
        "import resource, sys; most = resource.getrlimit(resource.RLIMIT_CORE)[1];"
        "resource.setrlimit(resource.RLIMIT_CORE, (most, most));"
        "sys.argv = ['fsm-exec', '--version'];"
        "from fsm_exec.cli.main import main\n"
        "try: main()\n"
        "finally: print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "(0, 0)"
