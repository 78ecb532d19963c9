"""`fsm-exec record` against a paper exchange: what it writes is a tape, whole, however it ends."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from fsm_exec.cli.exchange.recorder import FLUSH_S, Recorder
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import CountE2, PriceE4, parse_count, parse_price
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade, tape_header
from fsm_exec.recordings.book_frame import book_frame
from fsm_exec.recordings.day_files import ManifestRow, MarketFiles, append_manifest, day_paths
from fsm_exec.recordings.format import FORMAT, Header
from fsm_exec.recordings.unfinished import recover_unfinished
from fsm_exec.recordings.writer import RecordingWriter
from fsm_exec.runtime.clock import WallClock
from fsm_exec.wire.recording import read_recording
from tests.cli.exchange import OTHER, TICKER, Site, site
from tests.cli.support import COMMAND, HANGING_UP, environment, run


async def recording(place: Site) -> None:
    """Until the command has subscribed."""
    with trio.fail_after(120):
        while "recording" not in place.errors():  # noqa: ASYNC110 - another process's file tells nobody
            await trio.sleep(0.05)
    await trio.sleep(1)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def move_books(place: Site) -> None:
    for ticker in (TICKER, OTHER):
        place.exchange.apply(ticker, BookDelta("yes", parse_price("0.43"), CountE2(500)))
    place.exchange.apply(TICKER, Trade("yes", parse_price("0.53"), parse_count("3")))
    place.exchange.apply(TICKER, BookDelta("no", parse_price("0.47"), CountE2(-300)))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_leaves_a_whole_recording(tmp_path: Path, ending: signal.Signals) -> None:
    """Exit 0; the file reads as a tape: snapshot, changes and trade, in the order they came."""
    out = tmp_path / "day.jsonl.gz"
    async with site(tmp_path) as place:
        process = await place.start("record", TICKER, "--out", out, "--config", place.config, "--json")
        await recording(place)
        move_books(place)
        await trio.sleep(1)
        assert not out.exists()
        process.send_signal(ending)
        with trio.fail_after(120):
            assert await process.wait() == 0
        document = json.loads(place.output())
    assert document == {
        "recordings": [{"market": TICKER, "file": str(out), "frames": 4, "gaps": 0}],
        "connections": 1,
    }
    tape = read_tape(out)
    assert tape.header.ticker == TICKER
    changes = [change for _, change in tape.events]
    assert isinstance(changes[0], BookSnapshot)
    assert {type(change) for change in changes[1:]} == {BookDelta, Trade}
    assert len(changes) == 4
    assert names(tmp_path) == ["config.toml", "day.jsonl.gz", "err", "key.pem", "out"]


async def test_a_kill_loses_seconds_and_the_next_start_keeps_the_rest(tmp_path: Path) -> None:
    """What came two seconds before SIGKILL is in the unfinished file, which reads as a recording that ends early; the
    next `record` of the same name says where it put it, and records."""
    out, part, kept = (tmp_path / name for name in ("day.jsonl.gz", "day.jsonl.gz.part", "day.cut-1.jsonl.gz"))
    async with site(tmp_path) as place:
        process = await place.start("record", TICKER, "--out", out, "--config", place.config)
        await recording(place)
        move_books(place)
        await trio.sleep(FLUSH_S + 1)
        assert len(read_tape(part).events) == 4  # also while it is being written
        second = await place.run("record", TICKER, "--out", out, "--config", place.config)
        assert (second[0], second[2].count("\n")) == (2, 1)
        assert "another `record` is writing" in second[2]
        process.kill()
        await process.wait()
        assert len(read_tape(part).events) == 4
        process = await place.start("record", TICKER, "--out", out, "--config", place.config)
        await recording(place)
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(120):
            assert await process.wait() == 0
        assert f"{part} was left by a recording that was killed; its 4 frames are in {kept}" in place.errors()
    assert (len(read_tape(kept).events), len(read_tape(out).events)) == (4, 1)
    assert gzip.decompress(kept.read_bytes()).count(b"\n") == 5  # whole: no reader stumbles over its end
    assert names(tmp_path) == ["config.toml", "day.cut-1.jsonl.gz", "day.jsonl.gz", "err", "key.pem", "out"]


async def test_a_terminal_that_is_closed_leaves_a_whole_recording(tmp_path: Path) -> None:
    """SIGHUP, and nothing can be printed any more: the file has its name and reads as a tape."""
    out = tmp_path / "day.jsonl.gz"
    async with site(tmp_path) as place:
        ours, theirs = os.openpty()
        command = [sys.executable, "-c", HANGING_UP, *COMMAND, "record", TICKER, "--out", out, "--config", place.config]
        process = await trio.lowlevel.open_process(
            list(map(str, command)),
            cwd=tmp_path,
            env=environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        place.processes.append(process)
        os.close(theirs)
        printed = b""
        while b"end with Ctrl-C" not in printed:
            printed += await trio.to_thread.run_sync(os.read, ours, 4_096)
        await trio.sleep(1)
        move_books(place)
        await trio.sleep(1)
        os.close(ours)
        with trio.fail_after(120):
            await process.wait()
    assert len(read_tape(out).events) == 4


async def test_who_wants_to_outlive_the_terminal_does(tmp_path: Path) -> None:
    """Started deaf to SIGHUP, as by nohup, it goes on recording."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with site(tmp_path) as place:
            arguments = ("record", TICKER, "--out", tmp_path / "x.gz", "--config", place.config)
            process = await place.start(*arguments)
            await recording(place)
            process.send_signal(signal.SIGHUP)
            await trio.sleep(1)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            with trio.fail_after(120):
                assert await process.wait() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_several_markets_are_several_files(tmp_path: Path) -> None:
    """Each holds its own market's frames and nobody else's; `--seconds` ends by itself."""
    out = tmp_path / "days"
    async with site(tmp_path) as place:
        arguments = ("record", TICKER, OTHER, TICKER, "--out", out, "--config", place.config, "--seconds", "4")
        process = await place.start(*arguments)
        await recording(place)
        move_books(place)
        with trio.fail_after(120):
            assert await process.wait() == 0
        (file,) = out.glob(f"{OTHER}.*.gz")
        assert f"{OTHER}: 2 frames, 0 gaps, {file}" in place.output()
    listed = run(tmp_path, "tapes", str(out), "--json")
    assert listed.returncode == 0, listed.stderr  # the manifest beside them is no recording, and not called a bad one
    assert [row["market"] for row in json.loads(listed.stdout)["tapes"]] == [TICKER, OTHER]
    for ticker, frames in ((TICKER, 4), (OTHER, 2)):
        (file,) = out.glob(f"{ticker}.*.gz")
        header, lines = read_recording(file)
        assert (header.ticker, header.price_level_structure) == (ticker, "linear_cent")
        assert (header.fee_type, header.fee_multiplier) == ("quadratic", "1")
        texts = [bytes(line.frame.msg).decode() for line in lines]
        assert len(texts) == frames
        assert all(ticker in text for text in texts)


