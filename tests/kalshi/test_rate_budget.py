"""The rate budget: never more than the buckets hold, cancels first, waiting instead of failing."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.core.market.orders import Cancelled, NotSent, Refused, Unknown
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.kalshi.client import open_client
from fsm_exec.kalshi.http_wire import HttpWire
from fsm_exec.kalshi.log import SilentLog
from fsm_exec.kalshi.rate_budget import CANCEL_SHARE_PER_MILLE, TOKEN_WAIT_MAX_S, NoTokens, RateBudget, usable_tokens
from fsm_exec.kalshi.signed_http import SignedHttp
from fsm_exec.kalshi.token_bucket import HALVINGS_MAX, MT_PER_TOKEN, SLOW_US, TokenBucket
from fsm_exec.kalshi.token_costs import TokenCosts
from fsm_exec.kalshi.translate import ImpossibleRequest
from fsm_exec.kalshi.websocket_dial import dial_url
from fsm_exec.wire.account import AccountLimits, BucketLimits, EndpointCost, EndpointCosts

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kalshi.conftest import Kit, Network

CREATE = ("POST", "/portfolio/events/orders")
AMEND = ("POST", "/portfolio/events/orders/o-1/amend")
CANCEL = ("DELETE", "/portfolio/events/orders/o-1")
READ = ("GET", "/portfolio/orders")


def bucket_of(capacity: int, refill: int) -> BucketLimits:
    return BucketLimits(refill_rate=refill, bucket_capacity=capacity)


def limits(usable: int, refill: int) -> AccountLimits:
    """Limits of which the budget makes a bucket of `usable` tokens."""
    capacity = next(c for c in range(usable, 2 * usable + 2) if usable_tokens(bucket_of(c, refill)) == usable)
    bucket = bucket_of(capacity, refill)
    return AccountLimits(usage_tier="basic", read=bucket, write=bucket)


@pytest.mark.parametrize(
    ("method", "path", "orders", "expected"),
    [
        ("POST", "/portfolio/events/orders", None, ("write", "create", 10)),
        ("POST", "/portfolio/events/orders/batched", 7, ("write", "create", 70)),
        ("DELETE", "/portfolio/events/orders/batched", 7, ("write", "cancel", 14)),
        ("DELETE", "/portfolio/events/orders/5f", None, ("write", "cancel", 2)),
        ("DELETE", "/portfolio/events/orders", None, ("write", "cancel", 2)),
        ("POST", "/portfolio/events/orders/5f/amend", None, ("write", "amend", 10)),
        ("POST", "/portfolio/events/orders/5f/decrease", None, ("write", "amend", 10)),
        ("PUT", "/portfolio/order_groups/g/trigger", None, ("write", "cancel", 10)),
        ("POST", "/portfolio/order_groups/create", None, ("write", "create", 10)),
        ("GET", "/portfolio/orders", None, ("read", "read", 10)),
        ("GET", "/portfolio/orders/5f", None, ("read", "read", 2)),
        ("GET", "/portfolio/orders/queue_positions", None, ("read", "read", 10)),
        ("GET", "/markets/KXA-1", None, ("read", "read", 10)),
    ],
)
def test_costs_before_the_exchange_has_told(
    method: str, path: str, orders: int | None, expected: tuple[str, str, int]
) -> None:
    """wire/README.md 11: bucket, urgency and tokens of each request."""
    charge = TokenCosts().charge_for(method, path, orders)
    assert (charge.bucket, charge.rank, charge.tokens) == expected


def test_costs_the_exchange_tells_replace_ours_and_the_urgency_stays() -> None:
    """Named costs hold with or without the prefix, what is not named costs the default, nonsense is passed over."""
    costs = TokenCosts()
    costs.set_published(
        EndpointCosts(
            default_cost=20,
            endpoint_costs=[
                EndpointCost(method="delete", path="/trade-api/v2/portfolio/events/orders/{order_id}", cost=3),
                EndpointCost(method="POST", path="/portfolio/events/orders/batched", cost=5),
                EndpointCost(method="GET", path="/portfolio/fills", cost=-4),
            ],
        )
    )
    assert costs.charge_for(*CANCEL, None)[:3] == ("write", "cancel", 3)
    assert costs.charge_for("POST", "/portfolio/events/orders/batched", 4).tokens == 20
    assert costs.charge_for("GET", "/portfolio/fills", None).tokens == 20
    assert costs.charge_for("DELETE", "/portfolio/events/orders", None)[:3] == ("write", "cancel", 20)


@settings(max_examples=200, deadline=None)
@given(
    capacity=st.integers(1, 50),
    refill=st.integers(1, 300),
    steps=st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 60), st.booleans()), max_size=60),
)
def test_no_window_sees_more_than_capacity_and_refill(
    capacity: int, refill: int, steps: list[tuple[int, int, bool]]
) -> None:
    """Whatever is taken and refused when: between any two moments at most capacity + refill x time went out."""
    now_us = 0
    bucket = TokenBucket(capacity, refill, now_us)
    spent: list[tuple[int, int]] = []
    for pause_us, tokens, is_refused in steps:
        now_us += pause_us
        bucket.refill(now_us)
        wanted_mt = min(tokens, capacity) * MT_PER_TOKEN
        if bucket.wait_us(wanted_mt, 0) == 0:
            bucket.take(wanted_mt)
            spent.append((now_us, wanted_mt))
        if is_refused:
            bucket.slow_down(now_us)
        assert 0 <= bucket.level_mt <= bucket.capacity_mt
    for first, (from_us, _) in enumerate(spent):
        for last in range(first, len(spent)):
            window_us = spent[last][0] - from_us
            total_mt = sum(mt for _, mt in spent[first : last + 1])
            assert total_mt * US_PER_S <= (capacity * US_PER_S + refill * window_us) * MT_PER_TOKEN


@settings(max_examples=200, deadline=None)
@given(
    refill=st.integers(1, 1_000),
    spent=st.integers(1, 100),
    wanted=st.integers(1, 100),
    pauses=st.lists(st.integers(0, 5_000), max_size=20),
)
def test_the_wait_told_is_the_wait_needed(refill: int, spent: int, wanted: int, pauses: list[int]) -> None:
    """After it the tokens are there, a microsecond before they are not; how often one looks changes nothing."""
    bucket = TokenBucket(100, refill, 0)
    bucket.take(spent * MT_PER_TOKEN)
    now_us = 0
    for pause_us in pauses:
        now_us += pause_us
        bucket.refill(now_us)
    wait_us = bucket.wait_us(wanted * MT_PER_TOKEN, 0)
    if wait_us:
        bucket.refill(now_us + wait_us - 1)
        assert bucket.wait_us(wanted * MT_PER_TOKEN, 0) == 1
    bucket.refill(now_us + wait_us)
    assert bucket.wait_us(wanted * MT_PER_TOKEN, 0) == 0


def test_a_429_halves_the_refill_for_a_while() -> None:
    """The bucket is empty, fills at half the rate, a burst of refusals counts once, and the full rate comes back."""
    bucket = TokenBucket(100, 100, 0)
    for at_us in (0, 1_000, 500_000):
        bucket.slow_down(at_us)
    assert (bucket.level_mt, bucket.rate_mt_per_s) == (0, 50_000)
    bucket.refill(1_500_000)
    assert bucket.level_mt == 50_000
    bucket.slow_down(1_500_000)
    assert bucket.rate_mt_per_s == 25_000
    bucket.refill(1_500_000 + SLOW_US)
    assert bucket.rate_mt_per_s == 50_000
    bucket.refill(1_500_000 + 2 * SLOW_US)
    assert bucket.rate_mt_per_s == 100_000
    for n in range(10):
        bucket.slow_down(100_000_000 + n * 2_000_000)
    assert bucket.halvings == HALVINGS_MAX


async def test_cancels_go_before_amends_before_creates(autojump_clock: MockClock) -> None:
    """Who waits is served by urgency, and among equals in the order of asking."""
    budget = RateBudget(SilentLog())
    budget.set_limits(limits(20, 10))
    served: list[str] = []

    async def spend(name: str, method: str, path: str) -> None:
        await budget.spend(method, path)
        served.append(name)

    async with trio.open_nursery() as nursery:
        await budget.spend(*CREATE)
        for _ in range(5):
            await budget.spend(*CANCEL)
        for name, request in (("c1", CREATE), ("a1", AMEND), ("x1", CANCEL), ("c2", CREATE), ("x2", CANCEL)):
            nursery.start_soon(spend, name, *request)
            await trio.testing.wait_all_tasks_blocked()
    assert served == ["x1", "x2", "a1", "c1", "c2"]


async def test_a_share_is_for_cancels_alone(autojump_clock: MockClock) -> None:
    """However many creates wait, the next cancel finds its tokens at once."""
    budget = RateBudget(SilentLog())
    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(budget.spend, *CREATE)
        await trio.testing.wait_all_tasks_blocked()
        statistics = budget.statistics().write
        share_mt = statistics.capacity_mt * CANCEL_SHARE_PER_MILLE // 1_000
        assert share_mt <= statistics.level_mt < share_mt + 10_000
        began_s = trio.current_time()
        for _ in range(9):
            await budget.spend(*CANCEL)
        assert trio.current_time() == began_s


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    capacity=st.integers(10, 100),
    refill=st.integers(10, 100),
    rush=st.integers(1, 60),
)
def test_no_flood_starves_a_cancel(seed: int, capacity: int, refill: int, rush: int) -> None:
    """A cancel waits at most for the cancels before it, whatever else wants tokens."""
    rng = random.Random(seed)
    waits: list[tuple[float, int]] = []

    async def cancel(budget: RateBudget, delay_s: float) -> None:
        await trio.sleep(delay_s)
        ahead = sum(1 for waiter in budget._queues["write"]._waiters if waiter.order[0] == 0)
        began_s = trio.current_time()
        await budget.spend(*CANCEL)
        waits.append((trio.current_time() - began_s, ahead))

    async def create(budget: RateBudget, delay_s: float) -> None:
        await trio.sleep(delay_s)
        with suppress(NoTokens):
            await budget.spend(*rng.choice([CREATE, AMEND]))

    async def play() -> None:
        budget = RateBudget(SilentLog())
        budget.set_limits(limits(capacity, refill))
        async with trio.open_nursery() as nursery:
            for _ in range(rush):
                nursery.start_soon(create, budget, rng.random() * 3)
            for _ in range(5):
                nursery.start_soon(cancel, budget, rng.random() * 3)

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(waits) == 5
    for waited_s, ahead in waits:
        assert waited_s <= 2 * (ahead + 1) / refill + 0.001


async def test_a_batch_must_fit_as_a_whole(autojump_clock: MockClock) -> None:
    """A batch waits until all of it fits; one that never could is refused before anything is sent."""
    budget = RateBudget(SilentLog())
    await budget.spend(*CREATE)
    began_s = trio.current_time()
    await budget.spend("POST", "/portfolio/events/orders/batched", 7)
    assert trio.current_time() - began_s == pytest.approx(0.08)  # 80 and the cancels' 18, of 90
    with pytest.raises(ImpossibleRequest, match="does not fit"):
        await budget.spend("POST", "/portfolio/events/orders/batched", 8)
    await budget.spend("DELETE", "/portfolio/events/orders/batched", 45)
    with pytest.raises(ImpossibleRequest, match="does not fit"):
        await budget.spend("DELETE", "/portfolio/events/orders/batched", 46)


async def test_a_tiny_bucket_still_lets_creates_through(autojump_clock: MockClock) -> None:
    """The cancels' share shrinks before it could keep a single order out for ever."""
    budget = RateBudget(SilentLog())
    budget.set_limits(limits(10, 10))
    await budget.spend(*CREATE)
    await budget.spend(*CREATE)
    assert budget.statistics().write.granted == 2


