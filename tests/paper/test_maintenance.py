"""A maintenance takes the exchange down, on every host alike, and a key that was replaced opens nothing any more."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import VenueError, VenueRefused, VenueUnavailable
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.paper.faults import Episode, ExchangeFaults, FaultPlan, FaultProfile
from fsm_exec.paper.server.direct_host import DirectHost
from fsm_exec.paper.server.hosting import MemoryHost
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper_session import PLAY_CASH_E6, PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.session import connect
from tests.kalshi.conftest import Listener

START_US = 1_767_625_200_000_000
TICKER = "KXA-B-C"
HOSTS = ("in_memory", "directly")


def host_of(paper: PaperExchange, name: str) -> AbstractAsyncContextManager[MemoryHost | DirectHost]:
    return paper.in_memory(latency=NO_LATENCY) if name == "in_memory" else paper.directly(NO_LATENCY)


async def why_refused(client: KalshiClient) -> VenueError | None:
    try:
        await client.fetch_orders()
    except VenueError as error:
        return error
    return None


@pytest.mark.parametrize("host_name", HOSTS)
async def test_a_maintenance_ends_connections_and_answers_503(autojump_clock: MockClock, host_name: str) -> None:
    """The stream ends and is refused until it is over, reads and orders are answered 503; then everything works, and
    the stream comes back by itself."""
    paper = PaperExchange.starting_at(START_US)
    paper.open_market(TICKER, yes=[("0.40", "10")], no=[("0.50", "10")])
    _, credentials = paper.gate.open_account(PLAY_CASH_E6, "ed25519")
    wall, listener = WallClock(START_US), Listener()
    async with (
        host_of(paper, host_name) as host,
        connect(access_to(host, credentials), wall, seed=1) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.stream, listener, (TICKER,))
        await trio.sleep(5)
        assert client.stream_trouble() is None
        paper.exchange.begin_maintenance()
        await trio.sleep(60)
        assert isinstance(await why_refused(client), VenueUnavailable)
        assert "503" in str(client.stream_trouble())
        paper.exchange.end_maintenance()
        await trio.sleep(35)  # the longest pause between two dials
        assert await why_refused(client) is None
        assert client.stream_trouble() is None
        nursery.cancel_scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert not paper.exchange.hang_ups, "a connection that ended is remembered"


@pytest.mark.parametrize("host_name", HOSTS)
async def test_a_key_that_was_replaced(autojump_clock: MockClock, host_name: str) -> None:
    """The new key opens the same account, the old one nothing."""
    paper = PaperExchange.starting_at(START_US)
    account, old = paper.gate.open_account(PLAY_CASH_E6, "ed25519")
    new = paper.gate.create_key(account, "ed25519")
    paper.gate.revoke_key(old.api_key_id)
    wall = WallClock(START_US)
    assert (
        SigningKey.from_pem(new.private_key_pem).public_pem() != SigningKey.from_pem(old.private_key_pem).public_pem()
    )
    async with host_of(paper, host_name) as host:
        async with connect(access_to(host, old), wall, seed=1) as client:
            refusal = await why_refused(client)
            assert isinstance(refusal, VenueRefused)
            assert refusal.status == 401
        async with connect(access_to(host, new), wall, seed=1) as client:
            assert (await client.fetch_balance()).available_e6 == PLAY_CASH_E6


async def test_maintenance_is_a_fault_that_comes_again(autojump_clock: MockClock) -> None:
    """A profile may say how often the exchange is taken down, and for how long."""
    paper = PaperExchange.starting_at(START_US)
    faults = ExchangeFaults(maintenance=Episode(every_ms=60_000, for_ms=20_000))
    plan = FaultPlan(FaultProfile(exchange=faults), 1)
    async with paper.in_memory(faults=plan):
        down_s = 0
        for _ in range(600):
            await trio.sleep(1)
            down_s += paper.exchange.in_maintenance
    assert plan.counts["maintenance"] >= 5
    assert abs(down_s - 20 * plan.counts["maintenance"]) <= 20
