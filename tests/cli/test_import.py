"""`fsm-exec import`: raw logs of a WebSocket, however they are laid out, become recordings that read as tapes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fsm_exec.core.market.book import Book
from fsm_exec.core.values.times import to_iso
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape
from fsm_exec.recordings.book_frame import book_frame
from tests.cli.invoking import invoke
from tests.small_tapes import TICKER, write_fractional, write_tapered, write_whole

OTHER = "KXOTHER-26AUG05-B"
Line = dict[str, Any]


def lines_of(path: Path, ticker: str) -> list[Line]:
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()[1:]]
    for line in lines:
        line["frame"]["msg"]["market_ticker"] = ticker
    return lines


def session(tmp_path: Path) -> list[Line]:
    """Two markets on one connection, the second on a finer grid: frames numbered by subscription, with what else comes
    on a stream."""
    both = lines_of(write_whole(tmp_path / "a.gz"), TICKER) + lines_of(write_tapered(tmp_path / "b.gz"), OTHER)
    both.sort(key=lambda line: line["recv_us"])
    numbers = {1: count(1), 2: count(1)}
    for line in both:
        line["frame"]["seq"] = next(numbers[line["frame"]["sid"]])
    first_us = both[0]["recv_us"]
    before = [{"type": "subscribed", "id": sid, "msg": {"channel": "x", "sid": sid}} for sid in (1, 2)]
    mine = {"type": "fill", "sid": 3, "msg": {"market_ticker": TICKER, "trade_id": "t", "count_fp": "1.00"}}
    rest = [{"recv_us": first_us, "frame": frame} for frame in (*before, mine)]
    return [*rest[:2], *both, rest[2]]


def write_log(path: Path, lines: Iterator[Any] | list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n\n" for line in lines), encoding="utf-8")
    return path


def run_import(directory: Path, *arguments: Path | str) -> dict[str, Any]:
    done = invoke(directory, "import", *map(str, arguments), "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def imported(directory: Path, ticker: str) -> Tape:
    return read_tape(directory / "out" / f"{ticker}.jsonl.gz")


ENVELOPES: dict[str, tuple[int, Callable[[int, Line], Any]]] = {
    "s, a fraction": (1, lambda us, frame: {"t": us / 1e6, "data": frame}),
    "s as text": (1, lambda us, frame: {"ts": f"{us // 1_000_000}.{us % 1_000_000:06}", "frame": frame}),
    "ms": (1_000, lambda us, frame: {"received_ms": us // 1_000, "sent": us // 1_000, "payload": frame}),
    "us": (1, lambda us, frame: {"recv_us": us, "frame": frame}),
    "ns, the frame as text": (1, lambda us, frame: {"ns": us * 1_000, "raw": json.dumps(frame), "line": 7}),
    "ISO 8601": (1, lambda us, frame: {"at": to_iso(us), "message": frame, "type": "message"}),
    "a list": (1, lambda us, frame: [us, frame]),
    "beside the frame's own members": (1, lambda us, frame: {**frame, "local_time": us}),
}


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_log_with_times_of_receipt_gives_back_the_tapes(tmp_path: Path, envelope: str) -> None:
    """Two markets in one file, each with its grid; every event at its time, to the unit that the log has."""
    unit_us, wrap = ENVELOPES[envelope]
    log = write_log(tmp_path / "log.jsonl", [wrap(line["recv_us"], line["frame"]) for line in session(tmp_path)])
    found = run_import(tmp_path, log)
    assert [(one["market"], one["price_level_structure"]) for one in found["markets"]] == [
        (OTHER, "tapered_deci_cent"),
        (TICKER, "linear_cent"),
    ]
    assert (found["holes"], found["damaged"], found["of_no_market"], found["set_back"]) == (0, 0, 3, 0)
    for ticker, source in ((TICKER, "a.gz"), (OTHER, "b.gz")):
        tape, origin = imported(tmp_path, ticker), read_tape(tmp_path / source)
        assert sorted(map(repr, (change for _, change in tape.events))) == sorted(
            map(repr, (change for _, change in origin.events))
        )
        assert {at_us for at_us, _ in tape.events} == {at_us // unit_us * unit_us for at_us, _ in origin.events}
    assert all(one["trades"] == one["matched_trades"] > 30 for one in found["markets"])


def test_a_bare_log_takes_the_exchanges_times(tmp_path: Path) -> None:
    """Where it has them; a frame without one came when the last did. It says so."""
    frames = [line["frame"] for line in session(tmp_path)]
    for line, frame in zip(session(tmp_path), frames, strict=True):
        if frame["type"] == "orderbook_delta":
            frame["msg"] |= {"ts": to_iso(line["recv_us"]), "ts_ms": line["recv_us"] // 1_000}
    write_log(tmp_path / "log.jsonl", frames)
    done = invoke(tmp_path, "import", "log.jsonl", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "times of log.jsonl: the exchange's own, there are none of receipt" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 140
    origin = read_tape(tmp_path / "a.gz")
    assert len(imported(tmp_path, TICKER).events) == len(origin.events)


def test_what_a_hole_hides_is_left_out_up_to_the_next_snapshot(tmp_path: Path) -> None:
    """Of the books of that subscription; so is a book that cannot be. A trade's subscription hides no book."""
    lines = session(tmp_path)
    book = [place for place, line in enumerate(lines) if line["frame"]["type"] == "orderbook_delta"]
    hole, again, below = book[200], book[300], book[500]
    opening = next(line for line in lines if line["frame"]["type"] == "orderbook_snapshot")
    book_then = Book()
    for at_us, change in read_tape(tmp_path / "a.gz").events:
        if isinstance(change, BookSnapshot):
            book_then = Book(change.yes, change.no)
        elif isinstance(change, BookDelta) and at_us <= lines[again]["recv_us"]:
            book_then.change(change.outcome, change.price_e4, change.delta_e2)
    lines[again]["frame"] |= json.loads(book_frame(TICKER, book_then))
    minus = {"market_ticker": TICKER, "side": "no", "price_dollars": "0.0100", "delta_fp": "-9999999.00"}
    lines[below]["frame"]["msg"] = minus

    def changes_of(ticker: str, *spans: tuple[int, int]) -> int:
        parts = [line["frame"] for start, end in spans for line in lines[start:end]]
        return sum(f["type"] == "orderbook_delta" and f["msg"]["market_ticker"] == ticker for f in parts)

    expected = {TICKER: changes_of(TICKER, (0, hole), (again, below)), OTHER: changes_of(OTHER, (0, hole))}
    del lines[hole]
    trades = [place for place, line in enumerate(lines) if line["frame"]["type"] == "trade"]
    del lines[trades[1]]  # of the first one's number nobody knows what came before it
    found = run_import(tmp_path, write_log(tmp_path / "log.jsonl", lines))
    assert found["holes"] == 2
    other, market = found["markets"]
    assert other["gaps"] == 1
    assert (market["gaps"], market["impossible"]) == (2, 1)
    tape = imported(tmp_path, TICKER)
    assert [at_us for at_us, change in tape.events if isinstance(change, BookSnapshot)] == [
        opening["recv_us"],
        lines[again - 2]["recv_us"],
    ]
    for ticker, changes in expected.items():
        kept = [change for _, change in imported(tmp_path, ticker).events if isinstance(change, BookDelta)]
        assert len(kept) == changes > 50


