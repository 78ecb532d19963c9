"""Packages that offer algorithms by entry point: what they hand over is taken, or is one line that names them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.algorithms.catalogue import Catalogue, first_rows
from fsm_exec.core.errors import AlgorithmMissing, UserError
from fsm_exec.core.journal.rows import MethodRow
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.plugins import GROUP, installed
from tests.algorithms.conftest import Maker

SOUND = """
from fsm_exec.algorithms import Family, join_bid
FAMILY = Family({name!r}, join_bid.Config, join_bid.plan, join_bid.replan)
"""

Put = Callable[..., None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Lays a package beside those that are installed: its code, and what pip writes about it."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def lay(name: str, code: str, *, module: str | None = None, version: str = "1.2") -> None:
        module = module or f"plugin_{name}"
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        about = tmp_path / f"{module}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: {version}\n", encoding="utf-8"
        )
        (about / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}:FAMILY\n", encoding="utf-8")
        installed.cache_clear()

    yield lay
    installed.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("plugin_"):
            del sys.modules[name]


def test_what_a_package_offers_is_found_with_its_version(put: Put) -> None:
    """In the registry, in the methods of a database, and in experiments, with settings too."""
    put("patient", SOUND.format(name="patient"))
    assert installed().family("patient").name == "patient"
    (row,) = [row for row in first_rows(installed()) if row.name == "patient"]
    assert (row.distribution, row.distribution_version) == ("plugin-patient", "1.2")
    assert all(row.distribution is None for row in first_rows(installed()) if row.algorithm in SHIPPED_FAMILIES)
    assert Catalogue([], installed()).find("patient@1").full_name == "patient@1"
    assert resolve("patient").algorithm == resolve("patient[closing_lead_s=3]").algorithm == "patient"
    assert installed().broken() == {}


def test_its_code_is_imported_once_and_not_before_it_is_asked_for(put: Put) -> None:
    """Whoever works with what ships does not wait for it."""
    put("patient", SOUND.format(name="patient"))
    assert "patient" in installed().names
    installed().family("twap")
    assert "plugin_patient" not in sys.modules
    first = installed().family("patient")
    assert installed().family("patient") is first


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("OTHER = 1", "AttributeError"),
        ("FAMILY = 'patient'", "is a str, not an fsm_exec Family"),
        (SOUND.format(name="hasty"), "calls itself 'hasty'"),
        (
            "from fsm_exec.algorithms import Family, Settings\n"
            "class Config(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):\n    must: int\n"
            "FAMILY = Family('patient', Config, lambda *_: (), lambda *_: ())",
            "has no configuration of defaults alone",
        ),
        (
            "from fsm_exec.algorithms import Family, join_bid\n"
            "class Config(join_bid.Config, frozen=True, forbid_unknown_fields=True, kw_only=True):\n"
            "    look_every_us = 0.5\n"
            "FAMILY = Family('patient', Config, join_bid.plan, join_bid.replan)",
            "look_every_us 0.5 is no whole number from 1",
        ),
        (
            "from fsm_exec.algorithms import Family\nFAMILY = Family('patient', int, lambda *_: (), lambda *_: ())",
            "has no configuration of defaults alone",
        ),
    ],
)
def test_a_bad_package_is_one_line_that_names_it_and_stops_nothing_else(put: Put, code: str, why: str) -> None:
    """Said whenever its algorithm is asked for; the others are there, in the list of methods too."""
    put("patient", code)
    put("sound", SOUND.format(name="sound"))
    for _ in range(2):
        with pytest.raises(UserError) as raised:
            installed().family("patient")
        said = str(raised.value)
        assert why in said
        assert "plugin-patient==1.2" in said
        assert said.endswith("install a version that works, or: pip uninstall plugin-patient")
        assert "\n" not in said
    assert list(installed().broken()) == ["patient"]
    assert set(installed().usable()) == {*SHIPPED_FAMILIES, "sound"}
    assert Catalogue([], installed()).find("sound").algorithm == "sound"


def test_the_name_of_one_that_ships_stays_ours(put: Put) -> None:
    """What the database holds under it was accepted with it."""
    put("twap", SOUND.format(name="twap"))
    assert installed().family("twap") is SHIPPED_FAMILIES["twap"]
    (why,) = installed().broken().values()
    assert "plugin-twap==1.2" in why
    assert "uninstall plugin-twap" in why


def test_a_name_that_two_packages_have_is_neithers(put: Put) -> None:
    """Which of them an execution was accepted with nobody could tell later."""
    put("patient", SOUND.format(name="patient"), module="plugin_one")
    put("patient", SOUND.format(name="patient"), module="plugin_two")
    with pytest.raises(UserError, match=r"plugin-one==1.2 and plugin-two==1.2 both offer an algorithm 'patient'"):
        installed().family("patient")
    assert set(installed().usable()) == set(SHIPPED_FAMILIES)


def test_a_version_that_does_not_take_the_stored_configuration_says_which_did(put: Put) -> None:
    """To install that one heals it, as if the package had been gone."""
    put("patient", SOUND.format(name="patient"))
    row = MethodRow(
        name="mine", version=1, algorithm="patient", config='{"gone":1}', distribution="a-b", distribution_version="0.3"
    )
    with pytest.raises(AlgorithmMissing, match=r"mine@1 cannot be read: .*`gone`.*pip install a-b==0\.3"):
        Catalogue([row], installed()).find("mine")


HOSTILE = """
from fsm_exec.algorithms import Family, join_bid
class Config(join_bid.Config, frozen=True, forbid_unknown_fields=True, kw_only=True):
    def __post_init__(self) -> None:
        1 / self.closing_lead_s if self.closing_lead_s else raise_nothing()
def raise_nothing(): pass
def replan(progress, view, config):
    raise SystemExit(3)
FAMILY = Family('hostile', Config, join_bid.plan, replan)
"""


def test_what_others_code_raises_stays_with_the_method_that_was_asked_about(put: Put, make: Maker) -> None:
    """Not even an exit ends the process: it is an error of the one execution."""
    put("hostile", HOSTILE.replace("1 / self.closing_lead_s", "1 / 0"))
    family = installed().family("hostile")
    with pytest.raises(UserError, match="its configuration raises ZeroDivisionError"):
        family.method("mine", 1, {"closing_lead_s": 1})
    desk = make.desk("join_bid")
    method = family.method("mine", 1, {})
    assert method.plan(desk.goal, desk.view) == desk.method.plan(desk.goal, desk.view)
    with pytest.raises(RuntimeError, match=r"wants the process to exit \(3\)"):
        method.replan(desk.progress(), desk.view)


def test_a_stored_method_says_what_to_install_or_to_mend(put: Put) -> None:
    """Gone, it is the package and version of the row; there and broken, it is what is wrong with it."""
    row = MethodRow(
        name="mine", version=2, algorithm="patient", config="{}", distribution="a-b", distribution_version="0.3"
    )
    with pytest.raises(AlgorithmMissing, match=r"mine@2 is of .*'patient' .* pip install a-b==0\.3, and start again"):
        Catalogue([row], installed()).find("mine@2")
    nobodys = MethodRow(name="mine", version=2, algorithm="patient", config="{}")
    with pytest.raises(AlgorithmMissing, match="which no installed package has"):
        Catalogue([nobodys], installed()).find("mine@2")
    put("patient", "1 / 0")
    with pytest.raises(AlgorithmMissing, match=r"cannot be used: .*ZeroDivisionError"):
        Catalogue([row], installed()).find("mine@2")
