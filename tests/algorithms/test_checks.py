"""The checks that `fsm-exec algorithms check` makes: they find out what is wrong, and let pass what is right."""

from __future__ import annotations

import gc
import sys
import time
from random import Random

import pytest

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.lab.algorithm_checks.cases import draw_case, draw_settings
from fsm_exec.lab.algorithm_checks.checking import PROPERTIES, check_algorithm
from tests.algorithms.bad import BAD

CASES = 60


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_bad_algorithm_is_found_out(name: str) -> None:
    """By the property it breaks, with the case that shows it; what it does to the process stays there."""
    family, prop, why = BAD[name]
    verdicts = {verdict.name: verdict for verdict in check_algorithm(family, CASES, 1)}
    assert set(verdicts) == {prop.name for prop in PROPERTIES}
    found = verdicts[prop]
    assert why in str(found.why), found
    assert found.seed is not None
    assert "\n" not in str(found.why)
    assert sys.getprofile() is None


@pytest.mark.parametrize("name", sorted(SHIPPED_FAMILIES))
def test_every_algorithm_that_ships_passes(name: str) -> None:
    """All of the properties; the one as written by the reference design need not come to rest."""
    verdicts = list(check_algorithm(SHIPPED_FAMILIES[name], CASES, 1))
    assert [verdict for verdict in verdicts if verdict.why is not None] == []
    assert len(verdicts) == len(PROPERTIES) - SHIPPED_FAMILIES[name].lab_only


def test_settings_are_drawn_within_their_bounds_and_vary() -> None:
    """Of any algorithm, from the types of its configuration alone."""
    for family in SHIPPED_FAMILIES.values():
        for seed in range(50):
            family.method(family.name, 1, draw_case(family, seed).settings)
    drawn = {str(draw_settings(SHIPPED_FAMILIES["twap"], Random(seed))) for seed in range(50)}
    assert len(drawn) > 20


def test_the_same_seed_makes_the_same_case() -> None:
    """A verdict can be looked into."""
    family = SHIPPED_FAMILIES["deadline_walker"]
    assert draw_case(family, 7) == draw_case(family, 7) != draw_case(family, 8)


def test_what_a_collection_calls_is_not_the_algorithms() -> None:
    """A library may read the clock whenever memory is collected, which may be while an algorithm decides."""

    def read_clock(phase: str, info: dict[str, int]) -> None:
        time.perf_counter()

    thresholds = gc.get_threshold()
    gc.callbacks.append(read_clock)
    gc.set_threshold(1)
    try:
        verdicts = list(check_algorithm(SHIPPED_FAMILIES["twap"], CASES, 1))
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(read_clock)
    assert [verdict for verdict in verdicts if verdict.why is not None] == []
