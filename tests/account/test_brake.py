"""The brake: its thresholds, the way back, days, and what ends while it is on."""

from __future__ import annotations

from datetime import datetime
from random import Random, SystemRandom
from zoneinfo import ZoneInfo

import pytest

from fsm_exec.core.account.brake import (
    Reserved,
    RiskState,
    day_of,
    ease,
    needs_to_end,
    observe,
    return_to_active,
    trigger_between,
)
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import OpenOrder, Stake
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome
from states import TABLES

S = 1_000_000
HOUR = 3_600 * S
NOON = 1_767_268_800 * S  # 2026-01-01T12:00:00Z
LIMITS = RiskLimits(
    daily_loss_dollars=100, daily_loss_halt_dollars=200, drawdown_dollars=300, drawdown_halt_dollars=400
)


def at(*looks: tuple[int, int | None], limits: RiskLimits = LIMITS, state: RiskState | None = None) -> RiskState:
    """The brake after looks of (hours after noon, equity in dollars)."""
    seen = RiskState() if state is None else state
    for hours, equity in looks:
        seen = observe(seen, None if equity is None else equity * S, NOON + hours * HOUR, limits)
    return seen


@pytest.mark.parametrize(
    ("equity_e6", "state"),
    [
        (-100 * S + 1, "active"),
        (-100 * S, "reducing"),
        (-100 * S - 1, "reducing"),
        (-200 * S + 1, "reducing"),
        (-200 * S, "halted"),
        (-200 * S - 1, "halted"),
    ],
)
def test_the_daily_loss_at_below_and_above_each_threshold(equity_e6: int, state: str) -> None:
    """A threshold is passed when it is reached; the second is one step from `active`."""
    seen = observe(at((0, 0)), equity_e6, NOON + HOUR, LIMITS)
    assert seen.state == state
    if state != "active":
        assert "daily loss" in seen.why
        assert seen.since_us == NOON + HOUR


@pytest.mark.parametrize(
    ("equity_e6", "state"),
    [
        (-300 * S + 1, "active"),
        (-300 * S, "reducing"),
        (-400 * S + 1, "reducing"),
        (-400 * S, "halted"),
    ],
)
def test_the_drawdown_at_below_and_above_each_threshold(equity_e6: int, state: str) -> None:
    """From the peak, over days."""
    limits = RiskLimits(drawdown_dollars=300, drawdown_halt_dollars=400)
    seen = observe(at((0, 0), limits=limits), equity_e6, NOON + 50 * HOUR, limits)
    assert seen.state == state
    if state != "active":
        assert "drawdown" in seen.why


def test_a_peak_counts_from_where_it_was() -> None:
    """500 won and 300 of it lost is a drawdown of 300, though the account is in profit."""
    assert at((0, 0), (30, 500), (60, 200), limits=RiskLimits(drawdown_dollars=300)).state == "reducing"


def test_nothing_but_a_person_leads_back() -> None:
    """Neither what is won again nor the next day; from `reducing` the second threshold still halts."""
    reduced = at((0, 0), (1, -100))
    assert at((2, 50), (30, 50), (100, 1_000), state=reduced).state == "reducing"
    assert at((2, -200), state=reduced).state == "halted"
    assert at((2, 1_000), (48, 1_000), state=at((0, 0), (1, -200))).state == "halted"


def test_a_look_that_changes_nothing_keeps_the_reason() -> None:
    """Why and since when are those of the change."""
    reduced = at((0, 0), (1, -100))
    later = at((2, -150), state=reduced)
    assert (later.why, later.since_us) == (reduced.why, reduced.since_us)


@pytest.mark.parametrize(("equity_e6", "may"), [(-50 * S + 1, True), (-50 * S, False), (-50 * S - 1, False)])
def test_the_way_back_at_below_and_above_half_of_the_threshold(equity_e6: int, may: bool) -> None:
    """Below half of the first threshold; at it not yet."""
    reduced = at((0, 0), (1, -100))
    if may:
        back = return_to_active(reduced, equity_e6, NOON + 2 * HOUR, LIMITS)
        assert (back.state, back.why, back.since_us) == ("active", "returned", NOON + 2 * HOUR)
        assert observe(back, equity_e6, NOON + 2 * HOUR, LIMITS).state == "active"
    else:
        with pytest.raises(UserError, match=r"daily loss is 50\.00 dollars, not below 50 % of 100"):
            return_to_active(reduced, equity_e6, NOON + 2 * HOUR, LIMITS)


