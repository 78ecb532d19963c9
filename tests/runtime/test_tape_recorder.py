"""What an engine keeps of the markets it works in: verbatim, whole, and never in an execution's way."""

from __future__ import annotations

import io
import itertools
import json
import resource
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import pytest
import structlog
import trio
from trio.testing import MockClock

from fsm_exec.algorithms import method
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, PriceE4
from fsm_exec.lab.fork.kept_frames import load_kept_frames
from fsm_exec.paper.tapes.description import describe_tape
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade
from fsm_exec.paper_session import PaperExchange, PaperSession, open_paper_session
from fsm_exec.recordings import tape_writer
from fsm_exec.recordings.book_frame import book_frame
from fsm_exec.recordings.format import FORMAT, Header
from fsm_exec.recordings.kept import find_all_kept_tapes, find_kept_tapes, tape_name, tapes_directory
from fsm_exec.recordings.tape_writer import TapeSettings, TapeWriter
from fsm_exec.runtime import tape_recorder
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import EndedExecution, ExecutionRequest, MethodRef
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.stream_listener import EngineStreamListener, FactSink
from fsm_exec.runtime.stream_state import StreamState
from fsm_exec.runtime.tape_recorder import TapeRecorder, TapeSetup
from fsm_exec.wire.recording import read_recording
from tests.runtime.support import FEES, INSTANCE, T0_US, TERMS, TICKER, count, price

S = 1_000_000
TAPE_S = 900
OTHER = "KXOTHER-26-1"


class Worked(NamedTuple):
    ended: EndedExecution
    directory: Path
    began_us: int
    log: str
    told: list[str]


async def work(
    directory: Path, *, settings: TapeSettings | None = None, spare_mb: int = 0, looks_again_s: float = 0.0
) -> Worked:
    """Watch two markets, work one of them after a while, and go on for some minutes."""
    tape = generate(7, TAPE_S)
    told: list[str] = []
    setup = TapeSetup(directory=directory, settings=settings or TapeSettings(), spare_mb=spare_mb, tell=told.append)
    paper = PaperExchange.starting_at(tape.first_us, seed=5)
    paper.play(tape)
    paper.play(generate(8, TAPE_S, ticker=OTHER))
    log = io.StringIO()
    async with open_paper_session(paper, tapes=setup, log_file=log) as session:
        await trio.sleep(400)
        began_us = session.wall.now_us()
        await submit(session, tape.header.ticker)
        await session.engine.wait_idle()
        await trio.sleep(180)
        await trio.to_thread.run_sync(time.sleep, looks_again_s)  # virtual time is ahead of a thread
        await trio.sleep(2)
        (ended,) = session.engine.ended.values()
    return Worked(ended, directory, began_us, log.getvalue(), told)


async def submit(session: PaperSession, ticker: str) -> str:
    chosen = method("deadline_walker")
    view = session.engine.view(ticker, "yes")
    assert view.best_bid is not None
    return await session.engine.submit(
        ExecutionRequest(
            ticker=ticker,
            outcome="yes",
            target_e2=CountE2(5_000),
            method=MethodRef(chosen.full_name, chosen),
            limits=resolve_limits(view.best_bid, LINEAR_CENT, FEES, worst=PriceE4(view.best_bid + 600)),
            horizon_us=45 * S,
        )
    )


def test_a_worked_market_is_kept_from_before_until_after(tmp_path: Path) -> None:
    """The tape begins minutes before the acceptance and ends after the deadline; its book at the acceptance is the one
    that the execution saw; nothing is kept of a market that nobody worked; only the owner can read it."""
    tapes = tapes_directory(tmp_path / "x.sqlite")
    found = run_virtual(partial(work, tapes), seed=1)
    (kept,) = find_all_kept_tapes(tapes)
    execution = found.ended.execution
    assert kept.is_whole
    assert kept.path.parent.name == execution.terms.ticker
    tape = read_tape(kept.path)
    assert found.began_us - tape.first_us >= 120 * S
    assert execution.deadline_us + 60 * S < tape.first_us + tape.length_us < execution.deadline_us + 75 * S
    seen = book_at(tape, execution.accepted_at_us)
    assert (seen.bids("yes", 10), seen.asks("yes", 10)) == (execution.arrival.bids, execution.arrival.asks)
    assert {type(change) for _, change in tape.events} == {BookSnapshot, BookDelta, Trade}
    # Held in two generations, and the book at the end.
    assert sum(isinstance(change, BookSnapshot) for _, change in tape.events) == 3
    assert describe_tape(tape).gaps == 0
    assert load_kept_frames(tapes, execution.terms.ticker, execution.accepted_at_us, 2**62).gaps == []
    assert {frame.frame.type for frame in read_recording(kept.path)[1]} == {
        "orderbook_snapshot",
        "orderbook_delta",
        "trade",
    }
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tapes, kept.path.parent, kept.path)]
    assert modes == [0o700, 0o700, 0o600]
    assert found.told == []


def book_at(tape: Tape, at_us: int) -> Book:
    book = Book()
    for when_us, change in tape.events:
        if when_us > at_us:
            break
        if isinstance(change, BookSnapshot):
            book = Book(change.yes, change.no)
        elif isinstance(change, BookDelta):
            book.change(change.outcome, change.price_e4, change.delta_e2)
    return book


