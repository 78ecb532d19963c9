"""`fsm-exec review` as a trader meets it: on a database of the demo, beside a daemon, and when something is wrong."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.store import open_virtual_store
from tests.cli.daemons import END_S, command, serve, submit
from tests.cli.exchange import TICKER, site
from tests.cli.invoking import invoke
from tests.cli.support import run
from tests.lab.report_sources import METHODS, experiment

DEMO = ("demo", "--speed", "max", "--executions", "24", "--horizon", "40", "--profile", "index", "--db", "d.sqlite")
ALGORITHMS = ("simple_limit", "deadline_walker", "market")
COST = ("--hours", "40", "--hourly-cost", "100.00")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the database of a demo."""
    directory = tmp_path_factory.mktemp("played")
    done = run(directory, *DEMO, *(word for name in ALGORITHMS for word in ("--algorithm", name)))
    assert done.returncode == 0, done.stderr
    return directory


def document(directory: Path, *arguments: str) -> dict[str, Any]:
    done = invoke(directory, "review", "d.sqlite", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def counted(directory: Path, query: str) -> int:
    with closing(sqlite3.connect(f"{(directory / 'd.sqlite').as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        (number,) = connection.execute(query).fetchone()
        return int(number)


def test_the_document_says_what_the_tables_hold(played: Path) -> None:
    """Each share is that of a query anybody can make; the groups add up to it."""
    told = document(played, *COST)
    assert told["ended"] == told["opportunities"] == 24
    slipped = "SELECT count(*) FROM execution_metrics WHERE CAST(slippage AS REAL) > 0.015"
    assert told["slippage"]["hits"] == counted(played, slipped)
    assert told["slippage"]["number"] == counted(played, "SELECT count(slippage) FROM execution_metrics")
    short = "WHERE e.method != 'market@1' AND x.fill_rate != '1.000000'"
    short = f"SELECT count(*) FROM execution_state e JOIN execution_metrics x USING (execution_id) {short}"
    assert told["fill_failures"]["hits"] == counted(played, short)
    assert told["fill_failures"]["number"] == 16
    assert told["thin_markets"]["hits"] == counted(
        played, "SELECT count(*) FROM edges WHERE CAST(volume_24h AS REAL) < 100"
    )
    assert told["thin_markets"]["unknown"] == 0
    for found in told["groups"].values():
        for share in ("slippage", "arrival_slippage", "fill_failures", "thin_markets"):
            assert sum(group[share]["hits"] for group in found.values()) == told[share]["hits"]
            assert sum(group[share]["number"] for group in found.values()) == told[share]["number"]
    assert sorted(told["groups"]["method"]) == [method("deadline_walker").full_name, "market@1", "simple_limit@1"]
    assert list(told["groups"]["type"]) == ["Generated"]
    rate, low, high = (Decimal(told["fill_failures"][name]) for name in ("rate", "low", "high"))
    assert low < rate < high
    assert told["break_even"]["cost"] == "4000.000000"
    assert (told["break_even"]["resting"], told["break_even"]["walking"]) == (8, 8)
    assert told["verdict"]["word"] in ("adopt", "wait", "stay")
    assert told["verdict"]["reasons"]


def test_for_a_person_it_fits_a_hundred_columns(played: Path) -> None:
    """The verdict is the first line, and what it rests on a line each; then tables; the notes are lines of text."""
    done = invoke(played, "review", "d.sqlite", *COST, "--by", "method")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    word = {"adopt": "adopt ", "wait": "wait for more data", "stay": "stay as it is"}
    told = document(played)["verdict"]
    assert lines[0].startswith(f"verdict: {word[told['word']]}")
    reasons = len(told["reasons"])
    assert [line.strip() for line in lines[1 : 1 + reasons]] == told["reasons"]
    assert lines[2 + reasons].startswith("24 executions ended, 24 opportunities (0 refused)")
    tables = lines[2 + reasons : next(number for number, line in enumerate(lines) if line.startswith("slippage: ("))]
    assert max(map(len, tables)) <= 100
    assert not any("…" in line for line in tables)
    assert "By method" in done.stdout
    assert "By series" not in done.stdout
    assert "by construction" in done.stdout
    assert "a play exchange counts only what its tape has traded" in done.stdout
    assert lines[-1].startswith("break-even: $4000.00 at $")


def test_only_what_began_since_counts(played: Path) -> None:
    """By time or by days back; the demo lives in a January long gone."""
    middle = "(SELECT accepted_at FROM execution_state ORDER BY rowid LIMIT 1 OFFSET 12)"
    with closing(sqlite3.connect(f"{(played / 'd.sqlite').as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        (at,) = connection.execute(f"SELECT {middle}").fetchone()
    later = counted(played, f"SELECT count(*) FROM execution_state WHERE accepted_at >= {middle}")
    told = document(played, "--since", at)
    assert told["ended"] == told["opportunities"] == later
    assert document(played, "--since", "36500")["ended"] == 24
    done = invoke(played, "review", "d.sqlite", "--since", "2100-01-01T00:00:00Z")
    assert done.stdout == "d.sqlite: no execution has ended since then, so there is nothing to review\n"
    assert done.returncode == 0


def test_a_saving_can_be_assumed(played: Path) -> None:
    """Where nothing is there to compare: of what is observed, assuming takes nothing away."""
    assert document(played, *COST, "--saving", "1.5")["break_even"]["basis"] == "observed"
    assert document(played)["break_even"] is None
    done = invoke(played, "review", "d.sqlite", "--since", "2100-01-01T00:00:00Z", "--json", *COST, "--saving", "1")
    assert json.loads(done.stdout)["break_even"] is None


def test_a_method_that_the_lab_does_not_show_to_be_cheaper_is_not_proposed(played: Path, tmp_path: Path) -> None:
    """A database of fill failures calls for another method; results in which the walker is dearer than one limit at the
    mid propose none, those in which it is cheaper propose it, and what is no result of `compare` is refused."""
    (tmp_path / "d.sqlite").write_bytes((played / "d.sqlite").read_bytes())
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as connection, connection:
        connection.execute("UPDATE execution_metrics SET fill_rate = '0.500000', filled_quantity = '10.00'")
        rows = connection.execute("SELECT execution_id FROM execution_state ORDER BY 1").fetchall()
        for number, (execution_id,) in enumerate(rows):
            connection.execute(
                "UPDATE execution_state SET accepted_at = ? WHERE execution_id = ?",
                (f"2026-02-{1 + number:02}T12:00:00.000000Z", execution_id),
            )
    experiment(tmp_path / "dearer")
    experiment(tmp_path / "cheaper", tuple(reversed(METHODS)), step=5)
    decided = document(tmp_path, "--lab", "dearer")["verdict"]
    assert (decided["word"], decided["method"]) == ("stay", None)
    assert "no method that walks is shown to be cheaper" in decided["reasons"][-1]
    decided = document(tmp_path, "--lab", "cheaper")["verdict"]
    assert (decided["word"], decided["method"]) == ("adopt", "deadline_walker@1")
    done = invoke(tmp_path, "review", "d.sqlite", "--lab", "dearer")
    assert done.stdout.startswith("verdict: stay as it is\n")
    refused = invoke(tmp_path, "review", "d.sqlite", "--lab", "nowhere")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


async def test_an_empty_database_has_nothing_to_review(tmp_path: Path) -> None:
    """One line, exit 0; as a document, to wait."""
    async with open_virtual_store(tmp_path / "d.sqlite", draw_instance=lambda: "a" * 10, at_us=0):
        pass
    done = invoke(tmp_path, "review", "d.sqlite")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "d.sqlite: no execution has ended, so there is nothing to review\n"
    told = document(tmp_path)
    assert (told["ended"], told["slippage"]["rate"], told["verdict"]["word"]) == (0, None, "wait")
    assert told["verdict"]["further"] == {"slippage": 15, "fill_failures": 38, "thin_markets": 13}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("none.sqlite",), "none.sqlite: it does not exist"),
        (("text.sqlite",), "cannot use the database"),
        (("d.sqlite", "--by", "type,colour"), "--by 'colour' is none of: type, series, method"),
        (("d.sqlite", "--since", "yesterday"), "--since 'yesterday' is no time"),
        (("d.sqlite", "--since", "2026-10-01T00:00:00"), "its zone"),
        (("d.sqlite", "--hours", "40"), "--hours and --hourly-cost together"),
        (("d.sqlite", "--hours", "0", "--hourly-cost", "5"), "above 0"),
        (("d.sqlite", "--hours", "forty", "--hourly-cost", "5"), "--hours: 'forty' is not a plain decimal number"),
        (("d.sqlite", "--hours", "40", "--hourly-cost", "five"), "--hourly-cost: 'five' is not a plain decimal number"),
        (("d.sqlite", "--saving", "x"), "--saving: 'x' is not a plain decimal number"),
        (("d.sqlite", "--lab", "nowhere"), "no such file; give the --out of a comparison"),
        (("d.sqlite", "--saving", "0"), "--saving 0 is not above 0"),
        ((), "Missing argument"),
    ],
)
def test_a_mistake_is_one_line(played: Path, arguments: tuple[str, ...], says: str) -> None:
    """Exit 2, and the database is as it was."""
    (played / "text.sqlite").write_text("not a database, but long enough to be looked at " * 50)
    before = {path.name: path.read_bytes() for path in played.iterdir()}
    done = invoke(played, "review", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in played.iterdir()} == before


def test_a_row_that_nobody_wrote_is_one_line(played: Path, tmp_path: Path) -> None:
    """It says which, and where to look; the others are reviewed all the same."""
    (tmp_path / "d.sqlite").write_bytes((played / "d.sqlite").read_bytes())
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as connection:
        connection.execute("UPDATE execution_metrics SET slippage = 'much' WHERE rowid = 3")
        connection.commit()
    done = invoke(tmp_path, "review", "d.sqlite")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "executions" in done.stdout
    assert "is damaged" in done.stderr
    assert "see: fsm-exec db check" in done.stderr


async def test_beside_a_daemon_and_after_sigkill(tmp_path: Path) -> None:
    """What was accepted and what was refused is there while the daemon runs and when it was killed: one of each,
    however often the refused one was asked for."""
    database = tmp_path / "engine.sqlite"
    async with site(tmp_path) as at:
        daemon = await serve(at)
        filled = await submit(at, "--model-probability", "0.62", "--expected-value", "0.03", quantity="5", price="0.53")
        for _ in range(3):
            order = (TICKER, "yes", "20000", "--target-price", "0.30", "--horizon", "60", "--key", "large")
            refused = await command(at, "submit", *order)
            assert (refused.returncode, "max_quantity_contracts" in refused.stderr) == (2, True)
        told: dict[str, Any] = {}
        with trio.fail_after(END_S):
            while not told.get("ended"):
                told = json.loads((await command(at, "review", database, "--json")).stdout)
        daemon.process.kill()
        await daemon.process.wait()
        assert (told["opportunities"], told["refused"]) == (2, 1)
        after = json.loads((await command(at, "review", database, "--json")).stdout)
        assert after == told
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT execution_id, refusal, quantity, model_probability FROM edges ORDER BY edge_id"
        ).fetchall()
    assert rows == [(filled.execution_id, None, "5.00", "0.620000"), (None, "over_limit", "20000.00", None)]
