"""What `fsm-exec doctor --live` asks first, and in which market it is tried."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import click
import trio

from fsm_exec.cli.config import LoadedConfig
from fsm_exec.cli.doctor.check import Check
from fsm_exec.cli.doctor.live_contract import check_live_contract
from fsm_exec.cli.doctor.live_order import check_live_order, choose_market
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exchange.access import access_of
from fsm_exec.core.errors import UserError, VenueError
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.session import connect


def confirm_live(loaded: LoadedConfig, *, cents: bool, is_agreed: bool) -> None:
    """Return if the owner agrees: what is tried at production costs real money. Raises UserError."""
    if is_agreed or loaded.exchange.name != "production":
        return
    what = "one contract is bought and sold: the spread and two fees" if cents else "one order of a cent, cancelled"
    if not sys.stdin.isatty():
        raise UserError(f"--live trades with real money here ({what}); give --yes to say that it may")
    if click.prompt(f'REAL MONEY: {what}. Type "production" to go on', default="") != "production":
        raise UserError("nothing was sent")


async def check_live(loaded: LoadedConfig, key: SigningKey, ticker: str | None, *, cents: bool) -> list[Check]:
    """Try an order and, with `cents`, a contract. A signal ends it once what was sent is taken back. Raises UserError
    for a market that it cannot be tried in, and KeyboardInterrupt after a signal."""
    checks: list[Check] = []
    with trio.open_signal_receiver(*ending_signals()) as signals, trio.CancelScope() as trying:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_signal, signals, trying)
            wall = WallClock(system_us())
            async with connect(access_of(loaded, key), wall) as client:
                try:
                    checks += await check_live_order(client, wall, await choose_market(client, ticker, tight=False))
                    if cents and all(check.verdict != "fail" for check in checks):
                        checks += await check_live_contract(client, await choose_market(client, ticker, tight=True))
                except VenueError as error:
                    checks.append(Check("live", "fail", f"could not be read: {error}"))
            nursery.cancel_scope.cancel()
    if trying.cancelled_caught:
        raise KeyboardInterrupt
    return checks


async def _cancel_on_signal(signals: AsyncIterator[int], trying: trio.CancelScope) -> None:
    async for _ in signals:
        trying.cancel()
