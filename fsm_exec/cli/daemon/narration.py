"""What happens to a daemon, in lines for whoever started it. Pure: two standings are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.short_text import trim_count, trim_dollars
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import format_count, format_price

Weight: TypeAlias = Literal["bad", "good", "plain"]
RESTORED_SHOWN: Final = 10
SECONDS: Final = slice(len("2023-04-10T"), len("2023-04-10T18:00:00"))


class Line(NamedTuple):
    """`weight` says how it is coloured where there are colours."""

    text: str
    weight: Weight = "plain"


@dataclass(frozen=True)
class Standing:
    """How a daemon stands. `why_degraded` has a text for each problem, of which the part before the first colon stays
    the same while it lasts."""

    state: str
    why_halted: str | None = None
    why_degraded: tuple[str, ...] = ()
    quarantined: Mapping[str, str] = field(default_factory=dict)
    risk: str | None = None
    why_risk: str = ""


class Outcome(NamedTuple):
    """What became of the orders that were open when the daemon was to stop, and how many executions go on."""

    cancelled: int
    filled: int
    left: int
    kept: int


def describe_changes(before: Standing, after: Standing) -> Iterator[Line]:
    """Yield a line for everything that is otherwise than it was."""
    if after.state == "halted" and before.state != "halted":
        yield Line(f"HALTED: {after.why_halted or 'no reason given'}; go on with: fsm-exec resume", "bad")
    elif after.state == "running" and before.state == "halted":
        yield Line("resumed: executions are accepted again", "good")
    if not before.why_degraded and after.why_degraded:
        yield Line(f"exchange lost: {'; '.join(after.why_degraded)}", "bad")
    elif before.why_degraded and not after.why_degraded:
        yield Line("exchange found again: orders can be sent, the stream is live", "good")
    else:
        known = {_kind_of(why) for why in before.why_degraded}
        yield from (Line(f"exchange: {why}", "bad") for why in after.why_degraded if _kind_of(why) not in known)
    for name, why in after.quarantined.items():
        if name not in before.quarantined:
            yield Line(f"QUARANTINED {name}: {why}; take it up again with: fsm-exec resume {name}", "bad")
    for name in before.quarantined:
        if name not in after.quarantined:
            yield Line(f"{name} is in quarantine no more", "good")
    if after.risk != before.risk and after.risk is not None and before.risk is not None:
        why = f": {after.why_risk}" if after.why_risk else ""
        yield Line(f"risk: {before.risk} -> {after.risk}{why}", "good" if after.risk == "active" else "bad")


def describe_restored(executions: Sequence[Execution]) -> Iterator[Line]:
    """Yield a line for each of the first executions that were taken up again."""
    for one in executions[:RESTORED_SHOWN]:
        filled = f"{trim_count(format_count(one.filled_e2))}/{trim_count(format_count(one.target_e2))}"
        limit = "" if one.limits is None else f" at most {trim_dollars(format_price(one.limits.worst_e4))}"
        yield Line(
            f"restored {one.execution_id}: {one.state}, {filled} {one.outcome.upper()} of {one.terms.ticker}{limit}, "
            f"ends {to_iso(one.deadline_us)[:19]}Z"
        )
    if (more := len(executions) - RESTORED_SHOWN) > 0:
        yield Line(f"restored {more} more: fsm-exec list --unfinished")


def describe_stop(orders: int, executions: int, *, cancels: bool) -> Line:
    """Describe what begins with the first signal."""
    what = f"{counted(orders, 'order')} {'are' if orders != 1 else 'is'} {'cancelled' if cancels else 'left live'}"
    return Line(f"stopping: {what}, {counted(executions, 'execution')} kept for the next start; Ctrl-C again: at once")


def describe_outcome(came: Outcome, *, cancels: bool) -> Line:
    """Describe what a stop came to."""
    parts = [f"{counted(came.cancelled, 'order')} cancelled"] if cancels else []
    if came.filled:
        parts.append(f"{counted(came.filled, 'order')} filled meanwhile")
    if came.left:
        parts.append(f"{counted(came.left, 'order')} {'that may be' if cancels else 'left'} live")
    parts.append(f"{counted(came.kept, 'execution')} kept")
    return Line(f"stopped: {', '.join(parts)}", "bad" if came.left and cancels else "plain")


def count_outcome(before: Mapping[str, Execution], after: Mapping[str, Execution], quarantined: int) -> Outcome:
    """Count what became of the open orders of `before`, by the same executions as they stand now."""
    cancelled = filled = left = 0
    for name, execution in before.items():
        now = after.get(name, execution)
        for child in execution.children:
            if not child.is_open:
                continue
            state = (now.child(child.client_order_id) or child).state
            cancelled += state == "cancelled"
            filled += state == "filled"
            left += state not in ("cancelled", "filled", "rejected", "expired")
    kept = sum(not one.is_ended for one in after.values())
    return Outcome(cancelled, filled, left, kept + quarantined)


def _kind_of(why: str) -> str:
    return why.partition(":")[0]


def counted(number: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
