"""The picture of one execution, held against what its database says."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from plotly.graph_objects import Figure

from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.events import Restored
from fsm_exec.core.journal.replay import ReplayedRow, replay_rows
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import US_PER_S, CountE2, PriceE4, parse_count, parse_fixed, parse_price
from fsm_exec.lab.experiment.tapes import NamedTape
from fsm_exec.lab.report.execution import execution_sections
from fsm_exec.lab.report.execution_books import Column, Touch, books_from_recording, books_from_snapshots
from fsm_exec.lab.report.execution_costs import cost_section
from fsm_exec.lab.report.page import Section, render_page
from fsm_exec.lab.report.timeline import build_timeline
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade, tape_header
from fsm_exec.recordings.format import FORMAT, Header, frame_line, header_line
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads.execution_history import StoredBook, load_history
from tests.cli.invoking import invoke
from tests.store.histories import fill

METHODS = ("--algorithm", "deadline_walker", "--algorithm", "dynamic_depth_walker")
DEMO = ("--profile", "moderate", "--faults", "everything", "--executions", "6", "--speed", "max")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Executions of both outcomes, worked on generated flow by methods that walk, replace, rest and take."""
    directory = tmp_path_factory.mktemp("worked")
    done = invoke(directory, "demo", *DEMO, *METHODS, "--db", "demo.sqlite")
    assert done.returncode == 0, done.stderr
    return directory / "demo.sqlite"


@pytest.fixture(scope="module")
def pages(database: Path) -> dict[str, list[Section]]:
    """The sections of each."""
    return {one: execution_sections(database, one, None)[2] for one in ids(database)}


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """e1 is at work, e2 was taken over by a second process, e3 ended without a book."""
    path = tmp_path_factory.mktemp("halves") / "engine.db"
    fill(path, ("walking", "restored", "no_book"))
    return path


def rows(database: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query, values).fetchall()


def ids(database: Path) -> list[str]:
    return [str(one) for (one,) in rows(database, "SELECT execution_id FROM execution_state ORDER BY rowid")]


def picture(sections: list[Section]) -> Figure:
    assert sections[0].figure is not None
    return sections[0].figure


def points(figure: Figure, *names: str) -> list[tuple[int, int]]:
    """(microseconds since acceptance, 10^-4 dollars) of the marks of these names."""
    found = [trace for trace in figure.data if trace.name in names]
    marks = [mark for trace in found for mark in zip(trace.x, trace.y, strict=True) if None not in mark]
    return sorted((round(x * 1e6), round(y * 100)) for x, y in marks)


def history_of(database: Path, execution_id: str) -> list[ReplayedRow]:
    with open_read_only(database) as looked:
        return list(replay_rows(load_history(looked.connection, execution_id).journal))


def test_each_fill_is_a_circle_at_its_time_and_price(database: Path, pages: dict[str, list[Section]]) -> None:
    """Makers and takers told apart, of all executions, as the database's own rows have them."""
    drawn = 0
    for one in ids(database):
        ((accepted_at,),) = rows(database, "SELECT accepted_at FROM execution_state WHERE execution_id = ?", one)
        figure = picture(pages[one])
        for is_taker, name in ((0, "fills, maker"), (1, "fills, taker")):
            stored = rows(
                database,
                "SELECT traded_at, price FROM fills WHERE execution_id = ? AND is_taker = ?",
                one,
                is_taker,
            )
            expected = sorted((from_iso(at) - from_iso(accepted_at), parse_price(price)) for at, price in stored)
            assert points(figure, name) == expected
            drawn += len(expected)
    assert drawn >= 6


