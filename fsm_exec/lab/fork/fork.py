"""What another method would have done from here: an execution's own market, again, from a moment of its journal on.

First the method that really ran works it again from the acceptance. Only if it asks for the same at the same times is
there a reason to believe what the lab says of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from fsm_exec.algorithms import Method
from fsm_exec.core.algorithm.market_view import mid_of
from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.execution import CHILD_LIVE, Execution, Fill
from fsm_exec.core.journal.replay import ReplayedRow
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.completion import completion_cost
from fsm_exec.core.values.units import CountE2, MoneyE6, format_count, format_fixed
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.experiment.fill_causes import FillsByCause
from fsm_exec.lab.fork.doings import Likeness, compare_doings, doings_of
from fsm_exec.lab.fork.forked_market import ForkedMarket
from fsm_exec.lab.fork.trying import Tried, try_method

REALLY: Final = "really"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rest, from the moment on. `cost_e7` is all in for `quantity_e2` contracts, against the mid of
    the moment, the unfilled priced at the book of the deadline; None: no book to price it by. `fills` None: nobody says
    why."""

    method: str
    quantity_e2: CountE2
    filled_e2: CountE2
    taken_e2: CountE2
    cost_e7: int | None
    fees_e6: MoneyE6
    writes: int
    state: str
    reason: str
    last_fill_us: int | None
    fills: FillsByCause | None


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """`likeness` says whether the method that ran did the same again. `outcomes`: what really was, the same method
    here, then the others; only the first two where it did not and nobody wants them anyway."""

    execution_id: str
    seq: int
    at_us: int
    method: str
    likeness: Likeness
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...]


def fork_execution(
    market: ForkedMarket,
    seq: int | None,
    ran: Method,
    others: Sequence[Method],
    *,
    conditions: Conditions,
    anyway: bool = False,
) -> Fork:
    """Try an execution again from row `seq` (None: the acceptance) by the method that ran and by others. Raises
    UserError for a row there is not, and one after which nothing was left; LabError."""
    execution = market.execution
    moment = market.history[0] if seq is None else _row(market, seq)
    before = moment.advance.execution
    at_us = moment.row.at_us
    left = CountE2(execution.target_e2 - before.filled_e2)
    if before.is_ended or before.ending is not None or left <= 0:
        raise UserError(
            f"{execution.execution_id} wanted nothing more at row {moment.row.seq}; give --at an earlier one"
        )
    again = try_method(market, ran, execution.accepted_at_us, execution.target_e2, conditions)
    likeness = compare_doings(doings_of(market.history), doings_of(again.history), execution.accepted_at_us)
    known = {(fill.order_id, fill.fill_id) for fill in before.fills}
    really = [fill for fill in execution.fills if (fill.order_id, fill.fill_id) not in known]
    writes = execution.writes - before.writes
    mid_e5 = _mid(market, at_us)
    outcomes = [_outcome(market, REALLY, execution, really, left, writes, mid_e5, None)]
    outcomes.append(_outcome_after(market, again, moment.row.seq, at_us, mid_e5))
    notes = list(market.notes)
    if likeness.holds or anyway:
        resting = [child for child in before.children if child.state in CHILD_LIVE]
        if resting and others:
            at = ", ".join(f"{format_count(c.count_e2)} at {format_fixed(c.price_e4, 2)} c" for c in resting)
            notes.append(f"the others begin with what was left, its resting order taken off at that moment ({at})")
        for method in others:
            tried = try_method(market, method, at_us, left, conditions)
            fills = tried.execution.fills
            name = method.full_name
            outcomes.append(
                _outcome(market, name, tried.execution, fills, left, tried.execution.writes, mid_e5, tried.fills)
            )
    return Fork(
        execution_id=execution.execution_id,
        seq=moment.row.seq,
        at_us=at_us,
        method=execution.method,
        likeness=likeness,
        outcomes=tuple(outcomes),
        notes=tuple(notes),
    )


def _row(market: ForkedMarket, seq: int) -> ReplayedRow:
    if not 1 <= seq <= len(market.history):
        name = market.execution.execution_id
        raise UserError(f"execution {name} has the rows 1 to {len(market.history)}; give --at one of them")
    return market.history[seq - 1]


def _outcome_after(market: ForkedMarket, again: Tried, seq: int, at_us: int, mid_e5: int | None) -> Outcome:
    """What the method that ran made of the rest here, in its own history."""
    until = again.history[:1] if seq == 1 else [one for one in again.history if one.row.at_us <= at_us]
    before = until[-1].advance.execution
    known = {(fill.order_id, fill.fill_id) for fill in before.fills}
    fills = [fill for fill in again.execution.fills if (fill.order_id, fill.fill_id) not in known]
    left = CountE2(again.execution.target_e2 - before.filled_e2)
    writes = again.execution.writes - before.writes
    causes = again.fills if not known else None
    return _outcome(market, again.execution.method, again.execution, fills, left, writes, mid_e5, causes)


def _outcome(
    market: ForkedMarket,
    name: str,
    execution: Execution,
    fills: Sequence[Fill],
    left: CountE2,
    writes: int,
    mid_e5: int | None,
    causes: FillsByCause | None,
) -> Outcome:
    filled = CountE2(sum(fill.count_e2 for fill in fills))
    fees = MoneyE6(sum(fill.fee_e6 for fill in fills))
    paid_e6 = sum(fill.count_e2 * fill.price_e4 for fill in fills) + fees
    cost_e7 = None
    rest = _rest_cost(market.book_at(execution.deadline_us), execution, CountE2(max(0, left - filled)))
    if mid_e5 is not None and rest is not None:
        cost_e7 = (paid_e6 + rest) * 10 - left * mid_e5
    return Outcome(
        method=name,
        quantity_e2=left,
        filled_e2=filled,
        taken_e2=CountE2(sum(fill.count_e2 for fill in fills if fill.is_taker)),
        cost_e7=cost_e7,
        fees_e6=fees,
        writes=writes,
        state=execution.state,
        reason=execution.reason or "",
        last_fill_us=max((fill.traded_at_us for fill in fills), default=None),
        fills=causes,
    )


def _rest_cost(book: Book, execution: Execution, unfilled: CountE2) -> MoneyE6 | None:
    """What completing it would have cost at the deadline; None: there was nothing to buy from."""
    if not unfilled:
        return MoneyE6(0)
    asks = book.asks(execution.outcome)
    return completion_cost(asks, unfilled, execution.terms.fees_at(execution.deadline_us))[0] if asks else None


def _mid(market: ForkedMarket, at_us: int) -> int | None:
    """The mid of the own outcome at that moment, without our orders."""
    execution = market.execution
    if at_us == execution.accepted_at_us and execution.arrival.trusted_mid_e5 is not None:
        return execution.arrival.trusted_mid_e5
    book = market.book_at(at_us)
    bid, ask = book.best_bid(execution.outcome), book.best_ask(execution.outcome)
    return None if bid is None or ask is None else mid_of(bid, ask)
