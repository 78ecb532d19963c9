"""Every kind of fault, as the real client sees it: what it is told, and what is true at the exchange."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import UserError, VenueRefused, VenueUnavailable
from fsm_exec.core.market.orders import Cancelled, CancelOrder, Placed, PlaceOrder, Refused, Unknown
from fsm_exec.core.values.units import CountE2, MoneyE6
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.websocket_dial import dial_url
from fsm_exec.paper.faults import (
    Episode,
    ExchangeFaults,
    FaultPlan,
    FaultProfile,
    FrameFaults,
    RequestFaults,
    StreamFaults,
    load_fault_profile,
    parse_profile,
    shipped_profile_names,
)
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.hosting import MemoryHost, host_in_memory, host_on_loopback
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from tests.contract.conftest import Watcher
from tests.paper.support import START_US, TICKER, delta, header, price, snapshot

ALWAYS = 1_000
WIRES = ("memory", "loopback")


class Scene:
    """A client of an exchange on which things go wrong."""

    def __init__(
        self, exchange: Exchange, clock: Clock, account: Account, client: KalshiClient, plan: FaultPlan
    ) -> None:
        self.exchange, self.clock, self.account, self.client, self.plan = exchange, clock, account, client, plan
        self._made = 0

    def order(self, at: str = "0.40", count_e2: int = 300) -> PlaceOrder:
        self._made += 1
        return PlaceOrder(
            effect_id=f"e1:{self._made}:0",
            client_order_id=f"fxaaaaaaaaaa-e1-1-{self._made}",
            ticker=TICKER,
            outcome="yes",
            price_e4=price(at),
            count_e2=CountE2(count_e2),
            time_in_force="good_till_canceled",
            post_only=False,
            expiration_s=self.clock.now_us() // 1_000_000 + 600,
        )

    def cancel(self, order: PlaceOrder, order_id: str) -> CancelOrder:
        return CancelOrder(
            effect_id="e1:99:0", client_order_id=order.client_order_id, order_id=order_id, ticker=order.ticker
        )

    @property
    def known(self) -> list[str]:
        """The client order ids the exchange has."""
        return [order.client_order_id for order in self.account.orders]

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watcher]:
        watcher = Watcher()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.client.stream, watcher, (TICKER,))
            await watcher.until(lambda: watcher.ready)
            yield watcher
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def scene(profile: FaultProfile, wire: str = "memory", *, seed: int = 1) -> AsyncIterator[Scene]:
    clock = Clock.starting_at(START_US)
    exchange = Exchange(Timeline(clock), seed=7)
    exchange.add_market(header())
    exchange.apply(TICKER, snapshot([("0.44", "20"), ("0.45", "10")], [("0.50", "30"), ("0.52", "5")]))
    gate = Authenticator(exchange, clock)
    account, credentials = gate.open_account(MoneyE6(1_000_000_000), "ed25519")
    plan = FaultPlan(profile, seed)
    hosting = host_in_memory if wire == "memory" else host_on_loopback
    async with (
        hosting(exchange, clock, gate, latency=NO_LATENCY, faults=plan) as host,
        open_client(
            base_url=host.base_url,
            api_key_id=credentials.api_key_id,
            key=SigningKey.from_pem(credentials.private_key_pem),
            dial=host.dial if isinstance(host, MemoryHost) else dial_url(host.ws_url),
            wall_us=clock.now_us,
            rng=random.Random(1),
            transport=host.transport,
        ) as client,
    ):
        yield Scene(exchange, clock, account, client, plan)


def writes(**faults: int) -> FaultProfile:
    return FaultProfile(writes=RequestFaults(**faults))


# Writes


async def test_an_answer_is_lost(autojump_clock: MockClock) -> None:
    """Accepted then time-out: the client gives up after its 10 s and knows nothing; the order is there."""
    async with scene(writes(lost_answer_per_mille=ALWAYS)) as s:
        order = s.order()
        answer = await s.client.place(order)
        assert isinstance(answer, Unknown)
        assert "ReadTimeout" in answer.why
        assert s.clock.now_us() == START_US + 10_000_000
        assert s.known == [order.client_order_id]


@pytest.mark.parametrize(("fault", "hold_ms"), [("lost_answer_per_mille", 100), ("cut_per_mille", 0)])
@pytest.mark.parametrize("wire", WIRES)
async def test_a_connection_is_cut(wire: str, fault: str, hold_ms: int) -> None:
    """Before or in the middle of the answer, the client sees the break and knows nothing; the order is there."""
    async with scene(writes(**{fault: ALWAYS}, hold_ms=hold_ms), wire) as s:
        for _ in range(3):
            with trio.fail_after(5):
                answer = await s.client.place(s.order())
            assert isinstance(answer, Unknown)
            assert answer.why.startswith(("RemoteProtocolError", "ReadError"))
        assert len(s.known) == 3


async def test_an_order_arrives_late(autojump_clock: MockClock) -> None:
    """Not there when the client gave up, and there before the signature's window is over."""
    async with scene(writes(late_per_mille=ALWAYS)) as s:
        order = s.order()
        assert isinstance(await s.client.place(order), Unknown)
        assert s.known == []
        await trio.sleep_until(trio.current_time() + 20)
        assert s.known == [order.client_order_id]
        assert s.account.orders[0].created_us <= START_US + 30_000_000