async def test_a_market_the_exchange_does_not_know(tmp_path: Path) -> None:
    """Exit 2 with the market's name, and no file at all."""
    async with site(tmp_path) as place:
        out = tmp_path / "day.jsonl.gz"
        code, _, errors = await place.run("record", "KXNONE-1", "--out", out, "--config", place.config)
        assert code == 2
        assert errors.count("\n") == 1
        assert "KXNONE-1" in errors
    assert names(tmp_path) == ["config.toml", "err", "key.pem", "out"]


def test_nothing_is_overwritten_and_nothing_impossible_tried(tmp_path: Path) -> None:
    """A file that exists, several markets for one file, a ticker that is none, no configuration: exit 2, one line."""
    there = tmp_path / "there.gz"
    there.write_bytes(b"precious")
    config = tmp_path / "none.toml"
    for arguments, word in (
        (("KXA-1", "--out", there, "--config", config), "exists"),
        (("KXA-1", "KXB-1", "--out", there, "--config", config), "directory"),
        (("a/b", "--out", tmp_path / "x", "--config", config), "ticker"),
        (("KXA-1", "--out", tmp_path / "x", "--config", config), "none.toml"),
        (("--out", tmp_path / "x"), "TICKER"),
    ):
        done = run(tmp_path, "record", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert word in done.stderr
    assert there.read_bytes() == b"precious"


def test_the_writer_writes_what_the_reader_reads(tmp_path: Path) -> None:
    """Frames come back as they were, on one line each; time never runs backwards; the same bytes each time."""
    header = Header(format=FORMAT, ticker="KXA-1", price_level_structure="linear_cent")
    frames: list[str | bytes] = ['{"type":"trade",\n "sid":1,"seq":2,"msg":{"a":"\\n"}}', b'{"type":"ok","id":3}']
    for name in ("one", "two"):
        writer = RecordingWriter(tmp_path / name, header)
        for at_us, frame in zip((2_000, 1_000), frames, strict=True):
            writer.write(at_us, frame)
        writer.close()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert gzip.decompress((tmp_path / "one").read_bytes()).count(b"\n") == 3
    read, lines = read_recording(tmp_path / "one")
    assert read == header
    first, second = lines
    assert (first.recv_us, second.recv_us) == (2_000, 2_000)
    assert (first.frame.type, first.frame.seq, msgspec.json.decode(first.frame.msg)) == ("trade", 2, {"a": "\n"})
    with pytest.raises(FileExistsError):
        RecordingWriter(tmp_path / "one", header)


def test_a_recording_without_a_frame_is_none(tmp_path: Path) -> None:
    """Neither the file nor its unfinished form is left."""
    RecordingWriter(tmp_path / "x", Header(format=FORMAT, ticker="K", price_level_structure="linear_cent")).close()
    assert names(tmp_path) == []


HEADER = Header(format=FORMAT, ticker="KXA-1", price_level_structure="linear_cent")


def left_behind(path: Path, frames: int) -> bytes:
    """What a writer of `path` has on disk after so many frames, unfinished."""
    writer = RecordingWriter(path, HEADER)
    for number in range(frames):
        writer.write(number, b'{"type":"trade","sid":1,"seq":%d,"msg":{"padding":"%d"}}' % (number, number**9))
    writer.flush()
    part = path.with_name(path.name + ".part")
    raw = part.read_bytes()
    writer.close()
    path.unlink(missing_ok=True)
    return raw


def test_a_cut_anywhere_is_a_recording_that_ends_early(tmp_path: Path) -> None:
    """Each length of an unfinished file: the frames read are the first ones, whole, and never fewer for more bytes."""
    raw = left_behind(tmp_path / "x", 40)
    part, seen = tmp_path / "x.part", 0
    for length in range(len(raw) // 2, len(raw) + 1, 7):
        part.write_bytes(raw[:length])
        read = [line.frame.seq for line in read_recording(part)[1]]
        assert read == list(range(len(read)))
        assert len(read) >= seen
        seen = len(read)
    part.write_bytes(raw)
    assert len(list(read_recording(part)[1])) == 40
    _, lines = read_recording(part.rename(tmp_path / "y"))  # under whichever name
    assert (len(list(lines)), lines.cut_off) == (40, True)


def test_what_was_left_is_kept_under_a_free_name(tmp_path: Path) -> None:
    """Again and again; one without a frame goes; a file that is no recording is left alone, and so is a held one."""
    path, part = tmp_path / "day.jsonl.gz", tmp_path / "day.jsonl.gz.part"
    assert recover_unfinished(path) is None
    raw = left_behind(path, 3)
    for number in (1, 2):
        part.write_bytes(raw)
        found = recover_unfinished(path)
        assert found == (part, tmp_path / f"day.cut-{number}.jsonl.gz", 3, "linear_cent")
        assert len(list(read_recording(tmp_path / f"day.cut-{number}.jsonl.gz")[1])) == 3
    for nothing in (b"", left_behind(path, 0), raw[:20]):
        part.write_bytes(nothing)
        assert recover_unfinished(path) is not None
        assert not part.exists()
    assert names(tmp_path) == ["day.cut-1.jsonl.gz", "day.cut-2.jsonl.gz"]
    part.write_bytes(b"a download of somebody's")
    with pytest.raises(UserError, match="no recording header"):
        recover_unfinished(path)
    part.unlink()
    writer = RecordingWriter(path, HEADER)
    with pytest.raises(UserError, match="another `record`"):
        recover_unfinished(path)
    writer.close()


def manifest_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "manifest.jsonl").read_text().splitlines()]


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(90):
        while not condition():  # noqa: ASYNC110 - another process's files tell nobody
            await trio.sleep(0.05)


