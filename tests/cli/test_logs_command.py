"""`fsm-exec logs`: the log in words, by execution and time, over rotated and packed files, and as it grows."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.cli.log_file import log_path
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.system_time import system_us
from tests.cli.daemons import serve, states, submit, until
from tests.cli.exchange import site
from tests.cli.invoking import invoke
from tests.cli.support import COMMAND, environment

TAKER_PRICE = "0.53"  # takes what is offered
ORDER = "fxaaaaaaaaaa-e000001-1-2"


def line(at: str, event: str, level: str = "info", **fields: object) -> str:
    return msgspec.json.encode({"at": at, "event": event, "level": level, **fields}).decode() + "\n"


def moved(at: str, subject: str, source: str, dest: str, seq: int = 3) -> str:
    fields = {"machine": "x", "subject": subject, "source": source, "dest": dest, "trigger": "told"}
    return line(at, "transition", event_type="OrderReported", seq=seq, **fields)


DAYS = [
    moved("2026-10-01T12:00:00.100000Z", ORDER, "intended", "resting")
    + moved("2026-10-01T12:00:00.100000Z", "e000001", "split", "walking"),
    line("2026-10-02T12:00:00.200000Z", "inquiry_failed", "warning", order=ORDER, error="GET\x1b[2J: no answer")
    + line("2026-10-02T12:00:01.200000Z", "no_tokens", "warning", rank="create", within_s=5),
    line("2026-10-03T12:00:00.300000Z", "quarantined", "error", execution="e000002", why="x", exception="T\nE: no")
    + line("2026-10-03T12:00:01.300000Z", "orphans_left", "error", orders=[ORDER])
    + '{"at":"2026-10-03T13',
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database whose log was rotated twice, and packed once."""
    path = tmp_path / "e.sqlite"
    log = log_path(path)
    log.with_name(log.name + ".2.gz").write_bytes(gzip.compress(DAYS[0].encode()))
    log.with_name(log.name + ".1").write_text(DAYS[1])
    log.write_text(DAYS[2])
    log.with_name(log.name + "ged-elsewhere").write_text("something else's")
    return path


def told(database: Path, *arguments: str) -> list[str]:
    done = invoke(database.parent, "logs", "--db", str(database), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_whole_log_in_words(database: Path) -> None:
    """Oldest first, a line a step; warnings and errors are marked, and nothing foreign reaches the terminal."""
    assert told(database) == [
        "2026-10-01 12:00:00.100   e000001 order reported (3): order 1-2 intended -> resting (told); "
        "split -> walking (told)",
        f"2026-10-02 12:00:00.200 ! inquiry failed: order {ORDER}, error GET?[2J: no answer",
        "2026-10-02 12:00:01.200 ! no tokens: rank create, within_s 5",
        "2026-10-03 12:00:00.300 # quarantined: execution e000002, why x [E: no]",
        f"2026-10-03 12:00:01.300 # orphans left: orders {ORDER}",
    ]


def test_lines_that_are_torn_are_counted(database: Path) -> None:
    """On stderr, with their number; the exit code is 0."""
    assert "1 lines of the log are torn" in invoke(database.parent, "logs", "--db", str(database)).stderr


def test_one_execution(database: Path) -> None:
    """Its steps, and whatever names it or one of its orders; nothing of the others."""
    assert len(told(database, "--execution", "e000001")) == 3
    assert len(told(database, "--execution", "e000002")) == 1
    assert told(database, "--execution", "e00000") == []


def test_an_execution_that_the_log_does_not_know_is_said(database: Path) -> None:
    """Nothing on standard output, and a line that it is so: silence would look like an execution without steps."""
    done = invoke(database.parent, "logs", "--db", str(database), "--execution", "e9")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("fsm-exec: the log has nothing of e9, as asked; see: fsm-exec list\n")


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--since", "2026-10-02"], 4),
        (["--since", "2026-10-02T12:00:01Z"], 3),
        (["--since", "2026-10-04"], 0),
        (["--level", "warning"], 4),
        (["--level", "error"], 2),
        (["--lines", "2"], 2),
        (["--since", "2026-10-02", "--level", "warning", "--lines", "1"], 1),
    ],
)
def test_what_is_told_can_be_narrowed(database: Path, arguments: list[str], count: int) -> None:
    """By time, by level, by number, and by all of them."""
    assert len(told(database, *arguments)) == count


