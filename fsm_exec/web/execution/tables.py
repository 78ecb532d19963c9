"""The tables of an execution's page, as texts: its orders, its fills, its cost by part, the book beside our orders.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from fsm_exec.core.costs.metrics import Decomposition
from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.costs.so_far import CostStep
from fsm_exec.core.execution.describe import short_id
from fsm_exec.core.execution.draft import StateChange
from fsm_exec.core.execution.execution import CHILD_LIVE, ChildOrder, Execution, PendingAmend
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.store.reads.execution_history import StoredBook
from fsm_exec.web.execution.figures import cents_each, clock, count, dollars_e7, money, price, since

ORDERS_MAX: Final = 200
FILLS_MAX: Final = 200
LADDER_LEVELS: Final = 5
WAY_MAX: Final = 8
PART_WORDS: Final = {
    "spread": "price paid against the mid just before each fill",
    "drift": "the mid's move from the first order to each fill",
    "fees": "what the exchange billed",
    "delay": "the mid's move from acceptance to the first order",
    "opportunity": "what is left, bought from the book, over the mid at the first order",
    "over_fill": "selling back what was bought beyond the target",
}
REWARD_WORDS: Final = {
    "liquidity_reward": "what a programme pays for resting orders, an estimate until it pays",
    "volume_reward": "what a programme pays for contracts traded, an estimate until it pays",
}
PART_NAMES: Final = {
    "over_fill": "over-fill",
    "liquidity_reward": "liquidity reward",
    "volume_reward": "volume reward",
}


class OrderLine(NamedTuple):
    """One order as it stood. `kind` is `live`, `open` or `ended`; `ahead` is how much stands before it, where that
    is known."""

    name: str
    exchange_id: str
    level: int
    state: str
    kind: str
    price: str
    walking_to: str
    size: str
    filled: str
    walks: int
    sent: str
    doubt: str
    way: str
    ahead: str = ""


class FillLine(NamedTuple):
    """One fill; `mid` is what was paid over the mid just before it, in cents."""

    number: int
    after: str
    at: str
    order: str
    size: str
    price: str
    role: str
    fee: str
    mid: str
    total: str


class CostLine(NamedTuple):
    """One part of the cost: so far, and as it would be or was in the end."""

    part: str
    so_far: str
    dollars: str
    in_end: str
    words: str


class LadderLine(NamedTuple):
    """One price of the book; `share` is its size beside the largest shown, in percent."""

    side: str
    price: str
    size: str
    share: int
    ours: str


def order_lines(execution: Execution, changes: Sequence[StateChange]) -> list[OrderLine]:
    """Return its orders, the newest first, those that are open before those that have ended; ORDERS_MAX at most.
    `changes` are those of its orders."""
    newest_first = sorted(enumerate(execution.children), key=lambda one: (not one[1].is_open, -one[0]))
    shown = [child for _, child in newest_first[:ORDERS_MAX]]
    ways: dict[str, list[StateChange]] = {child.client_order_id: [] for child in shown}
    for change in changes:
        if change.subject in ways:
            ways[change.subject].append(change)
    return [_order_line(execution, child, ways[child.client_order_id]) for child in shown]


def with_places(lines: Sequence[OrderLine], places: Mapping[str, CountE2]) -> list[OrderLine]:
    """Return the lines, those of live orders with how much stands before each of them, by the exchange's id."""
    return [
        line._replace(ahead=count(places[line.exchange_id]))
        if line.kind == "live" and line.exchange_id in places
        else line
        for line in lines
    ]


def _way(changes: Sequence[StateChange]) -> str:
    """The states it went through; one that it stayed in says how often."""
    if not changes:
        return ""
    runs = [(state, len(list(same))) for state, same in groupby([changes[0].source, *(one.dest for one in changes)])]
    return " \u2192 ".join(state if times == 1 else f"{state} \u00d7{times}" for state, times in runs[-WAY_MAX:])


def _order_line(execution: Execution, child: ChildOrder, changes: Sequence[StateChange]) -> OrderLine:
    doubt = []
    if child.suspicion is not None:
        doubt.append(child.suspicion.why)
    if child.write is not None and child.write.lost:
        doubt.append("the outcome of the last request is not known")
    if child.state == "unknown":
        doubt.append("no proof yet whether it arrived")
    if child.late:
        doubt.append(f"{count(child.late_e2)} filled after its end")
    return OrderLine(
        name=short_id(child.client_order_id),
        exchange_id=child.order_id or "",
        level=child.level,
        state=child.state,
        kind="live" if child.state in CHILD_LIVE else "open" if child.is_open else "ended",
        price=price(child.price_e4),
        walking_to=_walking_to(child),
        size=count(child.count_e2),
        filled=count(child.filled_e2),
        walks=child.walks,
        sent=since(child.sent_at_us, execution.accepted_at_us),
        doubt="; ".join(doubt),
        way=_way(changes),
    )


