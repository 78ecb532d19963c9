"""The control API on a socket: HTTP/1.1 and nothing else, limits on everything, and room for whoever asks something."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

import msgspec
import pytest
import trio
from starlette.types import Receive, Scope, Send

from fsm_exec.control import http1
from fsm_exec.control.limits import BODY_BYTES_MAX, CONNECTIONS_MAX
from fsm_exec.control.schema import Failed
from fsm_exec.control.server import SPARE, bind_socket, run_server
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.logs import open_log
from tests.control.conftest import START_US, TOKEN, Desk

HOST = b"Host: 127.0.0.1\r\n"
AUTHORIZED = HOST + b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
STATUS = b"GET /v1/status HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"


@pytest.fixture
async def port(desk: Desk) -> AsyncIterator[int]:
    """The desk's API behind a real socket."""
    async with served(desk) as port:
        yield port


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[int]:
    listening = bind_socket(0)
    port: int = listening.getsockname()[1]
    async with run_server(desk.app, listening, open_log(desk.log_file, WallClock(START_US))):
        yield port


async def connected(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)


async def to_the_end(stream: trio.SocketStream) -> bytes:
    """All that comes until the daemon closes."""
    got = b""
    with trio.fail_after(10), suppress(trio.BrokenResourceError):
        while data := await stream.receive_some():
            got += data
    return got


async def said(port: int, request: bytes) -> bytes:
    async with await connected(port) as stream:
        await stream.send_all(request)
        return await to_the_end(stream)


async def refused(port: int, request: bytes) -> tuple[int, str]:
    """Status and code of an answer after which the daemon closes."""
    answer = await said(port, request)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b'"error"' in body, (request[:100], answer)
    return int(head.split()[1]), msgspec.json.decode(body, type=Failed).error.code


async def answered(stream: trio.SocketStream) -> bytes:
    """One answer with a length."""
    got = b""
    with trio.fail_after(10):
        while True:
            head, end, body = got.partition(b"\r\n\r\n")
            if end:
                (length,) = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                if len(body) >= int(length.split(b":")[1]):
                    return got
            data = await stream.receive_some()
            assert data, got
            got += data


async def test_one_connection_for_many_requests(port: int) -> None:
    """One after the other, and several sent ahead."""
    async with await connected(port) as stream:
        for _ in range(3):
            await stream.send_all(STATUS)
            assert (await answered(stream)).startswith(b"HTTP/1.1 200 ")
        await stream.send_all(STATUS * 2 + STATUS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await to_the_end(stream)).count(b"HTTP/1.1 200 ") == 3


