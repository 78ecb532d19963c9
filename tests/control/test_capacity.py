"""More work than the account may write: what cannot be cancelled in time is refused, and what was accepted ends."""

from __future__ import annotations

from collections import Counter

import msgspec
import trio
from trio.testing import MockClock

from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.schema import Status
from fsm_exec.core.execution.cancel_capacity import ANSWERS_US, HALT_TOKENS_S
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.status import ANSWER_WITHIN_S
from fsm_exec.runtime.submission import GRACE_US
from tests.control.conftest import OTHER, START_US, TICKER, Desk, a_desk, error_of

MANY = 500
CARRIED = 169  # at the lowest tier, of those with one order each
FIRST_US, SECOND_DEADLINE_US = START_US + 60 * US_PER_S, START_US + 100 * US_PER_S


async def submitted(desk: Desk, many: int, name: str, deadline_us: int) -> Counter[tuple[int, str]]:
    """At once; how often each status and code was the answer."""
    answers: Counter[tuple[int, str]] = Counter()

    async def submit(number: int) -> None:
        answer = await desk.submit(
            key=f"{name}{number}",
            ticker=(TICKER, OTHER)[number % 2],
            quantity="1",
            horizon_s=None,
            deadline=to_iso(deadline_us),
        )
        answers[answer.status_code, "" if answer.status_code == 201 else error_of(answer).code] += 1

    async with trio.open_nursery() as nursery:
        for number in range(many):
            nursery.start_soon(submit, number)
    return answers


async def test_five_hundred_at_once_with_one_deadline(autojump_clock: MockClock) -> None:
    """So many are accepted as can be cancelled in time; the others hear why, and are remembered as let go by. All
    accepted rest at their deadline, while as many others wait for the tokens to be placed; they end within the grace,
    each by its own cancel before the exchange would have to end it, and so do those others when it is their turn. A
    halt in between would have kept its bound."""
    async with a_desk(ControlLimits(max_unfinished_executions=2_000)) as desk:
        answers = await submitted(desk, MANY, "first", FIRST_US)
        assert answers == {(201, ""): CARRIED, (429, "capacity"): MANY - CARRIED}
        refused = await desk.submit(key="again", horizon_s=None, deadline=to_iso(FIRST_US))
        assert "170 executions would have orders to cancel for 340 write tokens" in error_of(refused).message
        await desk.wall.sleep_until_us(FIRST_US - 3 * US_PER_S)
        assert sum(order.status == "resting" for order in desk.exchange.orders.values()) == CARRIED
        later = await submitted(desk, MANY, "second", SECOND_DEADLINE_US)
        assert later == {(201, ""): CARRIED, (429, "capacity"): MANY - CARRIED}
        status = msgspec.json.decode((await desk.http.get("/v1/status")).content, type=Status)
        assert status.halt_within_s <= HALT_TOKENS_S + 2 * ANSWER_WITHIN_S
        with trio.fail_after(200):
            await desk.engine.wait_idle()
        ended = [decode_stored(one) for one in await desk.store.load_executions()]
        assert len(ended) == 2 * CARRIED
        assert {execution.reason for execution in ended} == {"deadline"}
        late_us = [execution.ended_at_us - execution.deadline_us for execution in ended if execution.ended_at_us]
        assert len(late_us) == len(ended)
        assert max(late_us) <= GRACE_US - ANSWERS_US
        assert not any(order.status == "resting" for order in desk.exchange.orders.values())
        assert (await desk.submit(key="free", horizon_s=30)).status_code == 201, "there is room again"
