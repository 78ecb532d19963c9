"""What an episode knows of its market at its start: what an engine knows that has watched it all along."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsm_exec.algorithms import Method, Settings
from fsm_exec.core.algorithm.algorithm import Action, Progress
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.signals.signals import ON_DEMAND, Signals
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.lab.experiment.episode_runner import run_episode
from fsm_exec.lab.experiment.episodes import Conditions, Order, find_starts
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.lab.experiment.watched_tape import WatchedTape, signals_known_at
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import Tape

CONDITIONS = Conditions()
S = 1_000_000


@pytest.fixture(scope="module")
def tape() -> Tape:
    """Twelve minutes of generated flow."""
    return generate(3, 720, profile="index", start_us=1_767_625_200_000_000)


@pytest.mark.parametrize("outcome", ["yes", "no"])
def test_the_first_decision_sees_the_market_as_if_it_had_always_been_watched(tape: Tape, outcome: Outcome) -> None:
    """What takes two minutes to know is known at the start, in either outcome: what taking usually costs, how far the
    mid wanders, how fast takers sell; and the book is the episode's own."""
    start = find_starts(tape, 60 * S, CONDITIONS)[0]
    seen: list[MarketView] = []
    method = resolve("passive_mid")

    def replan(progress: Progress, view: MarketView) -> tuple[Action, ...]:
        seen.append(view)
        return method.replan(progress, view)

    order = Order(outcome=outcome, quantity_e2=CountE2(2_000), horizon_us=45 * S)
    reads_all = replace(method, config=Settings(), replan_bound=replan)
    told = run_episode(tape, start, order, reads_all, CONDITIONS)
    signals = seen[0].signals
    assert signals is not None
    watched = signals_known_at(tape, start.at_us - CONDITIONS.feed_us).read(outcome, signals.at_us)
    for name in ("touch_cost_120s_e6", "mid_deviation_e5", "sell_rate_slow_e4", "ofi_z_ppm", "bid_log_mean_ppm"):
        assert getattr(watched, name) is not None
        assert getattr(signals, name) == getattr(watched, name), name
    assert told.mid_e5 == seen[0].mid_e5


def test_moments_may_be_asked_for_in_any_order(tape: Tape) -> None:
    """Each is what the tape until then makes of it; what was handed out before does not change any more."""
    watched, moments = WatchedTape(tape), [tape.first_us + s * S for s in (200, 400, 300)]
    handed = [watched.signals_at(at_us) for at_us in moments]
    fresh = [WatchedTape(tape).watch_until(at_us) for at_us in moments]
    for at_us, one, other in zip(moments, handed, fresh, strict=True):
        assert one.read("yes", at_us) == other.read("yes", at_us)
        assert list(one.side("no").best_first()) == list(other.side("no").best_first())


def test_the_same_run_comes_out_whatever_was_asked_before(tape: Tape) -> None:
    """An episode changes nothing of what the next one is handed."""
    first, *_, last = find_starts(tape, 60 * S, CONDITIONS)[:4]
    order = Order(outcome="yes", quantity_e2=CountE2(2_000), horizon_us=45 * S)
    method = resolve("deadline_walker@2")
    before = run_episode(tape, last, order, method, CONDITIONS)
    run_episode(tape, first, order, method, CONDITIONS)
    assert run_episode(tape, last, order, method, CONDITIONS) == before


def test_an_episode_shows_a_method_what_it_reads(tape: Tape) -> None:
    """As a daemon does, for it is the same engine: what is not declared is not there, what is declared is."""
    start = find_starts(tape, 60 * S, CONDITIONS)[0]
    order = Order(outcome="yes", quantity_e2=CountE2(2_000), horizon_us=45 * S)
    for name, read in (("passive_mid", set()), ("deadline_walker@2", {"ofi_z_ppm", "touch_cost_120s_e6"})):
        seen: list[Signals] = []
        method = resolve(name)

        def replan(
            progress: Progress, view: MarketView, method: Method = method, seen: list[Signals] = seen
        ) -> tuple[Action, ...]:
            seen.extend([] if view.signals is None else [view.signals])
            return method.replan(progress, view)

        run_episode(tape, start, order, replace(method, replan_bound=replan), CONDITIONS)
        told = {field for field in ON_DEMAND for signals in seen if getattr(signals, field) is not None}
        assert read <= told <= (method.signals_read or set()) & ON_DEMAND, name
        assert all(signals.mid_deviation_e5 is not None for signals in seen)
