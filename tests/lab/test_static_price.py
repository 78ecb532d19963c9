"""The static price against a plain reckoning that shows every event of the tape to the whole book."""

from __future__ import annotations

import random

import msgspec
import pytest

from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.completion import completion_cost
from fsm_exec.core.values.units import CountE2, PriceE4, PriceGrid, complement, opposite
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart
from fsm_exec.lab.experiment.static_price import limit_e7, static_e7
from fsm_exec.lab.experiment.tape_index import TapeIndex
from fsm_exec.paper.matching_engine.market_book import BookEvent, MarketBook, Match
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, Trade
from tests.lab.test_cost_bound_properties import HORIZON_US, START_US, World, order_at, world

SEED, WORLDS = 20_261_130, 300
AFTER: tuple[int, BookDelta] = (START_US + 10 * HORIZON_US, BookDelta("yes", PriceE4(100), CountE2(1)))


def drawn_world(rng: random.Random) -> World:
    """A world with latencies too, some longer than the horizon, whose tape goes on after the last moment."""
    drawn = world(rng)
    conditions = Conditions(
        queue_model=rng.choice(["proportional", "conservative"]), latency_us=rng.choice([0, 2, 100, 300, 1_500])
    )
    tape = Tape(drawn.tape.header, (*drawn.tape.events, AFTER))
    return msgspec.structs.replace(drawn, tape=tape, conditions=conditions)


def plain_limit_e7(drawn: World, price: PriceE4) -> int:
    """One limit order at `price`, event by event."""
    start, order, conditions, fees = drawn.start, drawn.order, drawn.conditions, drawn.fees
    book = MarketBook(conditions.queue_model)
    book.record_snapshot(start.opening.yes, start.opening.no)
    mine = order_at(random.Random(0), drawn, order.quantity_e2)
    mine.price_e4, mine.time_in_force = price, "good_till_canceled"
    entered = False
    asks: Ladder | None = None
    paid_e6 = 0

    def pay(happened: list[BookEvent]) -> None:
        nonlocal paid_e6
        for each in happened:
            if isinstance(each, Match) and mine in (each.maker, each.taker):
                taker = each.taker is mine
                at = complement(each.price_e4) if taker else each.price_e4
                paid_e6 += at * each.count_e2 + fees.model_fee(at, each.count_e2, taker=taker)

    for at_us, change in drawn.tape.events[start.first :]:
        if not entered and at_us > start.at_us + conditions.latency_us:
            pay(book.submit(mine))
            entered = True
        if asks is None and at_us > start.at_us + order.horizon_us - conditions.feed_us:
            asks = tuple((complement(p), n) for p, n in reversed(book.displayed(opposite(order.outcome))))
        if at_us > start.at_us + order.horizon_us + conditions.latency_us:
            break
        if isinstance(change, BookDelta):
            pay(book.record_change(change.outcome, change.price_e4, change.delta_e2))
        elif isinstance(change, BookSnapshot):
            pay(book.record_snapshot(change.yes, change.no))
        else:
            pay(book.record_trade(change.taker, change.yes_price_e4, change.count_e2))
    completion_e6, _ = completion_cost(asks or (), mine.remaining_e2, fees)
    return (paid_e6 + completion_e6) * 10 - order.quantity_e2 * drawn.mid_e5


def prices_from(worst: PriceE4, grid: PriceGrid) -> list[PriceE4]:
    """The prices of the grid from `worst` on down past everything that happens, and the last of all."""
    found: list[PriceE4] = [worst]
    while len(found) < 14 and (price := grid.floor(found[-1] - 1)) is not None:
        found.append(price)
    lowest = grid.floor(100)
    return found if lowest is None else [*found, lowest]


@pytest.mark.parametrize("part", range(2))
def test_only_what_concerns_an_order_decides_what_it_costs(part: int) -> None:
    """At every price the cost is that of the whole tape on the whole book, and the best of them is the static price,
    under both queue models, with orders that enter late or after the last look."""
    rng = random.Random(SEED + part)
    differ = 0
    for number in range(WORLDS):
        drawn = drawn_world(rng)
        where = f"seed {SEED + part}, world {number}"
        index, grid = TapeIndex(drawn.tape), drawn.tape.header.grid
        worst = PriceE4(4_500 if drawn.order.outcome == "yes" else 5_500)
        args = (index, drawn.start, drawn.order, drawn.fees)
        costs = [plain_limit_e7(drawn, price) for price in prices_from(worst, grid)]
        for price, cost in zip(prices_from(worst, grid), costs, strict=True):
            assert limit_e7(*args, drawn.mid_e5, price, drawn.conditions) == cost, f"{where}, {price}"
        assert static_e7(*args, grid, drawn.mid_e5, worst, drawn.conditions) == min(costs), where
        differ += len(set(costs)) > 2
    assert differ > WORLDS // 4, f"seed {SEED + part}: hardly any price made a difference"


def test_a_trade_before_the_order_came_explains_a_decrease_after() -> None:
    """20 of 50 are sold before the order joins, 30 more join behind it, and then the level falls by those 20: nobody
    ahead of it left. So 45 sold reach nothing of it."""
    drawn = world(random.Random(SEED))
    price, contract = PriceE4(4_000), 100
    stated = BookSnapshot(((price, CountE2(50 * contract)),), ((PriceE4(5_000), CountE2(50 * contract)),))
    happened: list[tuple[int, Change]] = [
        (START_US + 10, Trade("no", price, CountE2(20 * contract))),
        (START_US + 30, BookDelta("yes", price, CountE2(30 * contract))),
        (START_US + 40, BookDelta("yes", price, CountE2(-20 * contract))),
        (START_US + 50, Trade("no", price, CountE2(45 * contract))),
        AFTER,
    ]
    drawn = msgspec.structs.replace(
        drawn,
        tape=Tape(drawn.tape.header, ((0, stated), *happened)),
        start=EpisodeStart(number=0, at_us=START_US, opening=stated, first=1, book=stated),
        order=msgspec.structs.replace(drawn.order, outcome="yes", quantity_e2=CountE2(10 * contract)),
        conditions=Conditions(queue_model="proportional", latency_us=20),
    )
    unfilled, filled = plain_limit_e7(drawn, PriceE4(3_900)), plain_limit_e7(drawn, price)
    assert unfilled == filled
    found = limit_e7(TapeIndex(drawn.tape), drawn.start, drawn.order, drawn.fees, drawn.mid_e5, price, drawn.conditions)
    assert found == filled
