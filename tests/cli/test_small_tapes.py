"""Every command that takes a tape reads each kind of small one, or refuses it in one line."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import trio

from tests.cli.exchange import site
from tests.cli.invoking import invoke
from tests.small_tapes import KINDS, TICKER

NOT_SHORT = [kind for kind in KINDS if kind != "short"]
EPISODES = ("--quantity", "20", "--horizon", "45", "--every", "15", "--workers", "1")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each kind."""
    directory = tmp_path_factory.mktemp("tapes")
    return {kind: write(directory / f"{kind.replace(' ', '-')}.jsonl.gz") for kind, write in KINDS.items()}


def assert_said_cut_off(kind: str, done: subprocess.CompletedProcess[str]) -> None:
    assert ("was cut off; read to its last whole line" in done.stderr) == (kind == "cut off")


def assert_said_without_trades(kind: str, done: subprocess.CompletedProcess[str]) -> None:
    assert ("holds no trades: that anybody fills" in done.stderr.splitlines()[0]) == (kind == "without trades")


def assert_refused(done: subprocess.CompletedProcess[str], path: Path) -> None:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert path.name in done.stderr or "the tape lasts 7." in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_compare_reads_it(tmp_path: Path, made: dict[str, Path], kind: str) -> None:
    """The market order fills wherever there is room for an episode; that a tape was cut off is said first."""
    methods = ("--methods", "passive_mid,market", "--baseline", "passive_mid")
    done = invoke(tmp_path, "compare", "--tape", str(made[kind]), *methods, *EPISODES, "--out", "o", "--json")
    if kind == "short":
        assert_refused(done, made[kind])
        return
    assert done.returncode == 0, done.stderr
    assert_said_cut_off(kind, done)
    assert_said_without_trades(kind, done)
    assert json.loads(done.stdout)["without_trades"] == ([str(made[kind])] if kind == "without trades" else [])
    cells = json.loads(done.stdout)["cells"]
    assert {cell["fill"] for cell in cells if cell["method"] == "market"} == {"1.0000"}


def test_where_no_trade_is_recorded_the_model_of_trades_says_nothing(tmp_path: Path, made: dict[str, Path]) -> None:
    """`compare` and `paper` refuse it in a line; a sensitivity grid goes without it."""
    asked = ("--tape", str(made["without trades"]), "--methods", "passive_mid,market", *EPISODES)
    done = invoke(tmp_path, "compare", *asked, "--fill-model", "trades", "--out", "o")
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no trades, and under the fill model trades nothing" in done.stderr.splitlines()[-1]
    done = invoke(tmp_path, "paper", "--recording", str(made["without trades"]), "--fill-model", "trades")
    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no trades" in done.stderr.splitlines()[-1]
    done = invoke(tmp_path, "compare", *asked, "--sensitivity", "--json", "--out", "grid")
    assert done.returncode == 0, done.stderr
    names = [varied["name"] for varied in json.loads(done.stdout)["sensitivity"]]
    assert names[-2:] == ["fills-coin", "fills-through"]


@pytest.mark.parametrize("kind", ["short", "cut off"])
def test_tune_reads_it(tmp_path: Path, made: dict[str, Path], kind: str) -> None:
    """As `compare` does."""
    tapes = ("--tape", str(made[kind]), "--tape", str(made["without trades"]))
    search = ("--algorithm", "deadline_walker", "--vary", "a0=0.5:0.9", "--candidates", "2", "--seeds", "1")
    done = invoke(tmp_path, "tune", *tapes, *search, *EPISODES, "--out", "o", "--json")
    if kind == "short":
        assert_refused(done, made[kind])
        return
    assert done.returncode == 0, done.stderr
    assert_said_cut_off(kind, done)


@pytest.mark.parametrize("kind", KINDS)
def test_fidelity_reads_it(tmp_path: Path, made: dict[str, Path], kind: str) -> None:
    """What lasts less than is left out of a measurement is refused."""
    generated = ("--profile", "thin", "--seeds", "1", "--seconds", "120")
    done = invoke(tmp_path, "fidelity", "--recording", str(made[kind]), *generated, "--json")
    if kind == "short":
        assert_refused(done, made[kind])
        return
    assert done.returncode == 0, done.stderr
    assert_said_cut_off(kind, done)
    assert json.loads(done.stdout)["comparisons"][0]["gates"] > 10


