"""The lab on a cluster of Dask's own processes: whoever works, and whoever dies, the same figures come of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import cluster_schedule
from tests.cli.invoking import invoke
from tests.cli.support import COMMAND, ROOT, environment

distributed = pytest.importorskip("distributed")

WAIT_S = 120
TAPES = ("--tape", "index:1", "--tape", "thin:2")
COMPARE = (
    *("compare", *TAPES, "--methods", "simple_limit,market"),
    *("--baseline", "simple_limit", "--horizon", "30", "--quantity", "20", "--every", "1800", "--json"),
)
TUNE = (
    *("tune", *TAPES, "--algorithm", "twap", "--vary", "slices=5:9"),
    *("--candidates", "2", "--seeds", "1", "--horizon", "60", "--quantity", "20", "--every", "7200", "--json"),
)


class DaskCluster:
    """A scheduler on loopback with workers of one thread each, none of which is started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / "scheduler.json"
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--scheduler-file", str(self._file))
        self.workers: list[subprocess.Popen[bytes]] = []
        wait_until(lambda: self._file.exists() and b"}" in self._file.read_bytes())
        self.address = str(json.loads(self._file.read_bytes())["address"])

    def _start(self, program: str, *arguments: str, source: Path = ROOT) -> subprocess.Popen[bytes]:
        with (self._directory / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", f"distributed.cli.{program}", *arguments),
                    *("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"),
                ],
                cwd=self._directory,
                env={**environment(), "PYTHONPATH": str(source)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start_workers(self, count: int, *, source: Path = ROOT) -> None:
        arguments = (self.address, "--no-nanny", "--nthreads", "1", "--local-directory", str(self._directory))
        self.workers += [self._start("dask_worker", *arguments, source=source) for _ in range(count)]
        with distributed.Client(self.address) as client:
            client.wait_for_workers(len(self.workers), timeout=WAIT_S)

    def ask_workers(self, function: Callable[..., int]) -> list[int]:
        with distributed.Client(self.address) as client:
            return list(client.run(function).values())

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskCluster]:
    (tmp_path / "dask").mkdir()
    made = DaskCluster(tmp_path / "dask")
    yield made
    made.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the document and the results of a comparison in one process of this machine."""
    directory = tmp_path_factory.mktemp("alone")
    code, document, err = run(directory, *COMPARE, "--workers", "1", "--out", "here")
    assert code == 0, err
    (directory / "document").write_text(document, encoding="utf-8")
    return directory


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(directory, *arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def count_episodes(database: Path) -> int:
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database, timeout=5)) as connection:
        try:
            (found,) = connection.execute("SELECT count(*) FROM episodes").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(found)


def dump(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(connection.iterdump())


def assert_same(directory: Path, document: str, alone: Path) -> None:
    """The document and what is stored, byte for byte."""
    assert document == (alone / "document").read_text(encoding="utf-8")
    assert dump(directory / "here" / "compare.sqlite") == dump(alone / "here" / "compare.sqlite")


@pytest.mark.parametrize("workers", [1, 4])
def test_a_comparison_on_a_cluster_is_the_one_of_one_process(
    tmp_path: Path, alone: Path, dask: DaskCluster, workers: int
) -> None:
    """With one worker and with four; a tape travels to a worker once."""
    dask.start_workers(workers)
    code, document, err = run(tmp_path, *COMPARE, "--cluster", dask.address, "--out", "here")
    assert code == 0, err
    assert "Traceback" not in err
    assert_same(tmp_path, document, alone)

    travels = dask.ask_workers(count_travels)
    assert max(travels) <= TAPES.count("--tape"), travels
    assert (sum(travels) > 0) == (workers > 1), travels


def count_travels(dask_worker: Any) -> int:  # noqa: ANN401 - one of Dask's, which hands itself in by that name
    """Return how often a worker was brought something that another had."""
    return int(dask_worker.state.transfer_incoming_count_total)


def test_a_worker_killed_in_the_middle_changes_nothing(tmp_path: Path, alone: Path, dask: DaskCluster) -> None:
    """SIGKILL: what it worked at is worked again, by others, and what it held is brought again."""
    dask.start_workers(4)
    command = start(tmp_path, *COMPARE, "--cluster", dask.address, "--out", "here")
    wait_until(lambda: count_episodes(tmp_path / "here" / "compare.sqlite") >= 1)
    dask.workers[0].send_signal(signal.SIGKILL)
    document, err = command.communicate(timeout=300)
    assert command.returncode == 0, err
    assert_same(tmp_path, document, alone)


def test_a_cluster_that_goes_away_leaves_what_is_done(tmp_path: Path, alone: Path, dask: DaskCluster) -> None:
    """One line and exit code 1; --resume, here without a cluster, goes on to the same end."""
    dask.start_workers(1)
    command = start(tmp_path, *COMPARE, "--cluster", dask.address, "--out", "here")
    wait_until(lambda: count_episodes(tmp_path / "here" / "compare.sqlite") >= 1)
    dask.scheduler.kill()
    _, err = command.communicate(timeout=300)
    assert command.returncode == 1
    assert err.splitlines()[-1].startswith(f"fsm-exec: the cluster at {dask.address}: ")
    assert "--resume" in err
    assert "Traceback" not in err
    kept = count_episodes(tmp_path / "here" / "compare.sqlite")
    assert 1 <= kept < count_episodes(alone / "here" / "compare.sqlite")
    code, document, err = run(tmp_path, *COMPARE, "--workers", "1", "--out", "here", "--resume")
    assert code == 0, err
    assert_same(tmp_path, document, alone)


def test_interrupted_it_keeps_what_is_done(tmp_path: Path, dask: DaskCluster) -> None:
    """Ctrl-C: exit code 130, and the workers are there for the next."""
    dask.start_workers(1)
    command = start(tmp_path, *COMPARE, "--cluster", dask.address, "--out", "here")
    wait_until(lambda: count_episodes(tmp_path / "here" / "compare.sqlite") >= 1)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=300)
    assert (command.returncode, "--resume goes on" in err, "Traceback" in err) == (130, True, False), err
    assert dask.ask_workers(os.getpid) == [dask.workers[0].pid]


def test_a_search_of_settings_and_one_of_seeds_say_the_same(tmp_path: Path, dask: DaskCluster) -> None:
    """`tune` to the byte; of `simulate` all but how fast it was."""
    dask.start_workers(2)
    code, alone, err = run(tmp_path, *TUNE, "--workers", "1", "--out", "alone")
    assert code == 0, err
    code, together, err = run(tmp_path, *TUNE, "--cluster", dask.address, "--out", "together")
    assert code == 0, err
    assert together == alone
    seeds = ("simulate", "--seeds", "1-6", "--json")
    first, second = (
        json.loads(run(tmp_path, *seeds, *where)[1]) for where in (("--workers", "2"), ("--cluster", dask.address))
    )
    assert first.pop("runs_per_s") != ""
    assert second.pop("runs_per_s") != ""
    assert first == second


def test_a_worker_of_another_program_is_refused(tmp_path: Path, dask: DaskCluster) -> None:
    """Its figures would not compare, however small the difference."""
    other = tmp_path / "other"
    for package in ("fsm_exec", "states"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "states" / "engine.py").open("a", encoding="utf-8") as file:
        file.write("# another\n")
    dask.start_workers(1, source=other)
    code, out, err = run(tmp_path, *COMPARE, "--cluster", dask.address, "--out", "here")
    assert (code, out) == (2, "")
    assert "a worker of the cluster runs another version of fsm-exec" in err
    assert "Traceback" not in err


def test_no_cluster_there_is_said_in_one_line(tmp_path: Path, dask: DaskCluster) -> None:
    """No scheduler, no workers, and workers of both kinds."""
    address = dask.address
    code, out, err = run(tmp_path, *COMPARE, "--cluster", address, "--out", "here")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert f"--cluster {address}: it has no workers; start some with: dask worker {address}" in err
    code, out, err = run(tmp_path, "simulate", "--seeds", "1-2", "--cluster", "127.0.0.1:1")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "no Dask scheduler answers there; start one with: dask scheduler" in err
    for command in (COMPARE, ("simulate", "--seeds", "1-2")):
        done = invoke(tmp_path, *command, "--cluster", address, "--workers", "2")
        assert (done.returncode, "give one of them" in done.stderr) == (2, True), done.stderr


def test_the_simulated_schedule_adds_up() -> None:
    """One worker takes what the work takes; many are never faster than so many times that, nor than the one process
    that hands out and stores."""
    parts = cluster_schedule.Parts(episodes_s=[0.5], stored_s=0.001, read_s=2.0, tape_bytes=0)
    alone = cluster_schedule.simulate(parts, 800, 4, 1, 0.01)
    assert alone.wall_s == pytest.approx(800 * 0.5 + 4 * 2.0, rel=0.01)
    for workers in (2, 7, 100):
        found = cluster_schedule.simulate(parts, 800, 4, workers, 0.01)
        assert alone.wall_s / workers <= found.wall_s <= alone.wall_s / workers + 4 * (2.0 + 8 * 0.5)
    slow = cluster_schedule.simulate(parts, 800, 4, 100, 1.0)
    assert slow.wall_s >= 100 * 1.0
    assert slow.main_share > 0.9
