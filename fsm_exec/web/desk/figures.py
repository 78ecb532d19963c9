"""What the desk shows of an engine, as plain values: read from what it holds in memory, so no look costs a query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from fsm_exec.control.account_schema import PositionSeen
from fsm_exec.control.account_views import position_seen
from fsm_exec.control.overview_views import working_execution
from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.statement import position_lines
from fsm_exec.core.account.worst_case import loss_e6
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.short_text import trim_count, trim_dollars
from fsm_exec.core.values.units import (
    US_PER_S,
    Outcome,
    PriceE4,
    complement,
    format_price,
    opposite,
    parse_money,
)
from fsm_exec.runtime.account.account import Account
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.store.api_rows import ExecutionSummary
from fsm_exec.web.templates import signed_cents, whole_cents

LIVE: Final = "live"
NONE: Final = "-"
METHOD_VERSION: Final = "@"


class WorkLine(msgspec.Struct, frozen=True, kw_only=True):
    """An execution at work. `slot` is the class of what shows its market's prices, empty where no engine knows them.
    `until_ms` is its deadline in milliseconds of the engine's time, `left` what is left of it in words. `money` is what
    its fills cost so far in dollars."""

    execution_id: str
    ticker: str
    outcome: str
    method: str
    state: str
    ending: str
    filled: str
    target: str
    filled_e2: int
    target_e2: int
    price: str
    orders: int
    limit: str
    cost: str
    until_ms: int
    left: str
    slot: str
    quarantine: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine stands, its access to the exchange, and its budget of writes."""

    state: str
    since: str
    version: str
    database: str
    why_degraded: tuple[str, ...]
    why_halted: str
    at_work: int
    live_orders: int
    unknown_orders: int
    settling_orders: int
    loose_orders: int
    halt_within_s: int
    lease_s: int
    lease_wanted_s: int
    outlives_s: int | None
    stream_connected: bool
    markets: int
    markets_live: int
    heard_ago_ms: int | None
    clock_ahead_ms: int | None
    write_left: int
    write_capacity: int
    write_per_s: int
    cancel_reserve: int
    quarantined: tuple[tuple[str, str], ...]


class RiskSeenHere(msgspec.Struct, frozen=True, kw_only=True):
    """How the account stands, in dollars. `use` is the part of the worst case's limit that is used, in percent."""

    state: str
    why: str
    read: bool
    worst_case: str
    limit: str
    use: int
    day: str
    profit: str
    drawdown: str


def work_line(execution: Execution, now_us: int, slot: str) -> WorkLine:
    """Return an execution as the desk shows it."""
    seen = working_execution(execution, None, now_us)
    return WorkLine(
        execution_id=seen.execution_id,
        ticker=seen.ticker,
        outcome=seen.outcome,
        method=seen.method.partition(METHOD_VERSION)[0],
        state=seen.state,
        ending=seen.ending or "",
        filled=trim_count(seen.filled_quantity),
        target=trim_count(seen.target_quantity),
        filled_e2=execution.filled_e2,
        target_e2=execution.target_e2,
        price=NONE if seen.price is None else trim_dollars(seen.price),
        orders=seen.orders,
        limit=NONE if seen.limit is None else trim_dollars(seen.limit),
        cost=NONE if seen.cost is None or not execution.filled_e2 else signed_cents(parse_money(seen.cost)),
        until_ms=execution.deadline_us // 1_000,
        left=describe_left(execution.deadline_us - now_us),
        slot=slot,
    )


def stored_line(stored: ExecutionSummary) -> WorkLine:
    """Return an execution that a database alone tells of: what its market offers and what it cost is not known."""
    return WorkLine(
        execution_id=stored.execution_id,
        ticker=stored.ticker,
        outcome=stored.outcome,
        method=stored.method.partition(METHOD_VERSION)[0],
        state=stored.state,
        ending="",
        filled=trim_count(stored.filled_quantity),
        target=trim_count(stored.target_quantity),
        filled_e2=_count(stored.filled_quantity),
        target_e2=_count(stored.target_quantity),
        price=NONE,
        orders=0,
        limit=NONE if stored.limit is None else trim_dollars(stored.limit),
        cost=NONE,
        until_ms=0,
        left=stored.deadline[:19].replace("T", " "),
        slot="",
        quarantine=stored.quarantine or "",
    )