def book_after(tape: Tape) -> tuple[dict[PriceE4, CountE2], dict[PriceE4, CountE2]]:
    book = Book()
    for _, change in tape.events:
        if isinstance(change, BookSnapshot):
            book = Book(change.yes, change.no)
        elif isinstance(change, BookDelta):
            book.change(change.outcome, change.price_e4, change.delta_e2)
    return book.yes, book.no


async def test_sighup_ends_the_files_and_begins_new_ones(tmp_path: Path) -> None:
    """Without ending the recorder: each file is a recording of its own, the second begins with the book as it was, and
    the manifest has both."""
    out = tmp_path / "days"
    async with site(tmp_path) as place:
        process = await place.start("record", TICKER, OTHER, "--out", out, "--config", place.config, "--json")
        await recording(place)
        move_books(place)
        await trio.sleep(1)
        process.send_signal(signal.SIGHUP)
        await until(lambda: (out / "manifest.jsonl").exists() and len(manifest_of(out)) == 2)
        assert process.poll() is None
        place.exchange.apply(TICKER, BookDelta("yes", parse_price("0.42"), CountE2(700)))
        await trio.sleep(1)
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(120):
            assert await process.wait() == 0
        document = json.loads(place.output())
    rows = manifest_of(out)
    assert [(row["market"], row["ended_by"], row["frames"]) for row in rows] == [
        (TICKER, "rotation", 4),
        (OTHER, "rotation", 2),
        (TICKER, "end", 2),
    ]
    assert [Path(row["file"]).name for row in document["recordings"]] == [rows[n]["file"] for n in (0, 2, 1)]
    first, second = (read_tape(out / row["file"]) for row in rows if row["market"] == TICKER)
    yes, no = book_after(first)
    assert (dict(second.events[0][1].yes), dict(second.events[0][1].no)) == (yes, no)  # type: ignore[union-attr]
    assert len(second.events) == 2
    assert not list(out.glob("*.part"))


