"""One signed request over httpx, one bounded answer: the socket side of `signed_http`.

No redirect is followed and nothing repeated; a body that is too long, or inflates to more, is given up.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import httpx
import trio

from fsm_exec.core.journal.crashpoints import crashpoint, is_watched
from fsm_exec.core.values.units import US_PER_MS
from fsm_exec.kalshi import extra_responses
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.signing import Signer
from fsm_exec.kalshi.tls import trust_again_after
from fsm_exec.wire.answer import Answer

GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS  # 32: zlib reads from the header which of the two it is
BODY_MAX_BYTES: Final = 16 * 1024 * 1024  # a page of 1,000 orders takes 1 MB
SENT: Final = "http11.send_request_body.complete"  # httpcore's event: the last byte is with the socket


async def _mark_when_sent(what: str, _: object) -> None:
    """Pass the crash point `send.after` when httpcore reports the last byte of a request as handed to the socket."""
    if what == SENT:
        crashpoint("send.after")


class AnswerTooLong(httpx.DecodingError):
    """The body is longer than BODY_MAX_BYTES. A leaf of httpx's tree, so that it is judged like any broken answer."""


class HttpWire:
    """Carries requests over an httpx client, signed. Implements `signed_http.Wire`."""

    def __init__(self, http: httpx.AsyncClient, signer: Signer, log: Log) -> None:
        self._http, self._signer, self._log = http, signer, log

    async def carry(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None, signed_us: int
    ) -> Answer:
        """Send one request, signed as of `signed_us`, and read its answer. Raises httpx errors."""
        headers = {"Content-Type": "application/json"} if body is not None else None
        request = self._http.build_request(method, path, params=[*query] or None, content=body, headers=headers)
        signed_path = request.url.raw_path.partition(b"?")[0].decode("ascii")
        request.headers.update(self._signer.signed_headers(method, signed_path, signed_us // US_PER_MS))
        if is_watched():
            request.extensions["trace"] = _mark_when_sent
        try:
            response = await self._http.send(request, stream=True)
        except httpx.ConnectError as error:
            trust_again_after(error)
            raise
        crashpoint("answer.before")
        try:
            content = await self._read(response)
        finally:
            if await extra_responses.close_response(response):
                self._log.warning("http_answered_twice", method=method, path=signed_path)
        return Answer(response.status_code, content, response.headers.get("date", ""))

    async def _read(self, response: httpx.Response) -> bytes:
        if response.is_stream_consumed:  # a transport without sockets had it whole
            content = await response.aread()
            if len(content) > BODY_MAX_BYTES:
                raise AnswerTooLong(f"the answer is longer than {BODY_MAX_BYTES} bytes")
            return content
        parts: list[bytes] = []
        size = 0
        # Too long is given up from within, by a cancellation: to leave httpx's nested generators half-way would leave
        # the inner ones to the garbage collector.
        with trio.CancelScope() as reading:
            assert isinstance(response.stream, httpx.AsyncByteStream)  # an asynchronous client's
            async for part in response.stream:  # as it came over the wire: httpx would inflate without a limit
                size += len(part)
                if size > BODY_MAX_BYTES:
                    parts.clear()
                    reading.cancel()
                else:
                    parts.append(part)
        if size > BODY_MAX_BYTES:
            raise AnswerTooLong(f"the answer is longer than {BODY_MAX_BYTES} bytes")
        return inflate(b"".join(parts), response.headers.get("content-encoding", ""))


def inflate(body: bytes, encoding: str) -> bytes:
    """Decompress a body that was compressed although we did not request it. Raises httpx.DecodingError, and
    AnswerTooLong before more than BODY_MAX_BYTES are there."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip" | "deflate":
            inflater = zlib.decompressobj(wbits=GZIP_OR_ZLIB)
        case other:
            raise httpx.DecodingError(f"the answer is in encoding {other[:20]!r}, which was not asked for")
    try:
        content = inflater.decompress(body, BODY_MAX_BYTES + 1)
    except zlib.error as error:
        raise httpx.DecodingError(f"the answer cannot be inflated: {error}") from error
    if len(content) > BODY_MAX_BYTES:
        raise AnswerTooLong(f"the answer inflates to more than {BODY_MAX_BYTES} bytes")
    if not inflater.eof:
        raise httpx.DecodingError("the answer breaks off")
    return content
