"""The head of an execution's page: what was asked for, how far it is, and why it ended. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fsm_exec.core.costs.so_far import cost_so_far_e7
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.text import one_line
from fsm_exec.core.values.short_text import trim_count, trim_dollars
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import MoneyE6, format_fixed
from fsm_exec.store.api_rows import ExecutionSummary
from fsm_exec.web.execution.figures import average_price, cents_each, duration, money, price

KINDS = {"filled": "good", "cancelled": "warn"}


@dataclass(frozen=True)
class Fact:
    """A name and its value; `until_ms`: it is a time that a page counts down to."""

    name: str
    value: str
    until_ms: int | None = None


@dataclass(frozen=True)
class Header:
    """`kind` is that of the badge with the state; `notices` are lines that must be read."""

    execution_id: str
    rows: int
    title: str
    state: str
    kind: str
    reason: str
    is_ended: bool
    is_quarantined: bool
    filled_percent: int
    progress: str
    facts: list[Fact]
    notices: list[str]


def header_of(summary: ExecutionSummary, execution: Execution | None, broken: str | None, now_us: int) -> Header:
    """Return the head. `execution` is what its journal gives, None if nothing of it can be read; `broken` why it could
    not be read to its end."""
    is_ended = summary.state in KINDS
    notices = []
    if summary.quarantine is not None:
        notices.append(f"Quarantined, nothing is done for it: {summary.quarantine}")
    if broken is not None:
        shown = "its journal is shown up to there" if execution is not None else "what its tables say is shown"
        notices.append(f"The journal cannot be read on, {shown}: {broken}. See: fsm-exec db check")
    if summary.refusal is not None:
        notices.append(f"The exchange's last refusal: {summary.refusal}")
    if summary.note is not None:
        notices.append(summary.note)
    filled = 0
    if execution is not None:
        filled = min(100, execution.filled_e2 * 100 // max(1, execution.target_e2))
    return Header(
        execution_id=one_line(summary.execution_id),
        rows=0 if execution is None else execution.seq,
        title=f"Buy {trim_count(summary.target_quantity)} {summary.outcome.upper()} of {one_line(summary.ticker)}",
        state=summary.state,
        kind="bad" if summary.quarantine is not None or broken is not None else KINDS.get(summary.state, "info"),
        reason=(summary.reason or "").replace("_", " "),
        is_ended=is_ended,
        is_quarantined=summary.quarantine is not None,
        filled_percent=filled,
        progress=f"{trim_count(summary.filled_quantity)} of {trim_count(summary.target_quantity)}",
        facts=[*_asked(summary, now_us, is_ended), *([] if execution is None else _done(execution))],
        notices=[one_line(notice) for notice in notices],
    )


def _asked(summary: ExecutionSummary, now_us: int, is_ended: bool) -> list[Fact]:
    facts = [Fact("Method", one_line(summary.method))]
    if summary.key is not None:
        facts.append(Fact("Key", one_line(summary.key)))
    facts.append(Fact("Limit", _dollars(summary.limit)))
    facts.append(Fact("Cap with fee", _dollars(summary.cap)))
    facts.append(Fact("Accepted", _time(summary.accepted_at)))
    facts.append(Fact("Deadline", _time(summary.deadline)))
    deadline_us = _us(summary.deadline)
    if not is_ended and deadline_us is not None:
        facts.append(Fact("Time left", duration(deadline_us - now_us), deadline_us // 1_000))
    return facts


def _done(execution: Execution) -> list[Fact]:
    facts = []
    if execution.ended_at_us is not None:
        facts.append(Fact("Worked for", duration(execution.ended_at_us - execution.accepted_at_us)))
    facts.append(Fact("Average price", average_price(execution.fills) or "nothing bought"))
    cost = cost_so_far_e7(execution)
    if cost is not None and execution.fills:
        facts.append(Fact("Paid over arrival mid", f"{cents_each(cost, execution.filled_e2)} c a contract, with fees"))
    arrival = execution.arrival
    if arrival.best_bid is not None and arrival.best_ask is not None:
        facts.append(Fact("Arrival", f"{price(arrival.best_bid)} / {price(arrival.best_ask)}"))
    facts.append(Fact("Fees", f"${money(MoneyE6(sum(fill.fee_e6 for fill in execution.fills)))}"))
    facts.append(Fact("Walks, writes", f"{execution.walks}, {execution.writes}"))
    if execution.edge is not None:
        facts.append(Fact("Worth by the model", format_fixed(execution.edge.probability_ppm, 6).rstrip("0")))
    return facts


def _dollars(text: str | None) -> str:
    return "none" if text is None else trim_dollars(text)


def _time(iso: str) -> str:
    """A day and a time of day; what cannot be read as it is."""
    return f"{iso[:10]} {iso[11:19]}" if _us(iso) is not None else one_line(iso)


def _us(iso: str) -> int | None:
    try:
        return from_iso(iso)
    except ValueError:
        return None
