"""Token buckets: what an operation costs, how they refill, and that a batch fits or is refused as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.paper.server.rate_limit import BASIC, TIERS, Rate, TokenBucket
from tests.paper.support import START_US, TICKER, Stage, staged

ORDER = {
    "ticker": TICKER,
    "side": "bid",
    "price": "0.30",
    "count": "1",
    "time_in_force": "good_till_canceled",
    "self_trade_prevention_type": "taker_at_cross",
}
ORDERS = "/portfolio/events/orders"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged("memory") as stage:
        yield stage


def test_a_bucket_refills_continuously() -> None:
    """100 a second: a token comes back every 10 ms, and never more than the capacity is there."""
    bucket = TokenBucket(Rate(100, 100), START_US)
    assert bucket.take(100, START_US)
    assert not bucket.take(1, START_US + 9_999)
    assert bucket.take(1, START_US + 10_000)
    assert not bucket.take(101, START_US + 10_000_000)
    assert bucket.take(100, START_US + 10_000_000)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """Neither then nor when it comes forward again."""
    bucket = TokenBucket(Rate(100, 100), START_US)
    assert bucket.take(100, START_US)
    assert not bucket.take(1, START_US - 5_000_000)
    assert not bucket.take(1, START_US)


def test_tiers_have_the_published_rates() -> None:
    """Write capacity is one second for basic, two above; read two seconds up to advanced, one above."""
    assert (BASIC.read, BASIC.write) == (Rate(200, 400), Rate(100, 100))
    assert TIERS["advanced"].read == Rate(300, 600)
    assert TIERS["prime"] == ("prime", Rate(4_000, 4_000), Rate(4_000, 8_000))


async def test_an_empty_bucket_answers_429_until_it_refills(autojump_clock: MockClock, stage: Stage) -> None:
    """Ten creates a second for a basic member, with the odd body; cancels then cost a fifth."""
    made = [await stage.call("POST", ORDERS, ORDER) for _ in range(10)]
    assert {answer.status_code for answer in made} == {201}
    refused = await stage.call("POST", ORDERS, ORDER)
    assert (refused.status_code, refused.json()) == (429, {"error": "too many requests"})
    assert "retry-after" not in refused.headers
    await trio.sleep(0.02)
    cancelled = await stage.call("DELETE", f"{ORDERS}/{made[0].json()['order_id']}")
    assert cancelled.status_code == 200
    assert (await stage.call("POST", ORDERS, ORDER)).status_code == 429
    await trio.sleep(0.1)
    assert (await stage.call("POST", ORDERS, ORDER)).status_code == 201


async def test_members_and_kinds_have_buckets_of_their_own(autojump_clock: MockClock, stage: Stage) -> None:
    """Another member can write, and the same one can read."""
    for _ in range(10):
        await stage.call("POST", ORDERS, ORDER)
    assert (await stage.call("POST", ORDERS, ORDER)).status_code == 429
    assert (await stage.call("POST", ORDERS, ORDER, member=stage.new_member())).status_code == 201
    assert (await stage.call("GET", "/portfolio/balance")).status_code == 200


@pytest.mark.parametrize(("size", "status"), [(10, 201), (11, 429)])
async def test_a_batch_fits_or_is_refused_as_a_whole(
    autojump_clock: MockClock, stage: Stage, size: int, status: int
) -> None:
    """Ten orders are a basic member's whole second; of eleven none is made, and nothing is charged."""
    answer = await stage.call("POST", f"{ORDERS}/batched", {"orders": [ORDER] * size})
    assert answer.status_code == status
    assert len(stage.member.account.orders) == (size if status == 201 else 0)
    assert (await stage.call("POST", ORDERS, ORDER)).status_code == (429 if status == 201 else 201)


async def test_who_does_not_say_who_asks_shares_a_bucket(autojump_clock: MockClock, stage: Stage) -> None:
    """Sixty public reads a second; a member's own are charged to the member."""
    codes = [(await stage.http.get(f"/markets/{TICKER}")).status_code for _ in range(80)]
    assert codes[:60] == [200] * 60
    assert 429 in codes[60:]
    assert (await stage.call("GET", f"/markets/{TICKER}")).status_code == 200


async def test_limits_and_costs_are_told(autojump_clock: MockClock, stage: Stage) -> None:
    """The member's tier, and the costs that are not ten."""
    limits = (await stage.call("GET", "/account/limits")).json()
    assert limits == {
        "usage_tier": "basic",
        "read": {"refill_rate": 200, "bucket_capacity": 400},
        "write": {"refill_rate": 100, "bucket_capacity": 100},
        "grants": [],
    }
    costs = (await stage.http.get("/account/endpoint_costs")).json()
    assert costs["default_cost"] == 10
    assert {"method": "DELETE", "path": f"{ORDERS}/{{order_id}}", "cost": 2} in costs["endpoint_costs"]
