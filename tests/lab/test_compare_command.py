"""`fsm-exec compare` as a user meets it: a process of its own, killed and interrupted, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click
import pytest

from fsm_exec.cli.lab.compare import compare
from fsm_exec.core.errors import UserError
from fsm_exec.lab.figure_texts import signed
from tests.cli.invoking import invoke
from tests.cli.support import environment

ROOT = Path(__file__).parents[2]
SMALL = ("--tape", "index:1", "--methods", "simple_limit,market", "--baseline", "simple_limit", "--horizon", "30")
CELL = {
    *("product", "tape", "quantity", "horizon", "method", "episodes", "fill_before_close", "fill", "shortfall"),
    *("cost_p5", "cost_median", "cost_p95", "cost_worst", "delta", "delta_low", "delta_high"),
    *("delta_median", "delta_trimmed", "share_better", "autocorrelation", "bound", "gap_closed", "writes", "reward"),
}


HANDED_OUT = """
import os, signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from fsm_exec.lab.experiment.compare import _hold_interrupts

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, get_context("{way}"))
    try:
        with _hold_interrupts():
            worker = pool.submit(os.getpid).result()
            os.kill(worker, signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            if pool.submit(os.getpid).result() == worker:
                print("a worker lives", flush=True)
    except KeyboardInterrupt:
        print("heard")
    pool.shutdown()
"""


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command in `directory`, in a process group of its own, as a terminal starts it."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "fsm_exec", "compare", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(directory, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def episodes_in(database: Path) -> int:
    """How many are stored so far; 0 before there is a table."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database, timeout=5)) as connection:
        try:
            (found,) = connection.execute("SELECT count(*) FROM episodes").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(found)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "waited a minute for nothing"
        time.sleep(0.02)


def rows_of(database: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        episodes = connection.execute("SELECT * FROM episodes ORDER BY 1, 2, 3, 4, 5").fetchall()
        return episodes + connection.execute("SELECT * FROM runs ORDER BY 1, 2, 3, 4, 5, 6").fetchall()


def test_killed_half_way_and_resumed_it_says_the_same(tmp_path: Path) -> None:
    """SIGKILL with two workers at work: what was stored stays, no worker outlives it, and `--resume` with one worker
    ends with the bytes and the document of a run that nobody disturbed."""
    arguments = (*SMALL, "--quantity", "20", "--every", "1800")
    code, undisturbed, err = run(tmp_path, *arguments, "--workers", "1", "--out", "whole", "--json")
    assert code == 0, err
    database = tmp_path / "killed" / "compare.sqlite"
    process = start(tmp_path, *arguments, "--workers", "2", "--out", "killed")
    wait_until(lambda: episodes_in(database) >= 5)
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not group_lives(process.pid))
    kept = episodes_in(database)
    assert 5 <= kept < episodes_in(tmp_path / "whole" / "compare.sqlite")
    code, resumed, err = run(tmp_path, *arguments, "--workers", "1", "--out", "killed", "--resume", "--json")
    assert code == 0, err
    assert json.loads(resumed) == json.loads(undisturbed)
    assert rows_of(database) == rows_of(tmp_path / "whole" / "compare.sqlite")
    cells = json.loads(resumed)["cells"]
    assert [cell["method"] for cell in cells] == ["simple_limit", "market"]
    assert all(set(cell) == CELL for cell in cells)


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_it_keeps_and_shows_what_is_done(tmp_path: Path, workers: str) -> None:
    """Ctrl-C reaches the command and its workers at once: a table of what is done, one line, exit 130, no traceback."""
    process = start(tmp_path, *SMALL, "--quantity", "20,100", "--every", "60", "--workers", workers, "--out", "here")
    database = tmp_path / "here" / "compare.sqlite"
    wait_until(lambda: episodes_in(database) >= 3)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "simple_limit" in out
    assert "--resume goes on" in err
    assert "Traceback" not in err
    assert episodes_in(database) >= 3


@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_ctrl_c_while_work_is_handed_out_is_heard_after_it(tmp_path: Path, way: str) -> None:
    """By the command, and not by the workers that are started then."""
    script = tmp_path / "script.py"
    script.write_text(HANDED_OUT.format(way=way))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, env=environment())
    assert (done.stdout, done.stderr, done.returncode) == ("a worker lives\nheard\n", "", 0)


