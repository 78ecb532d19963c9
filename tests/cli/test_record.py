"""`fsm-exec record` against a paper exchange: what it writes is a tape, whole, however it ends."""

from __future__ import annotations

import gzip
import json
import os
import signal
import sys
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.cli.exchange.record import FLUSH_S
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, parse_count, parse_price
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Trade
from fsm_exec.recordings.format import FORMAT, Header
from fsm_exec.recordings.unfinished import recover_unfinished
from fsm_exec.recordings.writer import RecordingWriter
from fsm_exec.wire.recording import read_recording
from tests.cli.exchange import OTHER, TICKER, Site, site
from tests.cli.support import COMMAND, HANGING_UP, environment, run


async def recording(place: Site) -> None:
    """Until the command has subscribed."""
    with trio.fail_after(30):
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


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
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
        with trio.fail_after(20):
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
        process.send_signal(signal.SIGHUP)
        with trio.fail_after(20):
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
        with trio.fail_after(20):
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
            with trio.fail_after(20):
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
        with trio.fail_after(20):
            assert await process.wait() == 0
        assert f"{OTHER}: 2 frames, 0 gaps, {out / OTHER}.jsonl.gz" in place.output()
    for ticker, frames in ((TICKER, 4), (OTHER, 2)):
        header, lines = read_recording(out / f"{ticker}.jsonl.gz")
        assert (header.ticker, header.price_level_structure) == (ticker, "linear_cent")
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
        assert found == (part, tmp_path / f"day.cut-{number}.jsonl.gz", 3)
        assert len(list(read_recording(tmp_path / f"day.cut-{number}.jsonl.gz")[1])) == 3
    for nothing in (b"", left_behind(path, 0)):
        part.write_bytes(nothing)
        assert recover_unfinished(path) == (part, None, 0)
    assert names(tmp_path) == ["day.cut-1.jsonl.gz", "day.cut-2.jsonl.gz"]
    part.write_bytes(b"a download of somebody's")
    with pytest.raises(UserError, match="no recording header"):
        recover_unfinished(path)
    part.unlink()
    writer = RecordingWriter(path, HEADER)
    with pytest.raises(UserError, match="another `record`"):
        recover_unfinished(path)
    writer.close()
