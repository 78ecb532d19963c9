"""The inbox: facts in order and never dropped in silence, nudges that take no room."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fsm_exec.core.execution.events import AnyEvent, CancelAnswered, TimerFired
from fsm_exec.core.values.units import CountE2
from fsm_exec.runtime.inbox import INBOX_EVENTS_MAX, Inbox, InboxOverflow


def facts(number: int) -> list[AnyEvent]:
    return [TimerFired(at_us=n) for n in range(number)]


def test_facts_come_out_in_the_order_they_went_in() -> None:
    """Each once; then there is nothing."""
    inbox = Inbox()
    for fact in facts(5):
        inbox.offer(fact)
    assert [inbox.take() for _ in range(6)] == [*facts(5), None]


def test_a_fact_too_many_is_never_lost_in_silence() -> None:
    """Offering does not raise, for whoever offers must go on; taking does, from then on."""
    inbox = Inbox()
    for fact in facts(INBOX_EVENTS_MAX):
        inbox.offer(fact)
    assert inbox.room == 0
    assert inbox.take() == TimerFired(at_us=0)
    inbox.offer(TimerFired(at_us=1_000))
    inbox.offer(TimerFired(at_us=1_001))
    for _ in range(2):
        with pytest.raises(InboxOverflow):
            inbox.take()


def test_any_number_of_nudges_is_one_and_takes_no_room() -> None:
    """They are no facts: `take` does not see them."""
    inbox = Inbox()
    for _ in range(10 * INBOX_EVENTS_MAX):
        inbox.nudge()
    assert inbox.nudged
    assert inbox.room == INBOX_EVENTS_MAX
    assert inbox.take() is None


async def test_a_second_nudge_wakes_nobody_and_a_clock_that_was_set_does(autojump_clock: MockClock) -> None:
    """Whoever was nudged has reckoned with it how long it waits; a clock that was set makes that wrong."""
    inbox = Inbox()
    inbox.nudge()
    woken = trio.Event()

    async def wait() -> None:
        await inbox.wait(math.inf)
        woken.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        inbox.nudge()
        await wait_all_tasks_blocked()
        assert not woken.is_set()
        inbox.wake()
        await woken.wait()


def test_what_came_at_one_moment_has_one_order() -> None:
    """Answers by order and then the rest as it came, whichever task was faster."""
    late, early = (
        CancelAnswered(at_us=1, client_order_id=name, order_id=name, reduced_by_e2=CountE2(1)) for name in ("b", "a")
    )
    reports: list[AnyEvent] = [TimerFired(at_us=n) for n in (2, 1)]
    expected = [early, late, *reports]
    for order in ([late, *reports, early], [*reports, early, late], [reports[0], late, early, reports[1]]):
        inbox = Inbox()
        for event in order:
            inbox.offer(event)
        inbox.order_moment()
        assert [inbox.take() for _ in expected] == expected
        assert not inbox.has_events()


@pytest.mark.parametrize("what", ["fact", "nudge"])
async def test_waiting_ends_when_something_arrives(autojump_clock: MockClock, what: str) -> None:
    """At once, not at the time given."""
    inbox = Inbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.wait, math.inf)
        await wait_all_tasks_blocked()
        if what == "fact":
            inbox.offer(TimerFired(at_us=0))
        else:
            inbox.nudge()
    assert trio.current_time() == 0


async def test_waiting_ends_at_the_time_given(autojump_clock: MockClock) -> None:
    """With nothing there; and not at all if a fact waits already."""
    inbox = Inbox()
    await inbox.wait(3.0)
    assert trio.current_time() == 3
    inbox.offer(TimerFired(at_us=0))
    await inbox.wait(9.0)
    assert trio.current_time() == 3


def test_what_nobody_took_can_be_handed_on() -> None:
    """`drain` gives all of it, in order, once, also after an overflow."""
    inbox = Inbox()
    for fact in facts(INBOX_EVENTS_MAX + 1):
        inbox.offer(fact)
    assert inbox.drain() == facts(INBOX_EVENTS_MAX)
    assert inbox.drain() == []
