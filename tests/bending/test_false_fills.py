"""Frames of fills that were never made, at every moment of an execution's life, while listings lie, too: the books are
the exchange's within a bound."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.market.orders import CancelOrder
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, MethodRef
from tests.bending import requests
from tests.bending.bends import Bends, Deliver, Frame
from tests.bending.drill import Cell, Result, Run
from tests.bending.editing import GONE, edited
from tests.bending.lies import LISTINGS, NOBODY, ORDERS, TIME, moved
from tests.runtime.killed_engine import LifeBoundProxy, ProcessLife

Lives = Callable[["Lied"], Awaitable[None]]

FRAMES: Final[dict[str, dict[str, Any]]] = {
    "another trade": {"trade_id": NOBODY},
    "another trade of 500": {"trade_id": NOBODY, "count_fp": "500.00"},
    "another trade of one": {"trade_id": NOBODY, "count_fp": "1.00"},
    "another price": {"yes_price_dollars": "0.9900"},
    "another count": {"count_fp": "6.00"},
    "another fee": {"fee_cost": "0.0100"},
    "another role": {"is_taker": False},
    "another order": {"order_id": NOBODY},
    "another trade long ago": {"trade_id": NOBODY, "ts": 1_000, "ts_ms": 1_000_000},
}
"""What a frame says otherwise than the one of the fill that was made."""
READS: Final[dict[str, tuple[str, Callable[[Bends], Any]] | None]] = {
    "true": None,
    "older orders": (LISTINGS[0], lambda bends: requests.stale(bends, oldest=True)),
    "older fills": (LISTINGS[1], lambda bends: requests.stale(bends, oldest=True)),
    "another's answer": (LISTINGS[0], lambda bends: requests.stale(bends, "GET", LISTINGS[1])),
    "an hour ahead": (TIME, lambda _: requests.changed("as_of_time", moved(3_600))),
    "an hour behind": (TIME, lambda _: requests.changed("as_of_time", moved(-3_600))),
    "a field gone": (LISTINGS[0], lambda _: requests.changed("orders.*.client_order_id", GONE)),
    "no orders": (LISTINGS[0], lambda _: requests.changed("orders", lambda _: [])),
    "no fills": (LISTINGS[1], lambda _: requests.changed("fills", lambda _: [])),
    "no end": (LISTINGS[1], lambda _: requests.changed("cursor", "again")),
}
"""What listings say after the false frame, of those that are asked next or after those."""
BELIEVED: Final = ("another trade", "another trade of one", "another price", "another count", "another role")
"""Of those: what can be true, and is counted until a listing tells."""
COUNT_E2: Final = CountE2(700)
BOUND_S: Final = 66.0
"""From a false frame, or the start after it: window, lag, and up to the next look."""
LOOKS_S: Final = 60.0  # two more, where the listings lie twice
OLD_S: Final = 20.0
SOON_S: Final = 3.0


class Case(NamedTuple):
    when: str
    says: str
    read: str
    first: int  # listings that are true before the false ones

    def __str__(self) -> str:
        return f"{self.says}, {self.when}, then {self.read} after {self.first}"


class Lied(Run):
    """One execution buys seven; a frame says of it what is not true."""

    def __init__(self, case: Case, result: Result, log: io.StringIO) -> None:
        super().__init__(Cell(str(case), "running", "deadline", "no answer"), result, log)
        self._case = case
        self._true: str | bytes | None = None
        self.order_says: dict[str, str] = {}  # of a false frame about another order than the true one

    async def _lives(self) -> None:
        await WHEN[self._case.when](self)

    # What the moments are made of.

    async def one_life(self, use: Callable[[Engine], Awaitable[None]]) -> None:
        """A process that is killed when it was used."""
        process = ProcessLife()
        with trio.CancelScope() as scope:
            async with self._life(
                (
                    LifeBoundProxy(self._client, process, self._nursery),
                    LifeBoundProxy(self._store, process, self._nursery),
                )
            ) as engine:
                await use(engine)
                process.is_alive = False
                scope.cancel()
                await trio.lowlevel.checkpoint()

    async def last_life(self, use: Callable[[Engine], Awaitable[None]] | None = None) -> None:
        """A process that lives until what is untrue must have been corrected."""
        async with self._life() as engine:
            if use is not None:
                await use(engine)
            await trio.sleep(BOUND_S if self._case.read == "true" else BOUND_S + LOOKS_S)
            await self._look()
            await self._end(engine)

    async def buy(self, engine: Engine, *, false: bool) -> None:
        """Seven are bought; `false`: their frame is the one that says what is not true."""
        await self._mid_known(engine)

        async def change(frame: Frame, deliver: Deliver) -> None:
            self._true = frame.text
            if false:
                self._lie()
            await deliver(self._false() if false else frame.text)

        rule = self._bends.on_frame(change, "fill", times=1)
        market = method("market")
        price = PriceE4(min(9_800, 10_300 - self._mid_e4))
        name = await self._submit_one(engine, "no", price, MethodRef(market.full_name, market), 300, COUNT_E2)
        await rule.until_bent()
        await trio.sleep(SOON_S)
        stored = await self._store.load_execution(name)
        assert stored is not None

    async def say(self, _: Engine) -> None:
        """The false frame comes, beside the true one that came before."""
        self._lie()
        await self._bends.say(self._false())

    async def _mid_known(self, engine: Engine) -> None:
        view = engine.view(self._ticker, "yes")
        while view.trusted_mid_e5 is None:
            await trio.sleep(0.5)
            view = engine.view(self._ticker, "yes")
        self._mid_e4 = view.trusted_mid_e5 // 10 // 100 * 100

    def _false(self) -> bytes:
        assert self._true is not None
        text = self._true
        for field, value in (FRAMES[self._case.says] | self.order_says).items():
            text = edited(text, f"msg.{field}", value)
        return text if isinstance(text, bytes) else text.encode()

    def _lie(self) -> None:
        lie = READS[self._case.read]
        if lie is not None:
            path, make = lie
            self._bends.on_request(make(self._bends), "GET", path, after=self._case.first, times=2)


async def _before_the_answer(run: Lied) -> None:
    run._bends.on_request(requests.hold(1.0, answered=True), "POST", ORDERS, times=1)
    await run.last_life(lambda engine: run.buy(engine, false=True))


async def _at_the_end(run: Lied) -> None:
    await run.last_life(lambda engine: run.buy(engine, false=True))


async def _at_the_end_and_killed(run: Lied) -> None:
    await run.one_life(lambda engine: run.buy(engine, false=True))
    await run.last_life()


async def _at_the_end_and_killed_twice(run: Lied) -> None:
    await run.one_life(lambda engine: run.buy(engine, false=True))
    await run.one_life(_for_a_while)
    await run.last_life()


async def _after_the_end(run: Lied) -> None:
    async def use(engine: Engine) -> None:
        await run.buy(engine, false=False)
        await run.say(engine)

    await run.last_life(use)


async def _long_after_the_end(run: Lied) -> None:
    async def use(engine: Engine) -> None:
        await run.buy(engine, false=False)
        await trio.sleep(3 * OLD_S)
        await run.say(engine)

    await run.last_life(use)


async def _after_a_restart(run: Lied) -> None:
    async def use(engine: Engine) -> None:
        await trio.sleep(SOON_S)
        await run.say(engine)

    await run.one_life(lambda engine: run.buy(engine, false=False))
    await run.last_life(use)


async def _between_restarts(run: Lied) -> None:
    async def use(engine: Engine) -> None:
        await trio.sleep(SOON_S)
        await run.say(engine)
        await trio.sleep(SOON_S)

    await run.one_life(lambda engine: run.buy(engine, false=False))
    await run.one_life(use)
    await run.last_life()


async def _while_it_waits_for_its_deadline(run: Lied) -> None:
    """Somebody else has ended its order, so that it has ended: what is left is priced at its deadline, much later."""

    async def use(engine: Engine) -> None:
        await run.buy(engine, false=False)
        simple = method("simple_limit")
        far = PriceE4(run._mid_e4 // 2 // 100 * 100)
        name = await run._submit_one(engine, "yes", far, MethodRef(simple.full_name, simple), 900)
        await trio.sleep(SOON_S)
        ((order_id, order),) = run._resting_names().items()
        await run._client.cancel(
            CancelOrder(effect_id="by hand", client_order_id=order, order_id=order_id, ticker=run._ticker)
        )
        await trio.sleep(SOON_S)
        assert engine.actors[name].execution.is_ended
        cents = f"{far / 10_000:.4f}"
        run.order_says = {"order_id": order_id, "purchased_side": "yes", "outcome_side": "yes", "book_side": "bid"}
        run.order_says |= {"side": "yes", "yes_price_dollars": cents, "client_order_id": order}
        await run.say(engine)

    await run.last_life(use)


async def _for_a_while(_: Engine) -> None:
    await trio.sleep(OLD_S)


WHEN: Final[dict[str, Lives]] = {
    "before the answer": _before_the_answer,
    "at the end": _at_the_end,
    "at the end, killed": _at_the_end_and_killed,
    "at the end, killed twice": _at_the_end_and_killed_twice,
    "after the end": _after_the_end,
    "long after the end": _long_after_the_end,
    "after a restart": _after_a_restart,
    "between restarts": _between_restarts,
    "while it waits for its deadline": _while_it_waits_for_its_deadline,
}


def play(case: Case) -> tuple[Result, str]:
    """What is wrong at the bound, and the log."""
    log = io.StringIO()
    result = Result(Cell(str(case), "running", "deadline", "no answer"))
    run_virtual(lambda: Lied(case, result, log).play(), seed=1)
    return result, log.getvalue()


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(
    "says", [pytest.param(says, marks=() if says in BELIEVED else pytest.mark.heavy) for says in FRAMES]
)
def test_a_fill_that_was_never_made_is_taken_back_in_time(when: str, says: str) -> None:
    """Whatever a frame says, and whenever it comes: window and lag later, at the next look, the books agree."""
    result, log = play(Case(when, says, "true", 0))
    assert result.wrong == [], log[-3_000:]


@pytest.mark.heavy
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("read", [read for read in READS if read != "true"])
def test_listings_that_lie_beside_the_frame_keep_it_no_longer_than_they_lie(when: str, read: str) -> None:
    """The next two reads, or the two after those: two looks later the books agree."""
    for says in BELIEVED[:3]:
        for first in (0, 1):
            case = Case(when, says, read, first)
            result, log = play(case)
            assert result.wrong == [], log[-3_000:]
