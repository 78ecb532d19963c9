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
from fsm_exec.control.schema import Accepted, Submission
from fsm_exec.control.watched_markets import WatchedMarkets
from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.core.exchange_port import AccountReads
from fsm_exec.core.market.position_closing import CloseTerms, close_terms, closing_outcome
from fsm_exec.core.values.units import (
    CountE2,
    PriceE4,
    format_count,
    format_money,
    format_price,
    parse_count,
    parse_price,
)

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
        found: list[CloseTerms] = []

        async def build() -> CheckedSubmission:
            found.append(await self.find_terms(given, ticker))
            return self._submission(given, found[0], key)

        accepted = await self._accept_once(key, canonical_close(given, ticker), build)
        if not found:
            return ClosedMarket(ticker=ticker, accepted=accepted)
        terms = found[0]
        return ClosedMarket(
            ticker=ticker,
            held=terms.held,
            outcome=terms.outcome,
            quantity=format_count(terms.quantity_e2),
            limit=format_price(terms.least_e4),
            after_fee=format_money(terms.least_net_e6),
            accepted=accepted,
        )

    async def find_terms(self, given: CloseWanted, ticker: str) -> CloseTerms:
        """Return what is bought and for how much, by what is held and by the book of now; nothing is sent. Raises
        UserError, and what asking the exchange raises."""
        asked = None if given.quantity is None else _asked(given.quantity)
        least = None if given.limit is None else _limit(given.limit)
        held = (await self._held()).get(ticker, CountE2(0))
        if held == 0:
            raise UserError(f"nothing is held of {ticker}; see: fsm-exec positions")
        with self._markets.hold(ticker):
            feed = await self._markets.open(ticker)
            offers = feed.view(closing_outcome(held), depth=0).asks
        return close_terms(feed.terms, held, offers, asked_e2=asked, least_e4=least)

    def _submission(self, given: CloseWanted, terms: CloseTerms, key: str) -> CheckedSubmission:
        submission = Submission(
            key=key,
            ticker=terms.ticker,
            outcome=terms.outcome,
            quantity=format_count(terms.quantity_e2),
            method=given.method,
            limit=format_price(terms.limits.worst_e4),
            horizon_s=given.horizon_s,
        )
        checked = check_submission(submission, self._find_method)
        return msgspec.structs.replace(checked, canonical=canonical_close(given, terms.ticker), reduce_only=True)

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
        "limit": None if given.limit is None else format_price(_limit(given.limit)),
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


def _limit(limit: str) -> PriceE4:
    try:
        return parse_price(limit)
    except UserError as error:
        raise UserError(f"limit: {error}") from None
