"""The measurement of what an execution cost: the book at its deadline, then the row of metrics.

The unfilled rest is priced by the book at the deadline, also when the execution gave up earlier; one that its user
stopped is priced when it stopped. The book is stored before the row, so the row can always be computed again.
"""

from __future__ import annotations

from typing import Final

import trio

from fsm_exec.core.algorithm.market_view import mid_of
from fsm_exec.core.costs.message_counts import MessageCounts, count_messages
from fsm_exec.core.costs.metrics import DeadlineBook, compute_child_metrics, compute_metrics, rewards_of
from fsm_exec.core.costs.rewards import UNKNOWN_REWARDS
from fsm_exec.core.costs.rows import BookRow, MetricsRow
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.ladder_codec import decode_ladder, encode_ladder
from fsm_exec.core.market.limits import LIMIT_BELOW_MARKET
from fsm_exec.core.market.position_closing import POSITION_GONE
from fsm_exec.core.values.units import (
    Outcome,
    complement,
    format_price,
    opposite,
    parse_count,
)
from fsm_exec.runtime.actor import Actor
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.inbox import InboxOverflow
from fsm_exec.runtime.services import Services

ENDED_BY_THE_MARKET: Final = frozenset({"deadline", "no_liquidity", "cap"})
LATE_MAX_US = 5_000_000  # a book taken later than this is not the deadline's any more


async def measure_unscored(execution: Execution, feed: MarketFeed | None, services: Services) -> None:
    """Measure what an earlier process left unmeasured: at the deadline, or now without its book if that is gone."""
    now_us, deadline_us = services.wall.now_us(), execution.deadline_us
    if feed is None or now_us > deadline_us or execution.filled_e2 >= execution.target_e2:
        activity, rewards = await load_activity(execution, services), await services.estimate_rewards(execution)
        await save_cost_rows(execution, compute_metrics(execution, None, activity=activity, rewards=rewards), services)
        return
    await services.wall.sleep_until_us(deadline_us)
    await measure(execution, None, feed, services)


async def record_deadline_book(actor: Actor, services: Services) -> None:
    """Store the book at the actor's deadline: the cost can be measured from then on."""
    actor.deadline_book = await _save_deadline_book(actor.execution, actor.feed, services)
    actor.measure_now.set()


async def measure_ended(actor: Actor, services: Services) -> tuple[MetricsRow, DeadlineBook | None]:
    """Wait for the deadline of an actor that has ended, if something is unfilled, and store its metrics.

    Raises what the actor raises. Events that arrive while the row is made stay in its inbox for the caller.
    """
    await _save_note(actor, services)
    if actor.execution.filled_e2 < actor.execution.target_e2 and not actor.measure_now.is_set():
        await _process_until_deadline(actor, services)
    return await measure(actor.execution, actor.deadline_book, actor.feed, services)


async def _process_until_deadline(actor: Actor, services: Services) -> None:
    """Process events until the deadline, or until everything is ended now. One may be a correction, and the deadline is
    hours away."""
    while not actor.measure_now.is_set():
        until_s = services.wall.trio_time(actor.execution.deadline_us)
        if trio.current_time() >= until_s:
            return
        try:
            await actor.process_after_end(until_s)
        except InboxOverflow:  # the listings show it again, after the deadline
            with trio.move_on_at(until_s):
                await actor.measure_now.wait()


async def _save_note(actor: Actor, services: Services) -> None:
    """Store what kept an execution from its end, if it did not get all it wanted: that there was nothing left to close,
    for how long it could not act, and that nobody offered within its limit."""
    execution = actor.execution
    if execution.filled_e2 >= execution.target_e2 or execution.ended_at_us is None:
        return
    outage = services.describe_outage(execution.accepted_at_us, execution.ended_at_us)
    is_gone = execution.reduce_only and execution.reason == "external"
    gone = f"{POSITION_GONE}: nothing was left to close" if is_gone else None
    notes = [note for note in (gone, outage, _describe_low_limit(execution, actor.feed)) if note is not None]
    if notes:
        await services.store.save_note(execution.execution_id, "; ".join(notes))


