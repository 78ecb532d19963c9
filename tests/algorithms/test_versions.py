"""The versions that ship: what they are, which of them a name means, and that none ever changes."""

from __future__ import annotations

import json

import msgspec
import pytest

from fsm_exec.algorithms import SHIPPED, SHIPPED_FAMILIES, SHIPPED_VERSIONS, method
from fsm_exec.algorithms.algorithm_types import flat_settings
from fsm_exec.algorithms.catalogue import Catalogue, first_rows, row_of
from fsm_exec.algorithms.versions import NAME_MEANS, VERSIONS, version_meant
from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.rows import MethodRow
from fsm_exec.lab.experiment.methods import full_name, resolve

FIRST = (
    '{"closing_lead_s":2,"a0":"0.6","a1":"0.5","g":"2","up_ticks":1,"down_ticks":3,"fine_grid_ticks":3,'
    '"guard_spread_factor":2,"guard_spread_e4":200,"look_every_ms":1000,"write_budget":12,"tokens_min":20,'
    '"imbalance_weight":"0","flow_weight":"0","taker_leg":false,"flow_e2_per_s":100,"taker_start_e4":-200,'
    '"taker_slope_e4":300,"taker_every_s":5,"patient_spread_e4":200,"patient_until_s":45}'
)
"""`deadline_walker@1` as it was accepted by the engines that had no other version."""


def test_the_first_walker_is_what_it_was() -> None:
    """Byte for byte: executions under way go on with it, and what was fitted to it still is."""
    assert row_of(method("deadline_walker@1")) == MethodRow(
        name="deadline_walker", version=1, algorithm="deadline_walker", config=FIRST
    )


def test_a_name_means_the_version_that_is_stated() -> None:
    """In the catalogue, the lab and the code alike, whichever is the newest; every other version is had by its
    number."""
    for name in SHIPPED_FAMILIES:
        meant = f"{name}@{version_meant(name)}"
        assert SHIPPED[name].full_name == method(name).full_name == meant
        assert Catalogue().find(name).full_name == resolve(name).full_name == full_name(name) == meant
    for name, versions in VERSIONS.items():
        assert sorted(versions) == list(range(1, len(versions) + 1))
        for number in versions:
            one = f"{name}@{number}"
            assert SHIPPED_VERSIONS[one].config == Catalogue().find(one).config == resolve(one).config
            assert full_name(one) == one
    assert set(NAME_MEANS) == set(VERSIONS)
    assert all(meant in VERSIONS[name] for name, meant in NAME_MEANS.items())


def test_what_a_database_was_given_stands_before_what_ships() -> None:
    """A version that was accepted with other settings stays what it was, and the name still means the stated one."""
    text = json.dumps({**json.loads(FIRST), "a0": "0.55"})
    rows = [MethodRow(name="deadline_walker", version=1, algorithm="deadline_walker", config=text)]
    assert str(getattr(Catalogue(rows).find("deadline_walker@1").config, "a0")) == "0.55"  # noqa: B009
    assert Catalogue(rows).find("deadline_walker").version == version_meant("deadline_walker")


def test_the_second_walker_is_the_first_with_the_rule() -> None:
    """It comes down at once, may write more, takes, and has settings of its own for fast markets; nothing else differs,
    and its row holds all of them."""
    second = json.loads(row_of(method("deadline_walker@2")).config)
    taking, fast, fast_taking = (second.pop(group) for group in ("taking", "fast", "fast_taking"))
    assert second == {**json.loads(FIRST), "down_ticks": 1, "write_budget": 20}
    assert (taking["imbalance_e6"], taking["trend_ppm"], taking["value_30s_e6"]) == (10_000, 0, 19_500)
    assert fast == {"ratio_ppm": 1_000_000, "a0": "0.3", "down_ticks": 2}
    assert (fast_taking["imbalance_e6"], fast_taking["trend_ppm"], fast_taking["value_30s_e6"]) == (
        25_000,
        50_000,
        15_000,
    )
    assert taking["every_s"] == fast_taking["every_s"] == 1


def test_the_lab_changes_single_settings_of_a_version() -> None:
    """`NAME@VERSION[GROUP.SETTING=VALUE]` has the rest as in that version; without a version it is the defaults."""
    changed = resolve("deadline_walker@2[taking.every_s=9;a0=0.7]").config
    expected = json.loads(row_of(method("deadline_walker@2")).config)
    expected["taking"]["every_s"], expected["a0"] = 9, "0.7"
    assert json.loads(msgspec.json.encode(changed)) == expected
    assert resolve("deadline_walker[a0=0.6]").config == method("deadline_walker@1").config
    assert resolve("deadline_walker[taking.every_s=1]").config == resolve("deadline_walker[taking.flow_e6=1600]").config


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("deadline_walker@3", "deadline_walker@2"),
        ("deadline_walker@3[a0=0.7]", "deadline_walker@2"),
        ("follow@2", "follow@1"),
        ("deadline_walker@2[taking.nothing=1]", "nothing"),
        ("deadline_walker@2[a0.x=1]", "a0"),
    ],
)
def test_a_version_or_setting_there_is_not_is_refused(name: str, says: str) -> None:
    """One line that says which there are."""
    with pytest.raises(UserError, match=says):
        resolve(name)


def test_every_version_ships_as_a_row() -> None:
    """A database is given all of them, so it finds what its executions began with."""
    rows = {f"{row.name}@{row.version}" for row in first_rows()}
    assert rows > set(SHIPPED_VERSIONS)


def test_groups_of_settings_are_told_one_by_one() -> None:
    """As they are given."""
    assert flat_settings({"a": 1, "b": {"c": 2, "d": 3}}) == {"a": 1, "b.c": 2, "b.d": 3}
