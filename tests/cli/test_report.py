"""`fsm-exec report` as a trader meets it: pages of experiments and databases, and one line when something is wrong."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.cli.invoking import invoke
from tests.cli.support import run
from tests.lab.report_sources import demo, experiment


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the experiment `out` and the database `demo.sqlite`, neither of which any test changes."""
    directory = tmp_path_factory.mktemp("sources")
    experiment(directory / "out")
    demo(directory, "passive_mid")
    return directory


def refused(directory: Path, *arguments: str) -> str:
    """The one line that is said."""
    done = invoke(directory, "report", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fsm-exec: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def drawn(directory: Path, *arguments: str) -> Path:
    """The page, as the command names it."""
    done = invoke(directory, "report", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    said, _, name = done.stdout.partition(": ")
    assert said == "report"
    return Path(name.rstrip("\n"))


@pytest.mark.parametrize(
    ("source", "beside", "title"),
    [
        ("out", "out/compare.html", "<title>Which method is better"),
        ("demo.sqlite", "demo.html", "<title>Executions of demo.sqlite"),
    ],
)
def test_a_page_is_written_beside_its_source(sources: Path, source: str, beside: str, title: str) -> None:
    """The source stays as it was, byte for byte."""
    file = sources / source
    file = file / "compare.sqlite" if file.is_dir() else file
    before = file.read_bytes()
    page = drawn(sources, source)
    assert page == sources / beside
    assert title in page.read_text(encoding="utf-8")
    assert file.read_bytes() == before
    assert list(page.parent.glob("*.part")) == []
    page.unlink()


def test_the_same_source_gives_the_same_bytes_in_another_process(sources: Path, tmp_path: Path) -> None:
    """Whatever the order of its hashes is."""
    first = drawn(sources, "demo.sqlite", "--out", str(tmp_path / "a.html"))
    with patch.dict(os.environ, PYTHONHASHSEED="7"):
        done = run(sources, "report", "demo.sqlite", "--out", str(tmp_path / "b.html"))
    assert done.returncode == 0, done.stderr
    assert first.read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_file_that_is_there_is_written_over_only_if_asked(sources: Path, tmp_path: Path) -> None:
    """And never if it is no page, a database above all."""
    page = drawn(sources, "demo.sqlite", "--out", str(tmp_path / "page.html"))
    said = refused(sources, "demo.sqlite", "--out", str(page))
    assert "is there already" in said
    assert "--force" in said
    page.write_text("<!DOCTYPE html>old")
    assert "Executions of" in drawn(sources, "demo.sqlite", "--out", str(page), "--force").read_text(encoding="utf-8")
    before = (sources / "demo.sqlite").read_bytes()
    assert "is no page" in refused(sources, "demo.sqlite", "--out", "demo.sqlite", "--force")
    assert (sources / "demo.sqlite").read_bytes() == before
    assert "Is a directory" in refused(sources, "demo.sqlite", "--out", str(tmp_path), "--force")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.sqlite",), ("missing.sqlite", "No such file")),
        (("notes.txt",), ("notes.txt", "neither a comparison nor a database")),
        (("other.sqlite",), ("other.sqlite", "no result of fsm-exec compare")),
        (("out", "--execution", "e000001"), ("is an experiment",)),
        (("demo.sqlite", "--recording", "r.jsonl"), ("--recording", "--execution")),
        (("out/compare.sqlite", "--baseline", "market"), ("holds nothing of market@1", "deadline_walker@1")),
        (("out", "--methods", "nonsense"), ("nonsense",)),
        (("demo.sqlite", "--out", "nowhere/page.html"), ("nowhere/page.html", "No such file")),
    ],
)
def test_bad_input_is_one_line(sources: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    """It names the value and what to do, with exit code 2."""
    (sources / "notes.txt").write_text("no database")
    code = (
        "import sqlite3; c = sqlite3.connect('other.sqlite'); c.execute('CREATE TABLE IF NOT EXISTS t (a)'); c.close()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=sources, check=True)
    said = refused(sources, *arguments)
    assert all(word in said for word in words), said


def test_a_full_disk_is_one_line_and_leaves_nothing(sources: Path, tmp_path: Path) -> None:
    """The part that was written is gone, and what stood there before still stands."""
    target = tmp_path / "page.html"
    target.write_text("<!DOCTYPE html>old")
    done = run(
        sources,
        *("report", "demo.sqlite", "--force", "--out", str(target)),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"cannot write {target}: File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert target.read_text() == "<!DOCTYPE html>old"


ALL_COMMANDS = """
import sys
from fsm_exec.cli.main import COMMANDS, cli
import click
assert all(cli.get_command(click.Context(cli), name) for name in COMMANDS)
print([name for name in sys.modules if name.partition(".")[0] == "plotly"])
"""


def test_the_plotting_library_is_loaded_by_who_draws(sources: Path) -> None:
    """No other command, and no `--help`, waits for it."""
    done = subprocess.run([sys.executable, "-c", ALL_COMMANDS], cwd=sources, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
