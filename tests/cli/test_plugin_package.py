"""The package of the document on algorithms: built, installed, used, uninstalled under a daemon, installed again."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.algorithms.package import NAME, write_package
from tests.cli import daemons
from tests.cli.daemons import command, live_orders, serve, show, submit, until
from tests.cli.exchange import TICKER, site
from tests.cli.support import ROOT, environment

PACKAGE = "bid-follower"


@dataclass(frozen=True)
class Place:
    """An environment of its own that sees this checkout and what it needs, and where pip installs beside them."""

    python: Path
    directory: Path
    wheels: dict[str, Path]

    def pip(self, *arguments: str | Path) -> None:
        checked([sys.executable, "-m", "pip", "--python", self.python, "--quiet", *arguments], self.directory)

    def install(self, version: str = "1.0") -> None:
        self.pip("install", "--disable-pip-version-check", "--no-index", "--no-deps", self.wheels[version])

    def uninstall(self) -> None:
        self.pip("uninstall", "--yes", PACKAGE)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-m", "fsm_exec", *map(str, arguments)],
            cwd=self.directory, env=environment(), capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    def ask(self, *arguments: str | Path) -> Any:  # noqa: ANN401 - whatever the document is
        done = self.run(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return json.loads(done.stdout)


def checked(arguments: list[str | Path], directory: Path) -> None:
    done = subprocess.run(arguments, cwd=directory, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def built(directory: Path, version: str) -> Path:
    """The wheel of the document's package, as anybody builds it."""
    source = write_package(directory / f"source-{version}", version)
    at_hand = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    # fsm-exec itself is not on any index that a test may ask: it is a dependency of the package, not of the building.
    checked([sys.executable, "-m", "build", "--wheel", *at_hand, "--outdir", directory, source], directory)
    return next(directory.glob(f"*-{version}-*.whl"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("wheels")
    return {version: built(directory, version) for version in ("1.0", "1.1")}


@pytest.fixture
def place(tmp_path: Path, wheels: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Place:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    packages = next((home / "lib").glob("python*/site-packages"))
    (packages / "beside.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    python = home / "bin" / "python"
    monkeypatch.setattr(daemons, "COMMAND", (str(python), "-m", "fsm_exec"))
    made = Place(python, tmp_path, wheels)
    made.install()
    return made


def test_every_command_knows_what_is_installed(place: Place) -> None:
    """It is listed with its package, checked, run, compared, stored, folded and asked again like those that ship."""
    (listed,) = [one for one in place.ask("algorithms", "list")["algorithms"] if one["name"] == NAME]
    assert (listed["distribution"], listed["version"]) == (PACKAGE, "1.0")
    assert place.ask("algorithms", "check", NAME, "--cases", "50")["passed"] is True
    database = place.directory / "demo.sqlite"
    shown = place.ask("demo", "--algorithm", NAME, "--executions", "2", "--speed", "max", "--db", database)
    assert [one["algorithm"] for one in shown["executions"]] == [NAME] * 2
    (row,) = [one for one in place.ask("methods", "list", "--db", database)["methods"] if one["name"] == NAME]
    assert (row["distribution"], row["distribution_version"], row["config"]["follow_every_s"]) == (PACKAGE, "1.0", 10)
    folded = place.ask("replay", "e000001", "--db", database, "--redecide")
    assert folded["redecided"]["differences"] == []
    slow = ("methods", "add", "slow", "--db", database, "--algorithm", NAME, "--set", "follow_every_s=60")
    assert place.ask(*slow)["distribution"] == PACKAGE
    compared = place.run(
        "compare", "--tape", "index:1", "--methods", f"{NAME},{NAME}[follow_every_s=60]", "--every", "6000",
        "--outcome", "yes", "--horizon", "45", "--workers", "2", "--out", place.directory / "compared", "--json",
    )  # fmt: skip
    assert compared.returncode == 0, compared.stderr
    assert f"{NAME}[follow_every_s=60]" in compared.stdout


async def test_uninstalled_under_a_daemon_it_is_quarantined_and_installed_again_it_goes_on(place: Place) -> None:
    """Killed with orders of it at rest; gone, they are cancelled and the reason says what to install; there again, the
    next start goes on with it, while one that was cancelled meanwhile has ended."""
    place_db = place.directory / "engine.sqlite"
    async with site(place.directory) as at:
        first = await serve(at)
        kept = await submit(at, "--method", NAME, horizon="600")
        cancelled = await submit(at, "--method", NAME, horizon="600")
        ours = await submit(at, horizon="600")
        await until(lambda: len(live_orders(at)) == 3)
        first.process.kill()
        await first.process.wait()
        place.uninstall()

        second = await serve(at, name="second")
        assert (second.ready.restored, second.ready.quarantined) == (1, 2)
        await until(lambda: len(live_orders(at)) == 1)
        detail = await show(at, kept.execution_id)
        assert f"pip install {PACKAGE}==1.0" in str(detail.execution.quarantine)
        assert NAME in str(detail.execution.quarantine)
        refused = await command(at, "resume", kept.execution_id)
        assert (refused.returncode != 0, f"{PACKAGE}==1.0" in refused.stderr) == (True, True)
        no_more = await command(at, "submit", TICKER, "yes", "1", "--method", NAME, "--cap", "0.5", "--horizon", "60")
        assert (no_more.returncode != 0, f"{PACKAGE}==1.0" in no_more.stderr) == (True, True)
        (row,) = [one for one in place.ask("methods", "list", "--db", place_db)["methods"] if one["name"] == NAME]
        assert (row["distribution_version"], row["in_experiments"]) == ("1.0", None)
        assert (await command(at, "cancel", cancelled.execution_id)).returncode == 0
        await until(lambda: daemons.states(place_db)[cancelled.execution_id] == "cancelled")
        second.process.kill()
        await second.process.wait()
        place.install("1.1")

        third = await serve(at, name="third")
        assert third.err == ""
        await until(lambda: len(live_orders(at)) == 2)
        assert (await show(at, kept.execution_id)).execution.quarantine is None
        (row,) = [one for one in place.ask("methods", "list", "--db", place_db)["methods"] if one["name"] == NAME]
        assert (row["distribution"], row["distribution_version"]) == (PACKAGE, "1.0")  # as it was accepted
        for name in (kept.execution_id, ours.execution_id):
            assert (await command(at, "cancel", name)).returncode == 0
        await until(lambda: live_orders(at) == [])
        assert await third.end() == 0


async def test_a_package_that_breaks_takes_no_daemon_down(place: Place) -> None:
    """Its code raises when it is imported: said on stderr in a line; its executions are quarantined by that reason, and
    a halt leaves nothing live."""
    async with site(place.directory) as at:
        first = await serve(at)
        broken = await submit(at, "--method", NAME, horizon="600")
        await submit(at, horizon="600")
        await until(lambda: len(live_orders(at)) == 2)
        first.process.kill()
        await first.process.wait()
        (module,) = (place.directory / "venv").rglob(f"{NAME}.py")
        module.write_text("raise RuntimeError('half an upgrade')\n", encoding="utf-8")

        second = await serve(at, name="second")
        assert (second.ready.restored, second.ready.quarantined) == (1, 1)
        assert second.err.count("\n") == 1
        assert f"of the package {PACKAGE}==1.0 cannot be imported" in second.err
        await until(lambda: len(live_orders(at)) == 1)
        assert "RuntimeError: half an upgrade" in str((await show(at, broken.execution_id)).execution.quarantine)
        assert (await command(at, "halt")).returncode == 0
        assert live_orders(at) == []
        assert await second.end() == 0
