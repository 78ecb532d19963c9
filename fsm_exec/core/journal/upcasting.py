"""Versions of what is stored, and how an old one becomes today's: snapshots and journals are readable for ever.

One number covers all that is stored of an execution: the structs of its snapshot, of events and of intents, the rows
of the tables `execution` and `child_order`, and what `apply` makes of a journaled event. Each snapshot and each row of
the journal names the version that wrote it. What is older is raised, step by step, as plain JSON, before today's
structs see it; what is newer is refused by name, and nothing stored is ever changed or deleted by reading it.

Invariant 6 across versions: the fold of the journal, each row raised to today's version, is the snapshot raised to
today's version, byte for byte once encoded (`upgrade_snapshot`). For a snapshot of today's version that is the stored
text itself. So every step must agree with `apply`: raising a journal and then folding it gives what raising the old
snapshot gives, at every row. The golden files prove it. One exception, named: what a version began to keep (a counter,
a time) no older snapshot can tell; of an execution with older rows such fields are not compared
(`core.journal.consistency`), and they start from their default at the upgrade.

When a struct, a table or the meaning of an event has changed (a test fails and sends you here):

1. A changed row of `states/`: raise that table's `version`.
2. Append `Version(n, tables=...)` to VERSIONS, and give the one before it its `upcast` to n: an `Upcast` of functions
   from the JSON object of version n - 1 to that of version n. Leave a function out where nothing changed in its kind;
   a new field whose default means "as it was" needs no function at all, only the new version. Remember that a
   `MarketView` lies in snapshots (`arrival`) and in the events Submitted (`arrival`) and DecisionDue (`view`). A new
   field that `apply` fills from old events too (it counts or remembers) is named in the new version's `began_keeping`.
3. If `apply` now makes something else of an old event (a fixed bug too), the upcast of events must add what lets it do
   as it did then: a field that says so, whose default means today's way.
4. `python -m tests.golden.generate` writes the golden files of version n. Those of older versions are never touched.
5. While version n has not been released, change it freely: delete its golden files and write them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fsm_exec.core.errors import CorruptSnapshot
from states import TABLES

Json: TypeAlias = dict[str, Any]
"""A decoded JSON object of some older version: its shape is that version's, which no type of today describes."""

UNSHAPED = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What a function below meets in an object that is not of the version it claims."""


def _unchanged(found: Json) -> Json:
    return found


@dataclass(frozen=True, slots=True)
class Upcast:
    """One version to the next. Each function owns the object it is given (an event's or intent's kind is its `type`)
    and may change it in place; pure beyond that."""

    snapshot: Callable[[Json], Json] = field(default=_unchanged)
    event: Callable[[Json], Json] = field(default=_unchanged)
    intent: Callable[[Json], Json] = field(default=_unchanged)


@dataclass(frozen=True, slots=True)
class Version:
    """A layout that has been written. `tables`: the versions of the tables execution and child_order it was written
    under. `upcast` leads to the next version; None for the newest. `began_keeping`: fields of the execution that hold
    what no earlier snapshot kept, as "writes" or "children[].moved_at_us"."""

    number: int
    tables: str
    upcast: Upcast | None = None
    began_keeping: tuple[str, ...] = ()


CURRENT_TABLES = f"{TABLES['execution'].version}.{TABLES['child_order'].version}"


def _counting_crosses(event: Json) -> Json:
    """The event of version 3 with what an order that would have crossed meant then, also in what it consists of."""
    if event["type"] in ("OrderAccepted", "OrderRefused", "AmendRefused", "OrderReported"):
        event["counts_cross"] = True
    elif event["type"] == "Restored":
        for report in event.get("orders", ()):
            report["counts_cross"] = True
    elif event["type"] == "OrderProven" and event["order"] is not None:
        event["order"]["counts_cross"] = True
    return event


def check_versions(versions: tuple[Version, ...]) -> tuple[Version, ...]:
    """`versions`, if every one leads to today's. Raises TypeError: a mistake of ours, found at import."""
    if [version.number for version in versions] != list(range(1, len(versions) + 1)):
        raise TypeError("the versions are not numbered 1, 2, 3 without a gap")
    if [version.upcast is None for version in versions] != [False] * (len(versions) - 1) + [True]:
        raise TypeError("every version but the newest needs an upcast, and the newest has none")
    if versions[-1].tables != CURRENT_TABLES:
        raise TypeError(f"the tables are of version {CURRENT_TABLES}: add a Version for them in {__name__}")
    return versions


VERSIONS = check_versions(
    (
        Version(1, tables="1.1", upcast=Upcast()),
        # The edge, the closing leg, transfers between slices, the tokens a view saw: all with a default of "none".
        Version(2, tables="1.1", upcast=Upcast(), began_keeping=("writes", "children[].moved_at_us")),
        # Both names of a fill and where it was heard, suspicions, answers: all with a default of "as it was", which is
        # what makes `apply` do with old events as it did. Only the words of refusals are taken from old events too.
        Version(3, tables="1.2", upcast=Upcast(event=_counting_crosses), began_keeping=("refusal",)),
        # A post-only order that would cross is no refusal; in older rows it stays one.
        Version(4, tables="1.2"),
    )
)


def check_readable(kind: str, number: int, tables: str | None = None, versions: tuple[Version, ...] = VERSIONS) -> None:
    """Raises CorruptSnapshot for a version this program does not know, or never wrote under those tables."""
    under = "" if tables is None else f" (tables {tables})"
    if number > len(versions):
        raise CorruptSnapshot(
            f"{kind} of version {number}{under}, by a newer fsm-exec; this one reads versions up to {len(versions)}: "
            "start the newer one again, nothing was changed"
        )
    if number < 1 or (tables is not None and tables != versions[number - 1].tables):
        raise CorruptSnapshot(
            f"{kind} of version {number}{under}, which no fsm-exec has written: restore a backup, nothing was changed"
        )


def upcast_snapshot(found: Json, number: int, versions: tuple[Version, ...] = VERSIONS) -> Json:
    """The execution of a snapshot of version `number` as the newest version has it. Raises CorruptSnapshot."""
    for version in versions[number - 1 : -1]:
        found = _upcast(version, "snapshot", found)
    return found


def upcast_entry(
    event: Json, intents: list[Json], number: int, versions: tuple[Version, ...] = VERSIONS
) -> tuple[Json, list[Json]]:
    """The two halves of a journal row of version `number` as the newest version has them. Raises CorruptSnapshot."""
    for version in versions[number - 1 : -1]:
        event = _upcast(version, "event", event)
        intents = [_upcast(version, "intent", intent) for intent in intents]
    return event, intents


def _upcast(version: Version, kind: str, found: Json) -> Json:
    if version.upcast is None:
        raise TypeError(f"version {version.number} leads nowhere")
    upcasts = {"snapshot": version.upcast.snapshot, "event": version.upcast.event, "intent": version.upcast.intent}
    try:
        return upcasts[kind](found)
    except UNSHAPED as error:
        raise CorruptSnapshot(f"the {kind} is not one of version {version.number}: {error!r}") from error