async def test_killed_in_mid_write_again_and_again_no_book_is_lost(tmp_path: Path) -> None:
    """SIGKILL while frames pour in, three times: each start makes a recording of what was left, every file reads, its
    book is sound, and the manifest names each of them once."""
    out = tmp_path / "days"
    async with site(tmp_path) as place, trio.open_nursery() as nursery:

        async def pour() -> None:
            for number in itertools.count():
                delta = CountE2(100 if number % 2 == 0 else -100)
                place.exchange.apply(TICKER, BookDelta("yes", parse_price("0.40"), delta))
                await trio.sleep(0.001)

        nursery.start_soon(pour)
        for _ in range(3):
            process = await place.start("record", TICKER, OTHER, "--out", out, "--config", place.config)
            await recording(place)
            await until(lambda: any(path.stat().st_size > 5_000 for path in out.glob(f"{TICKER}.*.part")))
            process.kill()
            await process.wait()
            (left,) = out.glob(f"{TICKER}.*.part")
            assert read_tape(left).cut_off
        process = await place.start("record", TICKER, OTHER, "--out", out, "--config", place.config)
        await recording(place)
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(120):
            assert await process.wait() == 0
        assert place.errors().count("was left by a recording that was killed") == 2
        nursery.cancel_scope.cancel()
    rows = manifest_of(out)
    files = sorted(path.name for path in out.glob("*.gz"))
    assert sorted(row["file"] for row in rows) == files
    assert [row["ended_by"] for row in rows if row["market"] == TICKER] == ["kill"] * 3 + ["end"]
    for row in rows:
        tape = read_tape(out / row["file"])
        assert (len(tape.events), tape.cut_off) == (row["frames"], False)
        assert tape.header.ticker == row["market"]


async def test_the_markets_of_a_series_are_recorded_as_they_open_and_end(tmp_path: Path) -> None:
    """One that opens later is found; one that closes ends nothing."""
    out = tmp_path / "days"
    later = "KXTEST-26OCT01-C"
    async with site(tmp_path) as place:
        process = await place.start("record", "--series", "KXTEST", "--out", out, "--config", place.config)
        await recording(place)
        assert TICKER in place.errors()
        assert OTHER in place.errors()
        place.exchange.close_market(OTHER)
        place.exchange.add_market(tape_header(later, "linear_cent", category="Testing"))
        place.exchange.apply(later, BookSnapshot(((parse_price("0.30"), parse_count("5")),), ()))
        await until(lambda: f"recording {later} too" in place.errors())
        await trio.sleep(1)
        move_books(place)
        place.exchange.apply(later, BookDelta("yes", parse_price("0.31"), CountE2(500)))
        await trio.sleep(1)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(120):
            assert await process.wait() == 0
    counted = {row["market"]: row["frames"] for row in manifest_of(out)}
    assert (counted[TICKER], counted[later]) == (4, 2)


