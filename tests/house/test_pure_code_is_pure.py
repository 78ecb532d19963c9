"""Pure code is pure: it waits for nothing, prints nothing, opens nothing, reads no clock and throws no dice.

import-linter keeps modules out (no trio, time, random, sockets); this looks at what needs no import.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("states", "fsm_exec/core", "fsm_exec/algorithms", "fsm_exec/wire")

CALLS = {
    "print": "return it, or raise",
    "open": "take bytes or text as an argument",
    "input": "take it as an argument",
    "exec": "write the code",
    "eval": "write the code",
    "__import__": "import it at the top",
    "breakpoint": "take it out",
    "globals": "pass it",
}
METHODS = {
    "now": "events carry their time",
    "utcnow": "events carry their time",
    "today": "events carry their time",
    "read_text": "take text as an argument",
    "write_text": "return text",
    "read_bytes": "take bytes as an argument",
    "write_bytes": "return bytes",
    "open": "take bytes or text as an argument",
    "getenv": "take it as an argument",
    "environ": "take it as an argument",
}
MODULES = frozenset({"os", "sys", "time", "random", "secrets", "uuid", "asyncio", "trio", "threading", "subprocess"})
MODULES |= {"multiprocessing", "socket", "ssl", "sqlite3", "logging", "tempfile", "shutil", "signal", "io", "urllib"}
MODULES |= {"http", "pathlib", "warnings", "atexit", "gc", "inspect", "structlog", "httpx"}
EXEMPT = {"fsm_exec/wire/recording.py": "reads a recording line by line: a day of it is too much for memory"}
PORTS = (
    "fsm_exec/core/exchange_port.py",
    "fsm_exec/core/alerts/channel_port.py",
    "fsm_exec/core/leadership_port.py",
    "fsm_exec/core/command_notes_port.py",
    "fsm_exec/core/store_port.py",
)
"""Protocols of what the outside does: signatures, without a body."""


def impurities(tree: ast.AST, *, protocols_may_wait: bool = False) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.AsyncFunctionDef() if not (protocols_may_wait and is_signature(node)):
                yield line, f"async def {node.name}: an execution never awaits"
            case ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield line, "await: an execution never awaits"
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield line, f"{name}(): {CALLS[name]}"
            case ast.Attribute() if node.attr in METHODS:
                yield line, f".{node.attr}: {METHODS[node.attr]}"
            case ast.Import():
                for alias in node.names:
                    if alias.name.split(".")[0] in MODULES:
                        yield line, f"import {alias.name}"
            case ast.ImportFrom() if (node.module or "").split(".")[0] in MODULES:
                yield line, f"from {node.module}"
            case ast.Global():
                yield line, "global: state belongs into arguments"
            case _:
                pass


def is_signature(node: ast.AsyncFunctionDef) -> bool:
    """A docstring and an ellipsis, as protocols have."""
    body = [statement for statement in node.body if isinstance(statement, ast.Expr)]
    return len(body) == len(node.body) and all(isinstance(statement.value, ast.Constant) for statement in body)


@pytest.mark.parametrize("room", ROOMS)
def test_pure_code_is_pure(room: str) -> None:
    """The message says what to do instead."""
    offences = []
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"), name)
        found = [f"{name}:{line}: {what}" for line, what in impurities(tree, protocols_may_wait=name in PORTS)]
        if name in EXEMPT:
            assert all("open" in what or "pathlib" in what for what in found), found
            assert found, f"{name} needs no exemption any more"
        else:
            offences += found
    assert offences == []


@pytest.mark.parametrize(
    "planted",
    [
        "async def f(): ...",
        "async def f():\n    await g()",
        "print(1)",
        "x = open('y')",
        "x = path.open()",
        "import time",
        "from random import Random",
        "import os.path",
        "x = datetime.now(UTC)",
        "x = date.today()",
        "Path('x').write_text('y')",
        "def f():\n    global x",
        "eval('1')",
    ],
)
def test_the_checker_catches_what_is_planted(planted: str) -> None:
    """Each kind of impurity."""
    assert list(impurities(ast.parse(planted)))


def test_only_signatures_may_be_async_in_the_ports() -> None:
    """A body would be code that waits."""
    signature = "class P:\n    async def f(self) -> None:\n        '''Why.'''\n        ..."
    assert not list(impurities(ast.parse(signature), protocols_may_wait=True))
    assert list(impurities(ast.parse("async def f():\n    return 1"), protocols_may_wait=True))


def test_states_needs_the_standard_library_only() -> None:
    """A reviewer judges what may happen without opening the engine."""
    for path in sorted((ROOT / "states").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] in ("states", "__future__", "dataclasses", "collections", "typing"), path