def _walking_to(child: ChildOrder) -> str:
    walks = isinstance(child.write, PendingAmend) and child.write.price_e4 != child.price_e4
    return price(child.write.price_e4) if walks and isinstance(child.write, PendingAmend) else ""


def fill_lines(execution: Execution) -> list[FillLine]:
    """Return its fills, the newest first; FILLS_MAX at most."""
    owners = {
        (fill.order_id, fill.fill_id): (child, fill in child.late)
        for child in execution.children
        for fill in (*child.fills, *child.late)
    }
    lines, total = [], 0
    for number, fill in enumerate(execution.fills, 1):
        child, is_late = owners[fill.order_id, fill.fill_id]
        total += fill.count_e2
        lines.append(
            FillLine(
                number=number,
                after=since(fill.traded_at_us, execution.accepted_at_us),
                at=clock(fill.traded_at_us),
                order=short_id(child.client_order_id),
                size=count(fill.count_e2),
                price=price(fill.price_e4),
                role=("taker" if fill.is_taker else "maker") + (", late" if is_late else ""),
                fee=money(fill.fee_e6),
                mid="" if fill.mid_e5 is None else _cents_e3(fill.price_e4 * 10 - fill.mid_e5),
                total=count(CountE2(total)),
            )
        )
    return lines[::-1][:FILLS_MAX]


def _cents_e3(value: int) -> str:
    """10^-5 dollars as cents with two decimals, signed, rounded to nearest."""
    hundredths = (abs(value) + 5) // 10
    text = f"{hundredths // 100}.{hundredths % 100:02}"
    return text if not hundredths else f"{'-' if value < 0 else '+'}{text}"


def cost_lines(
    execution: Execution, steps: Sequence[CostStep], end: Decomposition | MetricsRow | None
) -> list[CostLine]:
    """Return the parts: what they are of what is filled, and what they are of the whole by `end`, the stored result or
    what it would be by the book of then; the last line is their sum."""
    lines = [_cost_line(execution, part, steps, _in_end(end, part)) for part in PART_WORDS]
    lines += [_cost_line(execution, part, steps, found) for part in REWARD_WORDS if (found := _in_end(end, part))]
    return [*lines, _cost_line(execution, "total", steps, _in_end(end, "total"))]


def _cost_line(execution: Execution, part: str, steps: Sequence[CostStep], in_end: int | None) -> CostLine:
    so_far = getattr(steps[-1], part, None) if steps else None
    return CostLine(
        part=PART_NAMES.get(part, part),
        so_far="" if so_far is None else cents_each(so_far, execution.target_e2),
        dollars="" if so_far is None else dollars_e7(so_far),
        in_end="" if in_end is None else cents_each(in_end, execution.target_e2),
        words=(PART_WORDS | REWARD_WORDS).get(part, "all of them"),
    )


def _in_end(end: Decomposition | MetricsRow | None, part: str) -> int | None:
    if isinstance(end, MetricsRow):
        value: int | None = getattr(end, "cost_e7" if part == "total" else f"{part}_e7")
        return value
    return None if end is None else int(getattr(end, part))


def ladder_lines(execution: Execution, book: StoredBook | None) -> list[LadderLine]:
    """Return the prices near the touch, highest first, with what of ours rests there; empty without a book."""
    if book is None:
        return []
    ours = _resting(execution)
    asks, bids = dict(book.asks[:LADDER_LEVELS]), dict(book.bids[:LADDER_LEVELS])
    ours_near = {level for level in ours if not asks or level <= max(asks)}
    prices = sorted({*asks, *bids, *ours_near}, reverse=True)
    largest = max((*asks.values(), *bids.values()), default=1)

    def line(level: PriceE4) -> LadderLine:
        side = "ask" if level in asks else "bid"
        size = asks.get(level) or bids.get(level) or CountE2(0)
        mine = ours.get(level)
        return LadderLine(
            side=side,
            price=price(level),
            size=count(size) if size else "",
            share=size * 100 // largest,
            ours="" if mine is None else count(mine),
        )

    return [line(level) for level in prices]


def _resting(execution: Execution) -> dict[PriceE4, CountE2]:
    found: dict[PriceE4, CountE2] = {}
    for child in _live(execution):
        left = CountE2(child.count_e2 - child.counted_e2)
        found[child.price_e4] = CountE2(found.get(child.price_e4, 0) + left)
    return found


def _live(execution: Execution) -> Iterator[ChildOrder]:
    return (child for child in execution.children if child.state in CHILD_LIVE)
