"""The log's lines about transitions: as any other line, in the order of what happened, and written together."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.execution.draft import StateChange
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.logs import log_transitions, open_log
from tests.cli.test_foreign_text import FOREIGN

T0_US = 1_790_856_000_000_000
CHANGE = StateChange("child_order", "fxabcdefghij-e000001-1-1", "intended", "place_sent", "unknown")


class Watched(io.StringIO):
    """A file that counts what is written to it."""

    writes = 0

    def write(self, text: str, /) -> int:
        self.writes += 1
        return super().write(text)


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("subject", ["fxabcdefghij-e000001-1-1", FOREIGN, "zażółć \x7f", "lone \ud800"])
async def test_a_line_is_what_the_pipeline_would_have_written(subject: str) -> None:
    """A transition's line has the very bytes of a line that goes through the log's own pipeline."""
    wall, direct, whole = WallClock(T0_US), io.StringIO(), io.StringIO()
    change = StateChange("child_order", subject, "intended", "place_sent", "unknown")
    fast, slow = open_log(direct, wall), open_log(whole, wall)
    with trio.CancelScope(shield=True):
        log_transitions(fast, wall, [change], "OrderAccepted", 7)
        slow.info(
            "transition",
            machine=change.machine,
            subject=change.subject,
            source=change.source,
            trigger=change.trigger,
            dest=change.dest,
            event_type="OrderAccepted",
            seq=7,
        )
        await trio.lowlevel.checkpoint()
    stamps = [json.loads(text.getvalue()).pop("at") for text in (direct, whole)]
    assert direct.getvalue().replace(stamps[0], "") == whole.getvalue().replace(stamps[1], "")


async def test_the_lines_of_one_moment_are_written_together_and_before_trio_waits() -> None:
    """Fifty tasks that wake at once write their lines with one write; nothing is left when the next wait begins."""
    wall, file = WallClock(T0_US), Watched()
    log = open_log(file, wall)
    woken = trio.Event()

    async def step(number: int) -> None:
        await woken.wait()
        log_transitions(log, wall, [CHANGE, CHANGE], "OrderAccepted", number)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(step, number)
        await trio.testing.wait_all_tasks_blocked()
        woken.set()
        await trio.testing.wait_all_tasks_blocked()
        lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert len(lines) == 100
    assert file.writes == 1


async def test_another_line_comes_after_the_transitions_before_it() -> None:
    """A warning is written at once, and what happened before it stands before it."""
    wall, file = WallClock(T0_US), Watched()
    log = open_log(file, wall)
    log_transitions(log, wall, [CHANGE], "OrderAccepted", 1)
    log.warning("note", what="so it is")
    assert [json.loads(line)["event"] for line in file.getvalue().splitlines()] == ["transition", "note"]
    log_transitions(log, wall, [CHANGE], "OrderAccepted", 2)
    await trio.sleep(0.001)
    assert [json.loads(line).get("seq") for line in file.getvalue().splitlines()] == [1, None, 2]


def test_the_last_lines_of_a_run_are_written(tmp_path: Path) -> None:
    """What is logged in the last moment of a run is in the file after it, and a log serves the run after that."""
    path = tmp_path / "log"
    with path.open("a", encoding="utf-8") as file:

        async def first() -> None:
            logs.append(open_log(file, WallClock(T0_US)))
            log_transitions(logs[0], WallClock(T0_US), [CHANGE], "OrderAccepted", 1)

        async def second() -> None:
            log_transitions(logs[0], WallClock(T0_US), [CHANGE], "OrderAccepted", 2)
            await trio.sleep(0.001)
            assert len(path.read_text(encoding="utf-8").splitlines()) == 2

        logs = list[FilteringBoundLogger]()
        trio.run(first)
        assert len(path.read_text(encoding="utf-8").splitlines()) == 1
        trio.run(second)


async def test_lines_that_the_disk_does_not_take_are_lost_alone() -> None:
    """A full disk, or a log that is closed already, ends nothing."""
    wall, full, closed = WallClock(T0_US), Full(), io.StringIO()
    for file in (full, closed):
        log = open_log(file, wall)
        log_transitions(log, wall, [CHANGE], "OrderAccepted", 1)
        closed.close()
        await trio.sleep(0.001)
        log_transitions(log, wall, [CHANGE], "OrderAccepted", 2)
        await trio.sleep(0.001)
