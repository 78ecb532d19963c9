"""What a frame alone has told is held against the listings soon, however many executions ended before."""

from __future__ import annotations

import io
from typing import Any

import trio

from fsm_exec.algorithms import method
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, MethodRef
from tests.bending import frames
from tests.bending.drill import Cell, Result, Run
from tests.bending.lies import NOBODY

BEFORE = 240  # executions that ended before, each with a fill that a frame has told of
AT_ONCE = 10
OLD_S = 90  # older than what each look reaches back
PATIENCE_S = 400
TAKEN_BACK_S = 35  # after a restart: the first look at the listings is after 30 s
READS_MAX = 40


class AfterManyOthers(Run):
    """Hundreds of executions have ended; a frame tells of a trade that is none, and its process dies. The next one."""

    def __init__(self, cell: Cell, result: Result, log: io.StringIO) -> None:
        super().__init__(cell, result, log)
        self._said = log
        self.taken_back_s: float | None = None
        self.reads = 0

    async def _submit(self, engine: Engine) -> None:
        await super()._submit(engine)
        for _ in range(BEFORE // AT_ONCE):
            for _ in range(AT_ONCE):
                await self._buy(engine, CountE2(100))
            await trio.sleep(2)
        await trio.sleep(OLD_S)
        rule = self._bends.on_frame(frames.changed("msg.trade_id", NOBODY), "fill", where=_is_of_seven, times=1)
        self._name = await self._buy(engine, CountE2(700))
        await rule.until_bent()
        await trio.sleep(3)
        assert self._name in engine.ended

    async def _buy(self, engine: Engine, count: CountE2) -> str:
        market = method("market")
        price = PriceE4(min(9_800, 10_300 - self._mid_e4))
        return await self._submit_one(engine, "no", price, MethodRef(market.full_name, market), 30, count)

    def _begin_outage(self) -> None:
        self._outage_over.set()

    async def _through(self, engine: Engine) -> bool:
        began_s, reads = trio.current_time(), len(self._bends.requests_made("GET"))
        await engine.wait_running()
        with trio.move_on_after(PATIENCE_S):
            while "it is taken back" not in self._said.getvalue():  # noqa: ASYNC110 - nobody announces it
                await trio.sleep(0.1)
            self.taken_back_s = trio.current_time() - began_s
        self.reads = len(self._bends.requests_made("GET")) - reads
        await self._end(engine)
        return True


def _is_of_seven(frame: Any) -> bool:  # noqa: ANN401 - a decoded frame
    return bool(frame["msg"]["count_fp"] == "7.00")


def test_what_a_frame_alone_has_told_is_taken_back_soon_although_hundreds_ended_before() -> None:
    """The fill that no listing has is taken back at the first look after a restart, with a handful of reads: what the
    others were told of is found in one listing, and nobody waits while they are asked about one by one."""
    log = io.StringIO()
    cell = Cell("a fill frame of another trade", "recovering", "deadline", "no answer")
    result = Result(cell)
    runs: list[AfterManyOthers] = []

    async def play() -> None:
        run = AfterManyOthers(cell, result, log)
        runs.append(run)
        await run.play()

    run_virtual(play, seed=1)
    (run,) = runs
    assert result.wrong == []
    assert run.taken_back_s is not None
    assert run.taken_back_s < TAKEN_BACK_S
    assert run.reads < READS_MAX
