"""Bad input: one line that names the value and the remedy, exit code 2, and everything as it was before."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.invoking import invoke
from tests.cli.support import run

START_US = 1_700_000_000_000_000
TICKER = "KXTEST-A-1"

HEADER = {"header": {"format": "kalshi-ws-recording/1", "ticker": TICKER, "price_level_structure": "linear_cent"}}


def frame(at_s: int, kind: str, **message: Any) -> dict[str, Any]:  # noqa: ANN401 - a frame's fields, right or wrong
    return {
        "recv_us": START_US + at_s * 1_000_000,
        "frame": {"type": kind, "sid": 1, "seq": at_s + 1, "msg": {"market_ticker": TICKER, **message}},
    }


def snapshot(at_s: int = 0, no_price: str = "0.5000") -> dict[str, Any]:
    return frame(
        at_s,
        "orderbook_snapshot",
        market_id="m",
        yes_dollars_fp=[["0.4500", "100.00"]],
        no_dollars_fp=[[no_price, "100.00"]],
    )


def delta(at_s: int, change: object = "1.00", *, price: object = "0.4500", side: str = "yes") -> dict[str, Any]:
    at_ms = START_US // 1_000 + at_s * 1_000
    return frame(
        at_s, "orderbook_delta", market_id="m", price_dollars=price, delta_fp=change, side=side, ts_ms=at_ms, ts=""
    )


def lines(rows: Iterable[object]) -> bytes:
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows).encode()


GOOD = [HEADER, snapshot(), *(delta(s) for s in range(1, 400))]


def with_line(number: int, row: object) -> bytes:
    """The good recording with one line (counted from 1) replaced."""
    return lines([*GOOD[: number - 1], row, *GOOD[number:]])


def zipped() -> bytes:
    return gzip.compress(lines(GOOD), mtime=0)


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def with_time(at_us: object) -> bytes:
    return with_line(30, {**delta(28), "recv_us": at_us})


RECORDINGS: dict[str, tuple[bytes, str]] = {
    "only_magic.gz": (zipped()[:4], "it was cut off within its header, no frame is in it; use another"),
    "flipped.gz": (flipped(zipped()), ""),
    "checksum.gz": (zipped()[:-8] + b"\0\0\0\0" + zipped()[-4:], "the file is damaged (CRC check failed"),
    "text.txt": (b"hello\nworld\n", "give a kalshi-ws-recording/1 file"),
    "other.json": (b'{"trades": []}\n', "give a kalshi-ws-recording/1 file"),
    "binary.dat": (bytes(range(256)) * 20, "give a kalshi-ws-recording/1 file"),
    "empty.jsonl": (b"", "give a kalshi-ws-recording/1 file"),
    "blank.jsonl": (b"\n\n \n", "give a kalshi-ws-recording/1 file"),
    "header_only.jsonl": (lines([HEADER]), "use a whole recording"),
    "other_format.jsonl": (
        lines([{"header": {**HEADER["header"], "format": "kalshi-ws-recording/2"}}, *GOOD[1:]]),
        "'kalshi-ws-recording/2' is not kalshi-ws-recording/1; give",
    ),
    "no_snapshot.jsonl": (lines([HEADER, *GOOD[2:]]), "use a whole recording"),
    "damaged.jsonl": (with_line(30, '{"recv_us": 17, "fra'), "line 30 is damaged"),
    "not_utf8.jsonl": (lines(GOOD[:29]) + b'{"recv_us": "\xff\xfe"}\n' + lines(GOOD[30:]), "line 30 is damaged"),
    "price_is_float.jsonl": (with_line(30, delta(28, price=0.45)), "use a whole recording"),
    "change_is_null.jsonl": (with_line(30, delta(28, None)), "use a whole recording"),
    "five_decimals.jsonl": (with_line(30, delta(28, price="0.45678")), "use a whole recording"),
    "price_of_two.jsonl": (with_line(30, delta(28, price="2.0000")), "use a whole recording"),
    "count_is_nan.jsonl": (with_line(30, delta(28, "NaN")), "use a whole recording"),
    "no_such_side.jsonl": (with_line(30, delta(28, side="maybe")), "use a whole recording"),
    "time_is_text.jsonl": (with_time("now"), "line 30 is damaged"),
    "time_is_huge.jsonl": (with_time(10**18), "line 30 is damaged"),
    "time_is_negative.jsonl": (with_time(-1), "line 30 is damaged"),
    "backwards.jsonl": (with_line(30, delta(3)), "sort it by time of receipt"),
    "negative_level.jsonl": (with_line(30, delta(28, "-500.00")), "would hold -37300; use another recording"),
    "crossed.jsonl": (with_line(30, delta(28, price="0.5500")), "the book is crossed; use another recording"),
    "crossed_at_once.jsonl": (lines([HEADER, snapshot(no_price="0.6000"), *GOOD[2:]]), "use another recording"),
}
"""By name: the bytes, and what the message says beside the name."""

OPTIONS: list[tuple[tuple[str, ...], str, str]] = [
    *((("--quantity", value), value, "give contracts above 0 with at most 2 decimals") for value in ("0", "0.00")),
    *((("--quantity", value), value, "give contracts above 0") for value in ("-1", "1.005", "abc", "1e3", "NaN")),
    (("--quantity", ""), "''", "give contracts above 0"),
    (("--quantity", "99999999999"), "99999999999", "give contracts above 0"),
    (("--quantity", "9" * 400), "9999", "give contracts above 0"),
    (("--target-price", "0.505"), "0.5050", "give a valid tick between 0 and 1 dollar"),
    (("--target-price", "0"), "0.0000", "give a valid tick between 0 and 1 dollar"),
    (("--target-price", "1"), "1.0000", "give a valid tick between 0 and 1 dollar"),
    *((("--target-price", v), v, "give dollars between 0 and 1 on the market's grid") for v in ("1.5", "-0.5", "abc")),
    (("--algorithm", "vwap"), "'vwap'", "choose one of: adaptive_limit, "),
    (("--profile", "stormy"), "'stormy'", "give one of: thin, moderate, liquid"),
    (("--faults", "gremlins"), "gremlins", "give one of"),
    (("--algorithm", "simple_limit@99"), "'simple_limit' has no version '99'", "it has: simple_limit@1"),
    *((("--executions", value), value, "give a number from 1 to 10000") for value in ("0", "-3", "10001")),
    (("--executions", "abc"), "'abc'", "see: fsm-exec demo --help"),
    *((("--horizon", value), value, "give seconds from 1 to 86400") for value in ("0", "-5", "100000")),
    (("--horizon", "700"), "700 s", "give a shorter --horizon"),
    *((("--speed", v), v, "give a number above 0 and up to 100000, or max") for v in ("0", "-1", "abc", "nan", "inf")),
    (("--seed", "abc"), "'abc'", "see: fsm-exec demo --help"),
    (("--outcome", "maybe"), "'maybe'", "'yes', 'no', 'both'"),
    (("--nope",), "--nope", "see: fsm-exec demo --help"),
    (("stray",), "stray", "see: fsm-exec demo --help"),
    (("--db",), "--db", "see: fsm-exec --help"),
    (("--db", ""), "--db", "give the path of a file"),
]
"""Arguments; the value that the message names; the remedy that it gives."""


def tree(directory: Path) -> dict[str, bytes | str]:
    """Everything below `directory`: files with their bytes."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else "directory"
        for path in directory.rglob("*")
        if os.access(path, os.R_OK)
    }