def test_each_walk_is_a_mark_at_its_time_and_price(database: Path, pages: dict[str, list[Section]]) -> None:
    """As many as the orders' rows say, each at a journaled time; an order's last one is at the price it has now."""
    drawn = 0
    for one in ids(database):
        orders = rows(database, "SELECT client_order_id, price, walks FROM split_orders WHERE execution_id = ?", one)
        journaled = rows(database, "SELECT at FROM execution_events WHERE execution_id = ?", one)
        times = [from_iso(at) for (at,) in journaled]
        walks = points(picture(pages[one]), "walks")
        assert len(walks) == sum(number for _, _, number in orders)
        assert {at_us for at_us, _ in walks} <= {at_us - min(times) for at_us in times}
        for _, price, number in orders:
            assert not number or parse_price(price) in {walked for _, walked in walks}
        drawn += len(walks)
    assert drawn > 0


def test_states_tile_the_time_from_acceptance_to_end(database: Path, pages: dict[str, list[Section]]) -> None:
    """No gap, no overlap: of the execution from acceptance to end, of each order from its decision to its end; and so
    they stand in the picture."""
    for one in ids(database):
        story = build_timeline(history_of(database, one), [])
        ((accepted_at,),) = rows(database, "SELECT accepted_at FROM execution_state WHERE execution_id = ?", one)
        assert (story.states[0].from_us, story.states[-1].until_us) == (from_iso(accepted_at), story.until_us)
        for bars in (story.states, *(order.bars for order in story.orders)):
            assert all(bar.until_us == later.from_us for bar, later in pairwise(bars))
        assert all(order.bars[-1].until_us == order.ended_at_us for order in story.orders if order.bars)
        drawn = sorted(
            (round(base * 1e6), round((base + length) * 1e6))
            for trace in picture(pages[one]).data
            if trace.type == "bar"
            for base, length, y in zip(trace.base, trace.x, trace.y, strict=True)
            if y == 0
        )
        assert drawn == [(bar.from_us - story.from_us, bar.until_us - story.from_us) for bar in story.states]


def test_what_was_left_open_is_not_drawn_beyond_its_deadline(database: Path, tmp_path: Path) -> None:
    """By a minute at most, however long others went on in its market; the end of its journal is cut off here."""
    path = tmp_path / "cut.sqlite"
    path.write_bytes(database.read_bytes())
    first, *_ = ids(database)
    with closing(sqlite3.connect(path)) as connection, connection:
        last = len(rows(database, "SELECT 1 FROM execution_events WHERE execution_id = ?", first)) - 2
        connection.execute("DELETE FROM execution_events WHERE execution_id = ? AND seq > ?", (first, last))
    query = "SELECT ticker, accepted_at, deadline FROM execution_state WHERE execution_id = ?"
    ((ticker, accepted_at, deadline),) = rows(database, query, first)
    ((newest,),) = rows(database, "SELECT max(taken_at) FROM order_book_snapshots WHERE ticker = ?", ticker)
    length_s = (from_iso(deadline) - from_iso(accepted_at)) / 1e6
    assert (from_iso(newest) - from_iso(deadline)) / 1e6 > 120
    assert picture(execution_sections(path, first, None)[2]).layout.xaxis.range[1] < length_s + 75


def test_a_state_keeps_within_its_row(pages: dict[str, list[Section]]) -> None:
    """Whichever rows it is in: left to itself, a bar is as wide as the rows of its state are apart."""
    widths = [trace.width for sections in pages.values() for trace in picture(sections).data if trace.type == "bar"]
    assert widths
    assert all(width is not None and width < 1 for width in widths)


def test_the_picture_of_no_is_mirrored(database: Path, pages: dict[str, list[Section]]) -> None:
    """The best ask of NO is a dollar less the best bid of YES; the best bid is that of NO."""
    query = (
        "SELECT execution_id, outcome, accepted_at, taken_at, yes_depth, no_depth FROM order_book_snapshots "
        "JOIN execution_state USING (execution_id) WHERE why = 'arrival'"
    )
    outcomes = set()
    for one, outcome, accepted_at, taken_at, yes_depth, no_depth in rows(database, query):
        yes, no = (parse_price(json.loads(depth)[0][0]) for depth in (yes_depth, no_depth))
        bid, ask = (no, 10_000 - yes) if outcome == "no" else (yes, 10_000 - no)
        after_us = from_iso(taken_at) - from_iso(accepted_at)
        for name, price in (("best bid", bid), ("best ask", ask)):
            assert price in {y for at_us, y in points(picture(pages[one]), name) if at_us == after_us}
        outcomes.add(outcome)
    assert outcomes == {"yes", "no"}