def test_times_may_be_so_far_back(tmp_path: Path) -> None:
    """`2h` and `30m`, like days."""
    database = tmp_path / "e.sqlite"
    an_hour_ago = to_iso(system_us() - 3_600_000_000)
    log_path(database).write_text(line(an_hour_ago, "one"))
    assert len(told(database, "--since", "2h")) == len(told(database, "--since", "1d")) == 1
    assert told(database, "--since", "30m") == []


def test_json_prints_the_lines_as_they_are(database: Path) -> None:
    """A document a line, with all its fields."""
    found = [msgspec.json.decode(each) for each in told(database, "--json", "--execution", "e000002")]
    assert [each["exception"] for each in found] == ["T\nE: no"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--db", "absent.sqlite"], "no log absent.sqlite.log"),
        (["--db", "e.sqlite", "--since", "yesterday"], "--since 'yesterday' is no time"),
        (["--db", "e.sqlite", "--level", "warn"], "did you mean warning?"),
        (["--db", "e.sqlite"], "e.sqlite.log.1.gz: cannot be read"),
    ],
)
def test_what_cannot_be_told_is_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    """With the remedy; exit code 2."""
    (tmp_path / "e.sqlite.log").write_text(DAYS[1])
    (tmp_path / "e.sqlite.log.1.gz").write_bytes(gzip.compress(DAYS[0].encode())[:30])
    done = invoke(tmp_path, "logs", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


async def test_following_goes_on_over_rotations(database: Path) -> None:
    """What is added after a rename, a deletion and a cut is told, each line once."""
    log = log_path(database)
    process = await trio.lowlevel.open_process(
        [*COMMAND, "logs", "--db", str(database), "--follow", "--lines", "1"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    heard = b""

    async def hear(word: str) -> None:
        nonlocal heard
        with trio.fail_after(120):
            while word.encode() not in heard:
                assert process.stdout is not None
                heard += await process.stdout.receive_some()

    def add(word: str) -> None:
        with log.open("a") as file:
            file.write(line("2026-10-04T12:00:00.000000Z", word))

    try:
        await hear("orphans left")
        with log.open("a") as file:
            file.write("\n")  # ends what was torn
        add("first")
        await hear("first")
        log.rename(log.with_name(log.name + ".9"))
        add("second")
        await hear("second")
        log.unlink()
        add("third")
        await hear("third")
        log.write_text("")
        add("fourth")
        await hear("fourth")
    finally:
        process.kill()
        await process.wait()
        await process.stdout.aclose()
    words = ["orphans left", "first", "second", "third", "fourth"]
    assert [heard.count(word.encode()) for word in words] == [1] * 5


async def test_the_log_of_a_daemon_tells_an_execution(tmp_path: Path) -> None:
    """From its acceptance to its end, in words, while the daemon runs; and the journal, where it is wanted, has the
    same with priorities."""
    async with site(tmp_path) as at:
        database = tmp_path / "engine.sqlite"
        daemon = await serve(at, "--config", at.config, "--db", database, "--log-format", "journald")
        await submit(at, quantity="5", price=TAKER_PRICE)
        await until(lambda: states(database) == {"e000001": "filled"})
        assert any("pending -> split" in each for each in told(database, "--execution", "e000001"))
        assert await daemon.end() == 0
        assert any(each.startswith("<6>e000001 decision due") for each in daemon.err.splitlines()), daemon.err
