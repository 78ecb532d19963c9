"""Programmes on the paper exchange: who is shown them, what a snapshot scores, and what is paid at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.values.units import MoneyE6, parse_count
from tests.paper.support import RICH, START_US, TICKER, Floor, Stage, delta, header, snapshot, staged, trade

MINUTE_US = 60_000_000
OTHER = "KXTEST-26OCT02-A"


def program(kind: str = "liquidity", dollars: int = 60, **more: object) -> IncentiveProgram:
    fields: dict[str, object] = {
        "program_id": f"{kind}-1",
        "ticker": TICKER,
        "kind": kind,
        "start_us": START_US,
        "end_us": START_US + MINUTE_US,
        "reward_e4": dollars * 10_000,
        "paid_out": False,
        "description": f"{kind} of the test",
        "discount_bps": 5_000 if kind == "liquidity" else None,
        "target_e2": parse_count("100") if kind == "liquidity" else None,
        **more,
    }
    return IncentiveProgram(**fields)  # type: ignore[arg-type]


def paid(floor: Floor) -> int:
    """What the account was paid, in cents; its resting orders move no cash."""
    return (floor.account.cash_e6 - RICH) // 10_000


def test_a_member_is_paid_its_share_of_all_snapshots() -> None:
    """Half of YES's score for the 60 snapshots of a minute: a quarter of the pool, whatever stood there before."""
    floor = Floor()
    floor.play(snapshot([("0.50", "100")], [("0.48", "200")]))
    floor.exchange.incentives.add(program())
    floor.bid("0.50", "100")
    floor.later(59)
    assert paid(floor) == 0
    floor.later(1)
    assert paid(floor) == 1_500  # 60 dollars x 1/2 of a side x 1/2
    assert floor.exchange.settlement.transferred_e6 == 15_000_000
    assert floor.exchange.incentives.programs[0].paid_out
    floor.later(60)
    assert paid(floor) == 1_500


def test_a_snapshot_of_one_side_pays_nobody_and_costs_nobody() -> None:
    """Seconds in which NO does not reach the target are left out: the rest shares the whole pool."""
    floor = Floor()
    floor.play(snapshot([("0.50", "100")], [("0.48", "99")]))
    floor.exchange.incentives.add(program())
    floor.bid("0.49", "100")  # one cent behind: 100 x 1 + nothing, until the target asks for more
    floor.later(30)
    floor.play(delta("no", "0.48", "1"), delta("yes", "0.50", "-60"))
    floor.later(30)
    assert paid(floor) == 60 * 100 // 2 * 50 // 90  # 40 x 1 ahead, ours 100 x 1/2
    assert paid(floor) == 1_666


def test_an_order_counts_as_long_as_it_rests() -> None:
    """A third of the snapshots with the whole side of an own order: a third of half of the pool, in whole cents."""
    floor = Floor()
    floor.play(snapshot([], [("0.48", "200")]))
    floor.exchange.incentives.add(program(dollars=10))
    order = floor.bid("0.50", "100")
    floor.later(19)  # with the first, 20 snapshots
    floor.exchange.cancel_order(floor.account, order.order_id)
    floor.play(delta("yes", "0.50", "100"))
    floor.later(60)
    assert paid(floor) == 166


def test_nothing_is_paid_below_a_dollar_or_above_the_most_for_one() -> None:
    """99 cents are kept by the exchange; a stated maximum is not passed."""
    for dollars, most, expected in ((3, None, 0), (4, None, 100), (60, 23_456, 234)):
        floor = Floor()
        floor.play(snapshot([("0.50", "100")], [("0.48", "200")]))
        floor.exchange.incentives.add(program(dollars=dollars, max_reward_e4=most))
        floor.bid("0.50", "100")
        floor.later(60)
        assert paid(floor) == expected


def test_a_market_that_does_not_trade_has_no_snapshots() -> None:
    """While trading is paused nothing is scored, so nothing is owed."""
    floor = Floor()
    floor.play(snapshot([("0.50", "100")], [("0.48", "200")]))
    floor.bid("0.50", "100")
    floor.exchange.pause_trading()
    floor.exchange.incentives.add(program())
    floor.later(60)
    assert paid(floor) == 0


@pytest.mark.parametrize(("dollars", "expected"), [(100, 2_000), (1_000, 5_000)])
def test_volume_is_paid_by_contracts_of_both_sides(dollars: int, expected: int) -> None:
    """200 sides of ours of 1,000, at most half a cent each; a trade at two cents counts for nobody."""
    floor = Floor()
    floor.play(snapshot([("0.50", "30000"), ("0.02", "10000")], [("0.48", "20000")]))
    floor.exchange.incentives.add(program("volume", dollars, start_us=START_US + 1))
    floor.later(1)
    before = floor.account.cash_e6
    floor.play(trade("no", "0.50", "15000"), trade("no", "0.02", "500"))
    mine = floor.bid("0.52", "10000", time_in_force="immediate_or_cancel")
    assert floor.filled(mine) == 1_000_000
    spent = before - floor.account.cash_e6
    floor.later(60)
    assert (floor.account.cash_e6 - before + spent) // 10_000 == expected


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Four programmes: over, running, to come, and one of another market that runs too."""
    async with staged("memory") as stage:
        stage.exchange.add_market(header(OTHER))
        add = stage.exchange.incentives.add
        add(program(program_id="over", start_us=START_US - 2 * MINUTE_US, end_us=START_US - MINUTE_US))
        add(program(program_id="now", end_us=START_US + 60 * MINUTE_US, max_reward_e4=100))
        add(program(program_id="next", start_us=START_US + MINUTE_US, end_us=START_US + 2 * MINUTE_US))
        add(program("volume", program_id="volume", ticker=OTHER))
        yield stage


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ({}, ["volume", "next", "now", "over"]),
        ({"status": "active"}, ["volume", "now"]),
        ({"status": "upcoming"}, ["next"]),
        ({"status": "paid_out"}, ["over"]),
        ({"status": "closed"}, []),
        ({"type": "volume"}, ["volume"]),
        ({"type": "liquidity", "status": "all"}, ["next", "now", "over"]),
        ({"incentive_description": "volume of the test"}, ["volume"]),
    ],
)
async def test_the_listing_is_filtered(stage: Stage, query: dict[str, str], listed: list[str]) -> None:
    """By status, by type and by exact description; each body is as specified."""
    answer = await stage.http.get("/incentive_programs", params=query)
    assert [each["id"] for each in answer.json()["incentive_programs"]] == listed


async def test_the_listing_is_paged_by_a_cursor_of_its_own(stage: Stage) -> None:
    """`next_cursor` leads on to the end, where it is empty."""
    seen, cursor = [], ""
    while True:
        body = (await stage.http.get("/incentive_programs", params={"limit": "3", "cursor": cursor})).json()
        seen += [each["id"] for each in body["incentive_programs"]]
        cursor = body["next_cursor"]
        if not cursor:
            break
    assert seen == ["volume", "next", "now", "over"]


async def test_what_a_programme_does_not_state_is_left_out(stage: Stage) -> None:
    """A volume programme has neither target nor discount; money is in centi-cents."""
    rows = {each["id"]: each for each in (await stage.http.get("/incentive_programs")).json()["incentive_programs"]}
    assert "target_size_fp" not in rows["volume"]
    now = rows["now"]
    assert (now["period_reward"], now["target_size_fp"], now["discount_factor_bps"]) == (600_000, "100.00", 5_000)
    assert (now["max_reward_per_account"], now["start_date"]) == (100, "2026-09-21T14:13:20.000000Z")
    assert MoneyE6(now["period_reward"] * 100) == 60_000_000
