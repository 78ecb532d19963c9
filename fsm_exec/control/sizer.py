"""A submission without a quantity is sized by its edge: how much of it to buy, and at what price at most.

What counts as held is what the exchange lists and what executions at work may still buy, so two submissions in a row do
not both buy the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fsm_exec.algorithms import Method
from fsm_exec.control.admission import CheckedSubmission, canonical_request, check_market, check_submission
from fsm_exec.control.api_errors import Refusal
from fsm_exec.control.schema import EdgeGiven, Submission
from fsm_exec.control.watched_markets import WatchedMarkets
from fsm_exec.core.account.sizing import FRACTION_PPM, SHRINK_PPM, Belief, Stakes, check_belief, describe_size, size_of
from fsm_exec.core.errors import UserError
from fsm_exec.core.exchange_port import AccountReads
from fsm_exec.core.execution.reservation import open_e2, reserved_e6
from fsm_exec.core.market.edge import PPM_DECIMALS, make_edge
from fsm_exec.core.values.units import (
    CountE2,
    MoneyE6,
    Outcome,
    format_count,
    format_money,
    parse_fixed,
    parse_money,
)
from fsm_exec.runtime.engine import Engine

STANDS_FOR_A_QUANTITY: Final = "1"
STANDS_FOR_A_CAP: Final = "0.5"


class NothingToBuy(Refusal):
    """Sizing says zero; `request` is the opportunity as it is stored."""

    def __init__(self, message: str, request: CheckedSubmission) -> None:
        super().__init__(422, "no_edge", message)
        self.request = request


class Sizer:
    """`reads` says what is held and available."""

    def __init__(
        self, engine: Engine, reads: AccountReads, markets: WatchedMarkets, find_method: Callable[[str], Method]
    ) -> None:
        self._engine, self._reads, self._markets, self._find_method = engine, reads, markets, find_method

    async def build(self, given: Submission) -> CheckedSubmission:
        """Build a submission with the quantity and cap that its edge gives. Raises NothingToBuy where that is zero,
        UserError for one that makes no sense, and what asking the exchange raises."""
        canonical, unsized = canonical_request(given), self._check(given)
        assert given.edge is not None, "checked"
        held, cost_e6 = await self._held(given.ticker, given.outcome)
        belief = parse_belief(given.edge, MoneyE6(0) if given.edge.bankroll else await self._bankroll_e6(cost_e6))
        check_belief(belief)
        with self._markets.hold(given.ticker):
            feed = await self._markets.open(given.ticker)
            check_market(feed.terms, feed.status)
            view = feed.view(given.outcome, depth=0)
        asks = view.asks if view.feed == "live" else ()
        fees = feed.terms.fees_at(view.at_us)
        size = size_of(belief, asks, feed.terms.grid.seen_from(given.outcome), fees, held)
        how = describe_size(belief, size, asks[0][0] if asks else None)
        edge = make_edge(belief.probability_ppm, size.edge_e6)
        if size.quantity_e2 == 0:
            nothing = msgspec.structs.replace(unsized, target_e2=CountE2(0), edge=edge, canonical=canonical)
            raise NothingToBuy(f"nothing is worth buying: {how}", nothing)
        sized = msgspec.structs.replace(
            given, quantity=format_count(size.quantity_e2), cap=format_money(size.cap_e6), edge=None
        )
        checked = check_submission(sized, self._find_method)
        return msgspec.structs.replace(checked, edge=edge, canonical=canonical, sized=how)

    def _check(self, given: Submission) -> CheckedSubmission:
        """Check what needs neither the market nor the account. Raises UserError."""
        prices = (given.limit, given.cap, given.target_price, given.worst_price, given.max_slippage)
        if any(price is not None for price in prices):
            raise UserError("without a quantity the edge gives the cap: leave limit, cap and target_price out")
        if given.edge is None:
            raise UserError("missing: quantity, or an edge to find it by")
        if given.edge.expected_value is not None:
            raise UserError("expected_value goes with a quantity: without one it is reckoned from the book")
        check_belief(parse_belief(given.edge, MoneyE6(1)))
        stand_in = msgspec.structs.replace(given, quantity=STANDS_FOR_A_QUANTITY, cap=STANDS_FOR_A_CAP, edge=None)
        checked = check_submission(stand_in, self._find_method)
        return msgspec.structs.replace(checked, given=msgspec.structs.replace(given, quantity="0"))

    async def _held(self, ticker: str, outcome: Outcome) -> tuple[Stakes, MoneyE6]:
        """Return what is held of a market and may come to be, and what of its cost is paid already."""
        sign = 1 if outcome == "yes" else -1
        own = other = cost = paid = 0
        for position in await self._reads.fetch_positions():
            if position.ticker == ticker:
                own, other = max(0, sign * position.count_e2), max(0, -sign * position.count_e2)
                paid = position.exposure_e6 or 0
        cost = paid
        for actor in self._engine.actors.values():
            execution = actor.execution
            if execution.terms.ticker == ticker and not execution.reduce_only:
                cost += reserved_e6(execution)
                if execution.outcome == outcome:
                    own += open_e2(execution)
        return Stakes(own_e2=CountE2(own), other_e2=CountE2(other), cost_e6=MoneyE6(cost)), MoneyE6(paid)

    async def _bankroll_e6(self, paid_e6: MoneyE6) -> MoneyE6:
        return MoneyE6((await self._reads.fetch_balance()).available_e6 + paid_e6)


def parse_belief(edge: EdgeGiven, bankroll_e6: MoneyE6) -> Belief:
    """Parse the figures of an edge; `bankroll_e6` where it gives none. Raises UserError, which names the field."""

    def parse(name: str, text: str | None, otherwise: int) -> int:
        try:
            return otherwise if text is None else parse_fixed(text, PPM_DECIMALS)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None

    def dollars(name: str, text: str | None, otherwise: MoneyE6) -> MoneyE6:
        try:
            return otherwise if text is None else parse_money(text)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None

    return Belief(
        probability_ppm=parse("model_probability", edge.model_probability, 0),
        bankroll_e6=dollars("bankroll", edge.bankroll, bankroll_e6),
        fraction_ppm=parse("fraction", edge.fraction, FRACTION_PPM),
        shrink_ppm=parse("shrink", edge.shrink, SHRINK_PPM),
        min_edge_e6=dollars("min_edge", edge.min_edge, MoneyE6(0)),
    )