def test_the_parts_of_the_cost_add_up_exactly(database: Path, pages: dict[str, list[Section]]) -> None:
    """In the table to a ten-millionth of a dollar, which is what is stored; the waterfall has the same numbers."""
    for one in ids(database):
        ((stored, target),) = rows(
            database, "SELECT shortfall_e7, target_quantity FROM execution_metrics WHERE execution_id = ?", one
        )
        section = pages[one][1]
        assert section.table is not None
        assert section.figure is not None
        *parts, total = (parse_fixed(row[2], 7) for row in section.table.rows)
        assert sum(parts) == total == stored
        assert [round(y * 1_000 * parse_count(target)) for y in section.figure.data[0].y] == [*parts, total]


def test_a_cost_that_is_not_known_says_why(database: Path) -> None:
    """And one that does not add up is refused."""
    one = ids(database)[0]
    execution = history_of(database, one)[-1].advance.execution
    with open_read_only(database) as looked:
        metrics = load_history(looked.connection, one).metrics
    assert metrics is not None
    unknown = msgspec.structs.replace(metrics, shortfall_e7=None, delay_e7=None, flags="no_arrival_mid")
    assert "there was no two-sided book at acceptance" in cost_section(execution, unknown).note
    with pytest.raises(UserError, match="does not add up"):
        cost_section(execution, msgspec.structs.replace(metrics, spread_e7=(metrics.spread_e7 or 0) + 1))


def test_an_unknown_execution_is_one_line(database: Path) -> None:
    """It names some that there are."""
    with pytest.raises(UserError) as caught:
        execution_sections(database, "e999999", None)
    assert "there is no execution e999999; the database has e000001, " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_execution_at_work_is_drawn_up_to_now(halves: Path) -> None:
    """Without a cost, and it says so; and one that never had a book is drawn too."""
    _, facts, sections = execution_sections(halves, "e1", None)
    assert sections[0].title.startswith("Under way (walking)")
    assert "It has not ended" in sections[0].note
    assert sections[1].note.startswith("No cost: it has not ended")
    assert dict(facts)["end"] == "not ended"
    _, facts, sections = execution_sections(halves, "e3", None)
    assert "no_book" in sections[0].title
    assert dict(facts)["target price"] == "none: there was no book"


def test_a_time_without_a_process_is_shaded(halves: Path) -> None:
    """From the last row before to the one that says that a process took over."""
    journal = history_of(halves, "e2")
    start_us = journal[0].row.at_us
    expected = {
        ((before.row.at_us - start_us) / 1e6, (one.row.at_us - start_us) / 1e6)
        for before, one in pairwise(journal)
        if isinstance(one.event, Restored)
    }
    figure = picture(execution_sections(halves, "e2", None)[2])
    boxes = {(shape.x0, shape.x1) for shape in figure.layout.shapes if shape.type == "rect"}
    assert boxes == expected != set()


def test_the_same_bytes_twice(database: Path, pages: dict[str, list[Section]]) -> None:
    """Nothing of the moment of drawing is in the page."""
    one = ids(database)[1]
    again = execution_sections(database, one, None)
    assert render_page(*again) == render_page(*again[:2], pages[one])


