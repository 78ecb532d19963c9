"""The options that state programmes of a paper exchange, which become exact numbers before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.values.units import parse_count, parse_fixed
from fsm_exec.paper.venue.incentives import DailyRewards

LIQUIDITY_FORM: Final = "DOLLARS,TARGET,DISCOUNT"
WHOLE_BPS: Final = 10_000
DOLLARS_MAX_E4: Final = 10**12

Command = TypeVar("Command", bound=Callable[..., Any])


def reward_options(command: Command) -> Command:
    """Add --liquidity-reward and --volume-reward."""
    for option in (
        click.option("--volume-reward", metavar="DOLLARS", help="A programme pays so many dollars a day for volume."),
        click.option(
            "--liquidity-reward",
            metavar=LIQUIDITY_FORM,
            help="A programme pays so many dollars a day for resting orders: up to TARGET contracts a side are scored, "
            "each tick from the best price times DISCOUNT.",
        ),
    ):
        command = option(command)
    return command


def parse_rewards(liquidity: str | None, volume: str | None) -> DailyRewards | None:
    """Parse the programmes; None: there are none. Raises UserError."""
    if liquidity is None and volume is None:
        return None
    dollars_e4 = target_e2 = discount_bps = 0
    if liquidity is not None:
        parts = [part.strip() for part in liquidity.split(",")]
        wrong = UserError(
            f"--liquidity-reward {liquidity[:60]!r}: give {LIQUIDITY_FORM}, as 100,300,0.5: dollars a day, contracts, "
            "and a factor from 0 to 1"
        )
        if len(parts) != len(LIQUIDITY_FORM.split(",")):
            raise wrong
        try:
            dollars_e4, target_e2, discount_bps = _dollars(parts[0]), parse_count(parts[1]), parse_fixed(parts[2], 4)
        except UnitError as error:
            raise wrong from error
        if not (target_e2 and 0 <= discount_bps <= WHOLE_BPS):
            raise wrong
    try:
        volume_e4 = 0 if volume is None else _dollars(volume.strip())
    except UnitError as error:
        raise UserError(f"--volume-reward {volume!r}: {error}; give dollars a day, as 50") from error
    return DailyRewards(liquidity_e4=dollars_e4, target_e2=target_e2, discount_bps=discount_bps, volume_e4=volume_e4)


def _dollars(text: str) -> int:
    value = parse_fixed(text, 4)
    if not 0 < value <= DOLLARS_MAX_E4:
        raise UnitError(f"{text[:40]!r} is not between 0.0001 and {DOLLARS_MAX_E4 // 10_000} dollars")
    return value
