"""Crash points: a closed list, called where it says, and nothing when nobody listens."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from fsm_exec.core.journal import crashpoints

ROOT = Path(__file__).parents[2]


def names_called() -> dict[str, list[str]]:
    """Where each point is called, by name; a name that is computed counts under "?"."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "fsm_exec").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "crashpoint":
                (argument,) = node.args
                parts = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
                for part in parts:
                    name = str(part.value) if isinstance(part, ast.Constant) else "?"
                    found.setdefault(name, []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_every_name_is_called_and_no_other() -> None:
    """The list in crashpoints.py is the list of places in the code."""
    assert set(names_called()) == {*crashpoints.NAMES, *crashpoints.MOVE_NAMES}


def test_names_come_in_pairs() -> None:
    """Each boundary has a before and an after."""
    names = {*crashpoints.NAMES, *crashpoints.MOVE_NAMES}
    boundaries = {name.partition(".")[0] for name in names}
    assert {f"{each}.{when}" for each in boundaries for when in ("before", "after")} == names


def test_without_a_hook_nothing_happens() -> None:
    """As in production."""
    assert crashpoints.is_watched() is False
    for name in crashpoints.NAMES:
        crashpoints.crashpoint(name)


def test_a_hook_hears_every_visit_and_may_end_the_world() -> None:
    """What it raises comes out of the call, whatever it is; installing another gives it back."""

    class _TheEndError(BaseException):
        pass

    heard: list[str] = []

    def hook(name: crashpoints.PointName) -> None:
        heard.append(name)
        if name == "commit.after":
            raise _TheEndError

    assert crashpoints.install(hook) is None
    try:
        crashpoints.crashpoint("send.before")
        with pytest.raises(_TheEndError):
            crashpoints.crashpoint("commit.after")
    finally:
        assert crashpoints.install(None) is hook
    assert heard == ["send.before", "commit.after"]
