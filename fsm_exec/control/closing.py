"""Closing a position: an execution that buys the other outcome and never more than is held, whatever happens beside it
(`core.execution.reduce_only`). Here its quantity and its price are found; that it turns no position around is the
exchange's own doing, order by order."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from fsm_exec.algorithms import Method
from fsm_exec.control.account_schema import ClosedMarket, CloseWanted, Closing
from fsm_exec.control.admission import CheckedSubmission, check_submission
from fsm_exec.control.estimator import price_to_take
from fsm_exec.control.schema import Accepted, Submission
from fsm_exec.control.watched_markets import WatchedMarkets
from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.core.exchange_port import AccountReads
from fsm_exec.core.values.units import CountE2, Outcome, format_count, format_price, parse_count, parse_price

KEY_LENGTH_MAX: Final = 64
AcceptOnce: TypeAlias = Callable[[str, bytes, Callable[[], Awaitable[CheckedSubmission]]], Awaitable[Accepted]]


class Closer:
    """`accept` accepts what is built for a key, unless the same request was accepted under it already."""

    def __init__(
        self, reads: AccountReads, markets: WatchedMarkets, find_method: Callable[[str], Method], accept: AcceptOnce
    ) -> None:
        self._reads, self._markets, self._find_method, self._accept_once = reads, markets, find_method, accept

    async def close(self, given: CloseWanted) -> Closing:
        """Close one market, or all that is held of an event. Raises UserError, and of one market what a submission
        raises; of an event each market's own refusal stands in the answer."""
        if (given.ticker is None) == (given.event is None):
            raise UserError("give ticker, or event for all that is held of it")
        if given.ticker is not None:
            return Closing(markets=[await self._close_one(given, given.ticker, given.key)])
        if given.quantity is not None or given.limit is not None:
            raise UserError("quantity and limit go with one ticker: the markets of an event have prices of their own")
        held = await self._held()
        shape = await self._reads.fetch_event_shape(given.event or "")
        found = []
        for ticker in shape.tickers:
            if held.get(ticker):
                try:
                    found.append(await self._close_one(given, ticker, key_of(given.key, ticker)))
                except ExecError as refused:
                    found.append(ClosedMarket(ticker=ticker, refusal=str(refused)))
        return Closing(markets=found)

    async def _close_one(self, given: CloseWanted, ticker: str, key: str) -> ClosedMarket:
        built: list[CheckedSubmission] = []

        async def build() -> CheckedSubmission:
            built.append(await self._build(given, ticker, key))
            return built[0]

        accepted = await self._accept_once(key, canonical_close(given, ticker), build)
        if not built:
            return ClosedMarket(ticker=ticker, accepted=accepted)
        return ClosedMarket(
            ticker=ticker,
            outcome=built[0].given.outcome,
            quantity=format_count(built[0].target_e2),
            accepted=accepted,
        )

    async def _build(self, given: CloseWanted, ticker: str, key: str) -> CheckedSubmission:
        asked = None if given.quantity is None else _asked(given.quantity)
        held = (await self._held()).get(ticker, CountE2(0))
        if held == 0:
            raise UserError(f"nothing is held of {ticker}; see: fsm-exec positions")
        outcome: Outcome = "no" if held > 0 else "yes"
        quantity = CountE2(abs(held) if asked is None else min(asked, abs(held)))
        with self._markets.hold(ticker):
            feed = await self._markets.open(ticker)
            limit = given.limit or format_price(price_to_take(feed.view(outcome, depth=0), quantity))
        submission = Submission(
            key=key,
            ticker=ticker,
            outcome=outcome,
            quantity=format_count(quantity),
            method=given.method,
            limit=limit,
            horizon_s=given.horizon_s,
        )
        checked = check_submission(submission, self._find_method)
        return msgspec.structs.replace(checked, canonical=canonical_close(given, ticker), reduce_only=True)

    async def _held(self) -> dict[str, CountE2]:
        """Read the signed counts of all that is held."""
        return {position.ticker: position.count_e2 for position in await self._reads.fetch_positions()}


def canonical_close(given: CloseWanted, ticker: str) -> bytes:
    """Return the request as it is stored and compared: what was asked, not what it came to, which moves. Raises
    UserError for a number that is none."""
    fields: dict[str, object] = {
        "close": True,
        "ticker": ticker,
        "method": given.method,
        "horizon_s": given.horizon_s,
        "quantity": None if given.quantity is None else format_count(_asked(given.quantity)),
        "limit": None if given.limit is None else _limit(given.limit),
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None}, order="sorted")


def key_of(key: str, ticker: str) -> str:
    """Return the key of one market of an event that is closed: always the same, and never too long."""
    made = f"{key}:{ticker}"
    if len(made) <= KEY_LENGTH_MAX:
        return made
    return f"{key[:31]}:{hashlib.sha256(made.encode()).hexdigest()[:32]}"


def _asked(quantity: str) -> CountE2:
    try:
        asked = parse_count(quantity)
    except UserError as error:
        raise UserError(f"quantity: {error}") from None
    if asked == 0:
        raise UserError("quantity must be above 0 contracts; leave it out for all that is held")
    return asked


def _limit(limit: str) -> str:
    try:
        return format_price(parse_price(limit))
    except UserError as error:
        raise UserError(f"limit: {error}") from None