async def test_nothing_but_http_1_1(port: int) -> None:
    """Neither by prior knowledge nor by an upgrade, and no older one. An upgrade is ignored: the answer is HTTP/1.1."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    assert await refused(port, preface) == (505, "http_version")
    upgrade = (
        b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    )
    answer = await said(port, STATUS[:-2] + upgrade + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"101" not in answer.partition(b"\r\n")[0]
    websocket = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    async with await connected(port) as stream:
        await stream.send_all(STATUS[:-2] + websocket + b"\r\n")
        assert (await answered(stream)).startswith(b"HTTP/1.1 200 ")
    assert await refused(port, STATUS.replace(b"HTTP/1.1", b"HTTP/1.0")) == (505, "http_version")
    assert await refused(port, b"GET /v1/health\r\n\r\n") == (400, "bad_request")
    assert await refused(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n") == (400, "bad_request")


async def test_what_breaks_the_protocol(port: int, desk: Desk) -> None:
    """One clear answer, then the connection is closed; nothing of it was done."""
    halt = b"POST /v1/halt HTTP/1.1\r\n" + AUTHORIZED
    for request, status, code in [
        (STATUS.replace(HOST, HOST * 2), 400, "bad_request"),
        (STATUS.replace(HOST, b""), 400, "bad_request"),
        (halt + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400, "bad_request"),
        (halt + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
        (halt + b"Content-Length: -2\r\n\r\n{}", 400, "bad_request"),
        (halt + b"Transfer-Encoding: gzip\r\n\r\n", 501, "bad_request"),
        (halt + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
        (b"GET http://127.0.0.1/v1/status HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", 400, "bad_request"),
        (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", 400, "bad_request"),
        (b"OPTIONS * HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", 400, "bad_request"),
        (b"GET /v1/status HTTP/1.1\r\n" + AUTHORIZED + b"X: " + b"x" * 20_000 + b"\r\n\r\n", 431, "bad_request"),
        (b"GET /" + b"x" * 20_000, 431, "bad_request"),
    ]:
        assert await refused(port, request) == (status, code), request[:80]
    assert desk.engine.state == "running"


async def test_a_header_that_counts_stands_there_once(port: int) -> None:
    """Which of two is meant nobody can know."""
    wrong = b"Authorization: Bearer " + b"x" * 43 + b"\r\nConnection: close\r\n"
    for two in (AUTHORIZED + wrong, wrong + AUTHORIZED):
        assert await refused(port, b"GET /v1/status HTTP/1.1\r\n" + two + b"\r\n") == (400, "duplicate")
    twice = b"Last-Event-ID: 1\r\nLast-Event-ID: 2\r\nConnection: close\r\n\r\n"
    assert await refused(port, b"GET /v1/events HTTP/1.1\r\n" + AUTHORIZED + twice) == (400, "duplicate")


@pytest.mark.parametrize("method", [b"BREW", b"TRACE", b"PATCH", b"get", b"OPTIONS"])
async def test_unknown_methods(port: int, method: bytes) -> None:
    """405 in the one shape of errors; without the token nothing but that."""
    request = method + b" /v1/status HTTP/1.1\r\nConnection: close\r\n" + AUTHORIZED + b"\r\n"
    assert await refused(port, request) == (405, "wrong_method")
    nobody = method + b" /v1/status HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    assert await refused(port, nobody) == (401, "unauthorized")


async def test_head_has_no_body(port: int) -> None:
    """And the connection goes on."""
    async with await connected(port) as stream:
        await stream.send_all(STATUS.replace(b"GET", b"HEAD"))
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += await stream.receive_some()
        await stream.send_all(STATUS)
        assert (await answered(stream)).startswith(b"HTTP/1.1 200 ")


async def test_a_body_without_end(port: int, desk: Desk) -> None:
    """Chunks beyond the limit are answered 413, and read no further. Without the token they are not read at all."""
    post = b"POST /v1/executions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    for head, expected in [(AUTHORIZED, (413, "too_large")), (HOST, (401, "unauthorized"))]:
        async with await connected(port) as stream:
            await stream.send_all(post + head + b"\r\n")
            with suppress(trio.BrokenResourceError):
                for _ in range(BODY_BYTES_MAX // 0x2000 + 2):
                    await stream.send_all(chunk)
            answer = await to_the_end(stream)
        _, _, body = answer.partition(b"\r\n\r\n")
        assert (int(answer.split()[1]), msgspec.json.decode(body, type=Failed).error.code) == expected
    length = b"POST /v1/executions HTTP/1.1\r\n" + AUTHORIZED + b"Content-Length: 70000\r\n\r\n" + b" " * 70_000
    assert await refused(port, length) == (413, "too_large")
    assert desk.engine.state == "running"


async def test_a_body_that_is_asked_for(port: int) -> None:
    """`Expect: 100-continue` is answered before the body comes."""
    async with await connected(port) as stream:
        head = b"POST /v1/resume HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + AUTHORIZED
        await stream.send_all(head + b"\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"{}")
        assert (await answered(stream)).startswith(b"HTTP/1.1 503 "), "it is not halted"


async def test_who_lets_us_wait_is_let_go(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that does not come, whole or in part, at first or after an answer; and a body that trickles."""
    monkeypatch.setattr(http1, "HEAD_S", 0.3)
    monkeypatch.setattr(http1, "BODY_S", 0.3)
    for begun in (b"", b"GET /v1/sta", STATUS[:-2]):
        async with await connected(port) as stream:
            await stream.send_all(begun)
            assert await to_the_end(stream) == b""
    async with await connected(port) as stream:
        await stream.send_all(STATUS)
        assert (await answered(stream)).startswith(b"HTTP/1.1 200 ")
        assert await to_the_end(stream) == b""
    async with await connected(port) as stream, trio.open_nursery() as nursery:

        async def trickle() -> None:
            with suppress(trio.BrokenResourceError):
                while True:
                    await trio.sleep(0.05)
                    await stream.send_all(b" ")

        await stream.send_all(b"POST /v1/executions HTTP/1.1\r\nContent-Length: 500\r\n" + AUTHORIZED + b"\r\n")
        nursery.start_soon(trickle)
        answer = await to_the_end(stream)
        nursery.cancel_scope.cancel()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"did not come to its end" in answer


async def test_a_reader_that_takes_nothing_is_dropped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds up neither the engine nor the daemon's end, and its place is free again."""
    monkeypatch.setattr(http1, "SEND_S", 0.3)

    async def floods(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})

    desk.app = floods
    async with served(desk) as port, await connected(port) as stream:
        await stream.send_all(STATUS)
        await trio.sleep(1)
        got = await to_the_end(stream)
        assert got.startswith(b"HTTP/1.1 200 ")
        assert not got.endswith(b"0\r\n\r\n"), "cut, and not ended: the reader knows"