def describe_left(left_us: int) -> str:
    """Return a span as the page's script does: `1 h 02 min`, `4 min 05 s`, `12 s`."""
    seconds = max(0, left_us // US_PER_S)
    minutes, rest = divmod(seconds, 60)
    hours, minutes_rest = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_rest:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def quote(feed: MarketFeed | None, outcome: Outcome) -> tuple[str, str]:
    """Return the best bid and ask of the others; of a book that is not live, in brackets, as last known."""
    if feed is None:
        return NONE, NONE
    bid, offered = feed.net_book.side(outcome).best, feed.net_book.side(opposite(outcome)).best
    return _price(bid, feed.state), _price(complement(offered) if offered else None, feed.state)


def standing(engine: Engine, now_us: int, *, since: str, version: str, database: str) -> Standing:
    """Return how the engine stands."""
    status, budget = engine.status(), engine.budget()
    feeds = list(engine.feeds.values())
    newest = max((feed.heard_us for feed in feeds), default=None)
    return Standing(
        state=status.state,
        since=since,
        version=version,
        database=database,
        why_degraded=status.why_degraded,
        why_halted=status.why_halted or "",
        at_work=status.at_work,
        live_orders=status.live_orders,
        unknown_orders=status.unknown_orders,
        settling_orders=status.settling_orders,
        loose_orders=status.loose_orders,
        halt_within_s=status.halt_within_s,
        lease_s=status.lease.in_force_s,
        lease_wanted_s=status.lease.wanted_s,
        outlives_s=status.lease.outlives_s,
        stream_connected=status.stream_connected,
        markets=len(feeds),
        markets_live=sum(feed.state == LIVE for feed in feeds),
        heard_ago_ms=None if newest is None else max(0, now_us - newest) // 1_000,
        clock_ahead_ms=_clock_ahead_ms(feeds),
        write_left=budget.write_left,
        write_capacity=budget.write_capacity,
        write_per_s=budget.write_per_s,
        cancel_reserve=budget.cancel_reserve,
        quarantined=tuple(sorted(status.quarantined.items())),
    )


def risk_seen(account: Account) -> RiskSeenHere:
    """Return how the account stands. Profit and loss of the day are by the equity of our books."""
    risk, limits = account.risk, account.limits
    worst_e6 = loss_e6(account.exposure().account_e6)
    limit = limits.max_worst_case_account_dollars
    has_day = risk.equity_e6 is not None and risk.day_start_e6 is not None
    return RiskSeenHere(
        state=risk.state,
        why=risk.why,
        read=account.ledger.was_read.is_set(),
        worst_case=whole_cents(worst_e6),
        limit=NONE if limit is None else f"{limit:,}",
        use=0 if not limit else min(100, worst_e6 * 100 // (limit * 1_000_000)),
        day=risk.day or NONE,
        profit=signed_cents((risk.equity_e6 or 0) - (risk.day_start_e6 or 0)) if has_day else NONE,
        drawdown=whole_cents(risk.drawdown_e6),
    )


def positions(account: Account, engine: Engine, now_us: int) -> list[PositionSeen]:
    """Return what is held, at the prices of the books that are live; other markets have no price here."""
    held = [one for one in account.ledger.markets.values() if one.holding.count_e2]
    marks = {one.ticker: mark for one in held if (mark := _mark(engine.feeds.get(one.ticker), now_us)) is not None}
    return [position_seen(line) for line in position_lines(held, marks)]


def _mark(feed: MarketFeed | None, now_us: int) -> Mark | None:
    if feed is None or feed.state != LIVE:
        return None
    yes, no = feed.view("yes", depth=0).bids, feed.view("no", depth=0).bids
    return Mark(ticker=feed.terms.ticker, yes_bids=yes, no_bids=no, fees=feed.terms.fees_at(now_us), at_us=now_us)


def _clock_ahead_ms(feeds: Iterable[MarketFeed]) -> int | None:
    """Return how far our clock was ahead of the exchange's stamp of the newest change when it came: the difference of
    the clocks and its way here together. The least of all markets: the others waited longer."""
    found = [feed.ahead_us for feed in feeds if feed.ahead_us is not None]
    return min(found) // 1_000 if found else None


def _price(price: PriceE4 | int | None, feed: str) -> str:
    if not price:
        return NONE
    shown = trim_dollars(format_price(PriceE4(price)))
    return shown if feed == LIVE else f"({shown})"


def _count(quantity: str) -> int:
    try:
        return int(quantity.replace(".", ""))
    except ValueError:  # of a damaged row
        return 0