def test_a_drawdown_stands_in_the_way_too() -> None:
    """The day after, the daily loss is nothing, the drawdown is not."""
    limits = RiskLimits(daily_loss_dollars=100, drawdown_dollars=150)
    reduced = at((0, 0), (1, -100), limits=limits)
    with pytest.raises(UserError, match="drawdown"):
        return_to_active(at((30, -100), state=reduced, limits=limits), -100 * S, NOON + 30 * HOUR, limits)


def test_an_accepted_loss_counts_from_now() -> None:
    """Day and peak begin with the equity there is; the next hundred reduce again."""
    halted = at((0, 0), (1, -250))
    back = return_to_active(halted, -250 * S, NOON + 2 * HOUR, LIMITS, accept_loss=True)
    assert (back.state, back.day_start_e6, back.peak_e6) == ("active", -250 * S, -250 * S)
    assert at((3, -349), state=back).state == "active"
    assert at((3, -350), state=back).state == "reducing"


def test_a_brake_with_a_halt_alone_returns_below_half_of_it() -> None:
    """There is no first threshold: the second stands for it."""
    limits = RiskLimits(daily_loss_halt_dollars=100)
    halted = at((0, 0), (1, -100), limits=limits)
    assert halted.state == "halted"
    with pytest.raises(UserError, match="daily loss"):
        return_to_active(halted, -50 * S, NOON + 2 * HOUR, limits)
    assert return_to_active(halted, -49 * S, NOON + 2 * HOUR, limits).state == "active"


def test_a_halt_is_eased_and_nothing_else_is() -> None:
    """From `halted` to `reducing`, where it stays although the loss that halted is still there, and may grow while
    what is held is closed. Once returned from, the next loss counts anew."""
    halted = at((0, 0), (1, -200))
    eased = ease(halted, NOON + 2 * HOUR)
    assert (eased.state, eased.why) == ("reducing", "eased")
    later = at((3, -200), (4, -500), state=eased)
    assert (later.state, later.why) == ("reducing", "eased")
    back = return_to_active(later, -500 * S, NOON + 5 * HOUR, LIMITS, accept_loss=True)
    assert at((6, -700), state=back).state == "halted"
    for state in (RiskState(), eased):
        with pytest.raises(UserError, match="not halted"):
            ease(state, NOON)
    with pytest.raises(UserError, match="active"):
        return_to_active(RiskState(), 0, NOON, LIMITS)


def test_a_missing_equity_is_the_last_known() -> None:
    """Before any there is nothing to compare; after one, the loss stays, and the day goes on with it."""
    assert at((0, None)) == RiskState()
    assert at((0, 0), (1, -100), (2, None)).state == "reducing"
    known = at((0, 0), (1, -99), (2, None))
    assert (known.equity_e6, known.daily_loss_e6) == (-99 * S, 99 * S)
    tomorrow = at((24, None), state=known)
    assert (tomorrow.day, tomorrow.day_start_e6, tomorrow.daily_loss_e6) == ("2026-01-02", -99 * S, 0)
    with pytest.raises(UserError, match="daily loss"):
        return_to_active(at((0, 0), (1, -100)), None, NOON + 2 * HOUR, LIMITS)


def test_what_was_lost_over_midnight_is_the_new_days() -> None:
    """An engine that was away when the day began compares with the last equity it knew."""
    assert at((0, 0), (20, -100)).state == "reducing"
    assert at((0, 0), (11, -99), (13, -150)).state == "active"


def test_a_clock_put_back_over_midnight_keeps_the_day() -> None:
    """Neither begins the old day again nor, once it is right again, the new one a second time."""
    new_day = at((0, 0), (11, -60), (13, -60))
    assert (new_day.day, new_day.day_start_e6) == ("2026-01-02", -60 * S)
    back = at((10, -120), (13, -130), state=new_day)
    assert (back.day, back.day_start_e6) == ("2026-01-02", -60 * S)
    assert at((10, -160), state=back).state == "reducing"


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-08", 23), ("2026-11-01", 25), ("2026-06-01", 24)],
)
def test_days_of_23_and_25_hours(day: str, hours: int) -> None:
    """In New York a day begins at its own midnight, when the clocks change too."""
    midnight = datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=ZoneInfo("America/New_York"))
    start = int(midnight.timestamp()) * S
    assert day_of(start - 1, "America/New_York") < day == day_of(start, "America/New_York")
    assert (
        day_of(start + hours * HOUR - 1, "America/New_York") == day < day_of(start + hours * HOUR, "America/New_York")
    )


