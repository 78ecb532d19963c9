"""How every endpoint is called: a write is sent once and its outcome is data; a read raises VenueError; a listing is
read to its end.

A write succeeded only if the status is the documented one and the body says what was done to the order we named;
anything else goes through the table in `write_outcomes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from fsm_exec.core.errors import UnitError, VenueRefused, VenueUnavailable
from fsm_exec.core.market.orders import NotSent, Refused, Unknown
from fsm_exec.core.text import one_line
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.routes import Routes
from fsm_exec.kalshi.signed_http import READ_TIMEOUT_S, WRITE_TIMEOUT_S, Query, SignedHttp
from fsm_exec.kalshi.token_costs import Rank
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.kalshi.write_outcomes import (
    NETWORK_ERRORS,
    SUCCESS_STATUS,
    TEXT_MAX,
    WriteKind,
    describe,
    judge,
    judge_network,
)
from fsm_exec.wire.answer import Answer
from fsm_exec.wire.field_values import required_text
from fsm_exec.wire.rest import error_detail

LIST_PAGES_MAX: Final = 500  # a listing beyond it is refused rather than cut
ROWS_SURE: Final = 100  # rows of a page that every listing grants: its default
# Statuses that refuse a read for good. All others (409 pauses, 429, 5xx) may succeed later.
READ_REFUSALS: Final = frozenset({400, 401, 403, 404, 410})
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Body = TypeVar("Body")
Row = TypeVar("Row")
Success = TypeVar("Success")


class Endpoints:
    """Sends the requests of all endpoints of this package."""

    def __init__(self, http: SignedHttp, routes: Routes | None = None) -> None:
        self._http = http
        self.routes = Routes() if routes is None else routes
        self._rows_max: dict[str, int] = {}  # by path, where the exchange refused more

    async def send_write(
        self,
        kind: WriteKind,
        method: str,
        path: str,
        success: Callable[[bytes], Success],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        orders: int | None = None,
        not_after_us: int | None = None,
        rank: Rank | None = None,
    ) -> Success | Refused | NotSent | Unknown:
        """Send one write. `success` parses the body of a success, raising Malformed or UnitError. `orders` is the
        number of orders of a batch. After `not_after_us` nothing is sent; `rank` as in `SignedHttp.send`. Raises only
        ImpossibleRequest, before sending."""
        content = None if body is None else msgspec.json.encode(body)
        named = self.routes.query(method, path)
        try:
            answer = await self._http.send(
                method,
                path,
                within_s=WRITE_TIMEOUT_S,
                query={**(query or {}), **named} if named else query,
                body=content,
                orders=orders,
                not_after_us=not_after_us,
                rank=rank,
            )
        except NETWORK_ERRORS as error:
            return judge_network(error)
        if answer.status != SUCCESS_STATUS[kind]:
            return judge(kind, answer.status, answer.body)
        try:
            return success(answer.body)
        except (Malformed, UnitError) as error:
            # The status says done, the body not what: a 2xx has carried an error before. The order is looked up.
            return Unknown(why=f"answered {answer.status} with an unusable body: {error}")

    async def fetch(self, path: str, query: Query | None = None) -> bytes:
        """Fetch a body. Raises VenueRefused or VenueUnavailable."""
        answer = await self.fetch_any_status(path, query)
        if answer.status != 200:
            raise read_error(path, answer)
        return answer.body

    async def fetch_any_status(self, path: str, query: Query | None = None) -> Answer:
        """Fetch an answer of any status. Raises VenueUnavailable if there is none."""
        named = self.routes.query("GET", path)
        if named:
            query = {**query, **named} if isinstance(query, Mapping) else [*(query or ()), *named.items()]
        try:
            return await self._http.send("GET", path, within_s=READ_TIMEOUT_S, query=query)
        except NETWORK_ERRORS as error:
            raise VenueUnavailable(f"GET {path}: {judge_network(error).why}") from error

    async def fetch_pages(
        self, path: str, query: Mapping[str, str], take: Callable[[bytes], str | None], *, rows: int
    ) -> None:
        """Read a listing to its end, `rows` a page; `take` keeps a page's rows and returns its cursor, empty on the
        last. If the exchange refuses so many rows, fewer are requested, now and from then on."""
        seen: set[str] = set()
        content, limit = await self._first_page(path, query, self.page_rows(path, rows))
        for _ in range(LIST_PAGES_MAX):
            cursor = take(content)
            if not cursor:
                return
            if cursor in seen:
                raise Malformed(f"GET {path}: the cursor leads back to a page already read")
            seen.add(cursor)
            if len(seen) == LIST_PAGES_MAX:
                break
            content = await self.fetch(path, {**query, "limit": str(limit), "cursor": cursor})
        raise VenueUnavailable(f"GET {path}: more than {LIST_PAGES_MAX} pages; narrow what is asked for")

    def page_rows(self, path: str, rows: int) -> int:
        """Return how many rows of a page to request from this listing, if `rows` are wanted."""
        return min(rows, self._rows_max.get(path, rows))

    async def _first_page(self, path: str, query: Mapping[str, str], limit: int) -> tuple[bytes, int]:
        try:
            return await self.fetch(path, {**query, "limit": str(limit)}), limit
        except VenueRefused as refused:
            # Too large a limit is answered 400 (wire/README.md 4.5), in words that are not to be relied on.
            if refused.status != 400 or limit <= ROWS_SURE:
                raise
        content = await self.fetch(path, {**query, "limit": str(ROWS_SURE)})
        self._rows_max[path] = ROWS_SURE
        return content, ROWS_SURE


def read_error(path: str, answer: Answer) -> VenueRefused | VenueUnavailable:
    detail = error_detail(answer.body)
    code = one_line(detail.code[:TEXT_MAX])
    if answer.status in READ_REFUSALS:
        return VenueRefused(answer.status, code, f"{describe(detail)} (GET {path})")
    return VenueUnavailable(f"GET {path}: answered {answer.status} {code}: {describe(detail)}")


def decode(content: bytes, shape: type[Body]) -> Body:
    """Decode a body. Raises Malformed."""
    try:
        return msgspec.json.decode(content, type=shape)
    except UNREADABLE as error:
        raise Malformed(f"an answer does not fit {shape.__name__}: {error}") from error


def readable_rows(raws: Sequence[msgspec.Raw], shape: type[Row], log: Log) -> Iterator[Row]:
    """Yield the rows of a listing that can be read; for each of the others the log says why not."""
    for raw in raws:
        try:
            yield decode(raw, shape)
        except Malformed as error:
            log_left_out(log, raw, error)


def log_left_out(log: Log, raw: msgspec.Raw, error: Exception) -> None:
    """Log which row of a listing is left out, and why."""
    log.warning("row_left_out", error=str(error)[:300], start=bytes(raw)[:120].decode("utf-8", "replace"))


def check_same_order(named: str | None, meant: str) -> None:
    """Raise Malformed unless an answer is about the order that was meant."""
    if required_text(named, "order_id") != meant:
        raise Malformed(f"the answer is about order {str(named)[:40]!r}")
