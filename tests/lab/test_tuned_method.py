"""What a search found, worked with: `tune`, `methods add`, `demo`, `replay`, with one database from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsm_exec.lab.experiment.tuning import draw_search, parse_range
from tests.cli.invoking import invoke
from tests.cli.support import folded
from tests.lab.test_compare_tuning import DEFAULT, TAPES, planted

NAME = "tuned_deadline_walker"
SEARCH = ("--vary", "a0=0.35:0.85", "--candidates", "3", "--seeds", "1")
EPISODES = ("--every", "600", "--outcome", "yes", "--workers", "1", "--out", "out", "--resume")


def searched(directory: Path, gain: int, *arguments: str) -> dict[str, Any]:
    """The document of `tune`, whose episodes are worked already: one candidate is so much cheaper on both tapes."""
    search = draw_search(DEFAULT, "passive_mid", [parse_range("a0=0.35:0.85")], 3, [1])
    costs = {name: dict.fromkeys(TAPES, 0) for name in search.methods}
    costs[search.methods[-1]] = dict.fromkeys(TAPES, -gain)
    planted(search, costs, directory / "out")
    tapes = [part for tape in TAPES for part in ("--tape", tape)]
    done = invoke(directory, "tune", *tapes, "--algorithm", DEFAULT, *SEARCH, *EPISODES, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["chosen"] == (search.methods[-1] if gain else None)
    return found


def told(directory: Path, *arguments: str) -> Any:  # noqa: ANN401 - whatever the document is
    done = invoke(directory, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def test_settings_that_won_are_added_and_worked_with(tmp_path: Path) -> None:
    """The file that the search wrote is the method's, version 1 of its own name; added again it changes nothing, and
    other settings are version 2. The demo works with the newest, and replay finds it in the database again."""
    found = searched(tmp_path, 200)
    a0 = found["chosen"].partition("a0=")[2].rstrip("]")
    assert found["method_file"] == str(tmp_path / "out" / "method.json")
    told(tmp_path, "demo", "--speed", "max", "--executions", "1", "--horizon", "30", "--db", "engine.sqlite")
    add = ("methods", "add", "--db", "engine.sqlite", "--file", "out/method.json")
    first, again = told(tmp_path, *add), told(tmp_path, *add)
    assert (first["name"], first["version"], first["added"]) == (NAME, 1, True)
    assert (first["algorithm"], first["config"]["a0"]) == (DEFAULT, a0)
    assert (again["version"], again["added"]) == (1, False)
    assert told(tmp_path, *add, "--set", "up_ticks=3")["version"] == 2
    assert told(tmp_path, *add[:2], "other", *add[2:])["name"] == "other"

    demo = ("demo", "--speed", "max", "--executions", "1", "--horizon", "30", "--db", "engine.sqlite")
    told(tmp_path, *demo, "--algorithm", f"{NAME}@1")
    told(tmp_path, *demo, "--algorithm", NAME)
    worked = folded(tmp_path / "engine.sqlite")
    assert [execution.method for execution in worked[1:]] == [f"{NAME}@1", f"{NAME}@2"]
    for execution in worked:
        again = told(tmp_path, "replay", execution.execution_id, "--db", "engine.sqlite", "--redecide")["redecided"]
        assert again == {"rows": execution.seq, "differences": []}


def test_of_a_search_that_nothing_won_no_file_stays(tmp_path: Path) -> None:
    """Neither is one written nor does that of an earlier search stay, which could be taken for this one's."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "method.json").write_text("{}", encoding="utf-8")
    assert searched(tmp_path, 0)["method_file"] is None
    assert not (tmp_path / "out" / "method.json").exists()


@pytest.mark.parametrize(("name", "why"), [("market", "name of an algorithm"), ("Mine!", "form")])
def test_a_name_that_could_not_be_added_is_refused_before_the_search(tmp_path: Path, name: str, why: str) -> None:
    """Hours of search would end in a file that nobody takes."""
    tapes = [part for tape in TAPES for part in ("--tape", tape)]
    done = invoke(tmp_path, "tune", *tapes, "--algorithm", DEFAULT, *SEARCH, "--name", name, "--out", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert not (tmp_path / "out").exists()
