"""The three ways between an engine and the exchange, as the tape and the journal of one execution show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median_low

from fsm_exec.core.execution.events import OrderAccepted
from fsm_exec.core.journal.replay import ReplayedRow
from fsm_exec.core.market.orders import PlaceOrder
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.fork.kept_frames import KeptChange
from fsm_exec.paper.timing.latency import Latency


def measure_latencies(changes: Sequence[KeptChange], history: Sequence[ReplayedRow]) -> Latency:
    """Return the middle of what was seen: a frame's way from the exchange's stamp to us, an order's way from its
    decision to its first trace in the book, its answer's way back. What was never seen is as `compare` has it. Clocks
    that differ move time from one way to the other; their sum is right."""
    usual = Conditions().legs
    assert isinstance(usual.feed_us, int)
    assert isinstance(usual.entry_us, int)
    assert isinstance(usual.response_us, int)
    feed_us = _middle((each.at_us - each.stamped_us for each in changes if each.stamped_us is not None), usual.feed_us)
    decided: dict[str, int] = {}
    answered: dict[str, int] = {}
    for one in history:
        for effect in one.advance.effects:
            if isinstance(effect, PlaceOrder):
                decided.setdefault(effect.client_order_id, one.row.at_us)
        if isinstance(one.event, OrderAccepted):
            answered.setdefault(one.event.client_order_id, one.row.at_us)
    arrived: dict[str, int] = {}
    for each in changes:
        if each.by is not None and each.stamped_us is not None:
            arrived.setdefault(each.by, each.stamped_us)
    entry_us = _middle((arrived[name] - at_us for name, at_us in decided.items() if name in arrived), usual.entry_us)
    back_us = _middle((at_us - arrived[name] for name, at_us in answered.items() if name in arrived), usual.response_us)
    if feed_us < 0:
        feed_us, entry_us = 0, entry_us + feed_us
    if entry_us < 0:
        feed_us, entry_us = max(0, feed_us + entry_us), 0
    return Latency(feed_us=feed_us, entry_us=entry_us, response_us=max(0, back_us))


def _middle(found: Iterable[int], otherwise: int) -> int:
    times = list(found)
    return median_low(times) if times else otherwise