def test_a_recording_must_cover_the_execution(database: Path, tmp_path: Path) -> None:
    """One of another market, and one of another time, are refused; one of its time is drawn in full."""
    one = ids(database)[0]
    ((ticker, accepted_at),) = rows(
        database, "SELECT ticker, accepted_at FROM execution_state WHERE execution_id = ?", one
    )
    at_us = from_iso(accepted_at)
    with pytest.raises(UserError, match="is of KXOTHER-A-B, "):
        execution_sections(database, one, recording(tmp_path, "KXOTHER-A-B", at_us))
    with pytest.raises(UserError, match="does not cover"):
        execution_sections(database, one, recording(tmp_path, ticker, at_us - 9_000 * US_PER_S))
    section: Section = execution_sections(database, one, recording(tmp_path, ticker, at_us))[2][0]
    assert section.figure is not None
    assert "recorded.jsonl, at every change" in section.note
    assert {trace.name for trace in section.figure.data} >= {"bids", "asks", "best bid", "best ask"}


def recording(directory: Path, ticker: str, at_us: int) -> NamedTape:
    """A minute from `at_us` on: a book, and a change of it."""
    file = directory / "recorded.jsonl"
    book = {"market_ticker": ticker, "yes_dollars_fp": [["0.4000", "10.00"]], "no_dollars_fp": [["0.5000", "7.00"]]}
    change = {"market_ticker": ticker, "price_dollars": "0.4100", "delta_fp": "5.00", "side": "yes"}
    frames = (
        (at_us, {"type": "orderbook_snapshot", "sid": 1, "seq": 1, "msg": book}),
        (at_us + 60 * US_PER_S, {"type": "orderbook_delta", "sid": 1, "seq": 2, "msg": change}),
    )
    lines = [header_line(Header(format=FORMAT, ticker=ticker, price_level_structure="linear_cent"))]
    lines += [frame_line(when_us, json.dumps(frame)) for when_us, frame in frames]
    file.write_bytes(b"\n".join(lines) + b"\n")
    return NamedTape(file.name, read_tape(file))


def level(price: int, count: int) -> tuple[PriceE4, CountE2]:
    return PriceE4(price), CountE2(count)


def test_a_recorded_book_stands_until_its_next_change_and_not_before_a_second_snapshot() -> None:
    """Between the last frame and a snapshot that follows frames may be missing: that is a gap. NO is mirrored."""
    book, bought = BookSnapshot((level(4_000, 100),), (level(5_000, 200),)), Trade("yes", PriceE4(5_000), CountE2(50))
    more = BookDelta("yes", PriceE4(4_100), CountE2(300))
    tape = Tape(
        tape_header("KXA-B-C", "linear_cent", category="Test"),
        ((10, book), (20, more), (30, bought), (50, book), (60, bought)),
    )
    found = books_from_recording(tape, "yes", 15, 58)
    small, large = (level(4_000, 100),), (level(4_100, 300), level(4_000, 100))
    asks = (level(5_000, 200),)
    assert found.columns == (
        Column(15, 20, small, asks),
        Column(20, 30, large, asks),
        Column(50, 58, small, asks),
    )
    assert [(touch.at_us, touch.known) for touch in found.touches] == [
        (15, True),
        (20, True),
        (30, False),
        (50, True),
        (58, False),
    ]
    assert [(trade.at_us, trade.price_e4) for trade in found.trades] == [(30, 5_000)]
    mirrored = books_from_recording(tape, "no", 15, 20)
    assert mirrored.columns == (Column(15, 20, (level(5_000, 200),), (level(6_000, 100),)),)


def test_a_photograph_stands_eleven_seconds_at_most_and_never_while_nobody_was_there() -> None:
    """Nothing is known in between."""
    bids, asks = (level(4_000, 100),), (level(5_000, 200),)
    books = [StoredBook(at_us * US_PER_S, bids, asks) for at_us in (0, 5, 40)]
    found = books_from_snapshots(books, [(8 * US_PER_S, 30 * US_PER_S)], 100 * US_PER_S)
    assert [(c.from_us // US_PER_S, c.until_us // US_PER_S) for c in found.columns] == [(0, 5), (5, 8), (40, 51)]
    gone = Touch(8 * US_PER_S, None, None, known=False)
    assert gone in found.touches
