"""Why nothing happened for hours: one line, made of what an engine knows of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from fsm_exec.core.values.units import PriceE4, format_price


class WaitingExecution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution at work: its market as it is now, and the most it pays; None: not known."""

    execution_id: str
    ticker: str
    market: str
    feed: str
    limit_e4: PriceE4 | None
    ask_e4: PriceE4 | None


class IdleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The engine while nothing happens. `risk` is the state of the brake, with its reason."""

    state: str
    why_halted: str | None
    why_degraded: Sequence[str]
    risk: str | None
    quarantined: int
    waiting: Sequence[WaitingExecution]


def why_nothing_happens(facts: IdleFacts) -> str:
    """Return the reasons, the one that explains most first."""
    found = []
    if facts.why_halted is not None:
        found.append(f"the engine is halted ({facts.why_halted})")
    elif facts.state not in ("running", "degraded"):
        found.append(f"the engine is {facts.state}")
    if facts.why_degraded:
        found.append(f"nothing can be done at the exchange ({'; '.join(facts.why_degraded)})")
    if facts.risk is not None:
        found.append(f"the brake lets nothing in that adds risk ({facts.risk})")
    if facts.quarantined:
        found.append(f"{facts.quarantined} executions are quarantined")
    if facts.waiting:
        found.append(_why_all_wait(facts.waiting))
    else:
        found.append("no execution is at work: nothing was submitted, or everything has ended")
    return "; ".join(found)


def _why_all_wait(waiting: Sequence[WaitingExecution]) -> str:
    reasons = Counter(_why_it_waits(one) for one in waiting)
    parts = [f"{count} {why}" for why, count in reasons.most_common()]
    example = next((one for one in waiting if _is_below(one)), None)
    told = f"of {len(waiting)} executions at work {', '.join(parts)}"
    if example is not None and example.limit_e4 is not None and example.ask_e4 is not None:
        told += (
            f" ({example.execution_id} in {example.ticker} pays {format_price(example.limit_e4)} at most, the best "
            f"offer is {format_price(example.ask_e4)})"
        )
    return told


def _is_below(one: WaitingExecution) -> bool:
    return one.limit_e4 is not None and one.ask_e4 is not None and one.limit_e4 < one.ask_e4


def _why_it_waits(one: WaitingExecution) -> str:
    if one.market != "open":
        return f"have a market that is {one.market}"
    if one.feed != "live":
        return f"have no live book (it is {one.feed})"
    if one.ask_e4 is None:
        return "find nobody who offers"
    if _is_below(one):
        return "bid below the market"
    return "could buy and wait for a better price, as their method says"
