"""The account's brake: one step of `states.risk` by what the account has won and lost.

Equity is the profit of all there is by our own books (realised, less fees, plus unrealised), so that paying in and out
does not move it. The daily loss is what it has fallen since the day began, the drawdown what it has fallen since its
peak. A threshold is passed when it is reached. Nothing but a person's act leads back, however the equity recovers; the
next day does not either. Eased by a person, it does not halt again by itself: the loss that halted still stands,
nothing that adds risk is let in, and what is held could not be closed otherwise.

The day begins with the last equity known before it: what was lost while nobody looked is the new day's loss. A day only
moves forward, so a clock that is put back over midnight neither starts a day again nor ends one. An equity that is
missing is the last known one: it never switches the brake off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from fsm_exec.core.account.admission import raises_worst_case
from fsm_exec.core.account.limits import DOLLAR_E6, RiskLimits, zone_of
from fsm_exec.core.account.worst_case import OpenOrder, Stake, cost_e6, event_of, held_by_event
from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.machine import step
from fsm_exec.core.market.account import EventShape
from fsm_exec.core.values.units import format_fixed
from states import TABLES

EASED: Final = "eased"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RiskState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The brake as it is stored. `state` is one of `states.risk`, since `since_us`, for the reason `why` (empty: it was
    never moved). `day` is the calendar day (YYYY-MM-DD, of the configured time zone) that began with `day_start_e6`;
    `peak_e6` is the highest equity since the brake was set, `equity_e6` the last known. The three are None until there
    has been an equity, and signed millionths of a dollar."""

    state: str = TABLES["risk"].initial
    why: str = ""
    since_us: int = 0
    day: str | None = None
    day_start_e6: int | None = None
    peak_e6: int | None = None
    equity_e6: int | None = None

    @property
    def daily_loss_e6(self) -> int:
        """What has been lost since the day began, 0 if nothing."""
        return _fall_e6(self.day_start_e6, self.equity_e6)

    @property
    def drawdown_e6(self) -> int:
        """What has been lost since the peak."""
        return _fall_e6(self.peak_e6, self.equity_e6)


class Reserved(msgspec.Struct, frozen=True):
    """A working execution and what it may still buy."""

    execution_id: str
    order: OpenOrder


def day_of(now_us: int, time_zone: str) -> str:
    """The calendar day, as YYYY-MM-DD, that it is there; `now_us` is in microseconds of UTC. Raises UserError for an
    unknown time zone."""
    return (_EPOCH + timedelta(microseconds=now_us)).astimezone(zone_of(time_zone)).date().isoformat()


def observe(state: RiskState, equity_e6: int | None, now_us: int, limits: RiskLimits) -> RiskState:
    """The brake after one look at the equity; None: it is not known now."""
    seen = _with_equity(state, equity_e6, now_us, limits)
    for kind, trigger in (("halt_", "second_passed"), ("", "loss_passed")):
        why = _passed(seen, limits, kind)
        if why is not None and _leads_on(seen.state, trigger) and seen.why != EASED:
            return replace(seen, state=step("risk", seen.state, trigger), why=why, since_us=now_us)
    return seen


def return_to_active(
    state: RiskState, equity_e6: int | None, now_us: int, limits: RiskLimits, *, accept_loss: bool = False
) -> RiskState:
    """A person's way back to `active`. With `accept_loss` day and peak begin anew with the equity there is now.

    Raises UserError if the brake is not on, or if daily loss or drawdown is not below `return_below_percent` of its
    first threshold and the loss is not accepted."""
    seen = _with_equity(state, equity_e6, now_us, limits)
    if seen.state == "active":
        raise UserError("risk is active: there is nothing to return from")
    if accept_loss:
        seen = replace(seen, day_start_e6=seen.equity_e6, peak_e6=seen.equity_e6)
    for name, loss_e6, first, halt in _losses(seen, limits):
        threshold = first if first is not None else halt
        if threshold is not None and loss_e6 * 100 >= threshold * DOLLAR_E6 * limits.return_below_percent:
            raise UserError(
                f"the {name} is {_dollars(loss_e6)} dollars, not below {limits.return_below_percent} % of "
                f"{threshold}: wait until it is, or accept the loss, which counts from now's equity"
            )
    why = "returned, loss accepted" if accept_loss else "returned"
    return replace(seen, state=step("risk", seen.state, "returned"), why=why, since_us=now_us)


