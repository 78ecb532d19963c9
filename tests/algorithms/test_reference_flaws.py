"""The flaws of the reference walker in what it decides, each with the behaviour that took its place. Their numbers are
those of README.md beside it; the flaws of what surrounds a decision are in test_reference_flaws_around.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import pytest
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED_FAMILIES, Method
from fsm_exec.algorithms.toolkit import apportion
from fsm_exec.core.algorithm.algorithm import Action, AmendAction, CloseAction
from fsm_exec.core.execution.events import AmendRefused, DecisionDue
from fsm_exec.core.execution.order_checks import progress_of
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, PlaceOrder, Write
from fsm_exec.core.signals.order_flow import ReferenceMomentum
from fsm_exec.core.signals.signal_tracker import SignalTracker
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.signals.sweep_cost import SweepWatch
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, MoneyE6, Outcome, PriceE4, PriceGrid, PriceRange
from fsm_exec.kalshi.translate import create_order
from fsm_exec.lab.algorithm_checks.stage import FEES, STEP_US, T0_US, Frame, Stage, submitted, view_of

S = 1_000_000
WALKER = "dynamic_depth_walker"
TAPERED = PriceGrid(
    (
        PriceRange(PriceE4(0), PriceE4(1_000), PriceE4(10)),
        PriceRange(PriceE4(1_000), PriceE4(9_000), PriceE4(100)),
        PriceRange(PriceE4(9_000), PriceE4(10_000), PriceE4(10)),
    )
)
BIDS = ((4_400, 30), (4_300, 60))
ASKS = ((5_000, 100),)


def frame(
    bids: tuple[tuple[int, int], ...] = BIDS,
    asks: tuple[tuple[int, int], ...] = ASKS,
    *,
    signals: Mapping[str, int] | None = None,
) -> Frame:
    """Prices in ten-thousandths, counts in contracts; the signals as they are named."""
    sides = [tuple((PriceE4(price), CountE2(count * 100)) for price, count in side) for side in (bids, asks)]
    return Frame(sides[0], sides[1], signals=None if signals is None else replace(Signals(at_us=0), **signals))


RISING = {"seed_momentum_ppm": 900_000}


def stage(
    frame_at: Callable[[int], Frame],
    name: str = WALKER,
    settings: Mapping[str, object] | None = None,
    *,
    contracts: int = 10,
    horizon_s: int = 60,
    target: int = 4_500,
    worst: int = 6_000,
    grid: PriceGrid = LINEAR_CENT,
    outcome: Outcome = "yes",
    edge: Edge | None = None,
    seed: int = 1,
    hits: int = 0,
    faults: int = 0,
    latency_steps: int = 1,
) -> Stage:
    """Core under `name`, on a book that is `frame_at(step)`; the stage checks the invariants at every step."""

    def fresh() -> Method:
        return SHIPPED_FAMILIES[name].method(name, 1, settings or {})

    first = submitted(
        contracts * 100,
        frame_at(0),
        horizon_us=horizon_s * S,
        target_e4=target,
        worst_e4=worst,
        grid=grid,
        outcome=outcome,
        edge=edge,
    )
    return Stage(
        first=first,
        frame_at=frame_at,
        fresh=fresh,
        dice=Random(seed),
        hits_in_100=hits,
        faults_in_100=faults,
        latency_steps=latency_steps,
    )


def ran(*args: object, **kwargs: object) -> Stage:
    """A stage that has run to its end."""
    made = stage(*args, **kwargs)  # type: ignore[arg-type]  # its own parameters, passed on
    made.run()
    return made


def places(writes: list[Write]) -> list[PlaceOrder]:
    return [write for write in writes if isinstance(write, PlaceOrder)]


def amends(writes: list[Write]) -> list[AmendOrder]:
    return [write for write in writes if isinstance(write, AmendOrder)]


def wishes(on: Stage, seen: Frame, at_s: int) -> tuple[Action, ...]:
    """What its method wishes now, on this book."""
    at_us = T0_US + at_s * S
    view = view_of(seen, at_us, on.first.terms.grid.seen_from(on.first.outcome), None)
    return on.method.replan(progress_of(on.execution, at_us), view)


def resting(on: Stage) -> Stage:
    """The same stage, two seconds later: its first orders rest."""
    for step in range(8):
        on._new_frame(on.frame_at(step))
        on._deliver()
        on._think()
        on.now_us += STEP_US
    assert all(child.state == "resting" for child in on.execution.children)
    return on


@pytest.mark.parametrize("contracts", [1, 3, 7, 20, 100, 1_000])
def test_flaw_01_splits_lose_contracts(contracts: int) -> None:
    """60/40 of any quantity adds up to it, in whole contracts, without an empty slice."""
    parts = [part.count_e2 for part in resting(stage(lambda _: frame(), contracts=contracts)).execution.slices]
    assert sum(parts) == contracts * 100
    assert all(part > 0 and part % 100 == 0 for part in parts)
    assert sum(apportion(CountE2(contracts * 100), (60, 40))) == contracts * 100


def test_flaw_02_depth_of_competitors() -> None:
    """What decides about splitting is what is on offer up to the limit, not what others bid beside us."""
    crowded, offered = frame(((4_400, 900), (4_300, 900)), ((5_000, 49),)), frame(((4_400, 1), (4_300, 1)), ASKS)
    assert len(resting(stage(lambda _: crowded)).execution.slices) == 1
    assert len(resting(stage(lambda _: offered)).execution.slices) == 2


def test_flaw_03_levels_the_wrong_way_round() -> None:
    """A book sent best price last is read best price first: nothing rests at a cent."""
    sent = [(PriceE4(100 * cents), CountE2(10_000)) for cents in range(1, 45)]  # as the exchange sends it
    book = Book(sent, sent)
    assert book.bids("yes")[0][0] == book.best_bid("yes") == 4_400
    assert book.asks("yes")[0][0] == book.best_ask("yes") == 5_600
    seen = Frame(book.bids("yes", 10), book.asks("yes", 10))
    first = places(resting(stage(lambda _: seen)).sent)
    assert [order.price_e4 for order in first] == [4_400, 4_300]


def test_flaw_04_no_side_compared_the_wrong_way() -> None:
    """A NO execution thinks in NO prices throughout; the wire alone turns them into YES prices."""
    done = ran(lambda step: frame(signals=RISING), outcome="no", hits=3)
    assert {order.outcome for order in places(done.sent)} == {"no"}
    assert all(order.price_e4 <= 6_000 for order in places(done.sent))
    order = places(done.sent)[0]
    body = create_order(order)
    assert (order.price_e4, body.side, body.price) == (4_400, "ask", "0.5600")


def partly_filled(step: int) -> Frame:
    """For one step of the fifth second somebody sells two contracts at our first price."""
    return frame(BIDS, ((4_400, 2), (5_000, 100)), signals=RISING) if step == 18 else frame(signals=RISING)


def test_flaw_05_replacing_with_the_whole_quantity() -> None:
    """An order partly filled is amended with its total unchanged, so nothing can be bought twice."""
    done = ran(partly_filled)
    counts = {order.client_order_id: order.count_e2 for order in places(done.sent)}
    moved = amends(done.sent)
    sold_at_us = min(fill.traded_at_us for fill in done.fills)
    assert sold_at_us < T0_US + 6 * S
    assert len(moved) > 4, "it went on walking"
    assert all(amend.total_e2 == counts[amend.client_order_id] for amend in moved)
    assert done.execution.filled_e2 == 1_000


def test_flaw_06_fill_between_status_and_cancel() -> None:
    """An order filled while its cancel is on the way is not replaced by what was filled: the exchange's word counts."""
    races = 0
    for seed in range(40):
        done = ran(lambda _: frame(signals=RISING), "seed_walker", seed=seed, hits=30, faults=10, latency_steps=3)
        cancelled = {write.client_order_id for write in done.sent if isinstance(write, CancelOrder)}
        races += sum(done.orders[name].status == "executed" for name in cancelled)
        bought = sum(order.filled_e2 for order in done.orders.values())
        assert bought == done.execution.filled_e2 <= 1_000, f"seed {seed}"
    assert races > 5


