"""No float near money: a look at the syntax trees of everything that handles prices, counts and money.

A float can come in as a literal, by its name (a call, an annotation), by true division, or from a function of the
standard library that returns one. What is exempt stands below with its reason, and must still need it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("states", "fsm_exec/core", "fsm_exec/algorithms", "fsm_exec/wire", "fsm_exec/paper")

EXEMPT = {
    "fsm_exec/paper/tapes/generator.py": "statistics of an invented flow; what it emits is integers",
    "fsm_exec/paper/tapes/profiles.py": "the parameters of that flow",
    "fsm_exec/paper/random_draws.py": "distributions; what is used of the draws outside of the generator is integers",
    "fsm_exec/paper/tapes/fidelity*.py": "statistics that judge an invented flow against a recorded one",
    "fsm_exec/paper/timing/clock.py": "the boundary to trio, whose seconds are floats",
    "fsm_exec/paper/server/asgi_transport.py::handle_async_request": "the same boundary: a deadline of trio's",
    "fsm_exec/core/values/units.py::rounded_ratio": "Decimal by Decimal, for display only",
}

INTEGERS_OF_MATH = frozenset({"ceil", "comb", "factorial", "floor", "gcd", "isqrt", "lcm", "perm", "prod"})
FLOAT_MODULES = frozenset({"cmath", "numpy", "statistics"})
FLOAT_METHODS = frozenset(
    {"betavariate", "expovariate", "gauss", "lognormvariate", "normalvariate", "paretovariate", "random", "timestamp"}
    | {"total_seconds", "triangular", "truediv", "uniform", "weibullvariate", "__truediv__", "current_time"}
)


def floats(tree: ast.AST) -> Iterator[tuple[str, int, str]]:
    """(enclosing function or "", line, what it is)."""

    def walk(node: ast.AST, function: str) -> Iterator[tuple[str, int, str]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Constant(value=float() | complex()):
                yield function, line, f"the literal {node.value!r}"
            case ast.Constant(value=str(text)) if text in ("float", "complex"):
                yield function, line, f"the annotation {text!r}"
            case ast.Name(id="float" | "complex"):
                yield function, line, f"the name {node.id}"
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str()) | ast.JoinedStr()):
                pass  # a path: numbers are not divided by text
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield function, line, "true division"
            case ast.Attribute(value=ast.Name(id="math")) if node.attr not in INTEGERS_OF_MATH:
                yield function, line, f"math.{node.attr}"
            case ast.Attribute() if node.attr in FLOAT_METHODS:
                yield function, line, f".{node.attr}"
            case ast.ImportFrom(module="math"):
                for name in node.names:
                    if name.name not in INTEGERS_OF_MATH:
                        yield function, line, f"math.{name.name}"
            case ast.Import():
                for name in node.names:
                    if name.name.split(".")[0] in FLOAT_MODULES or (name.name == "math" and name.asname):
                        yield function, line, f"import {name.name}"
            case ast.ImportFrom() if (node.module or "").split(".")[0] in FLOAT_MODULES:
                yield function, line, f"from {node.module}"
        for child in ast.iter_child_nodes(node):
            yield from walk(child, function)

    return walk(tree, "")


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def found_in(path: Path) -> Iterator[tuple[str, str]]:
    """(the exemption that applies or "", what was found)."""
    name = path.relative_to(ROOT).as_posix()
    for function, line, what in floats(ast.parse(path.read_text(encoding="utf-8"), name)):
        applies = [key for key in EXEMPT if fnmatch(name, key) or key == f"{name}::{function}"]
        yield (applies[0] if applies else ""), f"{name}:{line}: {what}"


def test_no_float_near_money() -> None:
    """Use integers with a unit in their name; parse text with core.values.units; divide with // or ceil_div."""
    assert sources()
    offences = [what for path in sources() for exemption, what in found_in(path) if not exemption]
    assert offences == []


def test_every_exemption_is_still_needed() -> None:
    """An exemption without an offence hides the next one."""
    names = [path.relative_to(ROOT).as_posix() for path in sources()]
    used = {exemption for path in sources() for exemption, _ in found_in(path) if exemption}
    assert used == {key for key in EXEMPT if any(fnmatch(name, key.split("::")[0]) for name in names)}


@pytest.mark.parametrize(
    "planted",
    [
        "x = 0.5",
        "x = 1e3",
        "x = 2j",
        "x = float(y)",
        "def f(x: float) -> int: ...",
        "def f() -> float: ...",
        "x: 'float' = 1",
        "x: dict[str, float] = {}",
        "x: int | float = 1",
        "x = map(float, y)",
        "x = a / b",
        "x /= 2",
        "x = [a / b for a in y]",
        "x = f'{a / b}'",
        "import math\nx = math.sqrt(2)",
        "import math\nx = math.inf",
        "import math as m",
        "from math import log",
        "import statistics",
        "from statistics import mean",
        "import numpy.linalg",
        "x = delta.total_seconds()",
        "x = random.random()",
        "x = dice.gauss(0, 1)",
        "x = moment.timestamp()",
        "x = operator.truediv(a, b)",
        "class A:\n    x: float",
        "async def f():\n    return 1.5",
        "x = lambda y: y / 2",
        "x = trio.current_time()",
    ],
)
def test_the_checker_catches_a_planted_float(planted: str) -> None:
    """Each way a float can come in."""
    assert list(floats(ast.parse(planted)))


@pytest.mark.parametrize(
    "clean",
    [
        "x = 5 // 2",
        "x = folder / 'name' / f'{stem}.toml'",
        "x //= 2",
        "x = Decimal('0.07')",
        "x = 'a float in words, 0.5 of one'",
        "import math\nx = math.isqrt(9)",
        "from math import gcd",
        "x = dice.randrange(5)",
        "x = 10**6 * -1 % 3",
    ],
)
def test_the_checker_lets_integers_pass(clean: str) -> None:
    """Otherwise it would be switched off."""
    assert not list(floats(ast.parse(clean)))
