"""A machine whose clock was wrong when it was last read: a refused signature has it read again at once."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio
from trio.testing import MockClock

from fsm_exec.algorithms import method
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT, parse_count, parse_price
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import RESYNC_INTERVAL_S, RESYNC_PAUSE_S, WallClock, keep_synchronized
from fsm_exec.runtime.engine import Engine, ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import open_session
from fsm_exec.store import open_virtual_store
from tests.contract.test_under_faults import CASH, INSTANCE, START_US

TICKER = "KXTEST-26OCT01-A"
WRONG_US = 60_000_000  # beyond the window of signatures
SOON_S = RESYNC_PAUSE_S + 2.5  # the clock is read, and what was refused is tried again


class Scene(NamedTuple):
    engine: Engine
    wall: WallClock
    account: Account


@asynccontextmanager
async def scene(off_us: int) -> AsyncIterator[Scene]:
    """An engine that starts with a clock that is off; the machine's own is right by now."""
    wall = WallClock(START_US + off_us)
    log = open_log(io.StringIO(), wall)
    paper = PaperExchange.starting_at(START_US, seed=1)
    paper.exchange.add_market(tape_header(TICKER, "linear_cent", category="Testing"))
    ten = parse_count("10")
    paper.exchange.apply(TICKER, BookSnapshot(((parse_price("0.45"), ten),), ((parse_price("0.47"), ten),)))
    account, credentials = paper.gate.open_account(CASH, "ed25519")
    async with (
        open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=START_US) as store,
        paper.in_memory() as host,
        open_session(
            access_to(host, credentials),
            store,
            wall,
            log,
            tickers=[TICKER],
            true_us=paper.clock.now_us,
            wait=False,
            seed=1,
        ) as session,
    ):
        yield Scene(session.engine, wall, account)


async def test_a_start_with_a_wrong_clock_takes_seconds(autojump_clock: MockClock) -> None:
    """The first request is refused; the engine runs before the clock would have been read in its turn."""
    assert SOON_S < RESYNC_INTERVAL_S
    async with scene(-WRONG_US) as at:
        began_s = trio.current_time()
        await at.engine.wait_running()
        assert trio.current_time() - began_s < SOON_S


async def test_an_order_refused_for_a_wrong_clock_is_placed_in_seconds(autojump_clock: MockClock) -> None:
    """A machine that slept: trio's clock stood still meanwhile, and the first order is refused. Core holds it for a
    second and sends it again, under the right time."""
    async with scene(0) as at:
        await at.engine.wait_running()
        await trio.sleep(RESYNC_INTERVAL_S + 0.5)  # the last reading is half a second old
        at.wall.set_us(at.wall.now_us() - WRONG_US)
        chosen = method("simple_limit")
        await at.engine.submit(
            ExecutionRequest(
                ticker=TICKER,
                outcome="yes",
                target_e2=parse_count("10"),
                method=MethodRef(chosen.full_name, chosen),
                limits=resolve_limits(parse_price("0.30"), LINEAR_CENT, at.engine.feeds[TICKER].terms.fees),
                horizon_us=600_000_000,
            )
        )
        await trio.sleep(SOON_S)
        assert [order.status for order in at.account.orders] == ["resting"]
        at.engine.stop("user")
        await at.engine.wait_idle()


async def test_a_row_of_doubts_is_one_reading(autojump_clock: MockClock) -> None:
    """However many requests were refused, the clock is read once a second at most; without doubts in its turn."""
    wall, read_s = WallClock(START_US), list[float]()

    def true_us() -> int:
        read_s.append(trio.current_time())
        return START_US

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_synchronized, wall, lambda _: None, true_us)
        began_s = trio.current_time()
        await trio.sleep(2 * RESYNC_INTERVAL_S + 0.5)
        assert [round(at_s - began_s) for at_s in read_s] == [RESYNC_INTERVAL_S, 2 * RESYNC_INTERVAL_S]
        for _ in range(30):
            wall.request_resync()
            await trio.sleep(0.1)
        assert 2 <= len(read_s) - 2 <= 4
        nursery.cancel_scope.cancel()
