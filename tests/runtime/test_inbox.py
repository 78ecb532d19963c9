"""The inbox: facts in order and never dropped in silence, nudges that take no room."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fsm_exec.core.execution.events import AnyEvent, TimerFired
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
