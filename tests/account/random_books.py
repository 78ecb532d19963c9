"""Random accounts and requests: small enough to enumerate, coarse enough that figures often meet a limit exactly."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import msgspec

from fsm_exec.core.account.admission import Request, Situation
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import OpenOrder, Stake
from fsm_exec.core.market.account import EventShape
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome

S = 1_000_000
EVENTS = (("E0", "S0", ("A", "B", "C")), ("E1", "S0", ("D", "E")), ("E2", "S1", ("F", "G", "H")), ("", "S1", ("I",)))
MARKETS = tuple((ticker, event, series) for event, series, tickers in EVENTS for ticker in tickers)
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")


class Case(msgspec.Struct, frozen=True):
    """One request, what stands when it comes, and the limits."""

    request: Request
    situation: Situation
    limits: RiskLimits


def draw_case(rng: Random) -> Case:
    """A random case. Half of them are coarse: whole contracts at tens of cents, so that sums are whole dollars."""
    rand = rng.random
    coarse = rand() < 0.5
    markets = rng.sample(MARKETS, 1 + int(rand() * 4))
    if rand() < 0.7:  # most of them in one event, where the difficulty is
        markets = [m for m in MARKETS if m[1] == ("E0", "E2")[int(rand() * 2)]] + markets[:1]
    stakes = [_stake(rand, market, coarse=coarse) for market in markets if rand() < 0.6]
    orders = [_order(rand, markets, coarse=coarse) for _ in range(int(rand() * 5))]
    shapes = {}
    for event, series, tickers in EVENTS[:3]:
        if rand() < 0.85:  # else nobody could read it
            known = tickers if rand() < 0.85 else tickers[:-1]  # else it is older than one of its markets
            shapes[event] = EventShape(
                event=event,
                series=series,
                mutually_exclusive=rand() < 0.75,
                tickers=known,
                exhaustive=rand() < 0.4,
            )
    ticker, event, series = markets[int(rand() * len(markets))]
    wanted = _order(rand, [(ticker, event, series)], coarse=coarse)
    request = Request(
        ticker, event, series, wanted.outcome, wanted.count_e2, wanted.all_in_e6, reduces_only=rand() < 0.1
    )
    now = int(rand() * 100) * S
    situation = Situation(
        stakes=stakes,
        orders=orders,
        shapes=shapes,
        executions=int(rand() * 4),
        submissions_last_minute=int(rand() * 4),
        state="active" if rand() < 0.8 else ("reducing", "halted")[int(rand() * 2)],
        close_us=None if rand() < 0.1 else now + int(rand() * 8) * S // 2,
        determination_us=None if rand() < 0.5 else now + int(rand() * 8) * S // 2,
        now_us=now,
    )
    return Case(request, situation, draw_limits(rng))


def draw_limits(rng: Random) -> RiskLimits:
    """Each limit is there or not; a fifth of all accounts have the worst-case limits alone."""
    rand = rng.random
    others = rand() < 0.8

    def limit(top: int, chance: float) -> int | None:
        return 1 + int(rand() * top) if rand() < chance else None

    return RiskLimits(
        max_worst_case_market_dollars=limit(10, 0.4),
        max_worst_case_event_dollars=limit(15, 0.5),
        max_worst_case_series_dollars=limit(20, 0.4),
        max_worst_case_account_dollars=limit(25, 0.4),
        max_contracts_per_market=limit(15, 0.3),
        max_executions=limit(6, 0.2) if others else None,
        max_submissions_per_minute=limit(6, 0.2) if others else None,
        no_new_within_s_of_close=limit(3, 0.15) if others else None,
        only_series=(("S0",), ("S0", "S1"))[int(rand() * 2)] if others and rand() < 0.1 else None,
        never_series=("S1",) if others and rand() < 0.1 else (),
    )


def fill_some(rng: Random, case: Case, orders: list[OpenOrder]) -> tuple[list[Stake], list[OpenOrder]]:
    """What stands after some of the orders filled, wholly or in part and perhaps for less than they allow, and some of
    the rest was cancelled."""
    rand = rng.random
    stakes, left = list(case.situation.stakes), []
    for order in orders:
        drawn = rand()
        filled = order.count_e2 if drawn < 0.4 else int(order.count_e2 * rand()) if drawn < 0.8 else 0
        price = order.all_in_e6 if rand() < 0.7 else int(order.all_in_e6 * rand())
        if filled:
            sign = 1 if order.outcome == "yes" else -1
            paid = -(-filled * price // 100)
            stakes.append(Stake(order.ticker, order.event, order.series, CountE2(sign * filled), MoneyE6(-paid)))
        if rand() < 0.7:
            rest = CountE2(order.count_e2 - filled)
            left.append(OpenOrder(order.ticker, order.event, order.series, order.outcome, rest, order.all_in_e6))
    return stakes, left


def _stake(rand: Callable[[], float], market: tuple[str, str, str], *, coarse: bool) -> Stake:
    """Up to ten contracts either way, paid for with anything from a dollar won to ten lost."""
    ticker, event, series = market
    if coarse:
        count, cash = (int(rand() * 21) - 10) * 100, (int(rand() * 12) - 10) * S
    else:
        count, cash = int(rand() * 2_000) - 1_000, int((rand() * 11 - 10) * S)
    return Stake(ticker, event, series, CountE2(count), MoneyE6(cash))


def _order(rand: Callable[[], float], markets: list[tuple[str, str, str]], *, coarse: bool) -> OpenOrder:
    """Up to ten contracts, at anything from nothing to a little more than a dollar."""
    ticker, event, series = markets[int(rand() * len(markets))]
    outcome = OUTCOMES[int(rand() * 2)]
    if coarse:
        count, all_in = int(rand() * 11) * 100, int(rand() * 11) * S // 10
    else:
        count, all_in = int(rand() * 1_000), int(rand() * 1_010_000)
    return OpenOrder(ticker, event, series, outcome, CountE2(count), MoneyE6(all_in))
