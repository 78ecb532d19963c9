"""Rules of the house that a reader would otherwise have to check by eye."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def trees(*rooms: str) -> list[tuple[str, ast.Module]]:
    files = sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))
    assert files
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def test_every_module_says_what_it_is() -> None:
    """A docstring at the top, in the code and in the tests."""
    assert [name for name, tree in trees("states", "fsm_exec", "tests") if not ast.get_docstring(tree)] == []


def test_every_test_claims_something() -> None:
    """Its docstring is the claim."""
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in trees("tests")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_the_tests_shadow_no_package() -> None:
    """An `__init__.py` under tests/, or a folder tests/states, would hide the packages under test."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []
    assert not (ROOT / "tests" / "states").exists()


def test_what_is_stored_is_frozen_and_refuses_unknown_fields() -> None:
    """Snapshots, events and intents: a newer writer must not lose what it wrote. `forbid_unknown_fields` and
    `kw_only` are repeated on each class, because not all of them are inherited."""
    kinds = {"Event", "Intent"}
    for name, tree in trees(["fsm_exec/core", "events.py"][0]):
        if not name.endswith(("/events.py", "/execution.py", "/view.py", "/limits.py", "/market.py", "/fees.py")):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            bases = {ast.unparse(base) for base in node.bases}
            options = {key.arg for key in node.keywords}
            if "msgspec.Struct" in bases or bases & kinds:
                if name.endswith("/fees.py") and node.name == "FilledFee":
                    continue  # a result that is never stored
                assert {"frozen", "forbid_unknown_fields"} <= options, f"{name}: {node.name}"


def test_assertions_are_not_used_to_check_what_comes_from_outside() -> None:
    """`python -O` takes assertions out, and the program refuses to start under it; core raises errors of its tree."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in trees("fsm_exec/core", "fsm_exec/algorithms", "fsm_exec/wire")
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_no_exception_is_swallowed_in_pure_code() -> None:
    """Every handler names what it catches and raises or returns something of its own."""
    for name, tree in trees("states", "fsm_exec/core", "fsm_exec/algorithms", "fsm_exec/wire"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{name}:{node.lineno}: names no exception"
                assert ast.unparse(node.type) not in ("Exception", "BaseException"), f"{name}:{node.lineno}: too wide"
                assert not all(isinstance(part, ast.Pass) for part in node.body), f"{name}:{node.lineno}: swallowed"
