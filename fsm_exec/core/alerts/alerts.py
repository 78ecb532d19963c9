"""Alerts as data: a kind, a subject and a text; and the alerts that follow from facts which are saved.

The store asks these functions while it writes a fact, so alert and fact are durable together. One alert of a kind and
subject stands at a time; that it is over is told as an alert of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from fsm_exec.core.account.rows import Difference, RiskLogRow
from fsm_exec.core.text import one_line

AlertKind: TypeAlias = Literal[
    "quarantine",
    "halt",
    "risk",
    "difference",
    "orphan",
    "unknown_order",
    "signature",
    "reads",
    "stream",
    "book",
    "group",
    "host_lease",
    "lease",
    "lost",
    "disk",
    "database",
    "failure",
    "idle",
    "test",
]
AlertState: TypeAlias = Literal["pending", "delivered", "no_channel"]
QUIET_KINDS: Final[frozenset[AlertKind]] = frozenset({"book", "idle", "difference", "host_lease"})
"""Kinds that wait for the end of quiet hours; all others are urgent. That something is over always waits."""
TEXT_MAX: Final = 600


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A fact that somebody is to hear of. `subject` is what it is about: an execution, a market, an order; empty: the
    engine. `stands` False: it is over as soon as it is said."""

    kind: AlertKind
    subject: str
    text: str
    at_us: int
    stands: bool = True

    @property
    def is_urgent(self) -> bool:
        return self.kind not in QUIET_KINDS


class AlertOver(msgspec.Struct, frozen=True, kw_only=True):
    """The alert of this kind and subject is over; nothing if none stands."""

    kind: AlertKind
    subject: str
    text: str
    at_us: int


AlertChange: TypeAlias = Alert | AlertOver


class StoredAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as it is stored. `over_at_us` None: it stands. `is_recovery`: it says that an earlier one is over."""

    alert_id: int
    at_us: int
    kind: AlertKind
    subject: str
    text: str
    is_urgent: bool
    is_recovery: bool
    times: int
    last_at_us: int
    over_at_us: int | None
    state: AlertState
    settled_at_us: int | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How an alert fares with a channel. `next_at_us` is when it is tried again, `why` what went wrong the last time;
    both None once it is delivered."""

    alert_id: int
    channel: str
    attempts: int
    tried_at_us: int
    next_at_us: int | None
    delivered_at_us: int | None
    why: str | None


def quarantine_change(execution_id: str, why: str | None, at_us: int) -> AlertChange:
    """Return what is to be said of an execution that was quarantined, or (`why` None) is not any more."""
    if why is None:
        return AlertOver(kind="quarantine", subject=execution_id, text=f"{execution_id} is worked again", at_us=at_us)
    text = _text(f"{execution_id} is quarantined, the engine does not act for it: {why}")
    return Alert(kind="quarantine", subject=execution_id, text=text, at_us=at_us)


def halt_change(why: str | None, at_us: int) -> AlertChange:
    """Return what is to be said of a halt, or (`why` None) of its end."""
    if why is None:
        return AlertOver(kind="halt", subject="", text="the engine accepts work again", at_us=at_us)
    return Alert(kind="halt", subject="", text=_text(f"the engine is halted: {why}"), at_us=at_us)


def risk_changes(log: RiskLogRow) -> Iterator[AlertChange]:
    """Yield what is to be said of a move of the brake. A further step down ends the alert of the first."""
    text = _text(f"the brake went from {log.moved_from} to {log.moved_to}, by {log.who}: {log.why}")
    for state in ("reducing", "halted"):
        if state != log.moved_to:
            yield AlertOver(kind="risk", subject=state, text=text, at_us=log.at_us)
    if log.moved_to != "active":
        yield Alert(kind="risk", subject=log.moved_to, text=text, at_us=log.at_us)


def difference_changes(differences: Sequence[Difference]) -> Iterator[AlertChange]:
    """Yield what is to be said of differences between the exchange and our books. Those that explain themselves (a
    trade by hand, a settlement, frames under way) are none. Each is said for itself: what nothing explains is taken
    over, and the next of the same market is another one."""
    for one in differences:
        if one.gone_at_us is None and one.cause in ("unexplained", "unexplained_or_deposit"):
            of_what = f"{one.kind} in {one.ticker}" if one.ticker else one.kind
            text = _text(f"the exchange says the {of_what} is {one.theirs}, our books say {one.ours}: {one.cause}")
            subject = f"{one.kind} {one.ticker}".rstrip()
            yield Alert(kind="difference", subject=subject, text=text, at_us=one.found_at_us, stands=False)


def _text(said: str) -> str:
    return one_line(said)[:TEXT_MAX]
