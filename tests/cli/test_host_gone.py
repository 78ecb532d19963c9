"""A daemon's host dies with six hours to go: what rested ends by itself, or is taken up in its place."""

from __future__ import annotations

import signal
from pathlib import Path

import trio

from fsm_exec.core.values.units import US_PER_S, CountE2, parse_price
from fsm_exec.paper.matching_engine.orders import Order
from fsm_exec.paper.tapes.tape import BookDelta
from fsm_exec.runtime.clock import system_us
from tests.cli.daemons import Serve, serve, show, status, submit, until
from tests.cli.exchange import TICKER, Site, site

SIX_HOURS = "21600"
LEASE_S, LONG_LEASE_S = 12, 60
PATIENCE_S = 120


async def rests(made: Site, lease_s: int) -> tuple[Serve, Order]:
    """A daemon under such a lease, and its one order: at 0.45 with others ahead of it, and others behind."""
    made.write_config(execution={"host_lease_s": lease_s})
    daemon = await serve(made)
    await submit(made, price="0.45", horizon=SIX_HOURS)
    await until(lambda: len(made.account.orders) == 1)
    (order,) = made.account.orders
    made.exchange.apply(TICKER, BookDelta("yes", parse_price("0.45"), CountE2(500)))
    assert order.ahead_e2 > 0
    return daemon, order


async def renewed(made: Site) -> None:
    """Until an order that rests has had its end put off."""
    with trio.fail_after(PATIENCE_S):
        while not any(order.status == "resting" and order.reason == "Amend" for order in made.account.orders):  # noqa: ASYNC110 - another process renews it
            await trio.sleep(0.05)


async def test_a_host_that_never_comes_back_leaves_nothing_live(tmp_path: Path) -> None:
    """Killed with SIGKILL and never started again: every order is over the lease and a second later, ended by the
    exchange itself."""
    async with site(tmp_path) as made:
        daemon, _ = await rests(made, LEASE_S)
        await renewed(made)
        await daemon.end(signal.SIGKILL)
        killed_us = system_us()
        live = [order for order in made.account.orders if order.status == "resting"]
        assert live
        for order in live:
            assert order.expiration_us is not None
            assert order.expiration_us <= killed_us + (LEASE_S + 1) * US_PER_S
        with trio.fail_after(PATIENCE_S):
            while any(order.status == "resting" for order in made.account.orders):  # noqa: ASYNC110 - the exchange ends it
                await trio.sleep(0.05)
        assert {(order.status, order.reason, order.filled_e2) for order in live} == {("canceled", "ExpiryCancel", 0)}


async def test_a_host_that_comes_back_within_the_lease_has_its_place_still(tmp_path: Path) -> None:
    """The next start adopts the order and puts its end off: what was ahead of it is ahead, and no more; nothing was
    placed."""
    async with site(tmp_path) as made:
        daemon, order = await rests(made, LONG_LEASE_S)
        ahead = order.ahead_e2
        await daemon.end(signal.SIGKILL)
        again = await serve(made, name="again")
        await renewed(made)
        assert (order.status, order.ahead_e2) == ("resting", ahead)
        assert len(made.account.orders) == 1
        lease = (await status(made)).lease
        assert lease is not None
        assert (lease.wanted_s, lease.in_force_s) == (LONG_LEASE_S, LONG_LEASE_S)
        assert lease.outlives_s is not None
        assert (await show(made, "e000001")).execution.state == "walking"
        await again.end()
        assert order.status == "canceled"
