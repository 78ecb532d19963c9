"""simple_limit and market as pure functions, and the registry that finds a method by its name."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED, SHIPPED_FAMILIES, market, method, simple_limit
from fsm_exec.core.algorithm.algorithm import (
    Algorithm,
    GiveUpAction,
    Goal,
    PlaceAction,
    Progress,
    Slice,
    SliceProgress,
    Working,
)
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, MoneyE6, PriceE4

VIEW = MarketView(
    at_us=1,
    book_seq=1,
    feed="live",
    feed_age_us=0,
    status="open",
    grid=LINEAR_CENT,
    bids=((PriceE4(4_900), CountE2(100)),),
    asks=((PriceE4(5_100), CountE2(100)),),
    mid_e5=50_000,
    spread_e4=200,
)
GOAL = Goal(
    target_e2=CountE2(1_000),
    limits=Limits(PriceE4(5_000), PriceE4(5_100), MoneyE6(527_493)),
    accepted_at_us=0,
    deadline_us=60_000_000,
    grid=LINEAR_CENT,
    fees=FeeTerms(700_000_000, 0),
    arrival=VIEW,
)
WORKING = Working(
    price_e4=PriceE4(5_000),
    count_e2=CountE2(1_000),
    filled_e2=CountE2(0),
    busy=False,
    post_only=False,
    placed_at_us=0,
    moved_at_us=0,
    walks=0,
)


def progress(free: int = 1_000, sent: int = 0, working: Working | None = None) -> Progress:
    part = SliceProgress(
        level=1,
        count_e2=CountE2(1_000),
        filled_e2=CountE2(1_000 - free),
        free_e2=CountE2(free),
        sent=sent,
        last_placed_at_us=0 if sent else None,
        working=working,
    )
    return Progress(goal=GOAL, at_us=1, walks=0, writes=sent, slices=(part,))


@pytest.mark.parametrize("name", ["market", "simple_limit"])
@given(target=st.integers(1, 10**12))
def test_a_plan_is_one_slice_of_the_whole_target(name: str, target: int) -> None:
    """Neither splits."""
    goal = replace(GOAL, target_e2=CountE2(target))
    assert method(name).plan(goal, VIEW) == (Slice(level=1, count_e2=CountE2(target)),)


def test_simple_limit_rests_at_the_target() -> None:
    """One limit order for all that is free, whatever the book shows."""
    config = simple_limit.Config()
    for view in (VIEW, replace(VIEW, asks=()), replace(VIEW, bids=(), asks=()), replace(VIEW, mid_e5=None)):
        wishes = simple_limit.replan(progress(), view, config)
        assert wishes == (PlaceAction(level=1, price_e4=PriceE4(5_000), count_e2=CountE2(1_000)),)
    assert PlaceAction(level=1, price_e4=PriceE4(1), count_e2=CountE2(1)).time_in_force == "good_till_canceled"
    assert simple_limit.replan(progress(free=300, sent=2), VIEW, config) == (
        PlaceAction(level=1, price_e4=PriceE4(5_000), count_e2=CountE2(300)),
    )


def test_simple_limit_leaves_a_working_order_alone() -> None:
    """And wishes for nothing when nothing is free."""
    config = simple_limit.Config()
    assert simple_limit.replan(progress(free=0, sent=1, working=WORKING), VIEW, config) == ()
    assert simple_limit.replan(progress(free=400, sent=1, working=replace(WORKING, busy=True)), VIEW, config) == ()
    assert simple_limit.replan(progress(free=0, sent=1), VIEW, config) == ()


def test_market_takes_once_at_the_worst_price() -> None:
    """An immediate-or-cancel order; what it does not get is given up."""
    config = market.Config()
    assert market.replan(progress(), VIEW, config) == (
        PlaceAction(level=1, price_e4=PriceE4(5_100), count_e2=CountE2(1_000), time_in_force="immediate_or_cancel"),
    )
    assert market.replan(progress(sent=1), VIEW, config) == (GiveUpAction(reason="no_liquidity"),)
    assert market.replan(progress(free=400, sent=1), VIEW, config) == (GiveUpAction(reason="no_liquidity"),)


def test_market_waits_for_its_order_and_is_content_when_filled() -> None:
    """It gives up only when its order has ended with something left."""
    config = market.Config()
    assert market.replan(progress(free=0, working=WORKING), VIEW, config) == ()
    assert market.replan(progress(free=600, sent=1, working=WORKING), VIEW, config) == ()
    assert market.replan(progress(free=0, sent=1), VIEW, config) == ()


@pytest.mark.parametrize("name", ["market", "simple_limit"])
@given(free=st.integers(0, 1_000), sent=st.integers(0, 3), busy=st.sampled_from([None, False, True]))
def test_the_same_arguments_give_the_same_answer(name: str, free: int, sent: int, busy: bool | None) -> None:
    """And leave their arguments as they were: a decision can be made again from the journal."""
    algorithm: Algorithm = method(name)
    working = None if busy is None else replace(WORKING, busy=busy)
    seen = progress(free, sent, working)
    before = copy.deepcopy(seen)
    first = algorithm.replan(seen, VIEW)
    assert algorithm.replan(copy.deepcopy(seen), copy.deepcopy(VIEW)) == first
    assert seen == before
    for wish in first:
        if isinstance(wish, PlaceAction):
            assert wish.price_e4 <= GOAL.limits.worst_e4
            assert wish.count_e2 == free


def test_every_algorithm_ships_a_method_of_its_own_name() -> None:
    """Found with the version or without."""
    assert set(SHIPPED) == set(SHIPPED_FAMILIES) >= {"market", "simple_limit"}
    for name, shipped in SHIPPED.items():
        assert (shipped.name, shipped.algorithm) == (name, name)
        assert method(name) is shipped
        assert method(shipped.full_name) is shipped


@pytest.mark.parametrize(
    "name", ["", "simple", "Market", "market@2", "market@", "market@1@1", "market@x", "@1", " market"]
)
def test_an_unknown_method_is_the_users_error_and_names_the_known(name: str) -> None:
    """One line: what, and what to choose from."""
    with pytest.raises(UserError, match=", ".join(sorted(SHIPPED))) as raised:
        method(name)
    assert repr(name) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_method_cannot_be_changed() -> None:
    """Named, versioned, immutable."""
    with pytest.raises(AttributeError):
        SHIPPED["market"].version = 2  # type: ignore[misc]
