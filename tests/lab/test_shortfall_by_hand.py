"""What a run costs, reckoned anew from its fills and the tape alone: no metrics, no exchange, no view."""

from __future__ import annotations

from functools import partial

import pytest

from fsm_exec.core.values.units import US_PER_S, CountE2, Outcome, opposite
from fsm_exec.lab.experiment.deadline_asks import DeadlineAsks
from fsm_exec.lab.experiment.episode_runner import SEED, _Faults, _measured, _work, run_episode
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order, find_starts
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape
from fsm_exec.paper_session import PaperExchange
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import EndedExecution

CONDITIONS = Conditions()
AT_US = 1_767_625_200_000_000
TAPE_SEED = 5
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")
METHODS = ("simple_limit", "join_bid", "market", "marketable", "twap", "adaptive_limit", "deadline_walker")


def asks_at(tape: Tape, outcome: Outcome, ended: EndedExecution, until_us: int) -> list[tuple[int, int]]:
    """What was offered, best first, less what this execution had got of each level: a decrease of the tape takes away
    first what was gone already."""
    seller = opposite(outcome)
    recorded: dict[int, int] = {}
    gone: dict[int, int] = {}
    fills = sorted(ended.execution.fills, key=lambda fill: fill.traded_at_us)

    def got(upto_us: int) -> None:
        while fills and fills[0].traded_at_us <= upto_us:
            fill = fills.pop(0)
            if fill.is_taker:
                bid = 10_000 - fill.price_e4
                gone[bid] = gone.get(bid, 0) + fill.count_e2

    for at_us, change in tape.events:
        if at_us > until_us:
            break
        told_us = at_us - at_us % 1_000  # fills tell milliseconds
        got(told_us - 1)
        if isinstance(change, BookSnapshot):
            recorded, gone = dict(change.no if seller == "no" else change.yes), {}
        elif isinstance(change, BookDelta) and change.outcome == seller:
            price, delta = change.price_e4, int(change.delta_e2)
            recorded[price] = recorded.get(price, 0) + delta
            if delta < 0:
                gone[price] = max(0, gone.get(price, 0) + delta)
            else:  # an ask that came to a bid of ours
                mine = [
                    f for f in fills if not f.is_taker and f.traded_at_us == told_us and f.price_e4 >= 10_000 - price
                ]
                gone[price] = gone.get(price, 0) + min(delta, sum(f.count_e2 for f in mine))
    got(until_us)
    left = {price: count - gone.get(price, 0) for price, count in recorded.items()}
    return [(10_000 - price, count) for price, count in sorted(left.items(), reverse=True) if count > 0]


def mid_e5(tape: Tape, outcome: Outcome, until_us: int) -> int:
    books: dict[str, dict[int, int]] = {"yes": {}, "no": {}}
    for at_us, change in tape.events:
        if at_us > until_us:
            break
        if isinstance(change, BookSnapshot):
            books = {"yes": dict(change.yes), "no": dict(change.no)}
        elif isinstance(change, BookDelta):
            book = books[change.outcome]
            book[change.price_e4] = book.get(change.price_e4, 0) + change.delta_e2
            if not book[change.price_e4]:
                del book[change.price_e4]
    own, other = (books["yes"], books["no"]) if outcome == "yes" else (books["no"], books["yes"])
    return (max(own) + 10_000 - max(other)) * 5


def fee_e6(price_e4: int, count_e2: int) -> int:
    """7 % of p (1 - p), rounded up to a millionth of a dollar."""
    return -(-7 * count_e2 * price_e4 * (10_000 - price_e4) // 10**6)


def shortfall_e7(tape: Tape, start: EpisodeStart, order: Order, ended: EndedExecution) -> int:
    """Paid and billed, and the rest taken at the deadline: the levels one by one, then two cents above the last."""
    fills = ended.execution.fills
    paid_e6 = sum(fill.count_e2 * fill.price_e4 + fill.fee_e6 for fill in fills)
    left = order.quantity_e2 - sum(fill.count_e2 for fill in fills)
    last = 9_900
    deadline_us = start.at_us + order.horizon_us
    for price, count in asks_at(tape, order.outcome, ended, deadline_us - CONDITIONS.feed_us) if left else ():
        taken, last = min(left, count), price
        paid_e6 += taken * price + fee_e6(price, taken)
        left -= taken
    if left:
        price = min(last + 200, 9_900)
        paid_e6 += left * price + fee_e6(price, left)
    arrival_e5 = mid_e5(tape, order.outcome, start.at_us - CONDITIONS.feed_us)
    return paid_e6 * 10 - order.quantity_e2 * arrival_e5


@pytest.mark.parametrize("name", METHODS)
def test_a_cost_is_what_the_fills_and_the_book_at_the_deadline_say(name: str) -> None:
    """To the last digit, for both outcomes, small orders and such as no book can fill, also where the method gave up
    long before the deadline; each fill has one cause, and what is filled before the closing leg is all but that leg's
    own order."""
    tape = generate(TAPE_SEED, 2_400, profile="index", start_us=AT_US)
    starts = find_starts(tape, 700 * US_PER_S, CONDITIONS)
    method = resolve(name)
    unfilled = 0
    for start in starts[:2]:
        for outcome in OUTCOMES:
            for contracts in (20, 3_000):
                order = Order(outcome=outcome, quantity_e2=CountE2(contracts * 100), horizon_us=40 * US_PER_S)
                faults = _Faults()
                ended, fills = run_virtual(
                    partial(_work, tape, start, order, method, CONDITIONS, faults, PaperExchange.directly), seed=SEED
                )
                assert ended.metrics is not None
                run = _measured(ended, ended.metrics, fills, "")
                where = f"tape {TAPE_SEED}, {start.at_us}, {order}"
                assert run.shortfall_e7 == shortfall_e7(tape, start, order, ended), where
                assert run.fills.total_e2 == run.filled_e2, where
                closes_us = start.at_us + order.horizon_us - (method.closing_lead_us or 0)
                late = [c for c in ended.execution.children if method.closing_lead_us and c.sent_at_us >= closes_us]
                assert run.filled_e2 - run.before_close_e2 == sum(child.filled_e2 for child in late), where
                unfilled += run.filled_e2 < order.quantity_e2
    assert unfilled, "every order was filled: completion was never reckoned"


def test_the_rest_is_priced_as_if_the_order_had_gone() -> None:
    """Under a model that withholds makers: a limit that only rests is completed from the tape's own book, which the
    engine does not see whole while the order stands."""
    tape = generate(TAPE_SEED, 2_400, profile="index", start_us=AT_US)
    conditions, method = Conditions(fill_model="trades"), resolve("passive_mid")
    withheld = 0
    for start in find_starts(tape, 300 * US_PER_S, conditions):
        for outcome in OUTCOMES:
            order = Order(outcome=outcome, quantity_e2=CountE2(2_000), horizon_us=40 * US_PER_S)
            faults, asks = _Faults(), DeadlineAsks()
            work = partial(_work, tape, start, order, method, conditions, faults, PaperExchange.directly, asks)
            ended, fills = run_virtual(work, seed=SEED)
            assert ended.metrics is not None
            seen_e7 = _measured(ended, ended.metrics, fills, "").shortfall_e7
            run = run_episode(tape, start, order, method, conditions)
            assert run.shortfall_e7 == shortfall_e7(tape, start, order, ended), f"tape {TAPE_SEED}, {start.at_us}"
            assert run.shortfall_e7 <= seen_e7
            withheld += run.shortfall_e7 < seen_e7
    assert withheld, "no maker was ever withheld at a deadline"