async def test_a_create_gives_up_and_a_cancel_does_not(autojump_clock: MockClock) -> None:
    """A create that found no tokens in time was not sent; a cancel waits as long as it takes."""
    budget = RateBudget(SilentLog())
    budget.set_limits(limits(10, 1))
    await budget.spend(*CREATE)
    with pytest.raises(NoTokens):
        await budget.spend(*CREATE)
    assert trio.current_time() == pytest.approx(TOKEN_WAIT_MAX_S)
    for _ in range(10):
        await budget.spend(*CANCEL)
    statistics = budget.statistics().write
    assert (statistics.given_up, statistics.waiting, statistics.spent_mt) == (1, 0, 30_000)


async def test_giving_up_waiting_takes_no_tokens(autojump_clock: MockClock) -> None:
    """A waiter that is cancelled leaves the queue, and the next one is served as if it had never come."""
    budget = RateBudget(SilentLog())
    budget.set_limits(limits(10, 10))
    await budget.spend(*READ)
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.5):
            await budget.spend(*READ)
        nursery.start_soon(budget.spend, *READ)
    assert trio.current_time() == pytest.approx(1)
    assert budget.statistics().read.granted == 2


async def test_unusable_limits_are_passed_over(kit: Kit) -> None:
    """A bucket of nothing, or of more than can be, is reported and ours stands."""
    budget = RateBudget(kit.log)
    before = budget.statistics()
    for capacity in (0, 10**30):
        bucket = bucket_of(capacity, 5)
        budget.set_limits(AccountLimits(usage_tier="basic", read=bucket, write=bucket))
    assert budget.statistics() == before
    assert len(kit.log.lines) == 4


