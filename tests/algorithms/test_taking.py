"""Taking what is cheap against waiting: the rule itself, its parts, its protocol, its limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.algorithms.taking import Taking, price_to_take
from fsm_exec.core.algorithm.algorithm import AmendAction, CancelAction, PlaceAction
from fsm_exec.core.errors import UserError
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import CountE2, PriceE4
from tests.algorithms.conftest import HORIZON_S, Desk, fresh, ladder, resting

S = 1_000_000
CALM = Signals(  # nothing presses, the mid stays where it was, and taking costs what it usually does
    at_us=0,
    imbalance_ppm=500_000,
    ofi_z_ppm=0,
    mid_deviation_e5=0,
    mid_mean_60s_e5=46_000,
    touch_mean_60s_e2=CountE2(100_000),
    touch_cost_120s_e6=28_000,
)

NEEDED = ("touch_mean_60s_e2", "touch_cost_120s_e6", "mid_mean_60s_e5", "imbalance_ppm")


def desk_at(bid: int, ask: int, signals: Signals | None = CALM, **settings: object) -> Desk:
    """A market of this touch in cents, 20 contracts a side and 30 more a cent above, with the rule on."""
    desk = Desk("deadline_walker", {"taking": {}, "write_budget": 12, **settings})
    asks = ladder((ask * 100, 20), (ask * 100 + 100, 30))
    desk.view = desk.book(ladder((bid * 100, 20)), asks, signals=signals)
    desk.goal = desk.goal_of(target=bid * 100, worst=min(9_900, bid * 100 + 1_000))
    return desk


def taken(desk: Desk, *, at_s: float = 0) -> tuple[int, int] | None:
    """Price and count of the immediate order it wishes for; None if it quotes."""
    (wish,) = desk.wishes(at_s=at_s)
    assert isinstance(wish, PlaceAction)
    assert wish.post_only is (wish.time_in_force == "good_till_canceled")
    return None if wish.post_only else (wish.price_e4, wish.count_e2)


@pytest.mark.parametrize(
    ("left_s", "value"),
    [(0, 26_700), (1, 26_700), (2, 26_700), (4, 25_500), (6, 24_300), (15, 21_900), (30, 19_500), (45, 18_900),
     (60, 18_300), (110, 15_900), (145, 14_100), (180, 12_300), (181, 12_300), (3_600, 12_300)],
)  # fmt: skip
def test_waiting_costs_more_the_less_time_is_left(left_s: int, value: int) -> None:
    """By the table, linear between its times and flat outside: with a fair value of 0.45 and no fee an ask of 0.50 is
    taken from the very millionth on at which it is worth it."""
    desk = desk_at(40, 50)
    goal = replace(desk.goal, deadline_us=left_s * S, fees=replace(desk.goal.fees, taker_e10=0))
    progress = replace(desk.progress(fresh(1, 1_000)), goal=goal)
    for short_e6, price in ((0, 5_000), (1, None)):
        rule = Taking(shift_e6=50_000 - value - short_e6)
        assert price_to_take(progress, progress.slices[0], desk.view, rule) == price


def test_a_cheap_offer_is_taken_whole_and_the_fee_counts() -> None:
    """45 s left, V 1.89 c. At 49/50 taking costs .5 c and 1.75 c of fee: too dear. At 90/91 the fee is .58 c: taken, up
    to the price that is still worth it (0.92: 1.5 + .52 c), all ten contracts though only twenty stand at the touch."""
    assert taken(desk_at(49, 50), at_s=HORIZON_S - 45) is None
    assert taken(desk_at(90, 91), at_s=HORIZON_S - 45) == (9_100, 1_000)
    roomy = desk_at(90, 91, CALM, **{"taking.shift_e6": 5_000})
    assert taken(roomy, at_s=HORIZON_S - 45) == (9_200, 1_000)


@pytest.mark.parametrize(
    ("settings", "change", "takes"),
    [
        ({}, {}, False),  # 45/47: 1 c and 1.75 c of fee, against 1.23 to 2.67 c
        ({}, {"imbalance_ppm": 1_000_000}, False),  # worth half a cent
        ({"taking.imbalance_e6": 20_000}, {"imbalance_ppm": 1_000_000}, True),
        ({}, {"ofi_z_ppm": 3_000_000}, False),
        ({}, {"imbalance_ppm": 1_000_000, "ofi_z_ppm": 3_000_000}, True),  # .98 c together
        ({"taking.flow_e6": 0}, {"imbalance_ppm": 1_000_000, "ofi_z_ppm": 3_000_000}, False),
        ({"taking.imbalance_e6": 0}, {"imbalance_ppm": 1_000_000, "ofi_z_ppm": 3_000_000}, False),
        ({}, {"touch_cost_120s_e6": 43_000}, True),  # dearer than usual by 1.5 c: .9 c more
        ({"taking.usual_weight_ppm": 0}, {"touch_cost_120s_e6": 43_000}, False),
        ({}, {"touch_cost_120s_e6": 43_000, "ofi_z_ppm": None}, True),
        ({"taking.shift_e6": 9_000}, {}, True),
        ({}, {"mid_mean_60s_e5": 36_000}, False),  # ten cents above its mean
        ({"taking.trend_ppm": 100_000}, {"mid_mean_60s_e5": 36_000}, True),  # a cent more to come
        ({"taking.trend_ppm": -100_000}, {"mid_mean_60s_e5": 56_000}, True),
    ],
)
def test_each_part_of_the_rule_counts_and_can_be_left_out(
    settings: dict[str, object], change: dict[str, object], takes: bool
) -> None:
    """45 s before the end, in a market of 45/47."""
    desk = desk_at(45, 47, replace(CALM, **change), **settings)
    assert (taken(desk, at_s=HORIZON_S - 45) is not None) is takes


@pytest.mark.parametrize("change", [{"touch_mean_60s_e2": 200_001}, *({name: None} for name in NEEDED)])
def test_nothing_is_taken_from_a_deep_book_or_in_a_market_that_is_not_known(change: dict[str, object]) -> None:
    """More than two thousand contracts stand at a touch, or nobody has watched for two minutes."""
    assert taken(desk_at(90, 91, replace(CALM, touch_mean_60s_e2=CountE2(200_000))), at_s=60) is not None
    assert taken(desk_at(90, 91, replace(CALM, **change)), at_s=60) is None
    assert taken(desk_at(90, 91, None), at_s=60) is None


def test_a_fast_market_has_settings_of_its_own() -> None:
    """From the ratio on: the mid strays by what taking costs, here 2.8 c. Its quote begins lower and comes down later,
    and what is taken there is taken by its own rule, or nothing is; a market that is not known is not fast."""
    groups = {"fast.down_ticks": 4, "down_ticks": 1, "patient_until_s": 100}
    for deviation, is_fast in ((2_799, False), (2_800, True), (None, False)):
        signals = replace(CALM, mid_deviation_e5=deviation)
        quoting = desk_at(40, 50, signals, **groups)
        assert [wish.price_e4 for wish in quoting.wishes() if isinstance(wish, PlaceAction)] == [
            4_300 if is_fast else 4_600
        ]
        down = quoting.wishes(resting(4_600)), quoting.wishes(resting(4_700))
        assert (down[0] == (), down[1] == ()) == (True, False)
        assert (quoting.wishes(resting(4_600 if is_fast else 4_700)) == ()) is is_fast
        never = desk_at(90, 91, signals, **groups)
        assert (taken(never, at_s=60) is None) is is_fast
        own = desk_at(90, 91, signals, **groups, **{"fast_taking.shift_e6": -10_000})
        assert taken(own, at_s=60) == (None if is_fast else (9_100, 1_000))
        assert taken(desk_at(90, 91, signals, **groups, **{"fast_taking.every_s": 3}), at_s=60) == (9_100, 1_000)


def test_the_quote_is_withdrawn_before_anything_is_taken() -> None:
    """A cancel, and nothing else until it has ended; then one immediate order; then the quote for a second."""
    desk = desk_at(90, 91)
    assert desk.wishes(resting(9_000), at_s=60) == (CancelAction(level=1),)
    assert desk.wishes(resting(9_000, busy=True), at_s=60) == ()
    half = replace(fresh(1, 1_000), free_e2=CountE2(400), filled_e2=CountE2(600), sent=1, last_placed_at_us=59 * S)
    assert desk.wishes(half, at_s=60) == (
        PlaceAction(level=1, price_e4=PriceE4(9_100), count_e2=CountE2(400), time_in_force="immediate_or_cancel"),
    )
    (wish,) = desk.wishes(replace(half, last_placed_at_us=59 * S + 1), at_s=60)
    assert isinstance(wish, PlaceAction)
    assert wish.post_only, "the quote comes back before the next taking"


def test_taking_leaves_the_closing_leg_its_writes() -> None:
    """Of twelve, withdrawing to take needs three and the closing leg two; with no order working, one and two."""
    desk = desk_at(90, 91)
    assert desk.wishes(resting(9_000), at_s=60, writes=7) == (CancelAction(level=1),)
    assert not any(isinstance(wish, CancelAction) for wish in desk.wishes(resting(9_000), at_s=60, writes=8))
    assert desk.wishes(at_s=60, writes=9) != ()
    assert desk.wishes(at_s=60, writes=10) == ()


@pytest.mark.parametrize(
    "trouble", [{"feed": "stale"}, {"status": "paused"}, {"bids": ()}, {"bids": ladder((5_000, 20))}]
)
def test_nothing_is_taken_from_a_book_that_cannot_be_trusted(trouble: dict[str, object]) -> None:
    """Not live, not open, one-sided, or blown apart (41 c where 1 c was usual)."""
    desk = desk_at(90, 91)
    arrival = desk.view
    desk.view = replace(desk.view, **trouble)
    desk.goal = desk.goal_of(target=9_000, worst=9_900, arrival=arrival)
    assert not any(
        isinstance(wish, PlaceAction) and wish.time_in_force == "immediate_or_cancel" for wish in desk.wishes(at_s=60)
    )


@hypothesis_settings(max_examples=300, deadline=None)
@given(
    bid=st.integers(1, 97),
    spread=st.integers(1, 20),
    room=st.integers(0, 12),
    left_s=st.integers(0, 100),
    imbalance=st.integers(0, 1_000_000),
    flow=st.integers(-3_000_000, 3_000_000),
    usual=st.integers(0, 90_000),
    working=st.none() | st.integers(1, 98),
    writes=st.integers(0, 12),
)
def test_what_is_taken_is_worth_it_and_within_the_limits(
    bid: int,
    spread: int,
    room: int,
    left_s: int,
    imbalance: int,
    flow: int,
    usual: int,
    working: int | None,
    writes: int,
) -> None:  # fmt: skip
    """Never above the worst price nor the cap, never more than is left, up to the last price that pays: reckoned in
    exact fractions from the words of the rule."""
    ask = min(99, bid + spread)
    signals = replace(CALM, imbalance_ppm=imbalance, ofi_z_ppm=flow, touch_cost_120s_e6=usual)
    desk = desk_at(bid, ask, signals)
    desk.goal = desk.goal_of(target=bid * 100, worst=min(9_900, (bid + room) * 100))
    parts = () if working is None else (resting(working * 100),)
    fair = (bid + ask) / 2 + (imbalance / 1e6 - 0.5) + 0.16 * flow / 1e6
    table = {2: 2.67, 6: 2.43, 15: 2.19, 30: 1.95, 60: 1.83, 110: 1.59, 180: 1.23}
    times = sorted(table)
    below = max((t for t in times if t <= max(2, left_s)), default=2)
    above = min((t for t in times if t > below), default=below)
    share = 0 if above == below else (max(2, left_s) - below) / (above - below)
    worth = fair + table[below] + share * (table[above] - table[below]) + 0.6 * (usual / 1e4 - 2.8)
    for wish in desk.wishes(*parts, at_s=HORIZON_S - left_s, writes=writes):
        if isinstance(wish, AmendAction | CancelAction):
            assert writes + (3 if isinstance(wish, CancelAction) else 1) + 2 <= 12
            continue
        assert isinstance(wish, PlaceAction)
        assert wish.price_e4 <= desk.goal.limits.worst_e4
        assert wish.count_e2 == 1_000
        if wish.time_in_force == "immediate_or_cancel":
            assert desk.goal.fees.all_in(wish.price_e4, taker=True) <= desk.goal.limits.cap_e6
            assert wish.price_e4 >= ask * 100
            assert dear(wish.price_e4 // 100) <= worth + 0.0003
            above_it = wish.price_e4 // 100 + 1
            assert wish.price_e4 == desk.goal.limits.worst_e4 or above_it > 99 or dear(above_it) > worth - 0.0003
        elif writes <= 7:
            assert ask * 100 > desk.goal.limits.worst_e4 or dear(ask) > worth - 0.0003, "it was worth it"


def dear(cents: int) -> float:
    """Price and taker fee in cents."""
    return cents + 7 * cents / 100 * (1 - cents / 100)


@pytest.mark.parametrize("settings", [{"taking.every_s": 0}, {"taking.value_2s_e6": 2_000_000}, {"taking.gate": 1}])
def test_a_rule_out_of_bounds_is_refused(settings: dict[str, object]) -> None:
    """One line that names the key."""
    with pytest.raises(UserError, match="taking"):
        SHIPPED_FAMILIES["deadline_walker"].method("mine", 1, settings)


def test_settings_of_fast_markets_are_refused_where_no_market_is_fast() -> None:
    """They would be stored, shown, and change nothing."""
    family = SHIPPED_FAMILIES["deadline_walker"]
    with pytest.raises(UserError, match="fast_taking without fast"):
        family.method("mine", 1, {"fast_taking.shift_e6": 1_000})
    family.method("mine", 1, {"fast": {}, "fast_taking.shift_e6": 1_000})
