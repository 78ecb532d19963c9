"""What an order would cost, told before it is given: the limits it would have, what taking it now costs, what each
method is likely to make of it, and whether it would be accepted. Nothing is sent and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from fsm_exec.algorithms import Method
from fsm_exec.control.admission import (
    CheckedSubmission,
    check_market,
    check_size,
    check_submission,
    deadline_us,
    limits_for,
)
from fsm_exec.control.api_errors import refusal_of
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.market_schema import Estimate, EstimateWanted, LimitUse, MethodForecast, TakingNow, WritesNeeded
from fsm_exec.control.schema import Submission, describe_missing
from fsm_exec.control.sizer import Sizer
from fsm_exec.control.watched_markets import MID_DECIMALS, WatchedMarkets, fees_announced
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import Exposure, loss_e6
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.costs.estimate import MethodEstimate, ProposedOrder, estimate, taking_cost
from fsm_exec.core.costs.estimate_table import EstimateTable
from fsm_exec.core.errors import ExecError, RiskRefused, UserError
from fsm_exec.core.market.book import sweep
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import (
    US_PER_S,
    CountE2,
    MoneyE6,
    PriceE4,
    ceil_div,
    format_count,
    format_fixed,
    format_money,
    format_price,
    parse_count,
)
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine, ExecutionRequest, MethodRef

KEY = "dry-run"
ANY_PRICE = "0.5"  # stands for the one that the book will give
COST_DECIMALS = 5
SHARE_DECIMALS = 6
E2_PER_CONTRACT = 100
PRICES = ("limit", "cap", "target_price")


class Estimator:
    """`check_running` raises why no work is accepted. `table` is None where none can be read."""

    def __init__(
        self,
        engine: Engine,
        markets: WatchedMarkets,
        wall: WallClock,
        limits: ControlLimits,
        find_method: Callable[[str], Method],
        check_running: Callable[[], None],
        table: EstimateTable | None,
        sizer: Sizer,
    ) -> None:
        self._sizer = sizer
        self._engine, self._markets, self._wall, self._limits = engine, markets, wall, limits
        self._find_method, self._check_running, self._table = find_method, check_running, table

    async def estimate(self, given: EstimateWanted) -> Estimate:
        """Estimate an order. Raises UserError for one that makes no sense, NothingToBuy where its edge is worth no
        contract, and what asking the exchange raises."""
        if given.quantity is None and given.edge is not None:
            return await self._estimate_sized(given)
        return await self._estimate(given, "given")

    async def _estimate_sized(self, given: EstimateWanted) -> Estimate:
        """Estimate what the edge gives."""
        by_edge = await self._sizer.build(self._submission(given, given.limit, given.methods[0]))
        as_sized = msgspec.structs.replace(given, quantity=by_edge.given.quantity, cap=by_edge.given.cap, edge=None)
        return msgspec.structs.replace(await self._estimate(as_sized, "edge"), sized=by_edge.sized)

    async def _estimate(self, given: EstimateWanted, limit_from: Literal["given", "edge"]) -> Estimate:
        self._check_fields(given)
        with self._markets.hold(given.ticker):
            feed = await self._markets.open(given.ticker)
            check_market(feed.terms, feed.status)
            view = feed.view_with_signals(given.outcome)
            from_book = all(getattr(given, name) is None for name in PRICES)
            quantity_e2 = parse_count(given.quantity or "0")  # checked
            limit = format_price(price_to_take(view, quantity_e2)) if from_book else given.limit
            requests = [self._checked(given, limit, method) for method in given.methods]
            now_us, seconds = self._wall.now_us(), self._seconds(requests[0])
            limits = limits_for(requests[0], feed.terms, now_us, now_us + seconds * US_PER_S)
            told = self._answer(
                requests, limits, view, feed.terms.fees_at(now_us), seconds, "book" if from_book else limit_from
            )
            changes = fees_announced(feed.terms, now_us, now_us + seconds * US_PER_S)
            told = msgspec.structs.replace(told, fee_changes=changes)
            return await self._with_risk(told, requests[0], limits, feed.terms)

    async def _with_risk(
        self, told: Estimate, request: CheckedSubmission, limits: Limits, terms: MarketTerms
    ) -> Estimate:
        """Add what of the account's limits it would use, or by which of them it would be refused."""
        account = self._engine.account
        if account is None:
            return told
        await account.prepare(terms)
        wanted = ExecutionRequest(
            ticker=terms.ticker,
            outcome=request.given.outcome,
            target_e2=request.target_e2,
            method=MethodRef(request.method.full_name, request.method),
            limits=limits,
        )
        try:
            before, after = account.judge(wanted, terms)
        except RiskRefused as refused:
            return msgspec.structs.replace(told, refusals=[*told.refusals, str(refused)])
        return msgspec.structs.replace(told, limits=uses_of(account.limits, before, after, terms))

    def _check_fields(self, given: EstimateWanted) -> None:
        """Check what needs no market, all that is missing at once. Raises UserError."""
        if given.deadline is None and given.horizon_s is None:
            raise UserError(describe_missing(["horizon_s or deadline"]))
        self._checked(
            given, given.limit or ("0.5" if given.cap is given.target_price is None else None), given.methods[0]
        )

    def _checked(self, given: EstimateWanted, limit: str | None, method: str) -> CheckedSubmission:
        return check_submission(self._submission(given, limit, method), self._find_method)

    @staticmethod
    def _submission(given: EstimateWanted, limit: str | None, method: str) -> Submission:
        fields = {name: value for name, value in msgspec.structs.asdict(given).items() if name != "methods"}
        return Submission(**{**fields, "limit": limit, "method": method, "key": KEY})

    def _seconds(self, request: CheckedSubmission) -> int:
        now_us = self._wall.now_us()
        return (deadline_us(request, now_us, self._limits) - now_us) // US_PER_S

    def _answer(
        self,
        requests: list[CheckedSubmission],
        limits: Limits,
        view: MarketView,
        fees: FeeTerms,
        seconds: int,
        limit_from: Literal["given", "book", "edge"],
    ) -> Estimate:
        first = requests[0]
        taken = taking_cost(view, fees, first.target_e2, limits.worst_e4)
        order = ProposedOrder(quantity_e2=first.target_e2, horizon_us=seconds * US_PER_S, worst_e4=limits.worst_e4)
        names = [request.method.full_name for request in requests]
        forecasts = (
            [MethodEstimate(method=name, no_basis="method") for name in names]
            if self._table is None
            else estimate(view, fees, order, names, self._table)
        )
        budget = self._engine.budget()
        most = MoneyE6(ceil_div(first.target_e2 * limits.cap_e6, E2_PER_CONTRACT))
        mid = view.trusted_mid_e5
        return Estimate(
            ticker=first.given.ticker,
            outcome=first.given.outcome,
            quantity=format_count(first.target_e2),
            seconds=seconds,
            limit=format_price(limits.worst_e4),
            cap=format_money(limits.cap_e6),
            limit_from=limit_from,
            at_most=format_money(most),
            bid=None if view.best_bid is None else format_price(view.best_bid),
            ask=None if view.best_ask is None else format_price(view.best_ask),
            mid=None if mid is None else format_fixed(mid, MID_DECIMALS),
            taking_now=TakingNow(
                quantity=format_count(taken.count_e2),
                cost=format_money(taken.cost_e6),
                fees=format_money(taken.fee_e6),
                above_mid=None if taken.above_mid_e5 is None else format_fixed(taken.above_mid_e5, COST_DECIMALS),
            ),
            methods=[forecast_of(one) for one in forecasts],
            writes=WritesNeeded(
                to_place=budget.place_tokens,
                to_cancel=budget.cancel_tokens * first.method.resting_at_most,
                left=budget.write_left,
                capacity=budget.write_capacity,
            ),
            limits=[],
            refusals=list(self._refusals(first, limits)),
            fitted_on=None if self._table is None else self._table.fitted_on.isoformat(),
            fitted_to=[] if self._table is None else [source.name for source in self._table.sources],
        )

    def _refusals(self, request: CheckedSubmission, limits: Limits) -> Iterator[str]:
        """Yield why a submission of this would be refused now, one line each."""

        def check_capacity() -> None:
            try:
                at_us = deadline_us(request, self._wall.now_us(), self._limits)
                self._engine.reserve_capacity(KEY, at_us, request.method)
            finally:
                self._engine.release_capacity(KEY)

        checks: tuple[Callable[[], None], ...] = (
            self._check_running,
            lambda: check_size(request, limits, self._limits),
            check_capacity,
        )
        for check in checks:
            try:
                check()
            except ExecError as error:
                yield refusal_of(error).message