def test_terminated_it_ends_as_if_interrupted(tmp_path: Path) -> None:
    """SIGTERM to the command alone, as a service manager sends it: its workers end with it, what is done is kept."""
    process = start(tmp_path, *SMALL, "--quantity", "20", "--every", "60", "--workers", "2", "--out", "here")
    wait_until(lambda: episodes_in(tmp_path / "here" / "compare.sqlite") >= 1)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1].endswith("--resume goes on")
    assert "Traceback" not in err
    assert "leaked" not in err
    wait_until(lambda: not group_lives(process.pid))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (("--methods", "luck"), "luck"),
        (("--methods", "market,market@1"), "same method"),
        (("--methods", "market,,twap"), "single commas"),
        (("--methods", "deadline_walker[g=3;a0=0.7],deadline_walker[a0=0.70;g=3]"), "same method"),
        (("--methods", "deadline_walker[a0=0.7,g=3]"), "semicolons"),
        (("--quantity", "0"), "--quantity 0"),
        (("--quantity", "20,,100"), "single commas"),
        (("--horizon", "0"), "--horizon 0"),
        (("--horizon", "3", "--latency-ms", "1000"), "--horizon 3"),
        (("--latency-ms", "-1"), "--latency-ms -1"),
        (("--every", "0"), "--every 0"),
        (("--workers", "0"), "--workers 0"),
        (("--maker-fee", "2"), "'2' is not one of '0', '1.75'"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, wrong: tuple[str, ...], why: str) -> None:
    """The option, its value and what to give, before anything is opened or written."""
    out = tmp_path / "out"
    with pytest.raises((UserError, click.UsageError)) as refusal:
        compare.main([*SMALL, "--out", str(out), *wrong], standalone_mode=False)
    assert why in str(refusal.value)
    assert not out.exists()


def test_the_baseline_may_be_named_with_its_version(tmp_path: Path) -> None:
    """All the shipped methods are compared with it, and it is not one of them a second time."""
    long = ["--tape", "index:1", "--horizon", "23200", "--out", str(tmp_path / "out")]
    with pytest.raises(UserError, match="no start"):
        compare.main([*long, "--baseline", "passive_mid@1"], standalone_mode=False)


def test_tables_say_methods_with_their_settings_and_how_rough_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets are part of a name, not of its looks; an interval of few blocks is marked, and the mark explained."""
    methods = ("--methods", "deadline_walker[a0=0.7],deadline_walker[a0=0.6]")
    small = [
        "--tape",
        "index:1",
        "--horizon",
        "30",
        "--quantity",
        "20",
        "--every",
        "7200",
        "--workers",
        "1",
        "--buckets",
    ]
    compare.main([*small, *methods, "--out", str(tmp_path / "[out]")], standalone_mode=False)
    told = capsys.readouterr().out
    assert told.count("deadline_walker[a0=0.7]") == told.count("deadline_walker[a0=0.6]") > 1
    assert "~[" in told
    assert "~ fewer than 10 blocks" in told
    assert "[out]" in told


@pytest.mark.parametrize(("wrong", "why"), [(("--tape", "none.jsonl"), "none.jsonl"), (("--out", "a-file"), "a-file")])
def test_bad_input_is_one_line(tmp_path: Path, wrong: tuple[str, ...], why: str) -> None:
    """What, where, what to do; exit 2; nothing is written."""
    (tmp_path / "a-file").write_text("")
    code, out, err = run(tmp_path, *SMALL, "--workers", "1", *wrong)
    assert (code, out) == (2, "")
    assert why in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


def test_the_sensitivity_grid_is_the_same_experiment_under_other_conditions(tmp_path: Path) -> None:
    """`--sensitivity` adds a result for each changed condition, in a directory of its own, each what a run under that
    condition alone says; at a second of latency too the engine is ready when an episode starts. On the terminal the
    grids fit 80 columns."""
    arguments = (*SMALL, "--quantity", "20", "--every", "3600", "--workers", "1", "--json")
    code, out, err = run(tmp_path, *arguments, "--sensitivity", "--out", "grid")
    assert code == 0, err
    document = json.loads(out)
    varied = {found["name"]: found["cells"] for found in document["sensitivity"]}
    options = {
        "queue-conservative": ("--queue-model", "conservative"),
        "latency-1000ms": ("--latency-ms", "1000"),
        "maker-fee-1.75": ("--maker-fee", "1.75"),
        "fills-coin": ("--fill-model", "coin"),
        "fills-through": ("--fill-model", "through"),
        "fills-trades": ("--fill-model", "trades"),
    }
    assert list(varied) == list(options)
    for name in ("latency-1000ms", "fills-trades"):
        code, alone, err = run(tmp_path, *arguments, *options[name], "--out", f"{name}-alone")
        assert code == 0, err
        assert json.loads(alone)["cells"] == varied[name]
        alone_at, varied_at = (tmp_path / at / "compare.sqlite" for at in (f"{name}-alone", f"grid/{name}"))
        assert rows_of(alone_at) == rows_of(varied_at)
        assert document["cells"] != varied[name]
    told = invoke(tmp_path, *("compare", *arguments[:-1], "--sensitivity", "--out", "grid", "--resume")).stdout
    grids = told[told.index("The same under") : told.index("cost: all-in")].splitlines()
    assert max(map(len, grids)) <= 80
    names = list(options)
    for part in (names[:3], names[3:]):  # conditions, then fill models: the base first in each, above its interval
        cells = [next(cell for cell in found if cell["method"] == "market") for found in map(varied.__getitem__, part)]
        base = next(cell for cell in document["cells"] if cell["method"] == "market")
        assert ["market", *(signed(cell["delta"]) for cell in (base, *cells))] in [line.split() for line in grids]
