"""Whether a request is let in.

One rule stands above all limits: what raises no worst case is never refused, so that what is too large can always
shrink. The unit of risk is the event: a request raises the worst case if that of its event gets worse (those of series
and account are sums of events and do the same). Then all limits ask about it. One that leaves its event as it was and
makes its market alone worse is asked about by the two limits of the market only. `halted` refuses everything.

A worst case may be past its limit already (a position made by hand, a limit lowered): only what makes it worse still is
refused then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from fsm_exec.core.account.limits import DOLLAR_E6, RiskLimits
from fsm_exec.core.account.worst_case import (
    OpenOrder,
    Stake,
    contracts_e2,
    event_of,
    held_by_event,
    loss_e6,
    series_of,
    values_of_market_e6,
    worst_case_e6,
)
from fsm_exec.core.errors import RiskRefused
from fsm_exec.core.market.account import EventShape
from fsm_exec.core.values.units import US_PER_S, CountE2, MoneyE6, Outcome, ceil_div, format_fixed, opposite


class Request(msgspec.Struct, frozen=True):
    """What somebody asks to buy: at most `count_e2` of `outcome` for at most `all_in_e6` a contract, fee included.
    `reduces_only`: never more than is held of the other outcome."""

    ticker: str
    event: str
    series: str
    outcome: Outcome
    count_e2: CountE2
    all_in_e6: MoneyE6
    reduces_only: bool = False


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What stands when a request comes. `orders` are all that may still fill: the reservations of unfinished
    executions, of requests being accepted, and orders made by hand. `shapes` is by event. `executions` are those at
    work, `submissions_last_minute` what was accepted in the last 60 s, `state` that of `states.risk`. `close_us` and
    `determination_us` (the expected one) are the market's, None where the exchange does not say."""

    stakes: Sequence[Stake] = ()
    orders: Sequence[OpenOrder] = ()
    shapes: Mapping[str, EventShape] = msgspec.field(default_factory=dict)
    executions: int = 0
    submissions_last_minute: int = 0
    state: str = "active"
    close_us: int | None = None
    determination_us: int | None = None
    now_us: int = 0


class RiskRefusal(msgspec.Struct, frozen=True):
    """`limit` is the name of the limit as the configuration has it, or `state`; the others are words with units."""

    limit: str
    allowed: str
    used: str
    asked: str

    def to_error(self) -> RiskRefused:
        """The error that tells it."""
        return RiskRefused(self.limit, self.allowed, self.used, self.asked)


class Change(msgspec.Struct, frozen=True):
    """The worst case of the request's market, event, series and account, and the market's largest position, each
    before and after it."""

    market_e6: tuple[int, int]
    event_e6: tuple[int, int]
    series_e6: tuple[int, int]
    account_e6: tuple[int, int]
    contracts_e2: tuple[int, int]

    @property
    def raises_event(self) -> bool:
        """Whether more can be lost of the event, and so of its series and of the account."""
        return self.event_e6[1] < self.event_e6[0]

    @property
    def raises_market(self) -> bool:
        """Whether more can be lost of the market alone."""
        return self.market_e6[1] < self.market_e6[0]


def order_of(request: Request, stakes: Sequence[Stake], orders: Sequence[OpenOrder]) -> OpenOrder:
    """The request as an order that may fill. One that only reduces buys at most what is held, or may come to be held,
    of the other outcome."""
    count = request.count_e2
    if request.reduces_only:
        other = opposite(request.outcome)
        sign = 1 if other == "yes" else -1
        held = sum(sign * stake.count_e2 for stake in stakes if stake.ticker == request.ticker)
        coming = sum(o.count_e2 for o in orders if o.ticker == request.ticker and o.outcome == other)
        count = CountE2(max(0, min(count, held + coming)))
    return OpenOrder(
        ticker=request.ticker,
        event=request.event,
        series=request.series,
        outcome=request.outcome,
        count_e2=count,
        all_in_e6=request.all_in_e6,
        reduces_only=request.reduces_only,
    )


def change_by(
    order: OpenOrder, stakes: Sequence[Stake], orders: Sequence[OpenOrder], shapes: Mapping[str, EventShape]
) -> Change:
    """What one more order that may fill does to the figures of its market, event, series and account."""
    by_event = held_by_event(stakes, orders)
    event = event_of(order)
    here = by_event.setdefault(event, ([], []))
    series = series_of((*here[0], *here[1], order))
    series_before = account_before = event_before = event_after = 0
    for name, (held, open_orders) in by_event.items():
        worst = worst_case_e6(held, open_orders, shapes.get(name))
        account_before += worst
        if name == event:
            event_before = worst
            event_after = worst_case_e6(held, (*open_orders, order), shapes.get(name))
        if name == event or series_of((*held, *open_orders)) == series:
            series_before += worst
    stakes_here = [stake for stake in stakes if stake.ticker == order.ticker]
    orders_here = [one for one in orders if one.ticker == order.ticker]
    more = event_after - event_before
    return Change(
        market_e6=(
            min(values_of_market_e6(stakes_here, orders_here)),
            min(values_of_market_e6(stakes_here, (*orders_here, order))),
        ),
        event_e6=(event_before, event_after),
        series_e6=(series_before, series_before + more),
        account_e6=(account_before, account_before + more),
        contracts_e2=(contracts_e2(stakes_here, orders_here), contracts_e2(stakes_here, (*orders_here, order))),
    )


