"""`serve` says what happens to it: the exchange lost and found, halt and resume, quarantine, restored work, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.cli.daemon.narration import (
    Outcome,
    Standing,
    describe_changes,
    describe_outcome,
    describe_stop,
)
from fsm_exec.cli.daemon.narrator import standing_of
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.runtime.account.gate import Gate
from fsm_exec.runtime.engine import Engine
from tests.cli.daemons import command, show, submit
from tests.cli.exchange import Site, site
from tests.cli.support import COMMAND, environment
from tests.runtime.support import staged

WELL = Standing(state="running", risk="active")
STREAM = "the exchange's stream is not live: "
CHANGES: list[tuple[Standing, Standing, list[str]]] = [
    (WELL, WELL, []),
    (WELL, Standing("halted", "asked to", risk="active"), ["HALTED: asked to; go on with: fsm-exec resume"]),
    (Standing("halted", "asked to", risk="active"), WELL, ["resumed: executions are accepted again"]),
    (WELL, Standing("running", why_degraded=("a: b",), risk="active"), ["exchange lost: a: b"]),
    (
        Standing("running", why_degraded=(f"{STREAM}x",)),
        Standing("running", why_degraded=(f"{STREAM}y", "the exchange does not accept our signature: no")),
        ["exchange: the exchange does not accept our signature: no"],
    ),
    (
        Standing("running", why_degraded=("a: b",)),
        Standing("running"),
        ["exchange found again: orders can be sent, the stream is live"],
    ),
    (
        WELL,
        Standing("running", quarantined={"e000001": "IllegalTrigger"}, risk="active"),
        ["QUARANTINED e000001: IllegalTrigger; take it up again with: fsm-exec resume e000001"],
    ),
    (Standing("running", quarantined={"e000001": "x"}), Standing("running"), ["e000001 is in quarantine no more"]),
    (WELL, Standing("running", risk="reducing", why_risk="lost 12 today"), ["risk: active -> reducing: lost 12 today"]),
    (Standing("starting"), Standing("halted", "before"), ["HALTED: before; go on with: fsm-exec resume"]),
]


@pytest.mark.parametrize(("before", "after", "said"), CHANGES)
def test_every_change_is_one_line_and_what_lasts_is_none(before: Standing, after: Standing, said: list[str]) -> None:
    """What a person must do is in the line; the same problem in newer words is no news."""
    assert [line.text for line in describe_changes(before, after)] == said


def test_an_end_is_counted_in_words_that_fit_the_number() -> None:
    """One order, two orders; what was left live is only said if something was."""
    assert describe_outcome(Outcome(1, 0, 0, 1), cancels=True).text == "stopped: 1 order cancelled, 1 execution kept"
    late = describe_outcome(Outcome(2, 1, 3, 0), cancels=True).text
    assert late == "stopped: 2 orders cancelled, 1 order filled meanwhile, 3 orders that may be live, 0 executions kept"
    assert describe_outcome(Outcome(0, 0, 1, 1), cancels=False).text == "stopped: 1 order left live, 1 execution kept"
    assert describe_stop(2, 1, cancels=True).text.startswith("stopping: 2 orders are cancelled, 1 execution kept")


class Spoken:
    """What a daemon has said so far."""

    def __init__(self, process: trio.Process, out: Path) -> None:
        self.process, self._out = process, out

    @property
    def text(self) -> str:
        return self._out.read_text(encoding="utf-8")

    async def until(self, *words: str) -> None:
        with trio.fail_after(120):
            while not all(word in self.text for word in words):
                assert self.process.poll() is None, self.text
                await trio.sleep(0.05)


@asynccontextmanager
async def speaking(made: Site, name: str) -> AsyncIterator[Spoken]:
    out = made.directory / f"{name}.out"
    with out.open("wb") as out_file:
        process: trio.Process = await trio.lowlevel.open_process(
            [*COMMAND, "serve", "--config", str(made.config), "--db", str(made.directory / "engine.sqlite")],
            cwd=made.directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out_file,
            stderr=subprocess.STDOUT,
        )
    made.processes.append(process)
    spoken = Spoken(process, out)
    await spoken.until("serving paper at ")
    yield spoken


async def test_a_daemon_says_what_happens_to_it(tmp_path: Path) -> None:
    """In plain lines with their time, where no terminal shows them: its end with what became of its order, the next
    start with what it took up again, a halt and the way back, the exchange lost with the reason and found again."""
    async with site(tmp_path) as made:
        async with speaking(made, "first") as first:
            accepted = await submit(made, horizon="600")
            with trio.fail_after(120):
                while not (await show(made, accepted.execution_id)).orders:  # noqa: ASYNC110 - asked over HTTP
                    await trio.sleep(0.05)
            first.process.send_signal(signal.SIGINT)
            with trio.fail_after(120):
                assert await first.process.wait() == 0
        assert "stopping: 1 order is cancelled, 1 execution kept for the next start" in first.text
        assert first.text.endswith("stopped: 1 order cancelled, 1 execution kept\n")
        async with speaking(made, "second") as second:
            await second.until(f"restored {accepted.execution_id}: ", "0/20 YES of", "at most 0.30")
            await command(made, "halt")
            await second.until("HALTED: asked to; go on with: fsm-exec resume")
            await command(made, "resume")
            await second.until("resumed: executions are accepted again")
            made.gate.skew_ms = 60_000  # every signature is too old for the exchange's clock
            await second.until("exchange lost: the exchange does not accept our signature: ")
            made.gate.skew_ms = 0
            await second.until("exchange found again: ")
            second.process.send_signal(signal.SIGTERM)
            with trio.fail_after(120):
                assert await second.process.wait() == 0
        assert "stopped: 0 orders cancelled, 0 executions kept" in second.text
        lines = [line for line in second.text.splitlines() if line]
        assert all(line[2] == line[5] == ":" and line[8:11] == "Z  " for line in lines)
        assert "\x1b" not in second.text


async def test_a_pipe_that_nobody_empties_holds_nothing_up(tmp_path: Path) -> None:
    """With its output full from the first line on, a daemon accepts, works, and ends as ever."""
    async with site(tmp_path) as made:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while os.write(writer, b"x" * 4_096):
                pass
        except BlockingIOError:
            os.set_blocking(writer, True)
        arguments = ["serve", "--config", str(made.config), "--db", str(made.directory / "engine.sqlite")]
        process: trio.Process = await trio.lowlevel.open_process(
            [*COMMAND, *arguments], cwd=tmp_path, env=environment(), stdout=writer, stderr=subprocess.DEVNULL
        )
        os.close(writer)
        made.processes.append(process)
        with trio.fail_after(120):
            while True:  # it answers before it has recovered
                asked = await command(made, "status", "--json")
                if asked.returncode == 0 and json.loads(asked.stdout)["state"] == "running":
                    break
                await trio.sleep(0.1)
        accepted = await submit(made)
        assert (await show(made, accepted.execution_id)).execution.state in ("pending", "split", "walking")
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(120):
            assert await process.wait() == 0
        os.close(reader)


async def test_a_look_goes_through_no_orders(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made twice a second: with ten thousand executions, counting their orders took a third of a daemon's time,
    and what they may lose is not even said."""
    async with staged(risk=RiskLimits()) as stage:
        await stage.submit(horizon_s=300)
        for asked, name in ((Engine, "status"), (Engine, "executions_at_work"), (Gate, "exposure")):
            monkeypatch.setattr(asked, name, None)
        assert standing_of(stage.engine) == WELL
        monkeypatch.undo()
