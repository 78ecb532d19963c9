"""One signed request, one bounded answer: the REST connection under `rest.KalshiRest`.

Nothing is sent twice here, neither writes nor reads: a transport that repeats an unanswered order places it twice. The
result is the status and the body, or the httpx error as it came; the caller judges what either proves. Every request
first pays the rate budget.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import httpx
import trio

from fsm_exec.core.journal.crashpoints import crashpoint, is_watched
from fsm_exec.core.values.units import US_PER_MS
from fsm_exec.kalshi import extra_responses
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.rate_budget import TOKEN_WAIT_MAX_S, RateBudget
from fsm_exec.kalshi.signing import EXPIRED, Signer, ignore_expired_signature
from fsm_exec.kalshi.token_costs import Charge
from fsm_exec.wire.rest import error_detail

WRITE_TIMEOUT_S: Final = 10
READ_TIMEOUT_S: Final = 20
SIGNATURE_WINDOW_S: Final = 30  # wire/README.md 2: a signature older than this is refused
# An unanswered write must not be handed to the socket when its signature is about to run out.
assert TOKEN_WAIT_MAX_S + WRITE_TIMEOUT_S < SIGNATURE_WINDOW_S

# Limits of one step each; the whole request is bounded by the two above, which also hold where a transport has no
# sockets and ignores these.
HTTP_TIMEOUT: Final = httpx.Timeout(connect=5, write=5, read=READ_TIMEOUT_S, pool=5)
HTTP_LIMITS: Final = httpx.Limits(max_connections=32, max_keepalive_connections=32, keepalive_expiry=20)
NON_CANCELS_MAX: Final = 20
"""Requests under way beside cancels: answers that do not come never take the last connection."""
POOL_WAIT_S: Final = 5
GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS  # 32: zlib reads from the header which of the two it is
BODY_MAX_BYTES: Final = 16 * 1024 * 1024  # a page of 1,000 orders takes 1 MB
UNAUTHORIZED: Final = 401
TOO_MANY_REQUESTS: Final = 429
SENT: Final = "http11.send_request_body.complete"  # httpcore's event: the last byte is with the socket

Query: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
"""Query parameters; pairs where a key may come more than once."""


async def _mark_when_sent(what: str, _: object) -> None:
    """Pass the crash point `send.after` when httpcore reports the last byte of a request as handed to the socket."""
    if what == SENT:
        crashpoint("send.after")


class AnswerTooLong(httpx.DecodingError):
    """The body is longer than BODY_MAX_BYTES. A leaf of httpx's tree, so that it is judged like any broken answer."""


class TooLate(httpx.PoolTimeout):
    """The request's turn came after the time it was good for. Like NoTokens a leaf of httpx's tree that proves: nothing
    was sent."""


class Answer(NamedTuple):
    """A status and its body. `date` is the header of that name as it came, empty without one: the exchange's clock, in
    whole seconds."""

    status: int
    body: bytes
    date: str = ""


class SignedHttp:
    """Sends signed requests. `wall_us` is the wall time in unix microseconds: the only clock signatures know.
    `on_expired_signature` is called when the exchange finds a signature expired: that clock, or the exchange's, is
    wrong."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        signer: Signer,
        wall_us: Callable[[], int],
        log: Log,
        budget: RateBudget | None = None,
        on_expired_signature: Callable[[], None] = ignore_expired_signature,
    ) -> None:
        self._http = http
        self._signer = signer
        self._wall_us = wall_us
        self._log = log
        self._on_expired_signature = on_expired_signature
        self.budget = budget if budget is not None else RateBudget(log)
        self._non_cancels = trio.Semaphore(NON_CANCELS_MAX)

    async def send(
        self,
        method: str,
        path: str,
        *,
        within_s: int,
        query: Query | None = None,
        body: bytes | None = None,
        orders: int | None = None,
        not_after_us: int | None = None,
    ) -> Answer:
        """Wait for tokens, send one request and read its answer; `orders` is the number of orders of a batch,
        `not_after_us` the wall time from which on it is not sent any more.

        Raises httpx errors (`answers.NETWORK_ERRORS`), httpx.ReadTimeout also when `within_s` after sending is over
        before the whole answer is there, and NoTokens, TooLate and ImpossibleRequest before anything is sent.
        """
        asked_us = self._wall_us()
        charge = await self.budget.spend(method, path, orders)
        if charge.rank == "cancel":
            return await self._send(charge, asked_us, method, path, within_s, query, body, not_after_us)
        await self._wait_for_room()
        try:
            return await self._send(charge, asked_us, method, path, within_s, query, body, not_after_us)
        finally:
            self._non_cancels.release()

    async def _wait_for_room(self) -> None:
        """Wait until fewer than NON_CANCELS_MAX requests are under way. Raises httpx.PoolTimeout: nothing was sent."""
        try:
            self._non_cancels.acquire_nowait()
        except trio.WouldBlock:
            with trio.move_on_after(POOL_WAIT_S):
                await self._non_cancels.acquire()
                return
            raise httpx.PoolTimeout(f"{NON_CANCELS_MAX} requests wait for their answers") from None

    async def _send(
        self,
        charge: Charge,
        asked_us: int,
        method: str,
        path: str,
        within_s: int,
        query: Query | None,
        body: bytes | None,
        not_after_us: int | None,
    ) -> Answer:
        if not_after_us is not None and self._wall_us() >= not_after_us:
            raise TooLate("its time had passed before it could be sent")
        # What adds or changes is dated before the wait: core counts from its decision how long such a write may still
        # be accepted, and a later signature would be good for longer. A cancel may arrive at any time.
        signed_us = asked_us if charge.rank in ("amend", "create") else self._wall_us()
        headers = {"Content-Type": "application/json"} if body is not None else None
        params = list(query.items()) if isinstance(query, Mapping) else list(query or ())
        request = self._http.build_request(method, path, params=[*params] or None, content=body, headers=headers)
        signed_path = request.url.raw_path.partition(b"?")[0].decode("ascii")
        request.headers.update(self._signer.signed_headers(method, signed_path, signed_us // US_PER_MS))
        if is_watched():
            request.extensions["trace"] = _mark_when_sent
        with trio.move_on_after(within_s):
            crashpoint("send.before")
            response = await self._http.send(request, stream=True)
            crashpoint("answer.before")
            try:
                content = await self._read(response)
            finally:
                if await extra_responses.close_response(response):
                    self._log.warning("http_answered_twice", method=method, path=signed_path)
            crashpoint("answer.after")
            self._log.debug("http", method=method, path=signed_path, status=response.status_code)
            if response.status_code == TOO_MANY_REQUESTS:
                self.budget.record_rate_limited(charge.bucket)
            if response.status_code == UNAUTHORIZED and error_detail(content).code == EXPIRED:
                self._on_expired_signature()
            return Answer(response.status_code, content, response.headers.get("date", ""))
        self._log.info("http_timeout", method=method, path=signed_path, within_s=within_s)
        raise httpx.ReadTimeout(f"no whole answer within {within_s} s")

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