@pytest.mark.parametrize("seed", range(8))
async def test_no_bytes_harm_it(port: int, desk: Desk, seed: int) -> None:
    """Requests with bytes changed, cut out, doubled and put in, whole or cut, whatever the caller does then: each is
    answered or closed, no bug is met, and the next request is served."""
    dice = Random(seed)
    body = b'{"key": "k", "ticker": "KXTEST-26OCT01-A", "outcome": "yes", "quantity": "1", "horizon_s": 9}'
    post = b"POST /v1/executions HTTP/1.1\r\nContent-Length: %d\r\n" % len(body) + AUTHORIZED + b"\r\n" + body
    chunked = b"POST /v1/resume HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + AUTHORIZED + b"\r\n2\r\n{}\r\n0\r\n\r\n"
    stream_of_all = b"GET /v1/events?after=0 HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"
    for _ in range(60):
        request = bytearray(dice.choice([STATUS, post, chunked, stream_of_all, STATUS + post]))
        for _ in range(dice.randrange(4)):
            at = dice.randrange(len(request))
            piece = bytes(request[at : at + dice.randrange(1, 40)])
            change = dice.choice([piece, b"", dice.randbytes(3), b"\r\n", b"\x00", b"9" * 30])
            request[at : at + (len(piece) if dice.randrange(2) else 0)] = change
        async with await connected(port) as stream:
            with suppress(trio.BrokenResourceError), trio.move_on_after(0.05):
                await stream.send_all(request)
                if dice.randrange(2):
                    await stream.send_eof()
                while await stream.receive_some():
                    pass
    assert (await said_first(port)).startswith(b"HTTP/1.1 200 "), f"seed {seed}"
    assert "control_failed" not in desk.log


async def test_a_bug_in_an_answer_is_one_requests_trouble(desk: Desk) -> None:
    """500 if nothing was said yet, else the answer is cut; the next one is served."""
    whole = desk.app

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        if scope["path"] != "/v1/status":
            raise RuntimeError("a bug")
        await whole(scope, receive, send)

    desk.app = fails
    async with served(desk) as port:
        assert await refused(port, b"GET /early HTTP/1.1\r\n" + AUTHORIZED + b"\r\n") == (500, "internal")
        assert not (await said(port, b"GET /late HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")).endswith(b"0\r\n\r\n")
        async with await connected(port) as stream:
            await stream.send_all(STATUS)
            assert (await answered(stream)).startswith(b"HTTP/1.1 200 ")
    assert desk.log.count("a bug") >= 2


async def test_whoever_waits_longest_makes_room(port: int) -> None:
    """All places are taken by callers that say nothing, or half a head: a request gets through all the same, again and
    again. When all are watched with the token, one more is told that there is no room."""
    idle = [await connected(port) for _ in range(CONNECTIONS_MAX + 20)]
    for stream in idle[::2]:
        await stream.send_all(b"GET /v1/he")
    for _ in range(10):
        async with await connected(port) as stream:
            await stream.send_all(STATUS)
            assert (await answered(stream)).startswith(b"HTTP/1.1 200 ")
    assert await to_the_end(idle[0]) == b"", "the first of them went"
    for stream in idle:
        await trio.aclose_forcefully(stream)


async def test_no_room_is_said(desk: Desk) -> None:
    """To whoever comes when callers with the token have taken all places. What stops something gets through, and what
    says how things stand: to more callers without the token than there are spare places, too."""
    whole = desk.app

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != "/held":
            await whole(scope, receive, send)
            return
        scope["state"]["holds_token"] = True
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    desk.app = app
    name = await desk.accepted()
    async with served(desk) as port:
        held = [await connected(port) for _ in range(CONNECTIONS_MAX)]
        for stream in held:
            await stream.send_all(b"GET /held HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        listing = b"GET /v1/executions HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"
        assert await refused(port, listing) == (503, "busy")
        nobodies = [await connected(port) for _ in range(3 * SPARE)]
        assert (await said(port, STATUS)).startswith(b"HTTP/1.1 200 ")
        post = AUTHORIZED + b"Content-Length: 0\r\n\r\n"
        cancel = b"POST /v1/executions/%s/cancel HTTP/1.1\r\n" % name.encode() + post
        assert (await said(port, cancel)).startswith(b"HTTP/1.1 202 ")
        assert (await said(port, b"POST /v1/halt HTTP/1.1\r\n" + post)).startswith(b"HTTP/1.1 202 ")
        assert desk.engine.state == "halted"
        for of_the_page in (b"/actions/halt/review", b"/actions/halt"):  # let through, to where they are not known
            assert (await said(port, b"POST %s HTTP/1.1\r\n" % of_the_page + post)).startswith(b"HTTP/1.1 404 ")
        await held[0].aclose()
        with trio.fail_after(5):
            while not (await said_first(port, listing)).startswith(b"HTTP/1.1 200 "):  # noqa: ASYNC110 - asked as a caller would
                await trio.sleep(0.02)
        for stream in (*held, *nobodies):
            await trio.aclose_forcefully(stream)


async def said_first(port: int, request: bytes = STATUS) -> bytes:
    async with await connected(port) as stream:
        await stream.send_all(request)
        return bytes(await stream.receive_some())


async def test_the_end_waits_for_no_stream(desk: Desk) -> None:
    """What rests is closed at once; a stream that does not end is cut after a little while."""
    async with served(desk) as port:
        idle, stream = await connected(port), await connected(port)
        await stream.send_all(b"GET /v1/events HTTP/1.1\r\n" + AUTHORIZED + b"\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
    assert await to_the_end(idle) == b""
    assert not (await to_the_end(stream)).endswith(b"0\r\n\r\n")
    for one in (idle, stream):
        await one.aclose()