def test_the_zone_says_when_the_day_begins() -> None:
    """At 21:00 UTC it is the next day in Tokyo, and the loss before it no longer counts for the day."""
    tokyo = RiskLimits(daily_loss_dollars=100, time_zone="Asia/Tokyo")
    assert day_of(NOON + 9 * HOUR, "Asia/Tokyo") == "2026-01-02"
    assert at((0, 0), (2, -60), (9, -110), limits=tokyo).state == "active"
    utc = RiskLimits(daily_loss_dollars=100)
    assert at((0, 0), (2, -60), (9, -110), limits=utc).state == "reducing"


def test_each_change_has_its_trigger() -> None:
    """Of any two states at most one row leads from one to the other, so a change names its trigger."""
    for row in TABLES["risk"].rows:
        assert trigger_between(row.source, row.dest) == row.trigger
    assert trigger_between("active", "active") is None


def test_random_days_only_get_worse_by_themselves() -> None:
    """Whatever is seen: states move up only, a day never goes back, the peak never falls, and a loss past its
    threshold is never seen in `active`."""
    seed = SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # noqa: T201
    rng = Random(seed)
    order = ("active", "reducing", "halted")
    reached = set()
    for _ in range(300):
        state, now, equity = RiskState(), NOON, 0
        for _ in range(30):
            now += rng.randrange(-3, 20) * HOUR
            equity += rng.randrange(-60, 60) * S
            after = observe(state, None if rng.random() < 0.2 else equity, now, LIMITS)
            assert order.index(after.state) >= order.index(state.state)
            assert (after.day or "") >= (state.day or "")
            assert state.peak_e6 is None or (after.peak_e6 is not None and after.peak_e6 >= state.peak_e6)
            if after.daily_loss_e6 >= 200 * S or after.drawdown_e6 >= 400 * S:
                assert after.state == "halted"
            if after.daily_loss_e6 >= 100 * S or after.drawdown_e6 >= 300 * S:
                assert after.state != "active"
            state = after
        reached.add(state.state)
    assert reached == set(order)


def working(name: str, outcome: Outcome, contracts: int, cents: int, ticker: str = "A") -> Reserved:
    """An execution that may still buy so much in event E."""
    return Reserved(name, OpenOrder(ticker, "E", "S", outcome, CountE2(contracts * 100), MoneyE6(cents * 10_000)))


HELD = [Stake("A", "E", "S", CountE2(1_000), MoneyE6(-5 * S))]  # ten YES for five dollars


def test_what_closes_stays_and_what_adds_ends() -> None:
    """NO up to what is held stays; YES ends."""
    assert needs_to_end(HELD, [working("x1", "no", 10, 60), working("x2", "yes", 1, 10)], [], {}) == ("x2",)


def test_of_closes_that_are_too_many_the_fewest_end() -> None:
    """Of three that close ten together twice over, the smaller two stay, whatever the order they are listed in."""
    three = [working("x1", "no", 10, 60), working("x2", "no", 5, 60), working("x3", "no", 5, 60)]
    assert needs_to_end(HELD, three, [], {}) == ("x1",)
    assert needs_to_end(HELD, three[::-1], [], {}) == ("x1",)


def test_two_that_would_hedge_each_other_both_end() -> None:
    """YES and NO of a market nobody holds: each may fill alone, so neither is safe because of the other."""
    assert needs_to_end([], [working("x1", "yes", 5, 50), working("x2", "no", 5, 50)], [], {}) == ("x1", "x2")


def test_an_order_made_by_hand_takes_the_room_first() -> None:
    """It stays whatever happens, so what it may close cannot be closed by an execution of ours too."""
    by_hand = working("-", "no", 10, 60).order
    assert needs_to_end(HELD, [working("x1", "no", 10, 60)], [by_hand], {}) == ("x1",)
    assert needs_to_end(HELD, [working("x1", "no", 10, 60)], [], {}) == ()
