"""One signed request, one bounded answer: the REST connection under `rest.KalshiRest`.

Nothing is sent twice here, neither writes nor reads: a transport that repeats an unanswered order places it twice. The
result is the status and the body, or the httpx error as it came; the caller judges what either proves. Every request
first pays the rate budget. What carries it is a `Wire`: httpx over sockets (`http_wire`), or a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import httpx
import trio

from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.rate_budget import TOKEN_WAIT_MAX_S, RateBudget
from fsm_exec.kalshi.signing import EXPIRED, ignore_expired_signature
from fsm_exec.kalshi.token_costs import Charge, Rank
from fsm_exec.wire.answer import Answer
from fsm_exec.wire.rest import API_PREFIX, error_detail

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
UNAUTHORIZED: Final = 401
TOO_MANY_REQUESTS: Final = 429

Query: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
"""Query parameters; pairs where a key may come more than once."""


class TooLate(httpx.PoolTimeout):
    """The request's turn came after the time it was good for. Like NoTokens a leaf of httpx's tree that proves: nothing
    was sent."""


class Wire(Protocol):
    """What is under the client: it carries one request to the exchange, once, and brings the answer."""

    async def carry(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None, signed_us: int
    ) -> Answer:
        """Raises httpx errors. `path` has no prefix, `signed_us` is the wall time that the request is signed as of."""


class SignedHttp:
    """Sends signed requests. `wall_us` is the wall time in unix microseconds: the only clock signatures know.
    `on_expired_signature` is called when the exchange finds a signature expired: that clock, or the exchange's, is
    wrong."""

    def __init__(
        self,
        wire: Wire,
        wall_us: Callable[[], int],
        log: Log,
        budget: RateBudget | None = None,
        on_expired_signature: Callable[[], None] = ignore_expired_signature,
    ) -> None:
        self._wire = wire
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
        rank: Rank | None = None,
    ) -> Answer:
        """Wait for tokens, send one request and read its answer; `orders` is the number of orders of a batch,
        `not_after_us` the wall time from which on it is not sent any more, `rank` its urgency if not the path's.

        Raises httpx errors (`answers.NETWORK_ERRORS`), httpx.ReadTimeout also when `within_s` after sending is over
        before the whole answer is there, and NoTokens, TooLate and ImpossibleRequest before anything is sent.
        """
        asked_us = self._wall_us()
        charge = await self.budget.spend(method, path, orders, rank)
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
        signed_us = asked_us if charge.rank in ("amend", "create", "renewal") else self._wall_us()
        params = list(query.items()) if isinstance(query, Mapping) else query or ()
        with trio.move_on_after(within_s):
            crashpoint("send.before")
            answer = await self._wire.carry(method, path, params, body, signed_us)
            crashpoint("answer.after")
            self._log.debug("http", method=method, path=API_PREFIX + path, status=answer.status)
            if answer.status == TOO_MANY_REQUESTS:
                self.budget.record_rate_limited(charge.bucket)
            if answer.status == UNAUTHORIZED and error_detail(answer.body).code == EXPIRED:
                self._on_expired_signature()
            return answer
        self._log.debug("http_timeout", method=method, path=API_PREFIX + path, within_s=within_s)
        raise httpx.ReadTimeout(f"no whole answer within {within_s} s")