def assert_refused(directory: Path, arguments: tuple[str, ...], *said: str) -> None:
    before = tree(directory)
    done = invoke(directory, *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("fsm-exec: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("\n")
    for words in said:
        assert words in done.stderr
    assert tree(directory) == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that a demo has left."""
    directory = tmp_path_factory.mktemp("finished")
    done = run(directory, "demo", "--speed", "max", "--executions", "2", "--db", "demo.sqlite")
    assert done.returncode == 0, done.stderr
    return directory / "demo.sqlite"


def edited(source: Path, target: Path, *statements: str) -> None:
    """A copy of a database, changed."""
    shutil.copy(source, target)
    with closing(sqlite3.connect(target)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(("arguments", "value", "remedy"), OPTIONS, ids=[" ".join(o[0])[:40] for o in OPTIONS])
def test_a_bad_option_is_refused(tmp_path: Path, arguments: tuple[str, ...], value: str, remedy: str) -> None:
    """One line with the value and the remedy, exit 2, no file made."""
    assert_refused(tmp_path, ("demo", *arguments), value, remedy)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_bad_recording_is_refused(tmp_path: Path, name: str) -> None:
    """One line with the file's name and the remedy, exit 2, no database and no log made."""
    content, remedy = RECORDINGS[name]
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path, ("demo", "--recording", name, "--db", "new.sqlite"), name, remedy)


def test_the_recording_that_the_bad_ones_are_made_from_is_good(tmp_path: Path) -> None:
    """So each of them is refused for what is wrong with it alone; plain and gzipped."""
    for name, content in {"plain.jsonl": lines(GOOD), "zipped.gz": zipped()}.items():
        (tmp_path / name).write_bytes(content)
        done = run(tmp_path, "demo", "--recording", name, "--executions", "1", "--horizon", "10", "--speed", "max")
        assert (done.returncode, done.stderr) == (0, "")


def test_a_recording_that_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    """Missing, or a directory: the system's own words, and to check the path."""
    (tmp_path / "folder").mkdir()
    for name, why in {"missing.gz": "No such file", "folder": "Is a directory"}.items():
        assert_refused(tmp_path, ("demo", "--recording", name), name, why, "check the path")


def test_without_permission_nothing_is_read_or_written(tmp_path: Path) -> None:
    """An unreadable recording, a read-only database, a read-only directory."""
    secret, locked, frozen = tmp_path / "secret.gz", tmp_path / "locked.sqlite", tmp_path / "frozen"
    secret.write_bytes(zipped())
    secret.chmod(0)
    if os.access(secret, os.R_OK):
        pytest.skip("this user may read and write everything, whatever the permissions say")
    locked.touch()
    locked.chmod(0o400)
    frozen.mkdir()
    frozen.chmod(0o500)
    assert_refused(tmp_path, ("demo", "--recording", "secret.gz"), "secret.gz", "not readable", "--help")
    assert_refused(tmp_path, ("demo", "--db", "locked.sqlite"), "locked.sqlite", "use another path")
    assert_refused(tmp_path, ("demo", "--db", "frozen/new.sqlite"), "frozen/new.sqlite", "Permission denied", "give")
    frozen.chmod(0)
    assert_refused(tmp_path, ("demo", "--db", "frozen/new.sqlite"), "frozen/new.sqlite", "Permission denied", "give")


def test_a_database_from_a_newer_version_is_refused(tmp_path: Path, finished: Path) -> None:
    """Both versions are named, and not a byte of the file changes."""
    edited(finished, tmp_path / "newer.sqlite", "PRAGMA user_version = 99")
    assert_refused(tmp_path, ("demo", "--db", "newer.sqlite"), "newer.sqlite", "99", "another database")


def test_a_database_with_unfinished_executions_is_refused(tmp_path: Path, finished: Path) -> None:
    """They are named, no new execution is mixed with them, and no row of theirs changes."""
    database = tmp_path / "unfinished.sqlite"
    edited(finished, database, "UPDATE execution_state SET state = 'walking' WHERE execution_id = 'e000002'")
    before = rows(database)
    done = run(tmp_path, "demo", "--db", database.name)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    for words in ("unfinished.sqlite", "e000002", "give another path for new work"):
        assert words in done.stderr
    assert rows(database) == before
    assert list(tree(tmp_path)) == [database.name]


def rows(database: Path) -> list[str]:
    """The whole content but `meta` and `epochs`, which record when and where the file was opened."""
    with closing(sqlite3.connect(database)) as connection:
        return [line for line in connection.iterdump() if "meta" not in line and "epochs" not in line]


PATHS: list[tuple[str, str, str]] = [
    ("folder", "it is a directory", "give the path of a file"),
    ("missing/new.sqlite", "No such file or directory", "give a path in a directory that exists"),
    ("text.sqlite", "file is not a database", "give the path of an fsm-exec database, or of a new file"),
    ("foreign.sqlite", "not one of fsm-exec", "give another path"),
    ("queue", "it is not a regular file", "give the path of a file"),
    ("dangling.sqlite", "No such file or directory", "give a path in a directory that exists"),
    ("blocked.sqlite", "blocked.sqlite.log beside it cannot be written", "give a path"),
    (f"{'long' * 63}", "File name too long", "give a path"),
    (os.fsdecode(b"bad\xff.sqlite"), "bad\\udcff.sqlite", "give a path that is UTF-8 text"),
]


@pytest.mark.parametrize(("name", "why", "remedy"), PATHS, ids=[ascii(p[0])[:20] for p in PATHS])
def test_a_path_that_cannot_be_a_database_is_refused(tmp_path: Path, name: str, why: str, remedy: str) -> None:
    """One line, exit 2; what stands at the path stays byte for byte, and nothing is put beside it."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "blocked.sqlite.log").mkdir()
    (tmp_path / "text.sqlite").write_text("A text that is longer than the header by which a database is known.\n" * 9)
    with closing(sqlite3.connect(tmp_path / "foreign.sqlite")) as connection:
        connection.execute("CREATE TABLE addresses (name TEXT)")
    os.mkfifo(tmp_path / "queue")
    (tmp_path / "dangling.sqlite").symlink_to("nowhere/at_all.sqlite")
    assert_refused(tmp_path, ("demo", "--db", name), why, remedy)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [(("explode",), "explode"), (("--explode",), "--explode"), (("diagrams", "--out"), "--out")],
)
def test_an_unknown_command_or_a_missing_argument_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], value: str
) -> None:
    """One line that says where help is."""
    assert_refused(tmp_path, arguments, value, "--help")


def test_the_drawings_cannot_go_where_a_file_stands(tmp_path: Path) -> None:
    """`diagrams --out FILE` names it and asks for another folder."""
    (tmp_path / "taken").write_text("mine")
    assert_refused(tmp_path, ("diagrams", "--out", "taken"), "taken", "give another folder with --out")


@pytest.mark.parametrize("size", [40 * 1024], ids=["40 KiB"])
def test_a_disk_too_full_for_an_empty_database_is_refused(tmp_path: Path, size: int) -> None:
    """Nothing half-written stays: the file that was begun is removed again."""
    done = run(tmp_path, "demo", "--db", "new.sqlite", before=file_limit(size))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "new.sqlite" in done.stderr
    assert "check the disk and its free space" in done.stderr
    assert tree(tmp_path) == {}


def file_limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
