"""What is shipped: the wheel, installed with its dependencies in a new virtual environment, run from elsewhere."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.support import ROOT

API = ROOT / "tests" / "api"
LOCATED = """
import fsm_exec, states
from fsm_exec.store.files.migrations import SCHEMA
print(fsm_exec.__file__)
print(states.__file__)
print(len(states.TABLES))
print(len(SCHEMA))
"""


class Installed(NamedTuple):
    wheel: Path
    scripts: Path
    elsewhere: Path

    def run(self, program: str, *arguments: str) -> str:
        """What it prints, started from another directory with nothing of this checkout on its path."""
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
        done = subprocess.run(
            [str(self.scripts / program), *arguments],
            cwd=self.elsewhere,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    directory = tmp_path_factory.mktemp("wheel")
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    # With the build backend at hand nothing need be fetched for building; otherwise it is, into its own environment.
    at_hand = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    checked([sys.executable, "-m", "build", "--wheel", *at_hand, "--outdir", str(directory), str(ROOT)])
    (wheel,) = directory.glob("*.whl")
    home = directory / "venv"
    venv.create(home, with_pip=True)
    scripts = home / "bin"
    checked([str(scripts / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)])
    return Installed(wheel, scripts, elsewhere)


def checked(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_both_packages_and_nothing_else(installed: Installed) -> None:
    """`fsm_exec` and `states` are its only top level, with every file of the checkout but its documents: schema, the
    page's templates, styles and scripts, the board."""
    names = zipfile.ZipFile(installed.wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"fsm_exec", "states"}
    assert len(top) == 3
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fsm_exec").rglob("*") if path.is_file()}
    kept = {name for name in shipped if not name.endswith((".md", ".pyc"))}
    assert {name for name in names if name.startswith("fsm_exec/")} == kept
    needed = ("control/metrics/board.json", "web/static/live.js", "web/static/page.css", "web/templates/base.html")
    assert {"fsm_exec/store/schema/0001_initial.sql", *(f"fsm_exec/{name}" for name in needed)} <= kept
    assert {name for name in names if name.startswith("states/")} == {
        *(f"states/{path.name}" for path in (ROOT / "states").glob("*.py")),
        "states/py.typed",
    }
    assert "fsm_exec/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert [name for name in names if name.endswith(".md")] == []


def test_both_packages_come_from_the_installation(installed: Installed) -> None:
    """Not from this checkout; the tables are there, and so is the schema."""
    package, tables, number_of_tables, migrations = installed.run("python", "-c", LOCATED).splitlines()
    home = installed.scripts.parent.resolve()
    assert Path(package).resolve().is_relative_to(home)
    assert Path(tables).resolve().parent.parent == Path(package).resolve().parent.parent
    assert int(number_of_tables) == 5
    assert int(migrations) >= 1


WRONG = """
from fsm_exec import Client, NoSuchName, Status

def state(daemon: Client) -> int:
    status: Status = daemon.show("e000001")
    return daemon.status().state
"""


def type_checked(installed: Installed, *scripts: Path) -> subprocess.CompletedProcess[str]:
    """By this checkout's mypy, as if it were installed beside the wheel."""
    python = installed.scripts / "python"
    options = ["--strict", "--no-incremental", "--python-executable", str(python)]
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, *map(str, scripts)],
        cwd=installed.elsewhere,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_users_script_type_checks_against_the_wheel(installed: Installed) -> None:
    """Strategies on every loop, an algorithm, the handling of errors: strict, and none of it is Any, for a name that
    is not there, a wrong answer and a wrong type are each found."""
    copies = installed.elsewhere / "user"
    copies.mkdir()
    for path in (*API.glob("strategies/*.py"), *API.glob("typed/*.py")):
        (copies / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    scripts = sorted(copies.iterdir())
    assert len(scripts) == 6
    right = type_checked(installed, *scripts)
    assert (right.returncode, right.stdout) == (0, "Success: no issues found in 6 source files\n"), right.stdout
    wrong = copies / "wrong.py"
    wrong.write_text(WRONG, encoding="utf-8")
    found = type_checked(installed, wrong)
    for code in ("[attr-defined]", "[assignment]", "[return-value]"):
        assert code in found.stdout
    assert "Found 3 errors" in found.stdout


def test_the_installed_command_runs_the_demo(installed: Installed) -> None:
    """From another directory, by its script: two executions end, the database lies where it was run."""
    found = json.loads(installed.run("fsm-exec", "demo", "--speed", "max", "--executions", "2", "--json"))
    assert [e["state"] in ("filled", "cancelled") for e in found["executions"]] == [True, True]
    assert (installed.elsewhere / "fsm-exec-demo-1.sqlite").is_file()


def test_the_installed_command_draws_a_report(installed: Installed) -> None:
    """What draws comes with the wheel: no second installation."""
    installed.run("fsm-exec", "demo", "--speed", "max", "--executions", "2", "--json", "--db", "drawn.sqlite")
    installed.run("fsm-exec", "report", "drawn.sqlite")
    installed.run("fsm-exec", "report", "drawn.sqlite", "--execution", "e000001")
    for name in ("drawn.html", "drawn-e000001.html"):
        assert "Plotly.react(place" in (installed.elsewhere / name).read_text(encoding="utf-8")


def test_the_installed_command_has_the_board(installed: Installed) -> None:
    """The board for Grafana is read from the wheel."""
    assert len(json.loads(installed.run("fsm-exec", "metrics", "--board"))["panels"]) > 20


def test_the_installed_command_draws_the_diagrams(installed: Installed) -> None:
    """One drawing a table, the same as the checkout's."""
    installed.run("fsm-exec", "diagrams", "--out", "drawn")
    drawn = {path.name: path.read_text() for path in (installed.elsewhere / "drawn").iterdir()}
    kept = {path.name: path.read_text() for path in (ROOT / "state_diagrams").glob("*.md")}
    assert drawn == kept
    assert len(drawn) == 5


def test_the_installed_command_knows_its_version(installed: Installed) -> None:
    """`--version` is the wheel's."""
    assert installed.run("fsm-exec", "--version").split()[-1] == installed.wheel.name.split("-")[1]
