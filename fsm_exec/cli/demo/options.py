"""The demo's options become numbers before anything runs; a refusal names option, value and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from fsm_exec.cli.database.methods import method_finder, stored_method_finder
from fsm_exec.cli.demo.plan import DEFAULT_ALGORITHMS, DemoChoices
from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.values.units import Outcome, format_price, parse_count, parse_price
from fsm_exec.paper.tapes.tape import Tape

EXECUTIONS_MAX, HORIZON_MAX_S, SPEED_MAX = 10_000, 86_400, 100_000
REAL_TIME_S = 30  # how long the demo takes if no speed is asked for
LIVE_SPEED = 1


def parse_choices(
    executions: int,
    quantity: str | None,
    horizon: int,
    algorithms: tuple[str, ...],
    outcome: str,
    target_price: str | None,
    db: Path,
) -> DemoChoices:
    """Parse the options to numbers and the algorithms to methods: those of the database, if there is one. Raises
    UserError naming the option, its value and what to give."""
    if not 1 <= executions <= EXECUTIONS_MAX:
        raise UserError(f"--executions {executions}: give a number from 1 to {EXECUTIONS_MAX}")
    if not 1 <= horizon <= HORIZON_MAX_S:
        raise UserError(f"--horizon {horizon}: give seconds from 1 to {HORIZON_MAX_S}")
    count = None
    if quantity is not None:
        try:
            count = parse_count(quantity)
        except UnitError as error:
            raise UserError(f"--quantity: {error}; give contracts above 0 with at most 2 decimals") from error
        if count == 0:
            raise UserError(f"--quantity {quantity}: give contracts above 0 with at most 2 decimals")
    price = None
    if target_price is not None:
        try:
            price = parse_price(target_price)
        except UnitError as error:
            raise UserError(f"--target-price: {error}; give dollars between 0 and 1 on the market's grid") from error
    find = stored_method_finder(db) if db.is_file() and db.stat().st_size > 0 else method_finder(None)
    return DemoChoices(
        executions=executions,
        quantity_e2=count,
        horizon_us=horizon * 1_000_000,
        methods=tuple(find(name) for name in algorithms or DEFAULT_ALGORITHMS),
        outcome=None if outcome == "both" else cast("Outcome", outcome),
        target_price_e4=price,
    )


def check_on_grid(choices: DemoChoices, tape: Tape) -> None:
    price = choices.target_price_e4
    if price is not None and not tape.header.grid.contains(price):
        raise UserError(
            f"--target-price {format_price(price)} is not on the grid of {tape.header.ticker} "
            f"({tape.header.price_level_structure}); give a valid tick between 0 and 1 dollar"
        )


def parse_speed(text: str | None, tape: Tape, real_time_s: int = REAL_TIME_S) -> float | None:
    """Parse virtual seconds a real second; None is as fast as it goes. Without a text the whole takes `real_time_s`.
    Raises UserError."""
    if text is None:
        return max(LIVE_SPEED + 1, tape.length_us / 1_000_000 / real_time_s)
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed <= SPEED_MAX:
        raise UserError(f"--speed {text}: give a number above 0 and up to {SPEED_MAX}, or max")
    return speed
