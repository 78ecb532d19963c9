"""Nothing gets below the bound: random books, flow and orders on the exchange's own matching, reckoned anew by hand."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from fsm_exec.core.market.book import Book
from fsm_exec.core.market.fees import FeeTerms, fee_terms
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, in_outcome, opposite
from fsm_exec.lab.experiment.cost_bound import bound_e7
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order
from fsm_exec.lab.experiment.static_price import limit_e7, static_e7
from fsm_exec.lab.experiment.tape_index import TapeIndex
from fsm_exec.paper.matching_engine.fill_models import FILL_MODELS
from fsm_exec.paper.matching_engine.market_book import BookEvent, MarketBook, Match
from fsm_exec.paper.matching_engine.orders import Order as PaperOrder
from fsm_exec.paper.matching_engine.price_level import QueueModel
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, Trade, tape_header

SEED, WORLDS = 20_261_123, 400
START_US, HORIZON_US = 1_000, 1_000
QUEUE_MODELS: tuple[QueueModel, ...] = ("proportional", "conservative")
CONDITIONS = [
    Conditions(queue_model=queue, fill_model=fills, latency_us=0) for queue in QUEUE_MODELS for fills in FILL_MODELS
]
GRIDS = {"linear_cent": 100, "deci_cent": 10}
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")


class World(msgspec.Struct, frozen=True):
    """A market of some thirty events, and what is wanted in it."""

    tape: Tape
    start: EpisodeStart
    order: Order
    fees: FeeTerms
    mid_e5: int
    step: int
    conditions: Conditions


def world(rng: random.Random) -> World:
    """Thin levels around 45 cents, counts down to a hundredth of a contract, sides that empty, snapshots meanwhile;
    most trades are followed by the decrease they caused."""
    grid = rng.choice(list(GRIDS))
    step = GRIDS[grid]
    opening = snapshot(rng, step)
    while not (opening.yes and opening.no):
        opening = snapshot(rng, step)
    events: list[tuple[int, Change]] = [(0, opening)]
    book = Book(opening.yes, opening.no)
    owed: BookDelta | None = None
    for at_us in sorted(rng.sample(range(1, START_US + HORIZON_US + 200), 30)):
        change = following(rng, book, step) if owed is None else owed
        owed = None
        if change is None:
            continue
        if isinstance(change, Trade) and rng.random() < 0.6:
            hit = opposite(change.taker)
            owed = BookDelta(hit, in_outcome(change.yes_price_e4, hit), CountE2(-change.count_e2))
        if isinstance(change, BookSnapshot):
            book = Book(change.yes, change.no)
        elif isinstance(change, BookDelta):
            book.change(change.outcome, change.price_e4, change.delta_e2)
        events.append((at_us, change))
    first = next((n for n, (at_us, _) in enumerate(events) if at_us > START_US), len(events))
    tape = Tape(tape_header("KXLAB-A-1", grid, category="Test"), tuple(events))
    standing = book_at(tape, START_US)
    stated = BookSnapshot(tuple(standing.yes.items()), tuple(standing.no.items()))
    return World(
        tape=tape,
        start=EpisodeStart(number=0, at_us=START_US, opening=stated, first=first, book=stated),
        order=Order(outcome=rng.choice(OUTCOMES), quantity_e2=count(rng), horizon_us=HORIZON_US),
        fees=fee_terms(rng.choice(["quadratic", "quadratic_with_maker_fees"]), Decimal(rng.choice([0, 1, 2]))),
        mid_e5=45_000,
        step=step,
        conditions=rng.choice(CONDITIONS),
    )


def book_at(tape: Tape, until_us: int) -> Book:
    """The recorded book when everything up to then has happened."""
    book = Book()
    for at_us, change in tape.events:
        if at_us > until_us:
            break
        if isinstance(change, BookSnapshot):
            book = Book(change.yes, change.no)
        elif isinstance(change, BookDelta):
            book.change(change.outcome, change.price_e4, change.delta_e2)
    return book


def count(rng: random.Random) -> CountE2:
    return CountE2(rng.choice([1, 7, 50, 100, 300, 1_000]))


def snapshot(rng: random.Random, step: int) -> BookSnapshot:
    """Up to three levels a side; never crossed: YES bids below 45 cents, NO bids at most at 55."""
    yes = {PriceE4(4_500 - step * rng.randint(1, 6)): count(rng) for _ in range(rng.randint(0, 3))}
    no = {PriceE4(5_500 - step * rng.randint(0, 6)): count(rng) for _ in range(rng.randint(0, 3))}
    return BookSnapshot(tuple(yes.items()), tuple(no.items()))


def following(rng: random.Random, book: Book, step: int) -> Change | None:
    """What may happen to this book next; None if what was drawn may not."""
    outcome = rng.choice(OUTCOMES)
    levels = book.bids(outcome)
    draw = rng.random()
    if draw < 0.08:
        return snapshot(rng, step)
    if draw < 0.5:
        price = (
            PriceE4(4_500 + step * rng.randint(-6, 6))
            if outcome == "yes"
            else PriceE4(5_500 - step * rng.randint(-6, 6))
        )
        added = count(rng)
        book.change(outcome, price, added)
        crossed = book.is_crossed()
        book.change(outcome, price, CountE2(-added))
        return None if crossed else BookDelta(outcome, price, added)
    if not levels:
        return None
    price, standing = levels[0] if draw < 0.8 else rng.choice(levels)
    part = CountE2(rng.randint(1, standing))
    if draw < 0.8:
        return Trade("no" if outcome == "yes" else "yes", price if outcome == "yes" else PriceE4(10_000 - price), part)
    return BookDelta(outcome, price, CountE2(-part))


def all_in(price_e4: int, fees: FeeTerms, *, taker: bool) -> Fraction:
    """A contract with its fee, in dollars, not rounded."""
    price = Fraction(price_e4, 10**4)
    return price + Fraction(fees.taker_e10 if taker else fees.maker_e10, 10**10) * price * (1 - price)


def least(world: World) -> Fraction:
    """The bound reckoned hundredth by hundredth, in dollars."""
    mine, other = world.order.outcome, opposite(world.order.outcome)
    units: list[tuple[Fraction, int]] = []

    def offered(price: int, number: int, *, taker: bool) -> None:
        units.extend([(all_in(price, world.fees, taker=taker), price)] * number)

    for price, number in world.start.book.yes if other == "yes" else world.start.book.no:
        offered(10_000 - price, number, taker=True)
    for at_us, change in world.tape.events:
        if not START_US < at_us <= START_US + HORIZON_US:
            continue
        if isinstance(change, BookDelta) and change.outcome == other and change.delta_e2 > 0:
            offered(10_000 - change.price_e4, change.delta_e2, taker=False)
        elif isinstance(change, BookSnapshot):
            for price, number in change.yes if other == "yes" else change.no:
                offered(10_000 - price, number, taker=False)
        elif isinstance(change, Trade) and change.taker == other:
            offered(
                change.yes_price_e4 if mine == "yes" else 10_000 - change.yes_price_e4, change.count_e2, taker=False
            )
    wanted = world.order.quantity_e2
    standing = book_at(world.tape, START_US + HORIZON_US).bids(other)
    beyond = min(10_000 - standing[0][0] + 200, 9_900) if standing else 9_900
    offered(beyond, max(0, wanted - sum(number for _, number in standing)), taker=True)
    units.sort()
    cost = sum((each for each, _ in units[:wanted]), Fraction(0))
    return cost / 100 - Fraction(wanted * world.mid_e5, 100 * 10**5)


def a_random_method(rng: random.Random, world: World) -> Fraction:
    """The shortfall of an order that is placed, moved, lowered, withdrawn and sent to take at whim, without any delay;
    at the deadline the rest is taken from what is displayed then."""
    book = MarketBook(world.conditions.queue_model, world.conditions.fill_model)
    book.record_snapshot(world.start.opening.yes, world.start.opening.no)
    mine = world.order.outcome
    paid, left = Fraction(0), int(world.order.quantity_e2)
    resting: PaperOrder | None = None

    def account(happened: list[BookEvent], ours: PaperOrder | None) -> None:
        nonlocal paid, left
        for each in happened:
            if isinstance(each, Match) and ours is not None and ours in (each.maker, each.taker):
                taker = each.taker is ours
                price = 10_000 - each.price_e4 if taker else each.price_e4
                paid += all_in(price, world.fees, taker=taker) * Fraction(each.count_e2, 100)
                left -= each.count_e2

    def act() -> None:
        nonlocal resting
        if resting is not None and not resting.remaining_e2:
            resting = None
        whim = rng.random()
        if resting is not None and whim < 0.15:
            lower = CountE2(rng.randint(1, resting.remaining_e2))
            book.reduce(resting, lower)
            return
        if whim < 0.4:
            return
        if resting is not None:
            book.cancel(resting)
            resting = None
        if left and whim < 0.95:
            sent = order_at(rng, world, rng.randint(1, left))
            account(book.submit(sent), sent)
            if sent.remaining_e2 and sent.time_in_force == "good_till_canceled":
                resting = sent

    for at_us, change in world.tape.events[world.start.first :]:
        if at_us > START_US + HORIZON_US:
            break
        act()
        match change:
            case BookDelta():
                account(book.record_change(change.outcome, change.price_e4, change.delta_e2, at_us), resting)
            case Trade():
                account(book.record_trade(change.taker, change.yes_price_e4, change.count_e2), resting)
            case BookSnapshot():
                account(book.record_snapshot(change.yes, change.no, at_us), resting)
    act()
    last = 9_700
    for bid, number in reversed(book.displayed("no" if mine == "yes" else "yes")):
        last = 10_000 - bid
        taken = min(left, number)
        paid += all_in(last, world.fees, taker=True) * Fraction(taken, 100)
        left -= taken
    paid += all_in(min(last + 200, 9_900), world.fees, taker=True) * Fraction(left, 100)
    return paid - Fraction(world.order.quantity_e2 * world.mid_e5, 100 * 10**5)


def order_at(rng: random.Random, world: World, remaining: int) -> PaperOrder:
    centre = 4_500 if world.order.outcome == "yes" else 5_500
    return PaperOrder(
        number=1,
        order_id="whim",
        account_id="whim",
        client_order_id="whim",
        ticker="",
        outcome=world.order.outcome,
        price_e4=PriceE4(centre + world.step * rng.randint(-7, 7)),
        initial_e2=CountE2(remaining),
        remaining_e2=CountE2(remaining),
        time_in_force=rng.choice(["good_till_canceled", "good_till_canceled", "immediate_or_cancel"]),
        self_trade_prevention="taker_at_cross",
        post_only=False,
        expiration_us=None,
        cancel_on_pause=False,
        created_us=0,
        updated_us=0,
    )


@pytest.mark.parametrize("part", range(2))
def test_nothing_gets_below_the_bound(part: int) -> None:
    """The bound is what a reckoning hundredth by hundredth says, to the last digit; and neither orders moved at whim,
    under any fill model, nor the best single price ever cost less."""
    rng = random.Random(SEED + part)
    near = 0
    for number in range(WORLDS):
        drawn = world(rng)
        where = f"seed {SEED + part}, world {number}"
        exact = least(drawn) * 10**7
        found = bound_e7(TapeIndex(drawn.tape), drawn.start, drawn.order, drawn.fees, drawn.mid_e5, drawn.conditions)
        assert found <= exact < found + 1, where
        costs = [a_random_method(rng, drawn) * 10**7 for _ in range(5)]
        assert min(costs) >= exact, where
        near += min(costs) == exact
        grid = drawn.tape.header.grid
        price = PriceE4(4_500 if drawn.order.outcome == "yes" else 5_500)
        args = (TapeIndex(drawn.tape), drawn.start, drawn.order, drawn.fees)
        one = limit_e7(*args, drawn.mid_e5, price, drawn.conditions)
        assert found <= static_e7(*args, grid, drawn.mid_e5, price, drawn.conditions) <= one, where
    assert near > WORLDS // 50, f"seed {SEED + part}: the bound was hardly ever reached: {near}"
