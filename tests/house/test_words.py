"""Public names are the field's: FIX, exchanges, state machines, trio. Words that were invented here and given up stay
away.

A reader who knows the field must not have to learn a dialect: a listener is called, not told; an order is cancelled,
not withdrawn; what reads the network fetches, what reads the database loads.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "fsm_exec"

ROOMS = ("core", "algorithms", "kalshi", "paper", "wire", "store", "lab", "runtime", "control", "cli")

RETIRED = {
    "absorb": "apply",
    "agenda": "timer queue, schedule",
    "anybody": "the role",
    "asked": "query, params",
    "asking": "params",
    "befall": "apply fault",
    "crew": "executions, tasks",
    "desk": "gateway",
    "dialling": "dial",
    "doubt": "unconfirmed, poll",
    "emergency": "kill switch",
    "everybody": "the role",
    "grouping": "groups",
    "heeded": "monitored",
    "hire": "add, start",
    "hurry": "measure now",
    "inquirer": "look-up",
    "inspected": "read only",
    "keeper": "poller",
    "latch": "event",
    "leftovers": "extra responses",
    "looks": "theme, views",
    "meanwhile": "between A and B",
    "narrowing": "restrict",
    "nobody": "the role",
    "obey": "handle",
    "orphaned": "cancel orphans",
    "parting": "give up",
    "photograph": "snapshot, record",
    "picturing": "history",
    "rages": "is active",
    "reckon": "compute",
    "reprice": "amend",
    "replica": "stale listings",
    "somebody": "the role",
    "strangers": "unknown orders",
    "strike": "expire, fire",
    "tell": "call, notify, publish, report",
    "telling": "calling, notifying",
    "tells": "calls, notifies",
    "told": "called, notified, published",
    "troubles": "faults",
    "turnstile": "gate",
    "whoever": "the role",
    "wish": "action",
    "wishes": "actions",
    "withdraw": "cancel",
    "withdrawn": "cancelled, not sent",
}


def words_of(name: str) -> list[str]:
    """`MarketKeeper` and `market_keeper` are both market, keeper."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")


def public_names(room: str) -> list[tuple[str, str]]:
    """(where, name) of every public module, class, function and method of a room."""
    found: list[tuple[str, str]] = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        where = path.relative_to(PACKAGE.parent).as_posix()
        found += [(where, part) for part in path.relative_to(PACKAGE).with_suffix("").parts if part != "__init__"]
        found += [
            (f"{where}:{node.lineno}", node.name)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
        ]
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_are_the_fields(room: str) -> None:
    """No public module, class, function or method bears a retired word; the message says what to say instead."""
    names = public_names(room)
    assert len(names) > 50
    assert [
        f"{where} {name}: {word} -> {RETIRED[word]}"
        for where, name in names
        for word in words_of(name)
        if word in RETIRED
    ] == []


def test_a_retired_word_is_found_in_either_spelling() -> None:
    """In a class and in a function; a word that merely contains one is another word."""
    assert "keeper" in words_of("MarketKeeper")
    assert "keeper" in words_of("market_keeper")
    assert "told" not in words_of("threshold_of")