@pytest.mark.parametrize("wire", WIRES)
async def test_requests_are_refused(wire: str) -> None:
    """A definite no, and nothing was done; a cancel is refused as on a wrong shard, although the order lives."""
    async with scene(writes(refused_per_mille=ALWAYS), wire) as s:
        refused = await s.client.place(s.order())
        assert isinstance(refused, Refused)
        assert refused.code == "invalid_parameters"
        assert s.known == []
        profile, s.plan.profile = s.plan.profile, FaultProfile()
        order = s.order()
        placed = await s.client.place(order)
        assert isinstance(placed, Placed)
        s.plan.profile = profile
        cancel = await s.client.cancel(s.cancel(order, placed.order_id))
        assert isinstance(cancel, Refused)
        assert cancel.code == "not_found"
        assert s.account.orders[0].status == "resting"


async def test_too_many_requests(autojump_clock: MockClock) -> None:
    """429: refused, nothing done."""
    async with scene(writes(too_many_per_mille=ALWAYS)) as s:
        answer = await s.client.place(s.order())
        assert isinstance(answer, Refused)
        assert answer.code == "too_many_requests"
        assert s.known == []


@pytest.mark.parametrize("done", [0, ALWAYS])
@pytest.mark.parametrize(("fault", "status"), [("internal_error_per_mille", "500"), ("unavailable_per_mille", "503")])
async def test_an_error_of_the_exchange_proves_nothing(
    autojump_clock: MockClock, fault: str, status: str, done: int
) -> None:
    """500 and 503 are told whether or not the order was taken; both are unknown to the client."""
    async with scene(writes(**{fault: ALWAYS}, done_per_mille=done)) as s:
        answer = await s.client.place(s.order())
        assert isinstance(answer, Unknown)
        assert f"answered {status}" in answer.why
        assert len(s.known) == (1 if done else 0)


async def test_an_answer_is_slow(autojump_clock: MockClock) -> None:
    """The order is matched in time, its answer comes later."""
    async with scene(writes(slow_per_mille=ALWAYS, slow_max_ms=8_000)) as s:
        order = s.order()
        answer = await s.client.place(order)
        assert isinstance(answer, Placed)
        assert s.account.orders[0].created_us == START_US
        assert START_US < s.clock.now_us() <= START_US + 8_000_000
        assert isinstance(await s.client.cancel(s.cancel(order, answer.order_id)), Cancelled)


# Reads


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("refused_per_mille", VenueRefused),
        ("too_many_per_mille", VenueUnavailable),
        ("internal_error_per_mille", VenueUnavailable),
        ("unavailable_per_mille", VenueUnavailable),
        ("cut_per_mille", VenueUnavailable),
        ("lost_answer_per_mille", VenueUnavailable),
    ],
)
async def test_a_read_fails_with_a_typed_error(wire: str, fault: str, error: type[Exception]) -> None:
    """Refused is definite, the rest is worth asking again."""
    async with scene(FaultProfile(reads=RequestFaults(**{fault: ALWAYS}, hold_ms=50)), wire) as s:
        with pytest.raises(error):
            await s.client.fetch_orders()


async def test_listings_lag_and_say_so(autojump_clock: MockClock) -> None:
    """While they stand still they show what was, as of then, and never less than they promise."""
    lag = ExchangeFaults(lagging_reads=Episode(every_ms=10_000, for_ms=4_000))
    async with scene(FaultProfile(exchange=lag)) as s:
        behind = 0
        for _ in range(60):
            await trio.sleep(1)
            await s.client.place(s.order())
            listing = await s.client.fetch_orders()
            shown = {order.client_order_id for order in listing.orders}
            promised = {o.client_order_id for o in s.account.orders if o.created_us < listing.as_of_us}
            assert promised <= shown
            behind += shown != set(s.known)
        assert behind > 5


