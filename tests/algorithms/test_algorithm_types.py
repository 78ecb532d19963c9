"""Families and methods: what a configuration may be, and what a method carries of it."""

from __future__ import annotations

import msgspec
import pytest

from fsm_exec.algorithms import SHIPPED, SHIPPED_FAMILIES, SHIPPED_VERSIONS, Family, Settings, simple_limit
from fsm_exec.core.errors import UserError
from fsm_exec.lab.algorithm_checks.cases import draw_case
from fsm_exec.lab.algorithm_checks.properties import check_reads_what_it_declares


@pytest.mark.parametrize("name", sorted(SHIPPED_FAMILIES))
def test_an_unknown_key_is_refused_by_name(name: str) -> None:
    """A misspelt setting must not be a default in silence."""
    with pytest.raises(UserError, match=rf"method 'mine' \({name}\).*closing_laed_s"):
        SHIPPED_FAMILIES[name].method("mine", 1, {"closing_laed_s": 1})


@pytest.mark.parametrize("name", sorted(SHIPPED_FAMILIES))
def test_a_configuration_is_the_same_after_being_stored(name: str) -> None:
    """As JSON, which is how methods are kept: nothing is lost, no weight becomes a float."""
    config = SHIPPED[name].config
    stored = msgspec.json.decode(msgspec.json.encode(config))
    assert not any(isinstance(value, float) for value in stored.values())
    assert SHIPPED_FAMILIES[name].method(name, 1, stored).config == config


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("twap", {"slices": 4}),
        ("twap", {"slices": 11}),
        ("twap", {"slices": "8"}),
        ("twap", {"retry_ms": 249}),
        ("twap", {"closing_lead_s": -1}),
        ("twap", {"closing_lead_s": 601}),
        ("basic", {"take_above_e6": 1_000_001}),
        ("adaptive_limit", {"step_e4": 0}),
        ("adaptive_limit", {"interval_s": 0.5}),
        ("static_fraction", {"fraction_ppm": 1_000_001}),
        ("volume_weighted", {"levels_max": 0}),
    ],
)
def test_a_value_out_of_bounds_or_of_another_type_is_refused(name: str, settings: dict[str, object]) -> None:
    """One line for its user: the method, the algorithm, the key."""
    with pytest.raises(UserError) as raised:
        SHIPPED_FAMILIES[name].method("mine", 2, settings)
    message = str(raised.value)
    assert message.startswith(f"method 'mine' ({name}): ")
    assert next(iter(settings)) in message
    assert "\n" not in message


def test_a_method_carries_its_rhythm_and_its_closing_lead() -> None:
    """As its configuration has them; 0 seconds of lead are none."""
    method = SHIPPED_FAMILIES["deadline_walker"].method("fast", 3, {"look_every_ms": 250, "closing_lead_s": 4})
    assert (method.look_every_us, method.closing_lead_us) == (250_000, 4_000_000)
    assert (method.full_name, method.algorithm) == ("fast@3", "deadline_walker")
    assert SHIPPED_FAMILIES["twap"].method("open", 1, {"closing_lead_s": 0}).closing_lead_us is None
    assert (SHIPPED["simple_limit"].look_every_us, SHIPPED["simple_limit"].closing_lead_us) == (None, None)


def test_only_the_seeds_own_walker_is_for_the_lab_alone() -> None:
    """As written it is to be compared with, not traded by."""
    assert [name for name, method in SHIPPED.items() if method.lab_only] == ["seed_walker"]


DRAWN: dict[str, object] = {"look_every_ms": 250, "up_ticks": 2, "write_budget": 30, "tokens_min": 0}
DEADLINE_WALKER_READS: dict[str, tuple[dict[str, object], set[str]]] = {
    "nothing": ({}, set()),
    "imbalance": ({"imbalance_weight": "0.5"}, set()),
    "flow": ({"flow_weight": "0.5"}, {"ofi_z_ppm"}),
    "taking": ({"taking": {}}, {"ofi_z_ppm", "mid_mean_60s_e5", "touch_cost_120s_e6", "touch_mean_60s_e2"}),
    "class": ({"fast": {}}, {"mid_deviation_e5", "touch_cost_120s_e6"}),
    "taking where it is fast": (
        {"fast": {}, "fast_taking": {}},
        {"ofi_z_ppm", "mid_mean_60s_e5", "touch_cost_120s_e6", "touch_mean_60s_e2", "mid_deviation_e5"},
    ),
}


@pytest.mark.parametrize("case", DEADLINE_WALKER_READS)
def test_what_a_method_reads_follows_from_its_settings(case: str) -> None:
    """A signal is paid for where a setting makes it count, and what is not declared changes no answer."""
    given, read = DEADLINE_WALKER_READS[case]
    family = SHIPPED_FAMILIES["deadline_walker"]
    assert set(family.method("mine", 1, given).signals_read or ()) == read
    for seed in range(20):
        drawn = draw_case(family, seed)
        check_reads_what_it_declares(family, msgspec.structs.replace(drawn, settings={**DRAWN, **given}))


def test_a_package_that_declares_nothing_reads_everything() -> None:
    """As before there was anything to declare; of those that ship each declares."""

    class Config(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
        """As of a package."""

    assert Family("old", Config, simple_limit.plan, simple_limit.replan).method("old", 1, {}).signals_read is None  # type: ignore[arg-type]
    assert all(method.signals_read is not None for method in SHIPPED_VERSIONS.values())


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (frozenset({"dry_up"}), "names 'dry_up', which is no signal; did you mean dry_up_ppm? "),
        ({"dry_up_ppm"}, "is a set: give a frozenset of names of signals, or None"),
        (frozenset({7}), "names '7', which is no signal; "),
    ],
)
def test_a_declaration_of_what_is_no_signal_is_refused(read: object, why: str) -> None:
    """When the method is made, in one line that names it: at work it would see nothing for ever."""

    class Config(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
        @property
        def signals_read(self) -> frozenset[str] | None:
            return read  # type: ignore[return-value]

    with pytest.raises(UserError) as refused:
        Family("odd", Config, simple_limit.plan, simple_limit.replan).method("odd", 1, {})  # type: ignore[arg-type]
    assert f"method 'odd' (odd): signals_read {why}" in str(refused.value)
    assert "\n" not in str(refused.value)