async def test_the_client_pays_before_it_sends(kit: Kit, network: Network, autojump_clock: MockClock) -> None:
    """Creates beyond the bucket wait for it; one that waits too long is proven not sent, and nothing left for it."""
    network.answer(500)
    rest = kit.rest(network)
    answers = []

    async def place() -> None:
        answers.append(await rest.place(kit.place()))

    async with trio.open_nursery() as nursery:
        for _ in range(7 + 10 * TOKEN_WAIT_MAX_S + 3):
            nursery.start_soon(place)
    lost = [answer for answer in answers if isinstance(answer, NotSent)]
    assert len(network.requests) == 7 + 10 * TOKEN_WAIT_MAX_S
    assert len(lost) == 3
    assert "no tokens" in lost[0].why


async def test_a_429_is_counted_and_slows_the_client(kit: Kit, network: Network, autojump_clock: MockClock) -> None:
    """The write's outcome is a refusal as before; the bucket learns from it."""
    network.answer(429, {"error": "too many requests"}).answer(500)
    http = kit.http(network)
    rest = type(kit.rest(network))(http, lambda: kit.now_us, kit.log)
    assert isinstance(await rest.place(kit.place()), Refused)
    statistics = http.budget.statistics().write
    assert (statistics.refused, statistics.level_mt) == (1, 0)
    assert statistics.refill_now_mt_per_s * 2 == statistics.refill_mt_per_s
    began_s = trio.current_time()
    await rest.place(kit.place())
    assert trio.current_time() - began_s == pytest.approx(0.56)  # 10 tokens and the cancels' 18, at 50 a second


