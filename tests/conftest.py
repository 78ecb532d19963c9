"""What holds for all tests, and which are heavy: kills, sweeps, mutants, soak, benchmarks, SDKs, fuzzing, real books.

`pytest -m 'not heavy'` is what a change needs; `pytest -m heavy` has the rest. The benchmarks run alone, one after the
other, since they compare times.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.leftovers import VARIABLE, kill_leftovers
from tests.worker_shares import make_scheduler, place_of

settings.register_profile("untimed", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("untimed")

TESTS = Path(__file__).parent
HEAVY_FOLDERS = ("benchmarks", "chaos", "conformance", "recordings", "soak")
HEAVY_MODULES = (
    "account/test_million_books.py",
    "bending/test_each_lie.py",
    "bending/test_kill_again.py",
    "bending/test_outage_of_a_daemon.py",
    "bending/test_outages.py",
    "cli/test_account_killed.py",
    "cli/test_demo_crash.py",
    "cli/test_doctor_live.py",
    "cli/test_documents_run.py",
    "cli/test_host_gone.py",
    "cli/test_plugin_package.py",
    "cli/test_sigkill.py",
    "cli/test_stranger.py",
    "cli/test_wheel.py",
    "contract/test_under_faults.py",
    "lab/test_compare.py",
    "lab/test_cluster.py",
    "lab/test_compare_command.py",
    "lab/test_compare_tuning.py",
    "lab/test_lanes.py",
    "lab/test_report_in_browser.py",
    "lab/test_simulation.py",
    "lab/test_simulation_mutants.py",
    "paper/test_fidelity.py",
    "runtime/test_recovery_mutants.py",
    "standby/test_copies.py",
    "standby/test_ordered_in_the_lag.py",
    "standby/test_pair_in_a_bucket.py",
    "standby/test_takeover.py",
    "specification/test_fuzzing.py",
    "web/browser/test_acting.py",
    "web/test_hour.py",
    "web/browser/test_growth.py",
    "web/browser/test_looks.py",
    "web/browser/test_slider.py",
    "web/browser/test_other_sites.py",
    "web/browser/test_watching.py",
)


IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
HOMES = tempfile.mkdtemp(prefix="fsm-exec-tests-")


@pytest.hookimpl(optionalhook=True)  # a run may be without workers
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: two workers a core, since half of what a test of a daemon takes is waiting."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """What `--dist loadscope` means here; any other keeps its meaning."""
    return make_scheduler(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_finish() -> None:
    """What has been imported and collected lives to the end: no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


def pytest_configure(config: pytest.Config) -> None:
    """A shell starts what it puts in the background deaf to Ctrl-C, and every process a test starts would inherit that:
    tests of Ctrl-C would wait for ever. And no test finds, or leaves, anything in the user's own directories, nor in
    those of tests that run beside it."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # by the number of tests: modules of a few long ones would come last
    for kind in ("STATE", "DATA", "CONFIG"):
        os.environ[f"XDG_{kind}_HOME"] = f"{HOMES}/{kind.lower()}"
    if not IS_WORKER:  # they inherit it
        os.environ[VARIABLE] = HOMES
        # As Ctrl-C, which trio knows how to end a run by: what has been started is ended.
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_unconfigure() -> None:
    if not IS_WORKER:
        kill_leftovers(HOMES)
    shutil.rmtree(HOMES, ignore_errors=True)


def is_heavy(place: Path) -> bool:
    """Whether all tests of a module, its path below tests/, are heavy."""
    return place.parts[0] in HEAVY_FOLDERS or place.as_posix() in HEAVY_MODULES


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The heavy layer imports only what has a heavy test: each worker would import the other modules for nothing."""
    if config.getoption("-m") != "heavy" or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return None
    if not collection_path.name.startswith("test_") or collection_path.suffix != ".py":
        return None
    has_some = is_heavy(collection_path.relative_to(TESTS)) or "mark.heavy" in collection_path.read_text(
        encoding="utf-8"
    )
    return None if has_some else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: place_of(item.path.relative_to(TESTS).as_posix()))
    for item in items:
        if is_heavy(item.path.relative_to(TESTS)):
            item.add_marker(pytest.mark.heavy)
