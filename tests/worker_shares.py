"""Which worker runs what, and in which order: without this a run ends with one worker at its longest module.

A module is one worker's, so that what its fixtures build is built once. Those that take long and share nothing are
shared out test by test; what takes longest begins first.
"""

from __future__ import annotations

import pytest

SHARED_OUT = (
    "account/test_million_books.py",
    "bending/test_false_fills.py",
    "cli/test_documents_run.py",
    "contract/test_under_faults.py",
    "lab/test_blocks.py",
    "lab/test_fork.py",
    "lab/test_simulation_mutants.py",
    "lab/test_statistics.py",
    "recordings/test_recorded_days.py",
    "recordings/test_windows.py",
    "runtime/test_recovery_mutants.py",
    "standby/test_takeover.py",
)
"""Modules whose tests need nothing of each other."""
BEGUN_FIRST = (
    "recordings/test_estimates.py",
    "recordings/test_recorded_days.py",
    "chaos/test_kills.py",
    "chaos/test_sweep.py",
    "chaos/test_failovers.py",
    "runtime/test_alert_kills.py",
    "cli/test_sigkill.py",
    "lab/test_simulation.py",
    "soak/month/test_month.py",
    "cli/test_wheel.py",
    "cli/test_stranger.py",
    "bending/test_outages.py",
    "paper/test_fidelity.py",
    "cli/test_documents_run.py",
    "lab/test_estimation.py",
    "lab/test_three_ways.py",
    "lab/test_fork.py",
    "standby",
    "lab",
    "chaos",
    "bending",
    "cli",
    "api",
    "web",
    "recordings",
    "contract",
)
"""Modules and folders, the longest first; all others come after them."""
ROOT = "tests/"


def share_of(nodeid: str) -> str:
    """Return the name of the tests that one worker runs in one go, of which `nodeid` is one."""
    module, _, _ = nodeid.partition("::")
    return nodeid if module.removeprefix(ROOT) in SHARED_OUT else module


def place_of(module: str) -> int:
    """Return when `module`, a path below tests/, begins: lower is earlier."""
    names = (module, module.partition("/")[0])
    return min((BEGUN_FIRST.index(name) for name in names if name in BEGUN_FIRST), default=len(BEGUN_FIRST))


def make_scheduler(config: pytest.Config, log: object) -> object:
    """Return what hands out the tests of `--dist loadscope`."""
    from xdist.scheduler import LoadScopeScheduling  # a run may be without workers

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = share_of
    return scheduler