@contextmanager
def limited_files(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size`: what a full disk does to a write, the system does then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def outcome_of(found: Worked) -> tuple[object, ...]:
    execution = found.ended.execution
    return execution.state, execution.reason, execution.filled_e2, execution.writes, execution.fills


@pytest.mark.parametrize("trouble", ["full", "unwritable", "little room"])
def test_no_trouble_of_the_disk_reaches_an_execution(tmp_path: Path, trouble: str) -> None:
    """A disk that is full, a directory that cannot be made, too little room for the database: the execution is the same
    as without tapes, and what is wrong is said once."""
    plain = run_virtual(partial(work, tmp_path / "plain"), seed=1)
    directory = tmp_path / "tapes"
    if trouble == "unwritable":
        directory.write_text("")
    with limited_files(4_096 if trouble == "full" else resource.RLIM_INFINITY):
        spare_mb = 10**9 if trouble == "little room" else 0
        found = run_virtual(partial(work, directory, spare_mb=spare_mb, looks_again_s=0.3), seed=1)
    assert outcome_of(found) == outcome_of(plain)
    lines = [json.loads(line) for line in found.log.splitlines()]
    assert len(found.told) == len([line for line in lines if line["event"] == "tapes_not_kept"]) == 1
    assert str(directory) in found.told[0]
    if trouble == "full":
        (kept,) = find_all_kept_tapes(directory)
        assert not kept.is_whole


def test_only_so_many_tapes_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is an open file, and an engine that has none left cannot dial: a market too many is not kept, said once."""
    monkeypatch.setattr(tape_recorder, "WRITTEN_MAX", 0)
    found = run_virtual(partial(work, tmp_path / "tapes"), seed=1)
    assert found.ended.execution.filled_e2 > 0
    assert find_all_kept_tapes(tmp_path / "tapes") == []
    lines = [json.loads(line) for line in found.log.splitlines()]
    assert [line["why"] for line in lines if line["event"] == "tape_not_kept"] == ["0 tapes are being written"]


async def test_what_is_dropped_is_a_gap_that_begins_with_the_whole_book(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """A disk that takes nothing for a while: the recorder waits for nobody, frames are lost, and the next one that
    there is room for is the whole book, so that what is read is right again."""
    wall, log = WallClock(T0_US), structlog.get_logger()
    feeds = {TICKER: MarketFeed(TERMS, wall, OwnOrders(), lambda *_: None)}
    writer = TapeWriter(tmp_path, TapeSettings(), queue_max=4)
    recorder = TapeRecorder(writer, wall, log, pytest.fail)
    stream = StreamState(feeds, wall, log)
    nobody = cast("FactSink", None)
    listener = recorder.listen(EngineStreamListener(OrderNames(INSTANCE), stream, feeds, nobody, wall, log), feeds)
    book, sent = Book([(price(40), count(9))], [(price(50), count(9))]), itertools.count(1)

    def send(cents: int, contracts: int) -> None:
        at_us = T0_US + next(sent) * S
        body = {"market_ticker": TICKER, "side": "yes", "price_dollars": f"0.{cents}", "delta_fp": f"{contracts}.00"}
        recorder.tap(json.dumps({"type": "orderbook_delta", "sid": 1, "msg": body}), at_us)
        listener.book_change(TICKER, "yes", price(cents), count(contracts), at_us)

    listener.connected()
    recorder.tap(book_frame(TICKER, book), T0_US)
    listener.book_snapshot(TICKER, list(book.yes.items()), list(book.no.items()), T0_US)
    feeds[TICKER].subscribe("e000001", lambda: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()
    for _ in range(20):  # of which three have room beside the beginning
        send(41, 1)
    writer.start()
    while writer.waiting:
        await trio.lowlevel.checkpoint()
    send(42, 5)
    send(43, 6)
    await trio.to_thread.run_sync(writer.close, 5)
    tape = read_tape(find_kept_tapes(tmp_path, TICKER)[0].path)
    kinds = [type(change).__name__ for _, change in tape.events]
    assert kinds == ["BookSnapshot", *["BookDelta"] * 3, "BookSnapshot", "BookDelta"]
    last = book_at(tape, T0_US + 60 * S)
    assert last.bids("yes") == (
        (price(43), count(6)),
        (price(42), count(5)),
        (price(41), count(20)),
        (price(40), count(9)),
    )


def test_old_and_many_tapes_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What began longer ago than `keep_days` goes, and the oldest while all take more than `max_mb`; those being
    written stay."""
    monkeypatch.setattr(tape_writer, "MB", 1_000)  # so that ten thousand bytes are ten of them
    day_us = 86_400 * S
    for days in (40, 20, 10, 5):
        path = tmp_path / "KXA-1" / tape_name(T0_US - days * day_us)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 4_000)
    writer = TapeWriter(tmp_path, TapeSettings(max_mb=10, keep_days=30))
    header = Header(format=FORMAT, ticker="KXA-1", price_level_structure="linear_cent")
    writer.begin(header, T0_US, [(T0_US, book_frame("KXA-1", Book()))])
    writer.start()
    with pytest.MonkeyPatch.context() as faster:
        faster.setattr(tape_writer, "TIDY_S", 0.0)
        faster.setattr(tape_writer, "FLUSH_S", 0.05)
        trio.run(trio.sleep, 0.5)
        writer.close(5)
    assert writer.failure is None
    left = [tape.began_us for tape in find_kept_tapes(tmp_path, "KXA-1")]
    assert left == [T0_US - 10 * day_us, T0_US - 5 * day_us, T0_US]
