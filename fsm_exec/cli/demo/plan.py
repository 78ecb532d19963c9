"""The plan of the demo: which executions start when, on which side, how large, by which method."""

from __future__ import annotations

from dataclasses import dataclass

from fsm_exec.algorithms import AnyMethod
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, format_fixed

FIRST_START_US = 60_000_000  # after the tape's start, so that its book has come to life
BOOK_WAIT_US = 30_000_000  # for a live two-sided book
QUANTITIES_E2 = (2_000, 8_000, 30_000)  # with two sides and two algorithms: a dozen combinations
DEFAULT_ALGORITHMS = ("simple_limit", "market")


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
    """One execution to come. `after_us` counts from the tape's start."""

    after_us: int
    method: AnyMethod
    outcome: Outcome
    count_e2: CountE2


def schedule(choices: DemoChoices, tape_us: int) -> list[PlannedStart]:
    """Spread the starts evenly from a minute after the tape's start to its end less the horizon.

    Outcomes alternate fastest, then algorithms, then sizes, so that a dozen executions show every combination.
    Raises UserError if the tape is too short.
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
    starts = []
    for i in range(choices.executions):
        turn, of_outcome = divmod(i, len(outcomes))
        turn, of_method = divmod(turn, len(choices.methods))
        starts.append(
            PlannedStart(
                after_us=FIRST_START_US + span_us * i // choices.executions,
                method=choices.methods[of_method],
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