def _describe_low_limit(execution: Execution, feed: MarketFeed) -> str | None:
    """Say that a limit lay below the market at the end; None if it did not, or if it does not matter: somebody stopped
    the execution, or the book is not known."""
    view = feed.view(execution.outcome)
    if execution.reason not in ENDED_BY_THE_MARKET or execution.limits is None or view.feed != "live":
        return None
    limit, ask = execution.limits.worst_e4, view.best_ask
    if ask is None or ask <= limit:
        return None
    return f"{LIMIT_BELOW_MARKET}: {format_price(limit)}, the best offer was {format_price(ask)}"


async def measure(
    execution: Execution, book: DeadlineBook | None, feed: MarketFeed, services: Services
) -> tuple[MetricsRow, DeadlineBook | None]:
    """Store what an ended execution cost, priced by `book`, or by the book of now if it is needed."""
    if book is None and execution.filled_e2 != execution.target_e2:
        book = await _save_deadline_book(execution, feed, services)
    volume = feed.volume_since(execution.accepted_at_us)
    activity, rewards = await load_activity(execution, services), await services.estimate_rewards(execution)
    row = compute_metrics(execution, book, activity=activity, market_volume=volume, rewards=rewards)
    await save_cost_rows(execution, row, services)
    return row, book


async def remeasure(execution: Execution, book: DeadlineBook | None, services: Services) -> MetricsRow:
    """Store the cost anew after a late fill; what was traded in the market, and what was earned, stay what they
    were."""
    earlier = await services.store.load_metrics(execution.execution_id)
    volume = None if earlier is None or earlier.market_volume is None else parse_count(earlier.market_volume)
    rewards = UNKNOWN_REWARDS if earlier is None else rewards_of(earlier)
    activity = await load_activity(execution, services)
    row = compute_metrics(execution, book, activity=activity, market_volume=volume, rewards=rewards)
    await save_cost_rows(execution, row, services)
    return row


async def load_activity(execution: Execution, services: Services) -> MessageCounts:
    """Load what an execution asked of the exchange, from its journal."""
    return count_messages(execution, await services.store.load_journal(execution.execution_id))


async def save_cost_rows(execution: Execution, row: MetricsRow, services: Services) -> None:
    """Store the execution's row, and one for each of its orders."""
    await services.store.save_metrics(row, services.wall.now_us(), compute_child_metrics(execution))


async def _save_deadline_book(execution: Execution, feed: MarketFeed, services: Services) -> DeadlineBook:
    view = feed.view(execution.outcome, depth=0)
    ladders = {execution.outcome: view.bids, opposite(execution.outcome): _mirrored(view.asks)}
    await services.store.save_book(
        BookRow(
            ticker=execution.terms.ticker,
            execution_id=execution.execution_id,
            taken_at_us=view.at_us,
            why="deadline",
            yes_depth=encode_ladder(ladders["yes"]),
            no_depth=encode_ladder(ladders["no"]),
        )
    )
    fresh = view.feed == "live" and 0 <= view.at_us - execution.deadline_us <= LATE_MAX_US
    return DeadlineBook(bids=view.bids, asks=view.asks, mid_e5=view.mid_e5, fresh=fresh)


def decode_book(row: BookRow, outcome: Outcome, *, fresh: bool) -> DeadlineBook:
    """Decode the stored book that an execution in `outcome` was priced by. Its mid is None for a one-sided book."""
    yes, no = decode_ladder(row.yes_depth), decode_ladder(row.no_depth)
    bids, others = (yes, no) if outcome == "yes" else (no, yes)
    asks = _mirrored(others)
    mid = mid_of(bids[0][0], asks[0][0]) if bids and asks else None
    return DeadlineBook(bids=bids, asks=asks, mid_e5=mid, fresh=fresh)


def _mirrored(ladder: Ladder) -> Ladder:
    """Return offers of one outcome as bids for the other, and back."""
    return tuple((complement(price), count) for price, count in ladder)
