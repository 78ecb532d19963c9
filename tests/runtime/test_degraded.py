"""`running` is said only while the engine can act at the exchange; what is in the way is said, and passes by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import VenueError, VenueRefused, VenueUnavailable
from fsm_exec.core.market.orders import PlaceAnswer, PlaceOrder, Refused
from fsm_exec.store.reads.api_queries import Filter
from tests.runtime.killed_engine import RestartBench, open_restart_bench
from tests.runtime.support import TICKER, Stage, staged

CAUSES = {
    "503": VenueUnavailable("GET /portfolio/orders: answered 503"),
    "unreachable": VenueUnavailable("GET /portfolio/orders: ConnectError: refused"),
    "401": VenueRefused(401, "authentication_error", "no such key"),
    "403": VenueRefused(403, "forbidden", "not for this key"),
    "404": VenueRefused(404, "not_found", "no such page"),
}


def reads_fail(stage: Stage | RestartBench, name: str, error: VenueError) -> Callable[[], None]:
    """Until what is returned is called."""
    exchange = stage.exchange
    kept = getattr(exchange, name)

    async def failing(*_: object, **__: object) -> None:
        await trio.sleep(0.1)
        raise error

    setattr(exchange, name, failing)
    return lambda: setattr(exchange, name, kept)


@pytest.mark.parametrize("name", ["fetch_orders", "fetch_fills"])
@pytest.mark.parametrize("cause", CAUSES)
async def test_a_listing_that_fails(autojump_clock: MockClock, name: str, cause: str) -> None:
    """It is asked for again and again, so it is noticed, said with its cause, and forgotten."""
    async with staged() as stage:
        await trio.sleep(31)
        assert stage.engine.status().state == "running"
        over = reads_fail(stage, name, CAUSES[cause])
        await trio.sleep(45)
        told = stage.engine.status()
        assert told.state == "degraded"
        assert stage.engine.state == "running", "it is no state of the table's"
        (why,) = told.why_degraded
        assert str(CAUSES[cause]) in why
        assert ("does not accept our signature" in why) == (cause in ("401", "403"))
        over()
        await trio.sleep(15)
        assert (stage.engine.status().state, stage.engine.status().why_degraded) == ("running", ())
        assert stage.lines("degraded")
        assert stage.lines("exchange_well_again")


async def test_what_anybody_may_read_does_not_say_that_we_are_let_in(autojump_clock: MockClock) -> None:
    """The key is refused, and a market is read meanwhile, which needs none: it stays said, and nothing is accepted."""
    async with staged() as stage:
        await trio.sleep(31)
        for name in ("fetch_orders", "fetch_fills", "fetch_positions", "fetch_balance"):
            reads_fail(stage, name, CAUSES["401"])
        await trio.sleep(45)
        for _ in range(100):
            await stage.engine._services.exchange.fetch_markets([TICKER])
            assert "does not accept our signature" in "; ".join(stage.engine.status().why_degraded)
            await trio.sleep(0.5)


async def test_one_answer_that_does_not_come_is_no_state(autojump_clock: MockClock) -> None:
    """The next one does."""
    async with staged() as stage:
        over = reads_fail(stage, "fetch_orders", CAUSES["503"])
        await trio.sleep(30)
        over()
        for _ in range(60):
            await trio.sleep(0.5)
            assert stage.engine.status().state == "running"


async def test_a_stream_that_is_lost_or_silent(autojump_clock: MockClock) -> None:
    """Lost for a moment is nothing; lost for longer is said with why, and so is silence."""
    async with staged() as stage:
        listener = stage.exchange.listener
        assert listener is not None
        listener.disconnected("reset")
        await trio.sleep(3)
        assert stage.engine.status().state == "running"
        await trio.sleep(4)
        assert stage.engine.status().why_degraded == ("the exchange's stream is not live: there is no connection",)
        listener.connected()
        listener.book_snapshot(TICKER, [], [], None)
        await trio.sleep(1)
        assert stage.engine.status().state == "running"
        heard, listener.heard = listener.heard, lambda: None  # type: ignore[method-assign]
        await trio.sleep(40)
        (why,) = stage.engine.status().why_degraded
        assert "silent for" in why
        listener.heard = heard  # type: ignore[method-assign]
        await trio.sleep(12)
        assert stage.engine.status().state == "running"


async def test_a_book_that_does_not_come_back(autojump_clock: MockClock) -> None:
    """Only of a market that is worked."""
    async with staged() as stage:
        assert stage.exchange.listener is not None
        stage.exchange.listener.book_gap([TICKER])
        await trio.sleep(20)
        assert stage.engine.status().state == "running", "nobody needs it"
        await stage.submit(horizon_s=60)
        await trio.sleep(17)
        assert stage.engine.status().why_degraded == (f"the book of {TICKER} is gapped",)


@pytest.mark.parametrize("code", ["authentication_error", "forbidden", "header_timestamp_expired", "key_not_accepted"])
async def test_writes_that_are_not_let_in(autojump_clock: MockClock, code: str) -> None:
    """Said at once, and for a minute: then whoever wants to may try again. Other refusals say nothing of us."""
    async with staged() as stage:

        async def shut(order: PlaceOrder) -> PlaceAnswer:
            return Refused(code=code, message="go away")

        place, stage.exchange.place = stage.exchange.place, shut  # type: ignore[method-assign]
        await stage.submit(horizon_s=2)
        await trio.sleep(2)
        (why,) = stage.engine.status().why_degraded
        assert why == f"the exchange does not accept our signature: {code}: go away"
        stage.exchange.place = place  # type: ignore[method-assign]
        await trio.sleep(62)
        assert stage.engine.status().state == "running"
        stage.exchange.place_fates.append("refused")
        await stage.submit(horizon_s=2)
        await trio.sleep(1)
        assert stage.engine.status().state == "running"


async def test_recovering_says_what_it_waits_for(autojump_clock: MockClock) -> None:
    """The state stays `recovering`, the reason is there."""
    async with open_restart_bench() as world:
        over = reads_fail(world, "fetch_fills", CAUSES["503"])
        async with world.life(wait=False) as stage:
            await trio.sleep(10)
            told = stage.engine.status()
            assert told.state == "recovering"
            assert told.why_degraded == ("the exchange's fills cannot be read: GET /portfolio/orders: answered 503",)
            over()
            await stage.engine.wait_running()
            assert stage.engine.status().state == "running"


async def test_who_could_not_act_says_so_when_it_ends(autojump_clock: MockClock) -> None:
    """For how long of its time, and why; one that could act says that its limit was too low, one that got all it wanted
    has nothing to say."""
    async with staged() as stage:
        await stage.submit(horizon_s=10)
        await trio.sleep(12)
        long = await stage.submit(horizon_s=100)
        filled = await stage.submit(horizon_s=100)
        await trio.sleep(5)
        reads_fail(stage, "fetch_orders", CAUSES["401"])
        stage.exchange.fill(10, stage.order_of(filled))
        await trio.sleep(120)
        notes = {summary.execution_id: summary.note for summary in await stage.database.load_listing(Filter(limit=10))}
        assert notes["e000001"] == "limit below the market: 0.4800, the best offer was 0.5000"
        assert notes[filled] is None
        note = notes[long]
        assert note is not None
        assert note.startswith("could not act for ")
        outage, _, limit = note.partition("; limit below ")
        assert limit == "the market: 0.4800, the best offer was 0.5000"
        assert outage.endswith(
            "of 100 s: the exchange does not accept our signature: the exchange answered 401 "
            "authentication_error: no such key"
        )
