"""The legs of latency: constant or drawn, repeatable, and never changing the order on a connection."""

from __future__ import annotations

import statistics

import pytest
import trio

from fsm_exec.core.errors import UserError
from fsm_exec.paper.server.outbox import Outbox
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import NO_LATENCY, Latency, Legs, Lognormal

SLOW = Lognormal(median_us=100_000, p99_us=1_000_000)


def drawn(latency: Latency, count: int) -> list[int]:
    legs = Legs(latency)
    return [legs.entry_us() for _ in range(count)]


def test_a_constant_leg_is_always_the_same() -> None:
    """Each leg by its own figure."""
    legs = Legs(Latency(feed_us=1, entry_us=2, response_us=3))
    assert [(legs.feed_us(), legs.entry_us(), legs.response_us()) for _ in range(3)] == [(1, 2, 3)] * 3
    assert drawn(NO_LATENCY, 2) == [0, 0]


def test_a_drawn_leg_has_its_median_and_its_99th_percentile() -> None:
    """Of 20,000 draws half lie below the one and 99 % below the other; all are whole microseconds above 0."""
    draws = sorted(drawn(Latency(entry_us=SLOW, seed=1), 20_000))
    assert statistics.median(draws) == pytest.approx(100_000, rel=0.05)
    assert draws[19_800] == pytest.approx(1_000_000, rel=0.15)
    assert draws[0] > 0
    assert all(type(draw) is int for draw in draws)


def test_draws_repeat_with_the_seed() -> None:
    """The same seed, the same draws; another seed, others."""
    assert drawn(Latency(entry_us=SLOW, seed=4), 50) == drawn(Latency(entry_us=SLOW, seed=4), 50)
    assert drawn(Latency(entry_us=SLOW, seed=4), 50) != drawn(Latency(entry_us=SLOW, seed=5), 50)


def test_legs_do_not_disturb_each_other() -> None:
    """A busier feed changes no draw of the entry leg."""
    latency = Latency(feed_us=SLOW, entry_us=SLOW, seed=2)
    legs = Legs(latency)
    for _ in range(7):
        legs.feed_us()
    assert [legs.entry_us() for _ in range(5)] == drawn(latency, 5)


@pytest.mark.parametrize(("median_us", "p99_us"), [(0, 10), (-1, 10), (10, 9)])
def test_a_distribution_that_cannot_be_is_refused(median_us: int, p99_us: int) -> None:
    """With both figures in the message."""
    with pytest.raises(UserError, match=f"{median_us} us.*{p99_us} us"):
        Lognormal(median_us=median_us, p99_us=p99_us)


async def test_frames_keep_their_order_whatever_is_drawn(autojump_clock: trio.testing.MockClock) -> None:
    """500 frames a millisecond apart, with legs that vary a thousandfold, arrive in the order in which they left."""
    clock = Clock(origin_us=0)
    legs = Legs(Latency(feed_us=Lognormal(median_us=10_000, p99_us=3_000_000), response_us=0, seed=3))
    outbox = Outbox(clock, legs)
    sent: list[str] = []
    done = trio.Event()

    async def send(frame: str) -> None:
        sent.append(frame)
        if len(sent) == 500:
            done.set()

    async with trio.open_nursery() as nursery:
        start_us = clock.now_us()
        for number in range(500):
            outbox.public(b'{"type":"trade","seq":%d}' % number, start_us + number * 1_000)
        nursery.start_soon(outbox.run, send)
        await done.wait()
        nursery.cancel_scope.cancel()
    assert sent == [f'{{"type":"trade","seq":{number}}}' for number in range(500)]
