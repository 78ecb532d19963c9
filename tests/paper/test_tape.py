"""Tapes: recordings read whole and put in order, damaged ones refused, whole ones played under our orders."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import PriceE4
from fsm_exec.paper.grids import grid_of
from fsm_exec.paper.matching_engine.price_level import QueueModel
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Trade, read_tape
from tests.paper.support import TICKER, Floor, count

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("FSM_EXEC_RECORDINGS", ROOT.parent / "shared" / "recordings"))


def recording(name: str) -> Path:
    path = RECORDINGS / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no recording {path}: set FSM_EXEC_RECORDINGS to a folder that has it")
    return path


def book_frame(at_us: int, seq: int, kind: str, **msg: object) -> dict[str, Any]:
    frame = {"type": kind, "sid": 1, "seq": seq, "msg": {"market_ticker": TICKER, **msg}}
    return {"recv_us": at_us, "frame": frame}


OPENING = book_frame(
    1_000_000, 1, "orderbook_snapshot", yes_dollars_fp=[["0.4000", "100.00"]], no_dollars_fp=[["0.5500", "80.00"]]
)


def decrease(at_us: int, price: str, size: str, side: str = "yes") -> dict[str, Any]:
    return book_frame(at_us, 2, "orderbook_delta", price_dollars=price, delta_fp=f"-{size}", side=side)


def taker_sold(at_us: int, price: str, size: str) -> dict[str, Any]:
    return book_frame(
        at_us,
        1,
        "trade",
        trade_id="t",
        yes_price_dollars=price,
        no_price_dollars="0.0000",
        count_fp=size,
        taker_outcome_side="no",
        taker_book_side="ask",
        ts_ms=0,
    )


def write(path: Path, *lines: dict[str, Any], structure: str = "linear_cent") -> Path:
    header = {"header": {"format": "kalshi-ws-recording/1", "ticker": TICKER, "price_level_structure": structure}}
    path.write_bytes(gzip.compress("\n".join(json.dumps(line) for line in (header, *lines)).encode()))
    return path


def test_a_late_trade_is_put_before_its_decrease(tmp_path: Path) -> None:
    """Matched by level and size, at the decrease's time; the decrease in between is another's."""
    tape = read_tape(
        write(
            tmp_path / "r.gz",
            OPENING,
            decrease(2_000_000, "0.4000", "7.00"),
            decrease(2_100_000, "0.4000", "9.00"),
            taker_sold(2_600_000, "0.4000", "7.00"),
        )
    )
    kinds = [(at, type(change).__name__) for at, change in tape.events[1:]]
    assert kinds == [(2_000_000, "Trade"), (2_000_000, "BookDelta"), (2_100_000, "BookDelta")]


def test_a_decrease_belongs_to_one_trade(tmp_path: Path) -> None:
    """A second trade of the same level and size keeps its own place."""
    tape = read_tape(
        write(
            tmp_path / "r.gz",
            OPENING,
            decrease(2_000_000, "0.4000", "7.00"),
            taker_sold(2_600_000, "0.4000", "7.00"),
            taker_sold(2_700_000, "0.4000", "7.00"),
        )
    )
    assert [at for at, change in tape.events if isinstance(change, Trade)] == [2_000_000, 2_700_000]


def test_a_late_trade_is_counted_once(tmp_path: Path) -> None:
    """Behind 100: a trade of 40 told after its decrease leaves 60 ahead of us, not 20."""
    tape = read_tape(
        write(
            tmp_path / "r.gz",
            OPENING,
            decrease(2_000_000, "0.4000", "40.00"),
            taker_sold(2_600_000, "0.4000", "40.00"),
        )
    )
    floor = Floor()
    floor.play(tape.events[0][1])
    order = floor.bid("0.40", "5")
    floor.play(*(change for _, change in tape.events[1:]))
    assert floor.exchange.orders[order.order_id].ahead_e2 == count("60")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ((), "snapshot"),
        ((decrease(1, "0.4000", "1.00"),), "snapshot"),
        ((OPENING, decrease(2_000_000, "0.4000", "101.00")), "would hold"),
        ((OPENING, decrease(2_000_000, "0.4", "one")), "damaged"),
        ((OPENING, decrease(500_000, "0.4000", "1.00")), "backwards"),
        ((OPENING, decrease(2_000_000, "0.4600", "-5.00")), "damaged"),
    ],
    ids=["empty", "no snapshot", "below zero", "not a number", "backwards", "two signs"],
)
def test_an_impossible_recording_is_refused(tmp_path: Path, lines: tuple[dict[str, Any], ...], says: str) -> None:
    """In one line that names the file."""
    path = write(tmp_path / "r.gz", *lines)
    with pytest.raises(UserError, match=says) as refused:
        read_tape(path)
    assert str(path) in str(refused.value)


def test_a_crossed_recording_is_refused(tmp_path: Path) -> None:
    """A YES bid at 0.46 beside an offer at 0.45."""
    crossing = book_frame(2_000_000, 2, "orderbook_delta", price_dollars="0.4600", delta_fp="5.00", side="yes")
    with pytest.raises(UserError, match="crossed"):
        read_tape(write(tmp_path / "r.gz", OPENING, crossing))


def change(at_us: int, price: str, delta: str, side: str) -> dict[str, Any]:
    return book_frame(at_us, 2, "orderbook_delta", price_dollars=price, delta_fp=delta, side=side)


def test_frames_of_one_moment_may_come_in_any_order(tmp_path: Path) -> None:
    """The bid went up to 0.46 because the offer at 0.45 was taken: received in one moment, the bid first, and the trade
    with its decrease; another level's increase came after the decrease that needs it. All is read, each state sound."""
    tape = read_tape(
        write(
            tmp_path / "r.gz",
            OPENING,
            change(2_000_000, "0.4600", "5.00", "yes"),
            taker_sold(2_000_000, "0.4000", "30.00"),
            change(2_000_000, "0.4000", "-30.00", "yes"),
            change(2_000_000, "0.3000", "-2.00", "yes"),
            change(2_000_000, "0.5500", "-80.00", "no"),
            change(2_000_000, "0.3000", "9.00", "yes"),
            change(3_000_000, "0.4600", "1.00", "yes"),
        )
    )
    book = Book()
    kinds: list[str] = []
    for _, event in tape.events:
        kinds.append(type(event).__name__)
        if isinstance(event, BookSnapshot):
            book = Book(event.yes, event.no)
        elif isinstance(event, BookDelta):
            book.change(event.outcome, event.price_e4, event.delta_e2)
        assert not book.is_crossed()
    assert (dict(book.yes), dict(book.no)) == ({4_000: 7_000, 4_600: 600, 3_000: 700}, {})
    at = kinds.index("Trade")
    following = tape.events[at + 1][1]
    assert isinstance(following, BookDelta)
    assert following.delta_e2 == -3_000, "a trade stands before the decrease it caused"


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([change(2_000_000, "0.4600", "5.00", "yes"), change(2_000_001, "0.5500", "-80.00", "no")], "crossed"),
        ([change(2_000_000, "0.3000", "-2.00", "yes"), change(2_000_001, "0.3000", "9.00", "yes")], "would hold -200"),
        ([change(2_000_000, "0.4600", "5.00", "yes"), {**OPENING, "recv_us": 2_000_000}], "crossed"),
    ],
)
def test_what_fits_in_no_order_is_refused(tmp_path: Path, frames: list[dict[str, Any]], says: str) -> None:
    """Of another moment, or beyond a snapshot, nothing is waited for."""
    with pytest.raises(UserError, match=f"at 2000000 .*{says}"):
        read_tape(write(tmp_path / "r.gz", OPENING, *frames))


