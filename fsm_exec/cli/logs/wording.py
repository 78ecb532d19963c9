"""Entries of the log in words: one line a step of an execution, one line for anything else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from fsm_exec.cli.logs.entries import Entry
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.core.text import one_line

DATE_CHARS: Final = len("2026-10-01")
CLOCK: Final = slice(DATE_CHARS + 1, DATE_CHARS + 1 + len("12:00:00.123"))
MARKS: Final = {"info": " ", "warning": "!", "error": "#", "critical": "#"}
VALUE_CHARS_MAX: Final = 400
_WORD: Final = re.compile(r"[A-Z][a-z0-9]*|[a-z0-9]+")


def describe(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the lines of entries in the order of the log. A line begins with its time (UTC) and, of a warning or an
    error, a mark."""
    for step, group in groupby(entries, Entry.step):
        if step is None:
            for entry in group:
                yield _stamped(entry, describe_entry(entry))
        else:
            changes = list(group)
            yield _stamped(changes[0], describe_step(changes))


def describe_step(changes: list[Entry]) -> str:
    """Return one step in words: the execution, the fact, and what changed."""
    execution, fact, seq = changes[0].step() or ("", "", None)
    moved = "; ".join(_change(entry) for entry in changes)
    return one_line(f"{execution}  {' '.join(_WORD.findall(fact)).lower()} ({seq}): {moved}")


def describe_entry(entry: Entry) -> str:
    """Return an entry that is no step in words: what happened, then what is known of it."""
    fields = dict(entry.fields)
    trace = fields.pop("exception", None)
    words = entry.event.replace("_", " ")
    if entry.event == "transition" and "dest" in fields:
        machine, subject = str(fields.pop("machine", "")), str(fields.pop("subject", ""))
        source, dest, trigger = (str(fields.pop(name, "")) for name in ("source", "dest", "trigger"))
        moved = f"{source} -> {dest}" if source else f"-> {dest}"
        words = f"{machine.replace('_', ' ')} {subject if subject != machine else ''}: {moved} ({trigger})"
        words = words.replace(" :", ":")
    known = ", ".join(f"{name} {_shown(value)}" for name, value in fields.items() if value is not None)
    why = f" [{_last_line(trace)}]" if isinstance(trace, str) else ""
    return one_line(f"{words}{': ' if known else ''}{known}{why}")


def _stamped(entry: Entry, text: str) -> str:
    at = one_line(f"{entry.at[:DATE_CHARS]} {entry.at[CLOCK]}")
    return f"{at} {MARKS.get(entry.level, '#')} {text}"


def _change(entry: Entry) -> str:
    fields = entry.fields
    named = parse_order_name(str(fields.get("subject", "")))
    whose = "" if named is None else f"order {named.level}-{named.attempt} "
    return f"{whose}{fields.get('source', '')} -> {fields.get('dest', '')} ({fields.get('trigger', '')})"


def _shown(value: object) -> str:
    match value:
        case bool():
            text = "yes" if value else "no"
        case list():
            text = " ".join(_shown(each) for each in value) or "none"
        case dict():
            text = " ".join(f"{name}={_shown(each)}" for name, each in value.items()) or "none"
        case _:
            text = str(value)
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[:VALUE_CHARS_MAX]}..."


def _last_line(trace: str) -> str:
    """Return the last line of a traceback, which names the error."""
    return next((line.strip() for line in reversed(trace.splitlines()) if line.strip()), "")
