"""What can happen to an account, enumerated: every outcome of every market, every subset of orders filled.

Written apart from the code it judges: no figure is shared but the structs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product

from fsm_exec.core.account.admission import Request, Situation
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import OpenOrder, Stake
from fsm_exec.core.market.account import EventShape

DOLLAR = 1_000_000
Figures = dict[str, dict[str, int]]


@cache
def outcomes_of(held: frozenset[str], shape: EventShape | None) -> tuple[frozenset[str], ...]:
    """The sets of markets of one event that may end YES together."""
    listed = set(shape.tickers) if shape is not None and shape.mutually_exclusive else set()
    markets = sorted(held | listed)
    possible = []
    for ends in product((False, True), repeat=len(markets)):
        yes = frozenset(ticker for ticker, end in zip(markets, ends, strict=True) if end)
        if len(yes & listed) > 1:
            continue
        if shape is not None and listed and shape.exhaustive and held <= listed and not yes:
            continue
        possible.append(yes)
    return tuple(possible)


def worst_by_enumeration(stakes: Sequence[Stake], orders: Sequence[OpenOrder], shape: EventShape | None) -> int:
    """The least over all outcomes and all subsets of orders."""
    held = frozenset(stake.ticker for stake in stakes) | frozenset(order.ticker for order in orders)
    worst = None
    for yes in outcomes_of(held, shape):
        base = 0
        for stake in stakes:
            won = stake.ticker in yes
            base += stake.cash_e6
            if (stake.count_e2 > 0) == won:
                base += abs(stake.count_e2) * 10_000
        sums = [base]
        for order in orders:
            pays = order.count_e2 * 10_000 if (order.ticker in yes) == (order.outcome == "yes") else 0
            cost, rest = divmod(order.count_e2 * order.all_in_e6, 100)
            value = pays - cost - (1 if rest else 0)
            sums += [total + value for total in sums]
        lowest = min(sums)
        worst = lowest if worst is None or lowest < worst else worst
    return 0 if worst is None else worst


def figures_of(stakes: Iterable[Stake], orders: Iterable[OpenOrder], shapes: dict[str, EventShape]) -> Figures:
    """The worst case at each level, by name, and `contracts` by market: the most of any subset of orders."""
    events: dict[str, tuple[list[Stake], list[OpenOrder]]] = {}
    markets: dict[str, tuple[list[Stake], list[OpenOrder]]] = {}
    series: dict[str, str] = {}
    for stake in stakes:
        name = stake.event or stake.ticker
        events.setdefault(name, ([], []))[0].append(stake)
        markets.setdefault(stake.ticker, ([], []))[0].append(stake)
        series[name] = stake.series
    for order in orders:
        name = order.event or order.ticker
        events.setdefault(name, ([], []))[1].append(order)
        markets.setdefault(order.ticker, ([], []))[1].append(order)
        series[name] = order.series
    found: Figures = {"market": {}, "event": {}, "series": {}, "account": {"": 0}, "contracts": {}}
    for name, held in events.items():
        worst = worst_by_enumeration(*held, shapes.get(name))
        found["event"][name] = worst
        found["series"][series[name]] = found["series"].get(series[name], 0) + worst
        found["account"][""] += worst
    for ticker, held in markets.items():
        found["market"][ticker] = worst_by_enumeration(*held, None)
        found["contracts"][ticker] = most_contracts(*held)
    return found


def most_contracts(stakes: Sequence[Stake], orders: Sequence[OpenOrder]) -> int:
    """The largest position, either way, over all subsets of one market's orders."""
    sums: list[int] = [sum(stake.count_e2 for stake in stakes)]
    for order in orders:
        signed = order.count_e2 if order.outcome == "yes" else -order.count_e2
        sums += [total + signed for total in sums]
    return max(abs(total) for total in sums)


def limits_against(
    request: Request, situation: Situation, limits: RiskLimits, before: Figures, after: Figures
) -> set[str]:
    """The names of all limits that refuse the request, by the rules as documented."""
    if situation.state == "halted":
        return {"state"}
    name, ticker = request.event or request.ticker, request.ticker
    raises_event = after["event"][name] < before["event"].get(name, 0)
    raises_market = after["market"][ticker] < before["market"].get(ticker, 0)
    found: set[str] = set()
    if raises_event or raises_market:
        levels = [("market", ticker, limits.max_worst_case_market_dollars)]
        if raises_event:
            levels += [
                ("event", name, limits.max_worst_case_event_dollars),
                ("series", request.series, limits.max_worst_case_series_dollars),
                ("account", "", limits.max_worst_case_account_dollars),
            ]
        for level, key, limit in levels:
            new, old = after[level][key], before[level].get(key, 0)
            if limit is not None and -new > limit * DOLLAR and new < old:
                found.add(f"max_worst_case_{level}_dollars")
        most, now = after["contracts"][ticker], before["contracts"].get(ticker, 0)
        limit = limits.max_contracts_per_market
        if limit is not None and most > limit * 100 and most > now:
            found.add("max_contracts_per_market")
    if raises_event:
        found |= _others_against(request, situation, limits)
    return found


def _others_against(request: Request, situation: Situation, limits: RiskLimits) -> set[str]:
    ends = [end for end in (situation.close_us, situation.determination_us) if end is not None]
    near = limits.no_new_within_s_of_close
    against = {
        "state": situation.state != "active",
        "max_executions": limits.max_executions is not None and situation.executions >= limits.max_executions,
        "max_submissions_per_minute": limits.max_submissions_per_minute is not None
        and situation.submissions_last_minute >= limits.max_submissions_per_minute,
        "only_series": limits.only_series is not None and request.series not in limits.only_series,
        "never_series": request.series in limits.never_series,
        "no_new_within_s_of_close": near is not None
        and (not ends or any(end < situation.now_us + near * DOLLAR for end in ends)),
    }
    return {name for name, refuses in against.items() if refuses}