def test_a_day_that_is_over_ends_its_file(tmp_path: Path) -> None:
    """At midnight UTC by the time of receipt: the next file begins with the book as it was, at the first frame of the
    new day."""
    midnight_us = from_iso("2026-08-06T00:00:00.000000Z")
    now_us = midnight_us - 5
    recorder = Recorder(lambda: now_us, lambda ticker: None)
    recorder.add(MarketFiles(TICKER, "linear_cent", day_paths(tmp_path), tmp_path))
    levels = [(parse_price("0.40"), parse_count("3"))]
    for number in range(8):
        at_us = midnight_us - 4 + number
        if number == 0:
            recorder.record_frame(book_frame(TICKER, Book(levels)), at_us)
            recorder.book_snapshot(TICKER, levels, [], None)
        else:
            change = {"market_ticker": TICKER, "price_dollars": "0.4000", "delta_fp": "1.00", "side": "yes"}
            recorder.record_frame(
                json.dumps({"type": "orderbook_delta", "sid": 1, "seq": number, "msg": change}), at_us
            )
            recorder.book_change(TICKER, "yes", parse_price("0.40"), CountE2(100), at_us)
    recorder.close()
    assert names(tmp_path) == [f"{TICKER}.2026-08-05.jsonl.gz", f"{TICKER}.2026-08-06.jsonl.gz", "manifest.jsonl"]
    before, after = (read_tape(tmp_path / name) for name in names(tmp_path)[:2])
    assert (len(before.events), len(after.events)) == (4, 5)
    assert after.events[0] == (midnight_us, BookSnapshot(((parse_price("0.40"), parse_count("6")),), ()))
    assert [(row["ended_by"], row["frames"]) for row in manifest_of(tmp_path)] == [("day", 4), ("end", 5)]


async def test_a_market_that_is_over_ends_its_file_alone(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    """A minute after it closed; what still comes until then is kept, and one that opens again goes on."""
    wall = WallClock(1_785_931_200_000_000)
    over: list[str] = []
    recorder = Recorder(wall.now_us, over.append)
    for ticker in (TICKER, OTHER):
        recorder.add(MarketFiles(ticker, "linear_cent", day_paths(tmp_path), tmp_path))
        recorder.record_frame(book_frame(ticker, Book()), wall.now_us())
        recorder.book_snapshot(ticker, [], [], None)
        recorder.market_status(ticker, "closed")
    recorder.market_status(OTHER, "open")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.keep_flushing)
        await trio.sleep(59)
        assert over == []
        recorder.record_frame(book_frame(TICKER, Book()), wall.now_us())
        recorder.book_snapshot(TICKER, [], [], None)
        await trio.sleep(300)
        nursery.cancel_scope.cancel()
    assert over == [TICKER]
    assert recorder.open_markets == 1
    assert [(row["market"], row["ended_by"], row["frames"]) for row in manifest_of(tmp_path)] == [(TICKER, "market", 2)]
    recorder.close()


def test_a_manifest_that_was_cut_off_goes_on_on_a_line_of_its_own(tmp_path: Path) -> None:
    """What a crash left of a row spoils no other row."""
    row = ManifestRow(
        file="f", market="m", price_level_structure="s", began_at=None, ended_at=None, frames=1, gaps=0, ended_by="end"
    )
    append_manifest(tmp_path, row)
    raw = (tmp_path / "manifest.jsonl").read_bytes()
    (tmp_path / "manifest.jsonl").write_bytes(raw + raw[:20])
    append_manifest(tmp_path, row)
    first, torn, last = (tmp_path / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    assert first == last == raw
    assert torn == raw[:20] + b"\n"
    assert (tmp_path / "manifest.jsonl").stat().st_mode & 0o077 == 0