async def test_what_found_its_turn_too_late_is_not_sent(kit: Kit, network: Network, autojump_clock: MockClock) -> None:
    """A place, an amend and a batch whose time passed while they waited: proven not sent."""
    network.answer(500)
    http = SignedHttp(
        HttpWire(httpx.AsyncClient(base_url=kit.base_url, transport=network), kit.signer, kit.log),
        lambda: kit.now_us + round(trio.current_time() * US_PER_S),
        kit.log,
    )
    rest = type(kit.rest(network))(http, lambda: kit.now_us, kit.log)
    http.budget.set_limits(limits(10, 10))
    assert isinstance(await rest.place(kit.place(not_after_us=kit.now_us + 1)), Unknown)
    in_time, late = kit.now_us + 3 * US_PER_S, kit.now_us + 2 * US_PER_S
    assert isinstance(await rest.place(kit.place(not_after_us=in_time)), Unknown)
    for answer in (
        await rest.place(kit.place(not_after_us=late)),
        await rest.amend(kit.amend(not_after_us=late)),
        (await rest.place_batch([kit.place(not_after_us=late)]))[0],
    ):
        assert isinstance(answer, NotSent)
        assert "time had passed" in answer.why
    assert len(network.requests) == 2


async def test_a_halt_of_a_thousand_orders_takes_as_long_as_was_stated(
    kit: Kit, network: Network, autojump_clock: MockClock
) -> None:
    """At the lowest tier, without a 429: the facts say how long before the first cancel goes out, and batches never ask
    for more than the bucket holds."""
    network.each(_all_cancelled)
    async with open_client(
        base_url=kit.base_url,
        api_key_id=kit.key_id,
        key=kit.key,
        dial=dial_url("ws://127.0.0.1:1/"),
        wall_us=lambda: kit.now_us,
        rng=random.Random(1),
        transport=network,
    ) as client:
        began_s, facts = trio.current_time(), client.budget()
        orders = [kit.cancel(order_id=f"o-{number}") for number in range(1_000)]
        answers = await client.cancel_batch(orders)
        took_us = round((trio.current_time() - began_s) * US_PER_S)
    assert [answer.order_id for answer in answers if isinstance(answer, Cancelled)] == [o.order_id for o in orders]
    assert (facts.write_left, facts.write_per_s) == (90, 100)
    assert facts.cancelling_us(1_000) == (2_000 - 90) * 10_000
    assert abs(took_us - facts.cancelling_us(1_000)) <= 1_000
    assert len(network.requests) <= 1_000 // 20


def _all_cancelled(request: httpx.Request) -> httpx.Response:
    rows = msgspec.json.decode(request.content)["orders"]
    ended = [{"order_id": row["order_id"], "reduced_by": "1.00", "ts_ms": 5} for row in rows]
    return httpx.Response(200, content=msgspec.json.encode({"orders": ended}))
