"""The difference of a method to the baseline within a group of episodes."""

from __future__ import annotations

from collections.abc import Callable

from fsm_exec.lab.blocks import number_blocks
from fsm_exec.lab.experiment.groups import Group, Scope
from fsm_exec.lab.experiment.results import EpisodeResult
from fsm_exec.lab.statistics import Comparison, compare

E7_OF_CENTS_E2 = 1_000  # a total in 10^-7 dollars over a count in hundredths: divided by this, cents per contract


def difference(scope: Scope, group: Group, method: str, figure: Callable[[EpisodeResult, str], float]) -> Comparison:
    """Compare the method's figure of each episode with that of the baseline."""
    numbered = number_blocks((e.key.tape, e.key.at_us) for e in group.episodes)
    found = compare(
        {e.key: figure(e, method) for e in group.episodes},
        {e.key: figure(e, scope.baseline) for e in group.episodes},
        {e.key: numbered[e.key.tape, e.key.at_us] for e in group.episodes},
        group.product_of,
    )
    assert found is not None, "a group without episodes"
    return found


def cents(episode: EpisodeResult, method: str) -> float:
    """What the method's order cost in this episode, rewards taken off, in cents per contract."""
    return episode.runs[method].cost_e7 / (episode.key.quantity_e2 * E7_OF_CENTS_E2)


def filled_share(episode: EpisodeResult, method: str) -> float:
    return episode.runs[method].filled_e2 / episode.key.quantity_e2