def test_flaw_07_walking_to_the_same_price() -> None:
    """Each walk leads to another price, and an order that stays where it is costs no write."""
    done = ran(lambda _: frame(signals=RISING))
    last = {order.client_order_id: order.price_e4 for order in places(done.sent)}
    for amend in amends(done.sent):
        assert amend.price_e4 != last[amend.client_order_id]
        last[amend.client_order_id] = amend.price_e4
    assert amends(done.sent)
    still = ran(lambda _: frame(), settings={"max_walks": 0, "closing_lead_s": 0})
    assert len(still.sent) == 2 + 2, "placed, and taken off at the end"


def test_flaw_08_forgotten_fills() -> None:
    """What an order of before got still counts when the next one is sized."""
    done = ran(partly_filled, "seed_walker", hits=0)
    of_slice = [order for order in places(done.sent) if order.client_order_id.split("-")[2] == "1"]
    first = done.orders[of_slice[0].client_order_id]
    assert first.filled_e2 == 200
    assert of_slice[1].count_e2 == of_slice[0].count_e2 - 200
    assert done.execution.filled_e2 == sum(order.filled_e2 for order in done.orders.values())


def test_flaw_09_no_cap_while_walking() -> None:
    """However hard the market pulls, no order and no amend is worth more than the cap, fee included."""
    pulled = ran(
        lambda step: frame(((4_400 + 100 * (step // 16), 50), (4_300, 60)), ((5_000, 60), (9_000, 99)), signals=RISING)
    )
    limits = pulled.first.limits
    assert limits is not None
    prices = [write.price_e4 for write in pulled.sent if not isinstance(write, CancelOrder)]
    assert all(price <= limits.worst_e4 and FEES.all_in(price, taker=True) <= limits.cap_e6 for price in prices)
    assert max(prices) > 4_500


@pytest.mark.parametrize(("target", "ask", "walked"), [(500, 900, 600), (9_000, 9_400, 9_100)])
def test_flaw_10_a_cap_in_per_cent(target: int, ask: int, walked: int) -> None:
    """The room to walk is the edge in ticks: a cent is a cent at 5 as at 90 cents."""
    seen = frame(((target, 50),), ((ask, 100),), signals=RISING)
    on = resting(stage(lambda _: seen, target=target, worst=ask, contracts=1))
    (wish,) = wishes(on, seen, 10)
    assert isinstance(wish, AmendAction)
    assert wish.price_e4 == walked


@pytest.mark.parametrize("grid", [LINEAR_CENT, TAPERED])
@pytest.mark.parametrize(("bid", "ask"), [(4_400, 5_000), (930, 1_200), (8_900, 9_300)])
def test_flaw_11_steps_off_the_grid(grid: PriceGrid, bid: int, ask: int) -> None:
    """Half a cent becomes a price of the grid; and a new price refused leaves the old order working."""
    if not grid.contains(PriceE4(bid)):
        bid = int(grid.floor(bid) or 0)
    seen = frame(((bid, 50),), ((ask, 100),), signals=RISING)
    on = resting(stage(lambda _: seen, target=bid, worst=ask, contracts=2, grid=grid))
    (wish,) = wishes(on, seen, 10)
    assert isinstance(wish, AmendAction)
    assert grid.contains(wish.price_e4)
    on.now_us += 5 * S
    on.take_event(DecisionDue(at_us=on.now_us, view=view_of(seen, on.now_us, grid, None)))
    (amend,) = amends(on.sent)
    refusal = AmendRefused(at_us=on.now_us, client_order_id=amend.client_order_id, effect_id=amend.effect_id, code="x")
    on.take_event(refusal)
    assert (on.execution.children[0].state, on.execution.children[0].price_e4) == ("resting", bid)
    assert on.execution.ending is None


def test_flaw_12_walks_up_only() -> None:
    """Pressure has a sign: against us and alone above the book it steps down, and it never walks up into it."""
    on = resting(stage(lambda _: frame(), contracts=1))
    falling = {"ofi_z_ppm": -2_000_000}
    assert wishes(on, frame(((4_200, 50),), ASKS, signals=falling), 10) == (
        AmendAction(level=1, price_e4=PriceE4(4_300)),
    )
    assert wishes(on, frame(signals=falling | RISING), 50) == ()


def test_flaw_13_supply_read_as_demand() -> None:
    """More offered to us is no growth of the bids, and its order flow is against the price; more bid is the reverse."""
    for grows, sign, momentum in (("no", -1, False), ("yes", 1, True)):
        tracker = SignalTracker()
        levels = [(PriceE4(4_400), CountE2(10_000))]
        tracker.begin(levels, levels, T0_US)
        for second in range(1, 61):
            tracker.put("yes", PriceE4(4_300), CountE2(100 + second), T0_US + second * S)
        tracker.put("no" if grows == "no" else "yes", PriceE4(4_400), CountE2(40_000), T0_US + 61 * S)
        got = tracker.read("yes", T0_US + 62 * S)
        assert got.ofi_z_ppm is not None
        assert got.ofi_z_ppm * sign > 0
        assert got.seed_momentum_ppm is not None
        assert (got.seed_momentum_ppm > 100_000) is momentum


def test_flaw_15_momentum_that_only_grows() -> None:
    """A size that stays is no growth after two minutes, and one that shrinks is a negative one."""
    momentum = ReferenceMomentum()
    momentum.put(1_000, 0)
    momentum.put(2_000, 60 * S)
    assert (momentum.ppm(61 * S) or 0) > 800_000
    assert momentum.ppm(181 * S) == 0
    momentum.put(1_000, 181 * S)
    assert (momentum.ppm(182 * S) or 0) < 0


def test_flaw_16_signals_of_two_snapshots() -> None:
    """Fewer than thirty snapshots, or a book silent for five minutes, tell nothing; a one-sided book is not chased."""
    tracker = SignalTracker()
    tracker.begin([(PriceE4(4_400), CountE2(100))], [(PriceE4(4_400), CountE2(100))], T0_US)
    for second in range(1, 40):
        tracker.put("yes", PriceE4(4_400), CountE2(100 * second), T0_US + second * S)
        known = tracker.read("yes", T0_US + second * S).seed_momentum_ppm is not None
        assert known is (second >= 30), second
    assert tracker.read("yes", T0_US + 340 * S).seed_momentum_ppm is None
    on = resting(stage(lambda _: frame()))
    assert len(wishes(on, frame(signals=RISING), 10)) == 2
    for seen in (
        frame((), ASKS, signals=RISING),
        frame(BIDS, (), signals=RISING),
        replace_feed(frame(signals=RISING), "gapped"),
    ):
        assert wishes(on, seen, 10) == ()


def replace_feed(seen: Frame, feed: str) -> Frame:
    return Frame(seen.bids, seen.asks, feed=feed, signals=seen.signals)


def test_flaw_17_a_quiet_market_waits_for_ever() -> None:
    """Without any signal time alone moves the price; it ends by its deadline, and so does every order it leaves."""
    done = ran(lambda _: frame(BIDS, ((5_900, 100),)))
    assert amends(done.sent)
    ended_us = done.execution.ended_at_us
    assert ended_us is not None
    assert ended_us <= done.first.deadline_us
    for order in places(done.sent):
        if order.time_in_force == "good_till_canceled":
            assert order.expiration_s is not None
            assert order.expiration_s * S <= done.first.deadline_us + done.first.grace_us + S


def test_flaw_18_walks_counted_inside_the_loop() -> None:
    """Two slices due at once with one walk left: one of them walks, and in all there are never more than ten."""
    done = ran(lambda _: frame(BIDS, ((8_000, 100),), signals=RISING), worst=8_000, settings={"walk_interval_s": 1})
    assert done.execution.walks == len(amends(done.sent)) == 10
    odd = ran(lambda _: frame(BIDS, ((8_000, 100),), signals=RISING), worst=8_000, settings={"max_walks": 3})
    assert len(amends(odd.sent)) == 3


def test_flaw_19_orders_left_behind() -> None:
    """When walks and time have run out nothing is live, and there is a state, a reason and a result."""
    for asks in (((5_000, 100),), ((5_000, 3),), ()):
        done = ran(lambda step, asks=asks: frame(BIDS, asks, signals=RISING), settings={"max_walks": 1})
        assert done.execution.state in ("filled", "cancelled")
        assert done.execution.reason in ("completed", "no_liquidity", "deadline")
        assert all(order.status != "resting" for order in done.orders.values())


def test_flaw_26_thin_books_given_up() -> None:
    """Four contracts a level: one order inside the spread, patience, and a last order that takes what is there."""
    done = ran(lambda step: frame(((4_000, 4), (3_900, 4)), ((5_000, 4), (5_100, 4))), contracts=8)
    first, *_, last = places(done.sent)
    assert (first.price_e4, first.post_only) == (4_500, True)
    assert (last.time_in_force, last.price_e4) == ("immediate_or_cancel", 6_000)
    assert done.execution.reason == "completed"


def test_flaw_27_a_part_at_a_level_nobody_reaches() -> None:
    """With a single level beside us there is a single order, for everything."""
    (order,) = places(resting(stage(lambda _: frame(((4_400, 500),), ASKS))).sent)
    assert (order.count_e2, order.price_e4) == (1_000, 4_400)


def test_flaw_28_market_orders_without_a_price() -> None:
    """A large edge is taken by an immediate order that carries the worst price, never by one without a limit."""
    edge = Edge(probability_ppm=900_000, expected_value_e6=MoneyE6(200_000))
    for name in ("basic", "market"):
        done = ran(lambda _: frame(BIDS, ((5_000, 5), (9_000, 100))), name, worst=6_000, edge=edge)
        taken = [order for order in places(done.sent) if order.time_in_force == "immediate_or_cancel"]
        assert {order.price_e4 for order in taken} == {6_000}
        assert done.execution.filled_e2 == 500, "what stands at 0.90 is not bought"


def test_flaw_30_a_forecast_of_its_own_past() -> None:
    """The forecast comes from the books it could have swept, not from the few it did: it moves without a trade."""
    tracker = SignalTracker()
    tracker.begin([(PriceE4(4_400), CountE2(10_000))], [(PriceE4(5_400), CountE2(10_000))], T0_US)
    tracker.watch("e1", SweepWatch("yes", FEES, CountE2(1_000), T0_US + 600 * S), T0_US)
    told = []
    for second, offered in ((1, 10_000), (60, 100), (120, 100)):
        tracker.put("no", PriceE4(5_400), CountE2(offered), T0_US + second * S)
        told.append(tracker.read("yes", T0_US + second * S, "e1").ema_slippage_ppm or 0)
    assert 0 < told[1] < told[2]
    dear, cheap = {"ema_slippage_ppm": 20_001}, {"ema_slippage_ppm": 20_000}
    on = resting(stage(lambda _: frame()))
    assert wishes(on, frame(signals=RISING | cheap), 3) == ()
    assert len(wishes(on, frame(signals=RISING | dear), 3)) == 2
    assert wishes(on, frame(signals={"dry_up_ppm": 900_000}), 3) == (CloseAction(),)