def test_a_mark_of_byte_order_is_no_damage(tmp_path: Path) -> None:
    """As some editors put it before a file."""
    path = write(tmp_path / "r.jsonl", OPENING)
    path.write_bytes(b"\xef\xbb\xbf" + gzip.decompress(path.read_bytes()))
    assert len(read_tape(path).events) == 1


def test_an_unknown_grid_is_refused(tmp_path: Path) -> None:
    """Its prices could not be checked."""
    with pytest.raises(UserError, match="banded_centi_cent"):
        read_tape(write(tmp_path / "r.gz", OPENING, structure="banded_centi_cent"))


@pytest.mark.parametrize(
    ("structure", "inside", "outside"),
    [
        ("linear_cent", (100, 5_000, 9_900), (50, 0, 10_000)),
        ("tapered_deci_cent", (10, 990, 1_000, 5_000, 9_010), (5, 5_010, 10_000)),
        ("center_deci_edge_centi_cent", (1, 99, 100, 110, 9_901), (105, 9_895)),
    ],
)
def test_a_grid_by_name(structure: str, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    """Fine steps outside the edges, the middle step between them."""
    grid = grid_of(structure)
    assert all(grid.contains(PriceE4(price)) for price in inside)
    assert not any(grid.contains(PriceE4(price)) for price in outside)


@pytest.mark.parametrize(
    ("name", "queue_model"),
    [("index-2023-04-10", "conservative"), ("nba-cha", "conservative"), ("nba-cha", "proportional")],
)
def test_a_recording_plays_whole_under_our_orders(name: str, queue_model: QueueModel) -> None:
    """With members' orders resting, taking and ending all along: no level below zero, no crossed book, nothing lost."""
    tape = read_tape(recording(name))
    floor = Floor(queue_model=queue_model)
    every = max(1, len(tape.events) // 400)
    for index, (_, change) in enumerate(tape.events):
        floor.play(change)
        if index % every == 0:
            _meddle(floor, index // every)
        shown = floor.shown("yes"), floor.shown("no")
        assert all(size > 0 for side in shown for size in side.values())
        assert max(shown[0], default=0) + max(shown[1], default=0) < 10_000
    assert floor.account.fills
    for order in floor.account.orders:
        assert order.filled_e2 <= order.initial_e2


def _meddle(floor: Floor, turn: int) -> None:
    """One order a turn: at the mid, at the touch of either side, or taking."""
    bid, no_bid = floor.market.book.best("yes"), floor.market.book.best("no")
    for order in list(floor.account.resting_in(TICKER).values())[:-3]:
        floor.exchange.cancel_order(floor.account, order.order_id)
    if bid is None or no_bid is None:
        return
    mid = (bid[0] + 10_000 - no_bid[0]) // 200
    match turn % 4:
        case 0:
            floor.bid(f"0.{mid:02}", "20")
        case 1:
            floor.ask(f"0.{mid + 1:02}", "35")
        case 2:
            floor.bid(f"0.{(10_000 - no_bid[0]) // 100:02}", "50", time_in_force="immediate_or_cancel")
        case _:
            floor.bid(f"0.{bid[0] // 100:02}", "10")