async def test_the_account_lags_behind_its_fills(autojump_clock: MockClock) -> None:
    """Positions and balance stand still while orders and fills go on; `as_of` promises no more than they show."""
    lag = ExchangeFaults(lagging_account=Episode(every_ms=10_000, for_ms=4_000))
    async with scene(FaultProfile(exchange=lag)) as s:
        behind = 0
        for _ in range(40):
            await trio.sleep(1)
            await s.client.place(s.order("0.50", count_e2=1))
            listing = await s.client.fetch_fills()
            assert sum(fill.count_e2 for fill in listing.fills) == s.account.positions[TICKER].count_e2
            shown = sum(each.count_e2 for each in await s.client.fetch_positions())
            promised = sum(fill.count_e2 for fill in s.account.fills if fill.at_us < listing.as_of_us)
            assert promised <= shown
            stale = shown != s.account.positions[TICKER].count_e2
            assert stale == ((await s.client.fetch_balance()).available_e6 != s.account.cash_e6)
            behind += stale
        assert behind > 5


async def test_a_settlement_is_listed_late(autojump_clock: MockClock) -> None:
    """The position is gone and the money there before the settlement is listed."""
    async with scene(FaultProfile(exchange=ExchangeFaults(settlements_late_ms=20_000))) as s:
        await s.client.place(s.order("0.50"))
        s.exchange.close_market(TICKER)
        s.exchange.determine_market(TICKER, "yes")
        assert await s.client.fetch_positions() == ()
        assert (await s.client.fetch_balance()).available_e6 == s.account.cash_e6
        assert await s.client.fetch_settlements() == ()
        await trio.sleep(20)
        assert [each.ticker for each in await s.client.fetch_settlements()] == [TICKER]


# Frames and connections


@pytest.mark.parametrize(
    ("fault", "frames"), [("lost_per_mille", 0), ("duplicate_per_mille", 2), ("delayed_per_mille", 1)]
)
async def test_frames_about_orders_suffer(autojump_clock: MockClock, fault: str, frames: int) -> None:
    """Lost, doubled or late: a frame per change of an order, or none, or two."""
    async with scene(FaultProfile(frames=FrameFaults(**{fault: ALWAYS}))) as s, s.watched() as watcher:
        assert isinstance(await s.client.place(s.order("0.50")), Placed)  # takes 3 at 0.48
        began_us = s.clock.now_us()
        await trio.sleep(10)
        assert (len(watcher.fills), len(watcher.orders)) == (frames, frames)
        assert s.clock.now_us() - began_us == 10_000_000


async def test_frames_overtake_each_other(autojump_clock: MockClock) -> None:
    """A fill may be told after the answer of the cancel that ended its order."""
    late = FrameFaults(reordered_per_mille=ALWAYS, delay_max_ms=5_000)
    heard: list[list[str]] = []
    for seed in range(6):
        async with scene(FaultProfile(frames=late), seed=seed) as s, s.watched() as watcher:
            order = s.order("0.48", 9_000)
            placed = await s.client.place(order)
            assert isinstance(placed, Placed)
            assert 0 < placed.filled_e2 < 9_000
            assert isinstance(await s.client.cancel(s.cancel(order, placed.order_id)), Cancelled)
            assert watcher.fills == []
            await trio.sleep(6)
            assert watcher.fills
            heard.append([report.status for report in watcher.orders])
    assert ["resting", "canceled"] in heard
    assert ["canceled", "resting"] in heard


@pytest.mark.parametrize("wire", WIRES)
async def test_a_gap_in_the_book_is_noticed_and_healed(wire: str) -> None:
    """A number that never comes makes the client ask for a snapshot; then its book is the exchange's again."""
    async with scene(FaultProfile(), wire) as s, s.watched() as watcher:
        s.plan.profile = FaultProfile(stream=StreamFaults(gap_per_mille=ALWAYS))
        s.exchange.apply(TICKER, delta("yes", "0.45", "1"))
        s.plan.profile = FaultProfile()
        s.exchange.apply(TICKER, delta("yes", "0.44", "1"))
        await watcher.until(lambda: watcher.gaps == 1 and watcher.book.yes.get(price("0.45")) == 1_100)
        assert watcher.book.yes == {price("0.44"): 2_100, price("0.45"): 1_100}


