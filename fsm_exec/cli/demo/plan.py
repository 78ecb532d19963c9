"""The plan of the demo: which executions start when, on which side, how large, by which method.

An episode is one moment of the tape, a side and a size, and every method works it: each in a market of its own that
plays the same tape, so that none meets the orders of another.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsm_exec.algorithms import AnyMethod
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, format_fixed

FIRST_START_US = 60_000_000  # after the tape's start, so that its book has come to life
BOOK_WAIT_US = 30_000_000  # for a live two-sided book
QUANTITIES_E2 = (2_000, 8_000, 30_000)  # with two sides and two methods: a dozen combinations
DEFAULT_ALGORITHMS = ("deadline_walker", "passive_mid")


@dataclass(frozen=True, kw_only=True)
class DemoChoices:
    """The command's options, checked. `quantity_e2` None: several sizes; `outcome` None: both in turn."""

    executions: int
    quantity_e2: CountE2 | None
    horizon_us: int
    methods: tuple[AnyMethod, ...]
    outcome: Outcome | None
    target_price_e4: PriceE4 | None


@dataclass(frozen=True)
class PlannedStart:
    """One execution to come. `after_us` counts from the tape's start; `copy` is the market of its method, from 0."""

    after_us: int
    episode: int
    copy: int
    method: AnyMethod
    outcome: Outcome
    count_e2: CountE2


def schedule(choices: DemoChoices, tape_us: int) -> list[PlannedStart]:
    """Spread the episodes evenly from a minute after the tape's start to its end less the horizon.

    Outcomes alternate, then sizes, so that half a dozen episodes show every combination; the last one is worked by
    fewer methods if the number of executions is no multiple of theirs. Raises UserError if the tape is too short.
    """
    span_us = tape_us - choices.horizon_us - FIRST_START_US
    if span_us < 0:
        raise UserError(
            f"the tape lasts {format_fixed(tape_us // 100_000, 1)} s: too short for a start after "
            f"{FIRST_START_US // 1_000_000} s and a horizon of {choices.horizon_us // 1_000_000} s; "
            "give a shorter --horizon"
        )
    outcomes: tuple[Outcome, ...] = ("yes", "no") if choices.outcome is None else (choices.outcome,)
    sizes = [CountE2(q) for q in QUANTITIES_E2] if choices.quantity_e2 is None else [choices.quantity_e2]
    episodes = -(-choices.executions // len(choices.methods))
    starts = []
    for i in range(choices.executions):
        episode, copy = divmod(i, len(choices.methods))
        turn, of_outcome = divmod(episode, len(outcomes))
        starts.append(
            PlannedStart(
                after_us=FIRST_START_US + span_us * episode // episodes,
                episode=episode,
                copy=copy,
                method=choices.methods[copy],
                outcome=outcomes[of_outcome],
                count_e2=sizes[turn % len(sizes)],
            )
        )
    return starts


def target_price(start: PlannedStart, view: MarketView) -> PriceE4:
    """Return the best ask for `market`; otherwise the mid, rounded down to the grid. The view must be two-sided."""
    bid, ask = view.bids[0][0], view.asks[0][0]
    if start.method.algorithm == "market":
        return ask
    floored = view.grid.floor((bid + ask) // 2)
    return bid if floored is None else floored
