"""`fsm-exec simulate` as a user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import COMMAND, environment, run


def test_one_seed_prints_its_hash_and_its_actions(tmp_path: Path) -> None:
    """The same line each time; the history goes where it is asked to."""
    first = run(tmp_path, "simulate", "--seed", "3", "--history", "h.txt")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith("seed 3: ")
    assert "Every invariant held." in first.stdout
    again = run(tmp_path, "simulate", "--seed", "3")
    assert again.stdout == first.stdout
    assert "journal e000001 1 Submitted" in (tmp_path / "h.txt").read_text(encoding="utf-8")


def test_many_seeds_as_one_document(tmp_path: Path) -> None:
    """Nothing but JSON on stdout, with sums, the crash points passed, and no finding."""
    result = run(tmp_path, "simulate", "--seeds", "1-6", "--workers", "2", "--profile", "liquid", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert (document["seeds"], document["interrupted"], document["findings"]) == ("1-6", False, [])
    assert document["totals"]["runs"] == 6
    assert "commit.after" in document["crash_points"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "5"], "--seeds '5'"),
        (["--seeds", "9-3"], "--seeds 9-3"),
        (["--seeds", "1-2000000000"], "2000000000"),
        (["--seed", "1", "--seeds", "1-2"], "--seed is one history"),
        (["--steps", "3"], "--steps is for one history"),
        (["--seed", "1", "--steps", "-1"], "--steps -1"),
        (["--seed", "1", "--without", "a"], "--without 'a'"),
        (["--workers", "0"], "--workers 0"),
        (["--faults", "nice"], "nice"),
        (["--profile", "odd"], "odd"),
        (["--seed", "1", "--history", "no/such/file"], "--history"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_one_line_and_exit_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    """What is wrong, and what to give."""
    result = run(tmp_path, "simulate", *arguments)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert said in result.stderr


def interrupted_after(directory: Path, patience_s: int) -> dict[str, Any]:
    """What a hunt says that is interrupted after so many seconds."""
    with subprocess.Popen(
        [*COMMAND, "simulate", "--seeds", "1-100000", "--workers", "1", "--json"],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            give_up_s = time.monotonic() + 60
            while not children_of(process.pid) and time.monotonic() < give_up_s:  # it has not begun to hunt
                time.sleep(0.2)
            time.sleep(patience_s)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=300)
        finally:
            process.kill()
    assert (process.returncode, errors) == (130, "")
    document: dict[str, Any] = json.loads(out)
    return document


def test_no_worker_outlives_the_command(tmp_path: Path) -> None:
    """Killed with SIGKILL, it leaves no process behind."""
    with subprocess.Popen(
        [*COMMAND, "simulate", "--seeds", "1-100000", "--workers", "2"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        give_up_s = time.monotonic() + 60
        workers: list[int] = []
        while len(workers) < 3 and time.monotonic() < give_up_s:  # the two, and the tracker of multiprocessing
            time.sleep(0.2)
            workers = children_of(process.pid)
        time.sleep(2)
        process.kill()
    assert len(workers) >= 2
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < give_up_s:
        time.sleep(0.2)
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in listed.split()]


def test_an_interrupt_keeps_what_was_found(tmp_path: Path) -> None:
    """Ctrl-C: the sums so far, and exit 130; also before the first history has ended."""
    for patience_s in (3, 12, 40):  # a busy machine needs its time to start a worker
        document = interrupted_after(tmp_path, patience_s)
        assert document["interrupted"] is True
        if document["totals"]["runs"] > 0:
            break
    assert document["totals"]["runs"] > 0
