"""The strategies of 15 lines, each as a user would run it, through a SIGKILL and a restart of the daemon."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.api.daemon import END_S, daemon_on_paper, run_script

STRATEGIES = sorted((Path(__file__).parent / "strategies").glob("*.py"))
LINES_MAX = 15


def lines_of(out: Path) -> list[str]:
    """Those that are whole."""
    return out.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()


def wait_for_lines(out: Path, at_least: int) -> None:
    ends_s = time.monotonic() + END_S
    while len(lines_of(out)) < at_least:
        assert time.monotonic() < ends_s, out.read_text(encoding="utf-8")
        time.sleep(0.02)


def test_they_follow_to_the_end_over_a_killed_daemon(tmp_path: Path) -> None:
    """Plain, trio and asyncio at once. The daemon is killed in the middle and started on another port: each says every
    row of its journal once, in order, and the end; none says a word of the outage."""
    assert [path.stem for path in STRATEGIES] == ["on_asyncio", "on_trio", "plain"]
    with daemon_on_paper(tmp_path) as daemon:
        first = daemon.start()
        outs = {path.stem: tmp_path / f"{path.stem}.out" for path in STRATEGIES}
        scripts = [run_script(path, tmp_path, outs[path.stem]) for path in STRATEGIES]
        try:
            for out in outs.values():
                wait_for_lines(out, 2)
            daemon.end(signal.SIGKILL)
            had = {name: len(lines_of(out)) for name, out in outs.items()}
            assert daemon.start().control_url != first.control_url
            for script in scripts:
                assert script.wait(END_S) == 0, [out.read_text() for out in outs.values()]
        finally:
            for script in scripts:
                script.kill()
                script.wait()
        executions = daemon.executions()
        assert set(executions) == {"plain", "trio", "asyncio"}
        for name, out in outs.items():
            execution_id, state = executions[name.removeprefix("on_")]
            *steps, end = lines_of(out)
            assert steps == [f"{seq} {kind}" for seq, kind in daemon.rows(execution_id)]
            assert len(steps) > had[name], "nothing was followed after the restart"
            assert end == state
            assert state in ("filled", "cancelled")
        daemon.end(signal.SIGTERM)


@pytest.mark.parametrize("path", STRATEGIES, ids=lambda path: str(path.stem))
def test_each_fits_in_fifteen_lines(path: Path) -> None:
    """Blank lines do not count; its docstring does."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= LINES_MAX
