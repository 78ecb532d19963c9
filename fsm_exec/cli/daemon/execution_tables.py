"""Executions as tables and lines for a person: the list, and one in detail.

At 80 columns no price, count, state or time is cut; a name may be broken over two lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table

from fsm_exec.cli.output import say
from fsm_exec.cli.tables.columns import LATE, Column, figures, names, open_console, print_rendered, print_table, words
from fsm_exec.cli.tables.times import clock_if_near, day_and_clock
from fsm_exec.control.schema import ExecutionDetail, ExecutionSummary, Quote
from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.market.limits import LIMIT_BELOW_MARKET
from fsm_exec.core.market.position_closing import POSITION_GONE
from fsm_exec.core.values.short_text import trim_count, trim_dollars
from fsm_exec.core.values.units import CountE2, parse_count, rounded_ratio

CLOCK: Final = slice(len("2023-04-10T"), len("2023-04-10T18:00:00"))  # of a time, what a person reads within a day
ENDED: Final = ("filled", "cancelled")
BROKEN: Final = ("order", "flags")  # headings of what may be broken over lines


def list_columns(executions: Sequence[ExecutionSummary], now_us: int) -> list[Column]:
    """Return a list of executions: what was wanted, what came of it, until when."""
    ends = ["-" if e.state in ENDED else day_and_clock(e.deadline) for e in executions]
    near = ["-" if e.state in ENDED else clock_if_near(e.deadline, now_us) for e in executions]
    filled = [(trim_count(e.filled_quantity), trim_count(e.target_quantity)) for e in executions]
    return [
        Column("id", [e.execution_id for e in executions]),
        names("key", [e.key or "-" for e in executions], then=((1, None),)),
        names("market", [e.ticker for e in executions]),
        Column("side", [e.outcome for e in executions]),
        names("method", [e.method.partition("@")[0] for e in executions], then=((LATE + 1, None),)),
        words("state", [state_of(e) for e in executions]),
        figures("filled", ["/".join(one) for one in filled], then=((LATE, ["/\n".join(one) for one in filled]),)),
        figures("limit", [dollars_or_dash(e.limit) for e in executions]),
        figures("accepted", [day_and_clock(e.accepted_at) for e in executions], then=((0, None),)),
        figures("ends", ends, then=((2, near),)),
    ]


def state_of(execution: ExecutionSummary) -> str:
    """Return the state, and what there is to say of it: a quarantine, or why it ended."""
    if execution.quarantine is not None:
        return f"{execution.state}, QUARANTINED"
    if execution.reason in (None, "completed"):
        return execution.state
    note, details = execution.note or "", [str(execution.reason)]
    if LIMIT_BELOW_MARKET in note:
        details.append(LIMIT_BELOW_MARKET)
    if note.startswith(POSITION_GONE):
        details.append(POSITION_GONE)
    elif note and not note.startswith(LIMIT_BELOW_MARKET):
        details.append("could not act")
    if execution.refusal is not None and execution.reason == "rejected":
        details.append(execution.refusal.split(":", 1)[0])
    return f"{execution.state} ({', '.join(details)})"


def print_detail(detail: ExecutionDetail, *, with_rewards: bool = True) -> None:
    """Print one execution: what was wanted, how it stands, its orders, fills, cost and the end of its journal."""
    page = open_console()
    heads = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    heads.add_column(no_wrap=True)
    heads.add_column(overflow="fold")
    for name, value in _heads(detail):
        heads.add_row(name, value)
    print_rendered(page, heads)
    ahead = {name: trim_count(count) for name, count in detail.queue_ahead.items()}
    _print_rows(
        "orders",
        [
            (
                o.client_order_id,
                o.state,
                trim_dollars(o.price),
                _part(o.filled_quantity, o.quantity),
                str(o.walks),
                *((ahead.get(o.client_order_id, ""),) if ahead else ()),
            )
            for o in detail.orders
        ],
        ("order", "state", "price", "filled", "walks", *(("ahead",) if ahead else ())),
    )
    _print_rows(
        "fills",
        [
            (
                day_and_clock(f.traded_at),
                trim_dollars(f.price),
                trim_count(f.quantity),
                trim_dollars(f.fee),
                "taken" if f.is_taker else "made",
                word_of(f.late),
            )
            for f in detail.fills
        ],
        ("at", "price", "quantity", "fee", "as", "late"),
    )
    if detail.metrics is not None:
        cost = detail.metrics
        _print_rows(
            "cost, in dollars per contract",
            [
                (
                    cost.fill_rate,
                    word_of(cost.average_fill_price),
                    word_of(cost.shortfall),
                    trim_dollars(cost.fees),
                    cost.flags or "-",
                )
            ],
            ("fill rate", "average price", "shortfall", "fees in all", "flags"),
        )
        if with_rewards and (cost.liquidity_reward_e7, cost.volume_reward_e7) != (0, 0):
            _print_rewards(cost, parse_count(cost.target_quantity))
    _print_journal(detail)
    for line in detail.damage:
        say(f"damaged: {line}")


def _print_rewards(cost: MetricsRow, target: CountE2) -> None:
    """Print what programmes pay, as a cost, and the whole with it."""
    figures_e7 = (cost.liquidity_reward_e7, cost.volume_reward_e7, cost.cost_e7)
    row = ["not known" if value is None else str(rounded_ratio(value, target * 10**5, 6)) for value in figures_e7]
    title = "rewards, estimated, $ per contract"
    _print_rows(title, [row], ("for liquidity", "for volume", "cost with them"))


def _heads(detail: ExecutionDetail) -> Iterator[tuple[str, str]]:
    e = detail.execution
    yield "execution", e.execution_id if e.key is None else f"{e.execution_id}, key {e.key}"
    yield "wanted", f"{trim_count(e.target_quantity)} {e.outcome.upper()} of {e.ticker}, by {e.method}"
    if e.limit is not None and e.cap is not None:
        target = "" if e.target_price in (None, e.limit) else f"; target price {trim_dollars(e.target_price)}"
        yield "limit", f"{trim_dollars(e.limit)} per contract, cap {trim_dollars(e.cap)} with fees{target}"
    yield "state", state_of(e)
    yield "filled", f"{trim_count(e.filled_quantity)} of {trim_count(e.target_quantity)}"
    if detail.quote is not None:
        yield "market", describe_quote(detail.quote, e.outcome)
    yield "accepted", e.accepted_at
    if detail.seconds_left is None:
        yield "deadline", e.deadline
    else:
        yield "deadline", f"{e.deadline}, {describe_seconds(detail.seconds_left)} left"
    for name, value in (("quarantine", e.quarantine), ("refusal", e.refusal), ("note", e.note)):
        if value is not None:
            yield name, value


def describe_quote(quote: Quote, outcome: str) -> str:
    """Return the best bid and ask of an outcome on one line."""
    bid = "no bid" if quote.bid is None else f"bid {trim_dollars(quote.bid)} x {trim_count(quote.bid_size or '0')}"
    ask = "no ask" if quote.ask is None else f"ask {trim_dollars(quote.ask)} x {trim_count(quote.ask_size or '0')}"
    known = "" if quote.feed == "live" else f" (as last known: the feed is {quote.feed})"
    return f"{outcome.upper()} {bid}, {ask}{known}"


def describe_seconds(seconds: int) -> str:
    """Return a span as `1 h 02 min`, `4 min 05 s` or `12 s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes_rest = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_rest:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _print_journal(detail: ExecutionDetail) -> None:
    if not detail.journal:
        return
    what = ["; ".join(part for part in (one.event_type, one.steps, one.decided) if part) for one in detail.journal]
    columns = [
        figures("step", [str(one.seq) for one in detail.journal]),
        Column("at", [one.at[CLOCK] for one in detail.journal]),
        words("what", what),
    ]
    print_table(columns, title="journal")


def _print_rows(title: str, rows: Sequence[Sequence[str]], headings: tuple[str, ...]) -> None:
    """Print a table in which only names and flags may be broken."""
    if not rows:
        return
    cells = dict(zip(headings, zip(*rows, strict=True), strict=True))
    made = [names(heading, found) if heading in BROKEN else Column(heading, found) for heading, found in cells.items()]
    print_table(made, title=title)


def _part(filled: str, quantity: str) -> str:
    return f"{trim_count(filled)}/{trim_count(quantity)}"


def dollars_or_dash(dollars: str | None) -> str:
    return "-" if dollars is None else trim_dollars(dollars)


def word_of(value: object) -> str:
    """Return a value in a word: yes, no, - for none, else as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
