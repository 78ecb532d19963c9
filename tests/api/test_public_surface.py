"""The public surface is chosen: a name more or less is a decision, written down here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import fsm_exec
from tests.cli.support import ROOT, environment

TO_TRADE = """
    Accepted Acknowledged AsyncClient Client EdgeGiven ExecutionDetail ExecutionSummary FillSeen QuarantineSeen Status
    Step Submission Transition
    AccountSeen CloseWanted ClosedMarket Closing Estimate EstimateWanted MarketBook MarketLine MarketList
    PositionSeen PositionsSeen ProfitSeen ProfitTable RiskSeen
"""
ERRORS = "ControlError DaemonAbsent DaemonFailed ExecError Refused UserError"
TO_WRITE_AN_ALGORITHM = """
    Action AmendAction CancelAction CloseAction ClosingSettings CountE2 Family GiveUpAction Goal MarketView PlaceAction
    PriceE4 PriceGrid Progress Settings Slice SliceProgress TransferAction Working
    apportion cap_to_grid lowest_price offers_within price_between rest_at single_slice slices_of tick_above to_nearest
    touch
"""
SURFACE = sorted(f"{TO_TRADE} {ERRORS} {TO_WRITE_AN_ALGORITHM}".split())


def test_the_surface_is_the_written_list() -> None:
    """`__all__`, and what a type checker is told, are these names."""
    assert fsm_exec.__all__ == SURFACE
    tree = ast.parse(Path(fsm_exec.__file__).read_text(encoding="utf-8"))
    told = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0]
    names = {alias.asname: node.module for node in told for alias in node.names if alias.asname is not None}
    assert sorted(names) == SURFACE
    for name, home in names.items():
        assert getattr(fsm_exec, name) is getattr(sys.modules[str(home)], name)


def test_what_is_not_on_it_is_an_error() -> None:
    """As of any module."""
    assert not hasattr(fsm_exec, "Engine")
    assert set(dir(fsm_exec)) >= set(SURFACE)


def test_the_package_loads_nothing_before_it_is_asked() -> None:
    """`fsm-exec --help` pays for no name of the surface, and one name does not load the others."""
    code = (
        "import sys, fsm_exec; one = {n for n in sys.modules if n.startswith('fsm_exec.')}\n"
        "fsm_exec.Goal; two = {n for n in sys.modules if n.startswith(('fsm_exec.control', 'httpx', 'trio'))}\n"
        "print(len(one), len(two))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, check=True)
    assert done.stdout.split() == [b"0", b"0"]
