"""How much stands before a resting order: told to who looks, and read seldom."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import trio

from fsm_exec.control.queue_places import GOOD_US, QueuePlaces
from fsm_exec.control.schema import ExecutionDetail
from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.core.market.account import QueuePosition
from fsm_exec.core.values.units import CountE2
from tests.control.conftest import Desk


async def detail_of(desk: Desk, execution_id: str) -> ExecutionDetail:
    answer = await desk.http.get(f"/v1/executions/{execution_id}")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=ExecutionDetail)


async def looked_until(desk: Desk, name: str, holds: Callable[[ExecutionDetail], bool]) -> ExecutionDetail:
    with trio.fail_after(10):
        while not holds(shown := await detail_of(desk, name)):  # noqa: ASYNC110 - nobody announces it here
            await trio.sleep(0.02)
    return shown


async def test_a_resting_order_shows_what_stands_before_it(desk: Desk) -> None:
    """At 0.45 ten contracts wait already; one that has ended shows nothing."""
    name = await desk.accepted(target_price=None, limit="0.45", quantity="4")
    shown = await looked_until(desk, name, lambda shown: [order.state for order in shown.orders] == ["resting"])
    assert shown.queue_ahead == {shown.orders[0].client_order_id: "10.00"}
    await desk.http.post(f"/v1/executions/{name}/cancel")
    shown = await looked_until(desk, name, lambda shown: shown.execution.state in EXECUTION_ENDS)
    assert shown.queue_ahead == {}


class Counted:
    """Answers with one place, or does not answer; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False

    async def fetch_queue_positions(self, tickers: list[str]) -> tuple[QueuePosition, ...]:
        self.asked += 1
        if self.fails:
            raise VenueUnavailable("down")
        return (QueuePosition("o1", tickers[0], CountE2(100 * self.asked)),)


async def test_places_are_read_once_in_ten_seconds_of_a_market() -> None:
    """However many look; a read that fails is known as little as nothing, and is not repeated at once either."""
    reads, now_us = Counted(), [1_000_000_000]
    places = QueuePlaces(reads, lambda: now_us[0])  # type: ignore[arg-type]  # all it needs
    for _ in range(5):
        assert await places.load("KXA-1") == {"o1": 100}
    now_us[0] += GOOD_US
    assert await places.load("KXA-1") == {"o1": 200}
    reads.fails = True
    now_us[0] += GOOD_US
    for _ in range(3):
        assert await places.load("KXA-1") == {}
    assert reads.asked == 3
    assert await places.load("KXB-1") == {}
    assert reads.asked == 4