@pytest.mark.parametrize("wire", WIRES)
async def test_connections_end_and_come_back(wire: str) -> None:
    """Cut without a word; the client dials again and has the book again."""
    async with scene(FaultProfile(stream=StreamFaults(life_ms=300)), wire) as s, s.watched() as watcher:
        await watcher.until(lambda: s.plan.counts["stream cut"] >= 2 and watcher.ready)
        assert watcher.book.yes == {price("0.44"): 2_000, price("0.45"): 1_000}


# The exchange as a whole


async def until_seen(s: Scene, name: str) -> None:
    with trio.fail_after(600):
        while not s.plan.counts[name]:
            await trio.sleep(1)
            s.exchange.timeline.advance()


async def test_trading_pauses(autojump_clock: MockClock) -> None:
    """Orders are refused and cancels work, until it is over."""
    faults = ExchangeFaults(trading_pause=Episode(every_ms=20_000, for_ms=20_000))
    async with scene(FaultProfile(exchange=faults)) as s:
        order = s.order()
        placed = await s.client.place(order)
        assert isinstance(placed, Placed)
        await until_seen(s, "trading pause")
        answer = await s.client.place(s.order())
        assert isinstance(answer, Refused)
        assert answer.code == "trading_is_paused"
        assert isinstance(await s.client.cancel(s.cancel(order, placed.order_id)), Cancelled)
        s.plan.stop(s.clock.now_us())
        await trio.sleep(30)
        assert isinstance(await s.client.place(s.order()), Placed)


async def test_the_exchange_pauses(autojump_clock: MockClock) -> None:
    """Nothing works, not even a cancel."""
    faults = ExchangeFaults(exchange_pause=Episode(every_ms=20_000, for_ms=20_000))
    async with scene(FaultProfile(exchange=faults)) as s:
        order = s.order()
        placed = await s.client.place(order)
        assert isinstance(placed, Placed)
        await until_seen(s, "exchange pause")
        for answer in (await s.client.place(s.order()), await s.client.cancel(s.cancel(order, placed.order_id))):
            assert isinstance(answer, Refused)
            assert answer.code == "exchange_is_paused"


async def test_the_clock_of_the_exchange_is_wrong(autojump_clock: MockClock) -> None:
    """Signatures are refused as expired, then accepted again."""
    faults = ExchangeFaults(clock_skew=Episode(every_ms=20_000, for_ms=5_000), skew_ms=-60_000)
    async with scene(FaultProfile(exchange=faults)) as s:
        await until_seen(s, "clock skew")
        answer = await s.client.place(s.order())
        assert isinstance(answer, Refused)
        assert answer.code == "header_timestamp_expired"
        s.plan.stop(s.clock.now_us())
        await trio.sleep(6)
        assert isinstance(await s.client.place(s.order()), Placed)


async def test_the_market_closes_and_settles(autojump_clock: MockClock) -> None:
    """What rests is cancelled; no order is taken; the result is stated."""
    faults = ExchangeFaults(close_after_ms=30_000, settle="yes")
    async with scene(FaultProfile(exchange=faults)) as s:
        assert isinstance(await s.client.place(s.order()), Placed)
        await until_seen(s, "close")
        assert [(o.status, o.reason) for o in s.account.orders] == [("canceled", "CloseCancel")]
        # The row of the answers' table for a closed market is unconfirmed: it proves nothing to the client.
        assert not isinstance(await s.client.place(s.order()), Placed)
        assert (await s.client.fetch_market_terms(TICKER)).status == "closed"
        assert s.exchange.markets[TICKER].status == "finalized"


async def test_the_grid_changes(autojump_clock: MockClock) -> None:
    """A tenth of a cent is refused before and taken after; what rested rests on."""
    faults = ExchangeFaults(grid_after_ms=30_000, grid="deci_cent")
    async with scene(FaultProfile(exchange=faults)) as s:
        resting = await s.client.place(s.order("0.40"))
        assert isinstance(resting, Placed)
        before = await s.client.place(s.order("0.401"))
        assert isinstance(before, Refused)
        await until_seen(s, "grid")
        assert isinstance(await s.client.place(s.order("0.401")), Placed)
        assert s.exchange.orders[resting.order_id].status == "resting"


# Plans and profiles


