"""Book updates through a market's feed: with signals, with executions watched, and without."""

from __future__ import annotations

from tests.benchmarks.measures.signals import ROUNDS, WAYS, measure

LEAST = {"signals": 0.22, "ten_of_nothing": 0.22, "ten_of_nothing_observed": 0.18, "ten_walkers": 0.18}
"""Of the bare book's rate: what is reached, less what a busy machine may take. The aim is 0.25 with ten watched."""


async def test_signals_leave_the_feed_fast(figures: list[str]) -> None:
    """Every way ends with the same book and mid; by processor time, the least of some rounds in turns."""
    us = await measure(ROUNDS)
    share = {name: us["bare"] / us[name] for name in WAYS}
    for name, least in LEAST.items():
        assert share[name] >= least, (name, share)
    told = ", ".join(f"{name.replace('_', ' ')} {part:.2f}" for name, part in share.items() if name != "bare")
    looks = ", ".join(f"{name.replace('_', ' of ')} {taken:.1f} us" for name, taken in us.items() if name not in WAYS)
    figures.append(f"book updates of {us['bare']:.2f} us bare; of their rate with {told}; {looks}")
