"""What an execution that only closes learns about what is left to close.

The exchange cuts each of its orders to what is held when the order arrives; it may say so by the reason of the order's
end, or by a smaller count, and in a listing only by the second. A cut alone does not say that nothing is left: the book
may have run out first. So the execution ends (`external`, because somebody else has closed or sold it) when the
account's position says so, read late enough; or, where nobody reads it, after three orders in a row that were cut and
got nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from fsm_exec.core.execution.draft import Draft
from fsm_exec.core.execution.events import OrderReported, PositionRead
from fsm_exec.core.execution.execution import ChildOrder, Execution
from fsm_exec.core.market.position_closing import POSITION_GONE
from fsm_exec.core.values.units import CountE2

REDUCE_ONLY_CANCEL: Final = "ReduceOnlyCancel"
CUTS_MAX: Final = 3
POSITION_LAG_US: Final = 10_000_000
"""How much later than the last change a position must be asked for: unlike a listing it does not say as of when it is,
and lags by some seconds."""
REFUSAL_WORDS: Final = ("reduce_only", "reduceonly", "position")
"""What a refusal's code has in it if it is about what is held; the codes themselves are documented nowhere."""


def read_cut(draft: Draft, child: ChildOrder, event: OrderReported) -> tuple[ChildOrder, OrderReported]:
    """Note whether the exchange cut the order of an execution that only closes; return the order, and the statement
    with the count that was sent, which is what all else compares."""
    if not draft.execution.reduce_only:
        return child, event
    shown_less = event.count_e2 < child.count_e2
    if (shown_less or event.cause == REDUCE_ONLY_CANCEL) and not child.is_cut:
        known = draft.child(child.client_order_id)
        draft.put(replace(known, is_cut=True))
        child = replace(child, is_cut=True)
    return child, replace(event, count_e2=child.count_e2) if shown_less else event


def is_about_position(code: str) -> bool:
    """Whether a refusal of an order that only closes says that there is nothing to close."""
    return any(word in code.lower() for word in REFUSAL_WORDS)


def apply_position(draft: Draft, event: PositionRead) -> None:
    """End an execution that only closes once nothing is held that it could close."""
    if asks_for_position(draft.execution, event.asked_at_us) and closable_e2(draft.execution, event.position_e2) == 0:
        _end_gone(draft, "the account holds nothing more that could be closed", event.at_us)


def asks_for_position(execution: Execution, at_us: int) -> bool:
    """Whether the account's position, asked for at `at_us`, says something to the execution: it only closes, and
    nothing of it is open or doubted, or changed a moment ago."""
    if not execution.reduce_only or execution.ending is not None or execution.is_ended:
        return False
    if any(child.is_open or child.suspicion is not None for child in execution.children):
        return False
    changed_us = max((child.sent_at_us for child in execution.children), default=execution.accepted_at_us)
    return at_us > changed_us + POSITION_LAG_US


def closable_e2(execution: Execution, position_e2: int) -> CountE2:
    """How much of a position (signed, + YES) the execution could close."""
    return CountE2(max(0, position_e2 if execution.outcome == "no" else -position_e2))


def end_if_gone(draft: Draft, at_us: int) -> None:
    """End an execution that only closes after orders in a row that were cut and got nothing."""
    execution = draft.execution
    if not execution.reduce_only or execution.ending is not None or execution.is_ended:
        return
    newest = execution.children[-CUTS_MAX:]
    if len(newest) == CUTS_MAX and all(_got_nothing(child) for child in newest):
        _end_gone(draft, f"the exchange cut {CUTS_MAX} orders in a row to what is held, and they got nothing", at_us)


def end_refused(draft: Draft, code: str, at_us: int) -> None:
    """End an execution that only closes because the exchange refused an order of it for want of a position."""
    _end_gone(draft, f"the exchange refuses to close more: {code}", at_us)


def _got_nothing(child: ChildOrder) -> bool:
    return child.is_cut and not child.is_open and child.suspicion is None and child.filled_e2 == CountE2(0)


def _end_gone(draft: Draft, why: str, at_us: int) -> None:
    draft.note(draft.execution.execution_id, f"{POSITION_GONE}: {why}")
    draft.end("external", at_us)
