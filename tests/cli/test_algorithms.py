"""`fsm-exec algorithms`: what there is, and whether it keeps the rules; in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsm_exec.algorithms import SHIPPED_FAMILIES
from tests.cli.support import run


@pytest.fixture
def bad_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages beside ours, as pip lays them: one that reads the clock, one that cannot be imported."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "hasty.py").write_text(
        "import time\nfrom fsm_exec.algorithms import Family, join_bid\n"
        "def replan(progress, view, config):\n"
        "    return join_bid.replan(progress, view, config) if time.time() > 0 else ()\n"
        "FAMILY = Family('hasty', join_bid.Config, join_bid.plan, replan)\n",
        encoding="utf-8",
    )
    for name, version in (("hasty", "0.9"), ("missing", "2.0")):
        about = tmp_path / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(f"[fsm_exec.algorithms]\n{name} = {name}:FAMILY\n", encoding="utf-8")
    return tmp_path


def test_list_says_where_each_is_from_and_what_cannot_be_used(bad_package: Path) -> None:
    """On stdout what can be used, on stderr a line for what cannot; exit 0."""
    done = run(bad_package, "algorithms", "list", "--json")
    found = json.loads(done.stdout)["algorithms"]
    assert [one["name"] for one in found] == [*SHIPPED_FAMILIES, "hasty"]
    assert found[-1] == {"name": "hasty", "distribution": "hasty", "version": "0.9", "lab_only": False}
    assert found[0]["distribution"] is None
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "'missing' of the package missing==2.0 cannot be imported" in done.stderr
    shown = run(bad_package, "algorithms", "list").stdout
    assert "hasty" in shown
    assert "seed_walker (lab only)" in shown


def test_check_is_0_for_one_that_keeps_the_rules_1_for_one_that_does_not_and_2_for_none(bad_package: Path) -> None:
    """What is broken is said with the seed that shows it again."""
    good = run(bad_package, "algorithms", "check", "join_bid", "--cases", "20")
    assert (good.returncode, good.stderr) == (0, "")
    assert [line.split()[0] for line in good.stdout.splitlines()] == [*["ok"] * 6, "join_bid"]
    bad = run(bad_package, "algorithms", "check", "hasty", "--cases", "20", "--json")
    document = json.loads(bad.stdout)
    assert (bad.returncode, bad.stderr, document["passed"], document["version"]) == (1, "", False, "0.9")
    (broken,) = [one for one in document["checks"] if one["why"] is not None]
    assert broken["name"] == "pure"
    assert "calls time.time" in broken["why"]
    said = run(bad_package, "algorithms", "check", "hasty", "--cases", "1", "--seed", str(broken["seed"])).stdout
    assert "BROKEN  pure" in said
    for name, why in (("nobody", "unknown algorithm 'nobody'"), ("missing", "cannot be imported from missing:FAMILY")):
        done = run(bad_package, "algorithms", "check", name)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert why in done.stderr
    for options in (("--cases", "0"), ("--seed", "-1")):
        assert run(bad_package, "algorithms", "check", "market", *options).returncode == 2