def ease(state: RiskState, now_us: int) -> RiskState:
    """A person's way from `halted` to `reducing`. Raises UserError if it is not halted."""
    if state.state != "halted":
        raise UserError(f"risk is {state.state}, not halted: there is nothing to ease")
    return replace(state, state=step("risk", state.state, "eased"), why=EASED, since_us=now_us)


def trigger_between(before: str, after: str) -> str | None:
    """The trigger of `states.risk` that leads from one state to another; None if it is the same state."""
    found = (row.trigger for row in TABLES["risk"].rows if (row.source, row.dest) == (before, after))
    return None if before == after else next(found)


def _with_equity(state: RiskState, equity_e6: int | None, now_us: int, limits: RiskLimits) -> RiskState:
    """The day, its start, the peak and the last equity, brought up to now; the state as it was."""
    known = state.equity_e6 if equity_e6 is None else equity_e6
    if known is None:
        return state
    today = day_of(now_us, limits.time_zone)
    day, day_start = state.day, state.day_start_e6
    if day is None or day_start is None or today > day:
        before = state.equity_e6
        day, day_start = today, known if before is None else before
    peak = known if state.peak_e6 is None else max(state.peak_e6, known)
    return replace(state, day=day, day_start_e6=day_start, peak_e6=peak, equity_e6=known)


def _losses(state: RiskState, limits: RiskLimits) -> tuple[tuple[str, int, int | None, int | None], ...]:
    """Name, loss, first and second threshold (dollars) of both."""
    return (
        ("daily loss", state.daily_loss_e6, limits.daily_loss_dollars, limits.daily_loss_halt_dollars),
        ("drawdown", state.drawdown_e6, limits.drawdown_dollars, limits.drawdown_halt_dollars),
    )


def _passed(state: RiskState, limits: RiskLimits, kind: str) -> str | None:
    """Which threshold of a kind has been reached, in words, or None."""
    for name, loss_e6, first, halt in _losses(state, limits):
        threshold = halt if kind else first
        if threshold is not None and loss_e6 >= threshold * DOLLAR_E6:
            key = f"{name.replace(' ', '_')}_{kind}dollars"
            return f"the {name} is {_dollars(loss_e6)} dollars; {key} is {threshold}"
    return None


def _leads_on(state: str, trigger: str) -> bool:
    return any((row.source, row.trigger) == (state, trigger) for row in TABLES["risk"].rows)


def _fall_e6(start_e6: int | None, now_e6: int | None) -> int:
    return 0 if start_e6 is None or now_e6 is None else max(0, start_e6 - now_e6)


def _dollars(amount_e6: int) -> str:
    return format_fixed(amount_e6 // 10_000, 2)


def needs_to_end(
    stakes: Sequence[Stake],
    reserved: Sequence[Reserved],
    others: Sequence[OpenOrder],
    shapes: Mapping[str, EventShape],
) -> tuple[str, ...]:
    """The executions that have to end in `reducing`: what is left raises no worst case.

    It is as if they were submitted now, one after the other, those that could lose least first (ties: by id), and each
    was let in only if it raises nothing: so as few end as there have to. Two that would hedge each other both end: each
    may fill alone. `others` are orders that no execution of ours has, which stay."""
    by_event = held_by_event(stakes, others)
    ending: list[str] = []
    for one in sorted(reserved, key=lambda r: (cost_e6(r.order), r.execution_id)):
        event = event_of(one.order)
        held, kept = by_event.setdefault(event, ([], []))
        if raises_worst_case(one.order, held, kept, shapes.get(event)):
            ending.append(one.execution_id)
        else:
            kept.append(one.order)
    return tuple(ending)
