"""Exchange, client, store and engine are put together in one place, by the import tree."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOMES = {
    "open_client": {"fsm_exec/session.py"},
    "open_engine": {"fsm_exec/session.py"},
    "host_in_memory": {"fsm_exec/paper_session.py"},
    "host_on_loopback": {"fsm_exec/paper_session.py"},
    "Exchange": {"fsm_exec/paper_session.py"},
}
"""Who may call each constructor, by the name it is defined under."""

DEFINED_IN = {
    "open_client": "kalshi",
    "open_engine": "runtime",
    "host_in_memory": "paper",
    "host_on_loopback": "paper",
    "Exchange": "paper",
}
"""The room of each: other rooms may use its name for something else."""


def calls(path: Path) -> set[str]:
    """The constructors of `HOMES` that a file calls, whatever it has renamed them to."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for name in node.names:
                if name.name in HOMES and node.module.startswith(f"fsm_exec.{DEFINED_IN[name.name]}"):
                    imported[name.asname or name.name] = name.name
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = {imported[func.id] for func in called if isinstance(func, ast.Name) and func.id in imported}
    return found | {func.attr for func in called if isinstance(func, ast.Attribute) and func.attr in HOMES}


def test_the_parts_are_put_together_in_one_place() -> None:
    """Client and engine in session.py, the paper exchange and its hosts in paper_session.py, and nowhere else."""
    found: dict[str, set[str]] = {name: set() for name in HOMES}
    for path in (ROOT / "fsm_exec").rglob("*.py"):
        for name in calls(path):
            found[name].add(path.relative_to(ROOT).as_posix())
    assert found == HOMES