@pytest.mark.parametrize("kind", KINDS)
def test_demo_plays_it_and_report_draws_it(tmp_path: Path, made: dict[str, Path], kind: str) -> None:
    """Fills agree with the exchange's listing; the picture's page says if its book was cut off."""
    work = ("--executions", "4", "--quantity", "5.5", "--horizon", "30", "--speed", "max", "--db", "d.sqlite")
    done = invoke(tmp_path, "demo", "--recording", str(made[kind]), *work)
    if kind == "short":
        assert_refused(done, made[kind])
        return
    assert done.returncode == 0, done.stderr
    assert_said_cut_off(kind, done)
    assert "no difference" in done.stdout
    drawn = ("report", "d.sqlite", "--execution", "e000001", "--recording", str(made[kind]), "--out", "page.html")
    done = invoke(tmp_path, *drawn)
    assert done.returncode == 0, done.stderr
    assert_said_cut_off(kind, done)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert ("it was read to its last whole line" in page) == (kind == "cut off")


@pytest.mark.parametrize("kind", KINDS)
async def test_paper_plays_it(tmp_path: Path, made: dict[str, Path], kind: str) -> None:
    """It announces the market, also of a tape that is over in seconds, and ends when told to."""
    async with site(tmp_path) as place:
        process = await place.start("paper", "--recording", made[kind])
        with trio.fail_after(120):
            while "\n" not in place.output():
                assert process.poll() is None, place.errors()
                await trio.sleep(0.05)
        ready: dict[str, Any] = json.loads(place.output().partition("\n")[0])
        assert TICKER in json.dumps(ready)
        assert ("was cut off; read to" in place.errors()) == (kind == "cut off")
        assert ("holds no trades" in place.errors()) == (kind == "without trades")
        process.send_signal(signal.SIGINT)
        with trio.fail_after(120):
            await process.wait()


def test_tapes_lists_them_all(tmp_path: Path, made: dict[str, Path]) -> None:
    """One row each, as JSON and as a table of 80 columns; what cannot be read is said behind them, exit 1."""
    directory = made["whole"].parent
    done = invoke(tmp_path, "tapes", str(directory), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {Path(row["file"]).name.removesuffix(".jsonl.gz"): row for row in json.loads(done.stdout)["tapes"]}
    assert set(rows) == {kind.replace(" ", "-") for kind in KINDS}
    whole = rows["whole"]
    assert {row["product"] for row in rows.values()} == {"KXSMALL"}
    assert [name for name, row in rows.items() if row["cut_off"]] == ["cut-off"]
    assert {name: row["gaps"] for name, row in rows.items() if row["gaps"]} == {"two-snapshots": 1}
    assert (rows["without-trades"]["trades"], rows["without-trades"]["book_events"]) == (0, whole["book_events"])
    assert float(rows["tapered"]["spread_cents"]) == pytest.approx(float(whole["spread_cents"]) / 10, abs=0.01)
    assert rows["crossed-for-no-time"]["spread_cents"] == whole["spread_cents"]
    assert rows["fractional"]["thin_share"] > whole["thin_share"]
    (tmp_path / "raw.jsonl").write_text('{"type":"ok"}\n')
    with patch.dict("os.environ", COLUMNS="80"):
        done = invoke(tmp_path, "tapes", str(directory), str(tmp_path / "raw.jsonl"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no recording header; give a kalshi-ws-recording/1 file; fsm-exec import makes one" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert all(name in done.stdout for name in rows)


@pytest.mark.parametrize(("place", "says"), [("nowhere", "no such file"), (".", "no recording")])
def test_tapes_of_nothing_are_refused(tmp_path: Path, place: str, says: str) -> None:
    """A place that is not there, a directory without a recording: exit 2, one line."""
    done = invoke(tmp_path, "tapes", place)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr
