"""What docstrings say about the code is so: names in backticks exist, the tree of errors is the one drawn."""

from __future__ import annotations

import ast
import builtins
import re
from functools import cache
from pathlib import Path

from fsm_exec.core import errors

ROOT = Path(__file__).parents[2]
ROOMS = ("states", "fsm_exec", "tests")
# One name, perhaps dotted or called: `submit`, `Actor.step`, `decide(view)`. Formulas and commands are left alone.
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\([^`]*\))?`")
# Of other programs and papers, and parts of patterns: FILE, schema_vN.
OUTSIDE = {"nohup", "rm", "ema_slippage", "consumed", "heartbeat", "dollar_"}
PATTERNS = {
    "DIR",
    "FILE",
    "NAME",
    "min_WHAT_ts",
    "max_WHAT_ts",
    "schema_vN",
    "history_vN_NAME",
    "vVERSION",
    "Class",
    "attribute",
}
UNITS = {"_e2", "_e4", "_e5", "_e6", "_us", "_mt", "_ppm"}
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@cache
def parsed() -> list[tuple[str, ast.Module]]:
    files = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in files]


def names_in(tree: ast.Module) -> set[str]:
    """Every name the code of a module defines or uses, and every word of its texts but the docstrings'."""
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, Documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                found.add(name)
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.keyword(arg=str(name)):
                found.add(name)
            case ast.alias(name=name):
                found.update(name.split("."))
            case ast.Constant(value=str(text)) if id(node) not in documents:
                found.update(re.findall(r"\w+", text))
            case _:
                pass
    return found


@cache
def known() -> frozenset[str]:
    names = set(dir(builtins)) | OUTSIDE | PATTERNS | UNITS
    for name, tree in parsed():
        names |= names_in(tree)
        names.update(Path(name).with_suffix("").parts)
    for sql in (ROOT / "fsm_exec").rglob("*.sql"):
        names.update(re.findall(r"\w+", sql.read_text(encoding="utf-8")))
    return frozenset(names)


def test_names_in_docstrings_exist() -> None:
    """A name in backticks that nothing in the repository is called by is the name of something that is gone."""
    gone = [
        f"{name}: `{match[1]}`"
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, Documented)
        for match in NAME.finditer(ast.get_docstring(node) or "")
        if not set(match[1].split(".")) <= known()
    ]
    assert gone == [], "\n".join(gone)


def test_files_named_in_docstrings_exist() -> None:
    """`core/errors.py`, test_layers.py: a file of that name, in that folder if one is named."""
    files = {path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    gone = [
        f"{name}: {named}"
        for name, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, Documented)
        for named in re.findall(r"(?<![\w*/.-])((?:\w+/)*\w+\.py)\b", ast.get_docstring(node) or "")
        if not any(file == named or file.endswith(f"/{named}") for file in files)
    ]
    assert gone == [], "\n".join(gone)


def test_comments_cite_what_is_in_the_repository() -> None:
    """A section of the wire reference, as `wire/README.md 6.3`, has a heading there; an invariant has its number."""
    wire, rules = (ROOT / "fsm_exec" / name for name in ("wire/README.md", "README.md"))
    sections = set(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", wire.read_text(encoding="utf-8"), re.MULTILINE))
    invariants = set(re.findall(r"^(\d+)\. ", rules.read_text(encoding="utf-8"), re.MULTILINE))
    lost = []
    for name in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        text = re.sub(r"\s+(?:# )?", " ", name.read_text(encoding="utf-8"))
        cited = re.findall(r"wire/README\.md (\d+(?:\.\d+)?)((?:(?:,| and) \d+\.\d+)*)", text)
        told = {first for first, _ in cited} | {more for _, rest in cited for more in re.findall(r"\d+\.\d+", rest)}
        lost += [f"{name.name}: wire/README.md {section}" for section in sorted(told - sections)]
        lost += [f"{name.name}: invariant {one}" for one in set(re.findall(r"[Ii]nvariant (\d+)", text)) - invariants]
        lost += [f"{name.name}: {old}" for old in re.findall(r"\((?:W|L)\d[^)]*\)|W\d+\.\d", text)]
    assert lost == []


def test_the_tree_of_errors_is_the_one_drawn() -> None:
    """Each class of the module stands in its drawing, below the class it derives from: handlers depend on it."""
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = [(-1, "")]
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"( *)(?:[x-] )?(\w+)(?: {2,}|$)", line)
        if match is None:
            continue
        while above[-1][0] >= len(match[1]):
            above.pop()
        drawn[match[2]] = above[-1][1]
        above.append((len(match[1]), match[2]))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__]
    real = {kind.__name__: (kind.__base__ or object).__name__ for kind in kinds}
    assert drawn == real | {"ExecError": ""}
