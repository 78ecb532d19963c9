"""The thin book on which another engine's TWAP ends half-way and says nothing: both engines, in one run.

100 contracts in 10 slices over a minute. The book offers 5 levels of 1 contract, or 1 level of 4, filled up each
second: 300 (240) in all, but never as much as a slice. Ours is the whole engine on the paper exchange in memory; the
other one comes with the extra `peer` and is skipped without it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.lab.experiment.episode_runner import EpisodeRun, run_episode
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.paper.tapes.tape import BookSnapshot, Tape, TapeEvent, tape_header

HERE = Path(__file__).parent
T0_US = 1_681_149_600_000_000
S = 1_000_000
THIN = [pytest.param(5, 1, 50, id="5 levels of 1"), pytest.param(1, 4, 40, id="1 level of 4")]
CONTRACTS, HORIZON_S = 100, 60


def thin(levels: int, contracts: int) -> tuple[Tape, EpisodeStart]:
    """A whole book a second, with its offers from 0.50 up; the order is given five seconds in."""

    def book(bid_contracts: int) -> BookSnapshot:  # no two books are the same, so each is one that was filled up
        bids = ((PriceE4(4_900), CountE2(bid_contracts * 100)),)
        return BookSnapshot(bids, tuple((PriceE4(5_000 - 100 * n), CountE2(contracts * 100)) for n in range(levels)))

    events: list[TapeEvent] = [(T0_US + second * S, book(100 + second % 2)) for second in range(HORIZON_S + 60)]
    tape = Tape(header=tape_header("KXTHIN-1-A", "linear_cent", category="Testing"), events=tuple(events))
    return tape, EpisodeStart(0, T0_US + 5 * S + 500_000, book(101), 4, book(101))


def ours(levels: int, contracts: int, horizon_s: int) -> EpisodeRun:
    tape, start = thin(levels, contracts)
    order = Order(outcome="yes", quantity_e2=CountE2(CONTRACTS * 100), horizon_us=horizon_s * S)
    return run_episode(tape, start, order, resolve("twap[slices=10]"), Conditions())


@pytest.mark.parametrize(("levels", "contracts", "peer_buys"), THIN)
def test_ours_completes_where_it_can(
    levels: int, contracts: int, peer_buys: int, benchmark: BenchmarkFixture, figures: list[str]
) -> None:
    """All 100 are bought, in time; where less is offered all of that is bought, and the reason is told."""
    run = benchmark.pedantic(ours, args=(levels, contracts, HORIZON_S), rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    assert (run.filled_e2, run.reason) == (CONTRACTS * 100, "completed")
    short = ours(levels, contracts, 15)
    assert short.reason == "no_liquidity"
    assert 13 * levels * contracts * 100 <= short.filled_e2 <= 16 * levels * contracts * 100
    figures.append(
        f"thin book, {levels} x {contracts}: ours 100 of 100 in {run.writes} orders; in 15 s {short.filled_e2 // 100}, "
        f"{short.reason}"
    )


@pytest.mark.skipif(
    importlib.util.find_spec("nautilus_trader") is None,
    reason="the other engine is not installed: pip install 'fsm-exec[peer]' (Python 3.11)",
)
@pytest.mark.parametrize("time_in_force", ["ioc", "gtc"])
@pytest.mark.parametrize(("levels", "contracts", "peer_buys"), THIN)
def test_the_other_engine_ends_half_way(
    levels: int, contracts: int, peer_buys: int, time_in_force: str, figures: list[str]
) -> None:
    """Its sequence is over, its orders are cancelled or hang partly filled, and half or less is bought."""
    command = [sys.executable, str(HERE / "peer_twap.py"), str(levels), str(contracts), str(HORIZON_S), time_in_force]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["bought"] == peer_buys
    figures.append(
        f"thin book, {levels} x {contracts}: nautilus_trader {time_in_force} {told['bought']} of 100, {told['ends']}"
    )