def test_logs_that_follow_each_other_are_one(tmp_path: Path) -> None:
    """Given in any order, gzipped or not, cut in the middle of a session, the last of them cut off: nothing is lost but
    the cut line."""
    lines = session(tmp_path)
    write_log(tmp_path / "1.jsonl", lines[:700])
    write_log(tmp_path / "2.jsonl", lines[700:])
    text = (tmp_path / "2.jsonl").read_bytes()
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(text[: text.rindex(b"orderbook_delta")]))
    found = run_import(tmp_path, "2.jsonl.gz", "1.jsonl")
    assert (found["holes"], found["cut_off"], [one["gaps"] for one in found["markets"]]) == (0, True, [0, 0])
    assert sum(one["book_events"] + one["trades"] for one in found["markets"]) + 2 > len(lines) - 10


def test_a_new_connection_begins_anew(tmp_path: Path) -> None:
    """Its numbers begin at 1 again, its books with a snapshot: what came in between is a gap and no hole."""
    lines = session(tmp_path)
    later = json.loads(json.dumps(lines))
    for line in later:
        line["recv_us"] += 3_600_000_000
    found = run_import(tmp_path, write_log(tmp_path / "log.jsonl", [*lines, *later]))
    assert found["holes"] == 0
    assert [(one["gaps"], one["impossible"], one["left_out"]) for one in found["markets"]] == [(1, 0, 0)] * 2


def test_fractional_counts_come_through(tmp_path: Path) -> None:
    """To the hundredth."""
    lines = lines_of(write_fractional(tmp_path / "f.gz"), TICKER)
    for line in lines:
        del line["frame"]["seq"]  # a log without numbers: holes cannot be seen
    run_import(tmp_path, write_log(tmp_path / "log.jsonl", lines))
    assert imported(tmp_path, TICKER).events == read_tape(tmp_path / "f.gz").events


@pytest.mark.parametrize(
    ("lines", "arguments", "says"),
    [
        ([], (), "no line of it holds a frame"),
        ([{"a": 1}, "text", [1]], (), "no line of it holds a frame"),
        ([{"at": 1_785_931_200, "to": 1_785_931_201, "f": {"type": "trade", "msg": {}}}], (), "at, to may be the time"),
        ([{"at": 7, "f": {"type": "trade", "msg": {}}}], ("--time", "at"), "--time at: no unix time"),
        ([{"type": "trade", "msg": {}}], (), "no frame of it has a time"),
        ([{"at": 1_785_931_200, "f": {"type": "ok", "msg": {}}}], (), "a snapshot is missing"),
        ([{"type": "ok", "msg": {}}], ("--structure", "wide"), "'wide' is not known"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, lines: list[Any], arguments: tuple[str, ...], says: str) -> None:
    """Exit 2, one line, and nothing is written."""
    write_log(tmp_path / "log.jsonl", lines)
    done = invoke(tmp_path, "import", "log.jsonl", "--out", "out", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_and_no_ticker_names_another_place(tmp_path: Path) -> None:
    """A recording that is there, a market called ../evil: exit 2, one line."""
    log = write_log(tmp_path / "log.jsonl", session(tmp_path))
    run_import(tmp_path, log)
    before = (tmp_path / "out" / f"{TICKER}.jsonl.gz").read_bytes()
    done = invoke(tmp_path, "import", str(log), "--out", "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "exists already" in done.stderr
    assert (tmp_path / "out" / f"{TICKER}.jsonl.gz").read_bytes() == before
    evil = lines_of(tmp_path / "a.gz", "../evil")
    done = invoke(tmp_path, "import", str(write_log(tmp_path / "evil.jsonl", evil)), "--out", "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no market ticker" in done.stderr
