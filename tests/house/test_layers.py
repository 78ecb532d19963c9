"""The rooms and who may enter them: the contracts hold, and are the ones that are meant."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def test_the_import_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`lint-imports`, here without its cache."""
    pytest.importorskip("importlinter", reason="import-linter comes with the extra `dev`")
    from importlinter.cli import lint_imports

    monkeypatch.chdir(ROOT)
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_the_layers_are_those_of_the_design() -> None:
    """From the commands down to the tables; the five in the middle never import each other."""
    (layers,) = [contract["layers"] for contract in CONTRACTS if contract["name"] == "layers"]
    flat = [{part.strip() for part in layer.replace(":", "|").split("|")} for layer in layers]
    middle = {f"fsm_exec.{room}" for room in ("runtime", "kalshi", "store", "paper", "channels")}
    assert middle in flat
    assert "|" in layers[flat.index(middle)]
    assert ":" not in layers[flat.index(middle)]
    below = [*flat[flat.index(middle) + 1 :]]
    rooms = ("algorithms", "wire", "recordings", "owner_only", "core")
    assert below == [*({f"fsm_exec.{room}"} for room in rooms), {"states"}]
    assert any("fsm_exec.cli" in layer for layer in flat[: flat.index(middle)])


def test_every_room_has_its_layer() -> None:
    """A new folder, or file beside the folders, is a decision about who may import it."""
    (layers,) = [contract["layers"] for contract in CONTRACTS if contract["name"] == "layers"]
    rooms = {path.parent.name for path in (ROOT / "fsm_exec").glob("*/__init__.py")}
    rooms |= {path.stem for path in (ROOT / "fsm_exec").glob("*.py") if not path.stem.startswith("__")}
    named = {part.strip().strip("()") for layer in layers for part in layer.replace(":", "|").split("|")}
    assert {f"fsm_exec.{room}" for room in rooms} | {"states"} == named


def test_who_must_not_know_whom() -> None:
    """Adapters know no algorithm; the runtime and the store know no wire: what a contract's name says, it checks."""
    forbidden = {
        (source, room)
        for contract in CONTRACTS
        if contract["type"] == "forbidden"
        for source in contract["source_modules"]
        for room in contract["forbidden_modules"]
    }
    adapters = ("kalshi", "store", "paper")
    assert {(f"fsm_exec.{adapter}", "fsm_exec.algorithms") for adapter in adapters} <= forbidden
    assert {("fsm_exec.runtime", "fsm_exec.wire"), ("fsm_exec.store", "fsm_exec.wire")} <= forbidden


def test_the_one_door_libraries_have_one_door() -> None:
    """`transitions` in one file of core, aiosqlite and trio_asyncio in one file of store, plotly in one folder, apprise
    in one file of the channels, prometheus_client and opentelemetry each in one of the metrics, Dask in one of the
    lab, obstore in one of the places of a pair."""
    (doors,) = [contract for contract in CONTRACTS if contract["name"] == "one door each"]
    assert sorted(doors["ignore_imports"]) == [
        "fsm_exec.channels.apprise_channel -> apprise",
        "fsm_exec.control.metrics.exposition -> prometheus_client",
        "fsm_exec.control.metrics.spans -> opentelemetry",
        "fsm_exec.core.execution.machine -> transitions",
        "fsm_exec.lab.cluster -> distributed",
        "fsm_exec.lab.report.* -> plotly",
        "fsm_exec.standby.places.s3_place -> obstore",
        "fsm_exec.store.aiosqlite_lane -> aiosqlite",
        "fsm_exec.store.aiosqlite_lane -> trio_asyncio",
    ]