def raises_worst_case(
    order: OpenOrder, stakes: Iterable[Stake], orders: Iterable[OpenOrder], shape: EventShape | None
) -> bool:
    """Whether more can be lost with one more order that may fill. `stakes` and `orders` are those of its event."""
    open_orders = tuple(orders)
    held = tuple(stakes)
    return worst_case_e6(held, (*open_orders, order), shape) < worst_case_e6(held, open_orders, shape)


def why_refused(request: Request, situation: Situation, limits: RiskLimits) -> RiskRefusal | None:
    """The first limit that refuses the request, or None: it is let in."""
    if situation.state == "halted":
        return RiskRefusal("state", "nothing before `risk resume` or `risk reduce`", "halted", _ask(request))
    order = order_of(request, situation.stakes, situation.orders)
    change = change_by(order, situation.stakes, situation.orders, situation.shapes)
    if change.raises_event:
        return next(_refusals_of_event(request, situation, limits, change), None)
    if change.raises_market:
        return next(_refusals_of_market(limits, change), None)
    return None


def _refusals_of_event(
    request: Request, situation: Situation, limits: RiskLimits, change: Change
) -> Iterator[RiskRefusal]:
    if situation.state != "active":
        yield RiskRefusal("state", "what raises no worst case", situation.state, _ask(request))
    yield from _refusals_of_series(request, limits)
    yield from _refusals_near_close(situation, limits)
    yield from _refusal_of_number("max_executions", limits.max_executions, situation.executions)
    yield from _refusal_of_number(
        "max_submissions_per_minute", limits.max_submissions_per_minute, situation.submissions_last_minute
    )
    yield from _refusal_of_loss("account", limits.max_worst_case_account_dollars, change.account_e6)
    yield from _refusal_of_loss("series", limits.max_worst_case_series_dollars, change.series_e6)
    yield from _refusal_of_loss("event", limits.max_worst_case_event_dollars, change.event_e6)
    yield from _refusals_of_market(limits, change)


def _refusals_of_market(limits: RiskLimits, change: Change) -> Iterator[RiskRefusal]:
    yield from _refusal_of_loss("market", limits.max_worst_case_market_dollars, change.market_e6)
    limit = limits.max_contracts_per_market
    before, after = change.contracts_e2
    if limit is not None and after > limit * 100 and after > before:
        yield RiskRefusal(
            "max_contracts_per_market",
            f"{limit} contracts",
            f"{format_fixed(max(0, before), 2)} contracts",
            f"{format_fixed(after - max(0, before), 2)} contracts more",
        )


def _refusal_of_loss(level: str, limit_dollars: int | None, worst_e6: tuple[int, int]) -> Iterator[RiskRefusal]:
    before, after = loss_e6(worst_e6[0]), loss_e6(worst_e6[1])
    if limit_dollars is not None and after > limit_dollars * DOLLAR_E6 and after > before:
        yield RiskRefusal(
            f"max_worst_case_{level}_dollars",
            f"{limit_dollars} dollars",
            f"{_dollars(before)} dollars",
            f"{_dollars(after - before)} dollars more",
        )


def _refusal_of_number(name: str, limit: int | None, now: int) -> Iterator[RiskRefusal]:
    if limit is not None and now + 1 > limit:
        yield RiskRefusal(name, str(limit), str(now), "1 more")


def _refusals_of_series(request: Request, limits: RiskLimits) -> Iterator[RiskRefusal]:
    asked = request.series or "no series"
    if limits.only_series is not None and request.series not in limits.only_series:
        yield RiskRefusal("only_series", ", ".join(limits.only_series), "-", asked)
    if request.series in limits.never_series or (limits.never_series and not request.series):
        yield RiskRefusal("never_series", f"none of {', '.join(limits.never_series)}", "-", asked)


def _refusals_near_close(situation: Situation, limits: RiskLimits) -> Iterator[RiskRefusal]:
    """A market of which no end is known is refused: its distance cannot be compared."""
    limit_s = limits.no_new_within_s_of_close
    if limit_s is None:
        return
    ends = [end for end in (situation.close_us, situation.determination_us) if end is not None]
    allowed = f"{limit_s} s or more before the close"
    if not ends:
        yield RiskRefusal("no_new_within_s_of_close", allowed, "no close is known", "now")
    elif min(ends) - situation.now_us < limit_s * US_PER_S:
        left_s = max(0, min(ends) - situation.now_us) // US_PER_S
        yield RiskRefusal("no_new_within_s_of_close", allowed, f"{left_s} s are left", "now")


def _dollars(amount_e6: int) -> str:
    """Rounded up to a cent, so that what is refused never reads as if it were allowed."""
    return format_fixed(ceil_div(amount_e6, 10_000), 2)


def _ask(request: Request) -> str:
    return f"{format_fixed(request.count_e2, 2)} {request.outcome} of {request.ticker}"
