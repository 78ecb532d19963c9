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


TESTED_APART = {
    "benchmarks/test_lab.py": "the exchange without a host is what the lab is measured beside",
    "benchmarks/test_paper_server.py": "the host is what is measured",
    "bending/drill.py": "engines are cut off from an exchange and a store that go on",
    "account/test_week_of_profit.py": "the exchange without any wire, against our books",
    "benchmarks/many.py": "the client's cancels are watched before an engine is there",
    "bending/test_bending.py": "a client over what bends it, without an engine",
    "chaos/sweep.py": "the clock runs faster than trio's",
    "chaos/sweep_life.py": "crash points are armed between client and engine",
    "cli/test_paper_command.py": "a client of the served exchange",
    "contract/conftest.py": "the client, over both hosts, is what is tested",
    "contract/test_halt.py": "the tape begins between client and engine",
    "contract/test_restarts_under_faults.py": "engines are cut off from an exchange and a store that go on",
    "contract/test_under_faults.py": "the engine is opened again until it can be",
    "contract/test_what_is_needed.py": "the client, over answers that lack something, is what is tested",
    "kalshi/test_environment.py": "the client is what is tested",
    "kalshi/test_rate_budget.py": "the client is what is tested",
    "kalshi/test_tls.py": "the client is what is tested",
    "paper/support.py": "the exchange and its hosts are what is tested",
    "paper/test_faults.py": "the exchange and its hosts are what is tested",
    "paper/test_hosting.py": "the exchange and its hosts are what is tested",
    "paper/test_virtual_lane.py": "the exchange and its hosts are what is tested",
    "runtime/killed_engine.py": "engines are cut off from an exchange and a store that go on",
    "runtime/support.py": "the engine is what is tested",
    "runtime/test_rare_histories.py": "the engine is what is tested",
    "soak/soaking.py": "tapes begin between client and engine",
}
"""Tests that call a constructor themselves, and why."""


def test_tests_use_it_too() -> None:
    """All but those that say why not; and none says so that does use it."""
    found = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("*.py") if calls(path)}
    assert found == set(TESTED_APART)
