"""Tapes: recordings read whole and put in order, damaged ones refused, whole ones played under our orders."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.price_structures import grid_of
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.paper.matching_engine.price_level import QueueModel
from fsm_exec.paper.tapes.generator import OUTCOMES
from fsm_exec.paper.tapes.moments import ImpossibleBook, order_within_moments
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Trade
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


def test_a_cross_that_lasts_no_moment_is_read(tmp_path: Path) -> None:
    """A bid that crosses, and is gone within the same microsecond, was never seen; the trade that took of it was."""
    tape = read_tape(
        write(
            tmp_path / "r.gz",
            OPENING,
            change(2_000_000, "0.4600", "50.00", "yes"),
            change(2_000_000, "0.4600", "-50.00", "yes"),
            change(3_000_000, "0.4400", "90.00", "yes"),
            change(3_000_000, "0.4600", "50.00", "yes"),
            taker_sold(3_000_000, "0.4600", "20.00"),
            change(3_000_000, "0.4600", "-20.00", "yes"),
            change(3_000_000, "0.4600", "-30.00", "yes"),
            change(3_000_000, "0.4400", "-60.00", "yes"),
        )
    )
    assert [(at, change) for at, change in tape.events[1:] if isinstance(change, Trade)] == [
        (3_000_000, Trade("no", PriceE4(4_600), count("20")))
    ]
    assert [change for _, change in tape.events[1:] if isinstance(change, BookDelta)] == [
        BookDelta("yes", PriceE4(4_400), count("90")),
        BookDelta("yes", PriceE4(4_400), CountE2(-6_000)),
    ]


@pytest.mark.parametrize("after", [[], [("0.3000", "-2.00"), ("0.3000", "9.00")]], ids=["at once", "in between"])
def test_what_a_snapshot_of_the_same_moment_replaces_was_never_seen(
    tmp_path: Path, after: list[tuple[str, str]]
) -> None:
    """A change that crosses, one below zero, a crossed snapshot: the last snapshot of the moment counts."""
    crossed = book_frame(
        2_000_000, 3, "orderbook_snapshot", yes_dollars_fp=[["0.4700", "1.00"]], no_dollars_fp=[["0.5500", "80.00"]]
    )
    tape = read_tape(
        write(
            tmp_path / "r.gz",
            OPENING,
            change(2_000_000, "0.4600", "5.00", "yes"),
            change(2_000_000, "0.2000", "-5.00", "yes"),
            taker_sold(2_000_000, "0.4000", "3.00"),
            crossed,
            {**OPENING, "recv_us": 2_000_000},
            *(change(2_000_000, price, delta, "yes") for price, delta in after),
            change(3_000_000, "0.4000", "-100.00", "yes"),
        )
    )
    kinds = [type(event).__name__ for _, event in tape.events]
    assert kinds == ["BookSnapshot", "Trade", "BookSnapshot", *["BookDelta"] * len(after), "BookDelta"]


def test_a_crossed_snapshot_may_be_put_right_in_its_moment(tmp_path: Path) -> None:
    """By the changes received with it: what the tape has is the book after them."""
    crossed = {"yes_dollars_fp": [["0.4700", "1.00"]], "no_dollars_fp": [["0.5200", "9.00"], ["0.5400", "8.00"]]}
    opening = book_frame(1_000_000, 1, "orderbook_snapshot", **crossed)
    right = change(1_000_000, "0.5400", "-8.00", "no")
    tape = read_tape(write(tmp_path / "r.gz", opening, right))
    assert tape.events == ((1_000_000, BookSnapshot(((PriceE4(4_700), count("1")),), ((PriceE4(5_200), count("9")),))),)
    with pytest.raises(UserError, match="crossed"):
        read_tape(write(tmp_path / "r.gz", opening, {**right, "recv_us": 1_000_001}))


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        ([change(2_000_000, "0.4600", "5.00", "yes"), change(2_000_001, "0.5500", "-80.00", "no")], "crossed"),
        ([change(2_000_000, "0.3000", "-2.00", "yes"), change(2_000_001, "0.3000", "9.00", "yes")], "would hold -200"),
        ([change(2_000_000, "0.4600", "5.00", "yes"), {**OPENING, "recv_us": 2_000_001}], "crossed"),
    ],
)
def test_what_cannot_be_after_a_moment_is_refused(tmp_path: Path, frames: list[dict[str, Any]], says: str) -> None:
    """What puts it right comes a microsecond later: nothing waits for that."""
    with pytest.raises(UserError, match=f"at 2000000 .*{says}"):
        read_tape(write(tmp_path / "r.gz", OPENING, *frames))


def seen_after_each_moment(events: Iterable[tuple[int, Change]]) -> dict[int, tuple[dict[int, int], dict[int, int]]]:
    """The books, told by nothing but sums."""
    ladders: dict[Outcome, Counter[int]] = {"yes": Counter(), "no": Counter()}
    books = {}
    for at_us, event in events:
        if isinstance(event, BookSnapshot):
            ladders = {"yes": Counter(dict(event.yes)), "no": Counter(dict(event.no))}
        elif isinstance(event, BookDelta):
            ladders[event.outcome][event.price_e4] += event.delta_e2
        books[at_us] = (
            {price: size for price, size in ladders["yes"].items() if size},
            {price: size for price, size in ladders["no"].items() if size},
        )
    return books


CHANGES = st.one_of(
    st.builds(
        BookDelta,
        st.sampled_from(OUTCOMES),
        st.sampled_from([PriceE4(4_900), PriceE4(5_000), PriceE4(5_100)]),
        st.sampled_from([CountE2(size) for size in (-200, -100, 100, 200)]),
    ),
    st.builds(Trade, st.sampled_from(OUTCOMES), st.just(PriceE4(5_000)), st.just(CountE2(100))),
    st.sampled_from(
        [
            BookSnapshot(((PriceE4(4_900), CountE2(100)),), ((PriceE4(5_000), CountE2(100)),)),
            BookSnapshot(((PriceE4(5_100), CountE2(100)),), ((PriceE4(5_000), CountE2(100)),)),
        ]
    ),
)


@given(st.lists(st.tuples(st.integers(2, 5), CHANGES), max_size=14))
def test_a_moment_is_read_if_and_only_if_the_book_after_it_can_be(drawn: list[tuple[int, Change]]) -> None:
    """Any frames at all: read, each state between them is sound, each moment ends with the sum of its frames, and no
    trade is lost; refused, some moment ends with a book that cannot be."""
    opening: tuple[int, Change] = 1, BookSnapshot(((PriceE4(4_900), CountE2(300)),), ((PriceE4(5_000), CountE2(300)),))
    events = [opening, *sorted(drawn, key=itemgetter(0))]
    sums = seen_after_each_moment(events)
    possible = all(
        min([1, *yes.values(), *no.values()]) > 0 and max([0, *yes]) + max([0, *no]) < 10_000
        for yes, no in sums.values()
    )
    try:
        ordered = order_within_moments(events)
    except ImpossibleBook:
        assert not possible
        return
    assert possible
    book = Book()
    for _, event in ordered:
        if isinstance(event, BookSnapshot):
            book = Book(event.yes, event.no)
        elif isinstance(event, BookDelta):
            book.change(event.outcome, event.price_e4, event.delta_e2)
        assert not book.is_crossed()
    after = seen_after_each_moment(ordered)
    assert {at_us: after[max(at for at in after if at <= at_us)] for at_us in sums} == sums
    assert Counter(event for event in ordered if isinstance(event[1], Trade)) == Counter(
        event for event in events if isinstance(event[1], Trade)
    )


@pytest.mark.parametrize("ending", ["gz", "gz.part", "jsonl", "jsonl.part"])
def test_a_recording_that_was_cut_off_is_read_to_its_last_whole_line(tmp_path: Path, ending: str) -> None:
    """Cut anywhere, gzipped or plain: whole frames are read and it is known; within its header it is refused."""
    lines = [change(2_000_000 + number, "0.3000", f"{number + 1}.00", "yes") for number in range(30)]
    path = write(tmp_path / f"r.{ending}", OPENING, *lines)
    if "gz" not in ending:
        path.write_bytes(gzip.decompress(path.read_bytes()))
    raw = path.read_bytes()
    tape = read_tape(path)
    assert (len(tape.events), tape.cut_off) == (31, False)
    seen = 0
    for length in range(len(raw) * 3 // 4, len(raw), 3):
        path.write_bytes(raw[:length])
        tape = read_tape(path)
        last = raw[:length].rpartition(b"\n")[2]
        assert tape.cut_off == ("gz" in ending or last not in (b"", *raw.split(b"\n")))
        assert len(tape.events) >= seen
        seen = len(tape.events)
    path.write_bytes(raw[:20])
    with pytest.raises(UserError, match="within its header"):
        read_tape(path)
    if "gz" not in ending:
        path.write_bytes(raw[: raw.index(b"\n") + 30])
        with pytest.raises(UserError, match="before its first book snapshot"):
            read_tape(path)


def test_damage_before_the_end_is_no_cut(tmp_path: Path) -> None:
    """A line in the middle, and a last line that has its end, are damaged; only .part may end in what a power cut
    left."""
    path = write(tmp_path / "r.jsonl", OPENING)
    whole = gzip.decompress(path.read_bytes())
    for damaged in (whole + b'\n{"recv_us":2,\n', whole + b'\n{"recv_us":2,\n{"recv_us":3'):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="line 3 is damaged"):
            read_tape(path)
    lines = [change(2_000_000 + number, "0.3000", f"{number**3 + 1}.00", "yes") for number in range(300)]
    zipped = write(tmp_path / "z.gz", OPENING, *lines).read_bytes()
    for name in ("z.gz", "z.gz.part"):
        (tmp_path / name).write_bytes(zipped[: len(zipped) // 2] + bytes(4_096))
    with pytest.raises(UserError, match="is damaged"):
        read_tape(tmp_path / "z.gz")
    tape = read_tape(tmp_path / "z.gz.part")
    assert tape.cut_off
    assert 100 < len(tape.events) < 200


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