def drawn(plan: FaultPlan, *, other_first: bool = False) -> list[Any]:
    if other_first:
        for _ in range(50):
            plan.draw_read_fault(START_US)
            plan.draw_private_copies("fill", START_US)
    return [plan.draw_write_fault(START_US) for _ in range(200)]


def test_one_seed_one_fate() -> None:
    """The same seed draws the same faults, another one others; reads and frames do not shift the writes'."""
    profile = load_fault_profile("everything")
    first = drawn(FaultPlan(profile, 3))
    assert drawn(FaultPlan(profile, 3), other_first=True) == first
    assert drawn(FaultPlan(profile, 4)) != first
    assert {fault.kind for fault in first} >= {"none", "slow", "lost_answer", "late", "cut", "too_many"}


def test_faults_stop_when_asked() -> None:
    """From `until_us` on, nothing goes wrong."""
    profile = FaultProfile(
        writes=RequestFaults(cut_per_mille=ALWAYS),
        frames=FrameFaults(lost_per_mille=ALWAYS),
        stream=StreamFaults(gap_per_mille=ALWAYS, life_ms=10_000),
    )
    plan = FaultPlan(profile, 1, until_us=START_US + 10)
    assert plan.draw_write_fault(START_US + 9).kind == "cut"
    assert plan.draw_private_copies("fill", START_US + 9) == ()
    assert plan.draw_public_loss("trade", START_US + 9)
    assert plan.draw_write_fault(START_US + 10).kind == "none"
    assert len(plan.draw_private_copies("fill", START_US + 10)) == 1
    assert not plan.draw_public_loss("trade", START_US + 10)
    assert plan.stream_end_us(START_US) is None  # it would end after the end


def test_what_is_no_fact_about_orders_is_left_alone() -> None:
    """Answers to commands are never lost, doubled or moved."""
    plan = FaultPlan(FaultProfile(frames=FrameFaults(lost_per_mille=ALWAYS)), 1)
    assert len(plan.draw_private_copies("unsubscribed", START_US)) == 1
    assert not FaultPlan(FaultProfile(stream=StreamFaults(gap_per_mille=ALWAYS)), 1).draw_public_loss("ok", START_US)


def test_every_profile_in_the_box_can_be_read() -> None:
    """All of them, and the empty one does nothing."""
    assert set(shipped_profile_names()) == {
        "none",
        "mild",
        "flaky_network",
        "lossy_stream",
        "slow_exchange",
        "angry_exchange",
        "everything",
        "lying",
    }
    for name in shipped_profile_names():
        assert (load_fault_profile(name) == FaultProfile()) == (name == "none")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[writes]\nlost_per_mile = 1\n", "lost_per_mile"),
        (b"[writes]\ncut_per_mille = 1001\n", "1000"),
        (b"[writes]\ncut_per_mille = 0.5\n", "int"),
        (b"[writes]\ncut_per_mille = 600\nslow_per_mille = 600\n", "add up"),
        (b"[writes]\nlate_max_ms = 60000\n", "29500"),
        (b"[writes]\nlate_min_ms = 20000\nlate_max_ms = 10000\n", "late_min_ms"),
        (b"[frames]\nlost_per_mille = 600\nduplicate_per_mille = 600\n", "add up"),
        (b"[exchange]\nsettle = 'maybe'\n", "maybe"),
        (b"[exchange]\ngrid = 'no_such_grid'\n", "no_such_grid"),
        (b"writes = 3\n", "object"),
        (b"[[[", "Invalid"),
        (b"\xff\xfe", "utf-8"),
        (b"#" * 70_000, "longer"),
    ],
)
def test_a_bad_profile_is_refused(text: bytes, says: str) -> None:
    """One line that names the profile and what is wrong with it."""
    with pytest.raises(UserError, match=says) as caught:
        parse_profile(text, "mine.toml")
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_a_profile_too(tmp_path: Path) -> None:
    """A path is read; one that is not there is refused with the names in the box."""
    path = tmp_path / "mine.toml"
    path.write_text("[stream]\nlife_ms = 5000\n")
    assert load_fault_profile(str(path)) == FaultProfile(stream=StreamFaults(life_ms=5_000))
    with pytest.raises(UserError, match="angry_exchange"):
        load_fault_profile(str(tmp_path / "none.toml"))
    assert msgspec.structs.asdict(load_fault_profile("none").stream) == {"gap_per_mille": 0, "life_ms": 0}