def uses_of(limits: RiskLimits, before: Exposure, after: Exposure, terms: MarketTerms) -> list[LimitUse]:
    """Return the worst cases that this market is in, before and after, beside their limits."""
    event, found = terms.event or terms.ticker, []
    for level, now, then in (
        ("market", before.by_market.get(terms.ticker, 0), after.by_market.get(terms.ticker, 0)),
        ("event", before.by_event.get(event, 0), after.by_event.get(event, 0)),
        ("series", before.by_series.get(terms.series or event, 0), after.by_series.get(terms.series or event, 0)),
        ("account", before.account_e6, after.account_e6),
    ):
        name = f"max_worst_case_{level}_dollars"
        allowed = getattr(limits, name)
        if allowed is not None:
            used, with_it = (format_money(MoneyE6(loss_e6(worst))) for worst in (now, then))
            found.append(LimitUse(limit=name, allowed=str(allowed), used=used, after=with_it))
    return found


def price_to_take(view: MarketView, quantity_e2: CountE2) -> PriceE4:
    """Return the price up to which the offers of now hold the whole quantity, or the highest offer if they do not.
    Raises UserError where nobody offers."""
    takes, _ = sweep(view.asks, quantity_e2)
    if not takes:
        raise UserError("nobody offers at the moment, so no price can be proposed; give limit or cap")
    return takes[-1][0]


def forecast_of(one: MethodEstimate) -> MethodForecast:
    """Return the estimate of one method as text."""

    def dollars(cost_e5: int | None) -> str | None:
        return None if cost_e5 is None else format_fixed(cost_e5, COST_DECIMALS)

    def share(ppm: int | None) -> str | None:
        return None if ppm is None else format_fixed(ppm, SHARE_DECIMALS)

    return MethodForecast(
        method=one.method,
        no_basis=one.no_basis,
        cost=dollars(one.cost_e5),
        cost_low=dollars(one.low_e5),
        cost_high=dollars(one.high_e5),
        fill_share=share(one.filled_ppm),
        all_filled=share(one.complete_ppm),
        executions=one.executions,
    )
