"""Tables at 80, 120 and 200 columns, with the longest values there are: what is left out, and that nothing is cut."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from rich.text import Text

from fsm_exec.cli.console import Page
from fsm_exec.cli.daemon.account_commands import differences_columns, positions_columns, profit_columns
from fsm_exec.cli.daemon.execution_tables import list_columns
from fsm_exec.cli.daemon.market_commands import ladder_columns, markets_columns
from fsm_exec.cli.daemon.top_screen import ended_columns
from fsm_exec.cli.demo.crash_screen import crash_columns, lay_out_crash
from fsm_exec.cli.tables.columns import Column, lay_out
from fsm_exec.cli.tables.times import clock_if_near, short_span
from fsm_exec.cli.tables.working import working_columns
from fsm_exec.control.account_schema import DifferenceSeen, PositionSeen, ProfitSeen, ProfitTable
from fsm_exec.control.market_schema import BookLevel, MarketBook, MarketLine
from fsm_exec.control.overview_schema import WorkingExecution
from fsm_exec.control.schema import ExecutionSummary
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import CountE2
from tests.golden import histories

NOW_US = from_iso("2026-10-01T12:00:00.000000Z")
WIDTHS = (80, 120, 200)
LONG_TICKER = "KXMVESPORTSMULTIGAME-S2026A7E3F1C9D-4B2C8E1A9F0"


def summary(**changes: object) -> ExecutionSummary:
    values: dict[str, object] = {
        "execution_id": "e1000042",
        "key": "strategy-17:2026-10-01:long-key-of-a-careful-caller.0001",
        "ticker": LONG_TICKER,
        "outcome": "yes",
        "method": "dynamic_depth_walker@12",
        "state": "cancelled",
        "reason": "no_liquidity",
        "quarantine": None,
        "refusal": None,
        "note": "could not act for 17 of 60 s: the exchange's orders cannot be read",
        "target_quantity": "10000.25",
        "filled_quantity": "9999.75",
        "target_price": "0.6215",
        "accepted_at": "2026-10-01T11:58:01.000001Z",
        "deadline": "2026-10-04T18:00:00.000000Z",
        "updated_at": "2026-10-01T11:59:59.000000Z",
        "seq": 40,
        "limit": "0.6215",
        "cap": "0.638100",
    }
    return ExecutionSummary(**values | changes)  # type: ignore[arg-type]


def working(**changes: object) -> WorkingExecution:
    values: dict[str, object] = {
        "execution_id": "e1000042",
        "ticker": LONG_TICKER,
        "outcome": "yes",
        "method": "dynamic_depth_walker@12",
        "state": "walking",
        "ending": "no_liquidity",
        "filled_quantity": "9999.75",
        "target_quantity": "10000.25",
        "price": "0.6215",
        "orders": 3,
        "bid": "0.6205",
        "ask": "0.6225",
        "feed": "stale",
        "limit": "0.6335",
        "accepted_at": "2026-10-01T11:58:01.000001Z",
        "deadline": "2026-10-04T18:00:00.000000Z",
        "seconds_left": 280_800,
        "cost": "-137.438212",
    }
    return WorkingExecution(**values | changes)  # type: ignore[arg-type]


def position() -> PositionSeen:
    return PositionSeen(
        ticker=LONG_TICKER,
        event="KXMVESPORTSMULTIGAME-S2026A7E3F1C9D",
        series="KXMVESPORTSMULTIGAME",
        outcome="yes",
        quantity="10000.25",
        ours="9000.00",
        others="1000.25",
        average_price="0.621512",
        cost="6215.277400",
        value="6112.132100",
        unrealized="-103.145300",
        unrealized_at_mid="-54.333300",
        realized="0.000000",
        fees="12.441900",
        priced_by="book",
        priced_at="2026-10-01T12:00:00.000000Z",
    )


def profit() -> ProfitTable:
    line = ProfitSeen(
        key=LONG_TICKER,
        traded="123456.25",
        paid="77000.000000",
        open_cost="6215.277400",
        realized="-1234.567800",
        fees="1023.441900",
        unrealized="-1103.145300",
        unrealized_at_mid="-1054.333300",
        total="-3361.155000",
        unpriced=0,
    )
    return ProfitTable(
        by="market", lines=[line], by_hand=line, taken_over=None, netted=None, total=line, time_zone="UTC"
    )


def market() -> MarketLine:
    return MarketLine(
        ticker=LONG_TICKER,
        title="Will the high temperature in New York City be between 72 and 73 degrees on October 1, 2026?",
        event="E",
        status="unopened",
        bid="0.6205",
        bid_size="10.00",
        ask="0.6225",
        ask_size="10.00",
        last=None,
        volume_24h="12345678.00",
        closes_at="2026-10-04T18:00:00.000000Z",
    )


def book() -> MarketBook:
    level = BookLevel(price="0.6215", quantity="123456.25", own="10000.25")
    return MarketBook(
        ticker=LONG_TICKER,
        outcome="yes",
        source="stream",
        at="2026-10-01T12:00:00.000000Z",
        market=None,
        bids=[level],
        asks=[level, level],
        spread=None,
        mid=None,
    )


TABLES: list[tuple[str, list[Column], list[str]]] = [
    (
        "list",
        list_columns([summary(), summary(state="walking", reason=None, quarantine="IllegalTrigger: no row")], NOW_US),
        ["9999.75/10000.25", "0.6215", "no_liquidity", "QUARANTINED", "10-04 18:00:00", "e1000042"],
    ),
    (
        "top",
        working_columns([working(), working(state="partial", ending=None, seconds_left=65)]),
        ["0.6215", "0.6205?", "0.6225?", "walking", "no_liquidity", "partial", "78h00m", "1m05s", "e1000042"],
    ),
    ("endings", ended_columns([summary()], NOW_US), ["9999.75/10000.25", "no_liquidity", "11:59:59", "cancelled"]),
    (
        "positions",
        positions_columns([position()]),
        ["10000.25 YES", "0.6215", "6112.1321", "-103.1453"],
    ),
    ("pnl", profit_columns(profit()), ["-1234.5678", "1023.4419", "-1103.1453", "-3361.155", "in all"]),
    ("markets", markets_columns([market()]), ["0.6205", "0.6225", "unopened", "10-04 18:00"]),
    ("book", ladder_columns(book()), ["123456.25", "10000.25", "0.6215"]),
    (
        "differences",
        differences_columns(
            [
                DifferenceSeen(
                    kind="position",
                    ticker=LONG_TICKER,
                    found_at="2026-10-01T11:59:59.000000Z",
                    ours="10000.25",
                    theirs="-1000.00",
                    cause="a_fill_by_hand",
                )
            ]
        ),
        ["10000.25", "-1000.00", "10-01 11:59:59"],
    ),
]


def with_orders_of_every_kind() -> Execution:
    """An execution with orders that are live, unknown, amending, cancelling and settling."""
    amending = histories.partial_amending().execution
    (order,) = [child for child in amending.children if child.write is not None]
    states = ("working", "unknown", "cancelling", "settling")
    others = [
        msgspec.structs.replace(order, client_order_id=f"{order.client_order_id}-{state}", state=state, write=None)
        for state in states
    ]
    return msgspec.structs.replace(
        amending,
        execution_id="e1000042",
        method="dynamic_depth_walker@1",
        target_e2=CountE2(1_000_025),
        deadline_us=NOW_US + 86_400 * 1_000_000,
        children=(order, *others * 3),
    )


def rendered(columns: Sequence[Column], width: int) -> list[str]:
    console = Page(width=width)
    with console.capture() as captured:
        console.print(lay_out(columns, width))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "columns", "whole"), TABLES, ids=[name for name, _, _ in TABLES])
def test_no_price_state_or_time_is_cut(name: str, columns: list[Column], whole: list[str], width: int) -> None:
    """The longest values stand whole on one line, but for a count broken at its stroke; no line is wider than the
    terminal, and no sign says that more was there."""
    lines = rendered(columns, width)
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert "…" not in text
    lost = [value for value in whole if value not in text and not all(half in text for half in value.split("/"))]
    assert lost == [], f"{name} at {width}:\n{text}"


def test_bar_key_and_date_go_first_and_names_are_broken_after_them() -> None:
    """At 200 columns all is there; at 120 some of it; at 80 prices, states and times, with names over two lines."""
    usual = working(ticker="KXHIGHNY-26OCT01-B72.5", price="0.6200", bid="0.6100", ask="0.6300", limit="0.6500")
    rows = [
        msgspec.structs.replace(usual, ending=None, feed="live", filled_quantity="120.00", target_quantity="300.00")
    ]
    heads = {width: rendered(working_columns(rows), width)[0] for width in WIDTHS}
    everything = "id market side method state filled progress ours bid ask limit cost $ ends left"
    assert " ".join(heads[200].split()) == everything
    assert not {"progress"} & set(heads[120].split())
    assert " ".join(heads[80].split()) == "id market side state filled ours bid ask cost $ left"
    plain = summary(ticker="KXHIGHNY-26OCT01-B72.5", state="walking", reason=None, note=None, method="twap@1")
    listed = {width: rendered(list_columns([plain], NOW_US), width)[0].split() for width in WIDTHS}
    assert {"key", "accepted"} <= set(listed[200])
    assert " ".join(listed[80]) == "id market side method state filled limit ends"


def test_in_one_market_the_methods_are_seen_before_why_an_execution_ends() -> None:
    """Where both have no room the state stands alone; which method it was is what a demo is about."""
    small: dict[str, object] = {
        "filled_quantity": "12.00",
        "target_quantity": "20.00",
        "price": "0.61",
        "bid": "0.60",
        "ask": "0.62",
    }
    small |= {"cost": "0.12", "seconds_left": 12}
    rows = [
        working(method="deadline_walker@1", state="partial", ending="deadline", **small),
        working(method="passive_mid@1", state="cancelled", ending="no_liquidity", **small),
    ]
    for wanted, width in (("deadline_walker", 80), ("partial, ends: deadline", 120)):
        text = rendered(working_columns(rows, is_one_market=True), width)
        assert any(wanted in line for line in text), text
        assert any("no_liquidity" in line for line in text), text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_killed_engines_cuts_nothing(width: int) -> None:
    """Whole ids, states, counts and times beside orders of every kind, in words that are broken between two at most;
    the bar goes first."""
    cancelled = msgspec.structs.replace(with_orders_of_every_kind(), state="cancelled", reason="no_liquidity")
    lines = rendered(crash_columns([with_orders_of_every_kind(), cancelled], NOW_US), width)
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert "…" not in text
    for value in ("e1000042", "partial", "no_liquidity", "/10000.25", "86400"):
        assert value in text, text
    said = " ".join(text.split())
    for word in ("live,", "unknown,", "amending,", "cancelling,", "settling"):
        assert word in said, text
    assert ("progress" in text) == (width > 120)


@pytest.mark.parametrize("lines", [1, 22, 38, 200])
def test_of_many_executions_whose_engine_is_killed_those_at_work_are_seen(lines: int) -> None:
    """As many as fit, in the order of their ids, and how many more there are; nothing is cut off below."""
    one = with_orders_of_every_kind()
    states = [("cancelled", "user"), ("partial", None)] * 15
    many = [
        msgspec.structs.replace(one, execution_id=f"e{place:06}", state=state, reason=reason)
        for place, (state, reason) in enumerate(states)
    ]
    console = Page(width=80)
    with console.capture() as captured:
        console.print(*lay_out_crash(many, NOW_US, 80, lines), sep="\n")
    said = captured.get().splitlines()
    ids = [line[:7] for line in said if line.startswith("e0")]
    left_out = 30 - len(ids)
    assert ids == sorted(ids)
    assert len(said) <= max(lines, 2 + 3 + 1)
    assert ("".join(said[-1:]).strip() == f"and {left_out} more") == (left_out > 0)
    assert len([name for name in ids if int(name[1:]) % 2]) == min(15, len(ids))


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_terminal_that_is_too_narrow_breaks_and_cuts_nothing(width: int) -> None:
    """Every character of every price is there, over more lines."""
    lines = rendered([Column("price", ["0.6215"]), Column("state", ["cancelled"]), Column("at", ["18:00:00"])], width)
    text = "".join(lines)
    assert "…" not in text
    for value in ("0.6215", "cancelled", "18:00:00"):
        assert sum(text.count(letter) for letter in set(value)) >= len(set(value))


def test_a_time_has_its_date_unless_that_goes_without_saying() -> None:
    """Within half a day the clock alone; else the date too, however narrow it is; a span takes six characters."""
    assert clock_if_near("2026-10-01T18:00:00.000000Z", NOW_US) == "18:00:00"
    assert clock_if_near("2026-10-04T18:00:00.000000Z", NOW_US) == "10-04 18:00:00"
    assert clock_if_near("none at all", NOW_US) == "at all"
    spans = [short_span(seconds) for seconds in (0, 59, 60, 3_599, 3_600, 359_999, 360_000, 8_639_999)]
    assert spans == ["0s", "59s", "1m00s", "59m59s", "1h00m", "99h59m", "4d04h", "99d23h"]


def test_what_an_exchange_wrote_is_measured_as_it_is_shown() -> None:
    """A control character takes the place of its mark, so no column is narrower than its text."""
    lines = rendered([Column("name", ["a\x1b[31mb", Text("c\td")]), Column("price", ["0.5000", "0.1000"])], 80)
    assert "a?[31mb  0.5000" in lines[2]
