"""One bit of a database's file flipped, many times: what repeats the journal is never wrong unseen, and nothing that
reads a database ends in a traceback."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fsm_exec.core.costs.rows import ChildMetricsRow, MetricsRow
from fsm_exec.core.errors import ExecError
from fsm_exec.core.journal.rows import ChildRow, FillRow
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.journal_steps import load_steps_of_all, load_steps_of_one
from fsm_exec.store.maintenance.integrity import check_database
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads import api_queries, execution_reads
from fsm_exec.store.reads.account_reads import load_account, load_risk_log
from fsm_exec.store.reads.execution_history import load_history
from fsm_exec.store.reads.observations import load_completed_forecasts, load_methods
from fsm_exec.store.reads.profit_queries import load_profit
from fsm_exec.store.reads.report_queries import load_grids, load_markouts, load_worked
from fsm_exec.store.reads.review_queries import load_opportunities, load_saved
from tests.cli.invoking import invoke
from tests.store.flips import cells, changed

FLIPS = 400
SEED = 20_261_129
OPENED_EVERY = 8

REPEATED = {
    "execution_state": {
        "execution_id", "ticker", "outcome", "method", "state", "reason", "target_quantity", "target_price",
        "accepted_at", "deadline", "snapshot", "snapshot_version", "seq", "updated_at", "reserved",
    },
    "execution_events": {
        "execution_id", "seq", "at", "event_type", "steps", "version", "state", "reason", "fills",
    },
    "split_orders": {"execution_id", "updated_at", *ChildRow.__struct_fields__},
    "fills": {"execution_id", "traded_at", *FillRow.__struct_fields__},
    "execution_metrics": set(MetricsRow.__struct_fields__)
    - {"market_volume", "liquidity_reward_e7", "volume_reward_e7"},  # measured of the market
    "child_metrics": set(ChildMetricsRow.__struct_fields__),
    "edges": {"created_at", "ticker", "outcome", "method", "quantity", "target_price", "execution_id"},
}  # fmt: skip
"""What the snapshot or the journal says as well."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a demo left: executions that were filled, partly filled and given up, with their costs."""
    directory = tmp_path_factory.mktemp("played")
    done = invoke(directory, "demo", "--speed", "max", "--seed", "3", "--executions", "4", "--db", "d.sqlite", "--json")
    assert done.returncode == 0, done.stderr
    assert check_database(directory / "d.sqlite", every=True).findings == []
    return directory / "d.sqlite"


def rows_at(path: Path) -> list[int]:
    """Offsets of the bytes of all rows in tables: of their cells, by SQLite's own account of its pages."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    content = path.read_bytes()
    found: list[int] = []
    for page in range(1, pages):  # the first has the schema
        begin = page * page_bytes
        if content[begin] == 13:  # a leaf of a table
            first = int.from_bytes(content[begin + 5 : begin + 7]) or 65_536
            found += range(begin + first, begin + page_bytes)
        elif content[begin] == 0:  # the rest of a long row
            found += range(begin + 4, begin + page_bytes)
    return found


def in_one_line(function: Callable[[], object]) -> str | None:
    """What it fails with, if it does: an error for a user, and no other."""
    try:
        function()
    except ExecError as error:
        said = str(error)
    else:
        return None
    assert "\n" not in said
    return said


def findings_in(path: Path) -> list[str]:
    """Of `db check --all`."""
    found: list[str] = []
    failed = in_one_line(lambda: found.extend(one.what for one in check_database(path, every=True).findings))
    return found if failed is None else [*found, failed]


def read_everything(path: Path) -> None:
    """All that commands read. Raises ExecError and nothing else."""
    with open_read_only(path) as looked:
        connection = looked.connection
        damage: list[str] = []
        for one in execution_reads.load_executions(connection):
            api_queries.load_detail(connection, one.execution_id, 100)
            load_steps_of_one(connection, one.execution_id, 0, 1_000)
            for read in (
                load_history,
                execution_reads.load_journal,
                execution_reads.load_children,
                execution_reads.load_fills,
                execution_reads.load_metrics,
            ):
                in_one_line(lambda read=read, one=one: read(connection, one.execution_id))  # type: ignore[misc]
        api_queries.load_listing(connection, api_queries.Filter(limit=100))
        load_steps_of_all(connection, 0, 10_000)
        load_saved(connection, 0, damage)
        load_opportunities(connection, 0, damage)
        load_worked(connection, damage)
        load_markouts(connection, damage)
        load_grids(connection, damage)
        load_methods(connection, damage)
        load_completed_forecasts(connection, damage)
        load_account(connection)
        load_risk_log(connection, None, damage)
        load_profit(connection, "UTC", damage)
        assert all("\n" not in line for line in damage)


def test_no_flip_of_what_is_repeated_is_invisible(played: Path, tmp_path: Path) -> None:
    """`db check --all` names it, or SQLite's own check does; and whatever is flipped, a reader fails in one line."""
    chance = random.Random(SEED)
    before = cells(played)
    assert before is not None
    content = played.read_bytes()
    offsets = rows_at(played)
    path = tmp_path / "flipped.sqlite"
    seen = repeated = 0
    for number in range(FLIPS):
        offset, bit = chance.choice(offsets), chance.randrange(8)
        flipped = bytearray(content)
        flipped[offset] ^= 1 << bit
        path.write_bytes(flipped)
        after = cells(path)
        findings = findings_in(path)
        where = set() if after is None else changed(before, after)
        told = [(table, column) for table, column in where if column in REPEATED.get(table, ())]
        seen += bool(where) or after is None
        repeated += bool(told)
        assert findings or not told, f"seed {SEED}: flip {number} at {offset} bit {bit} of {told} is invisible"
        assert all("\n" not in line for line in findings)
        in_one_line(lambda: read_everything(path))
        if number % OPENED_EVERY == 0:
            opened = tmp_path / "opened.sqlite"
            shutil.copy(path, opened)
            opening = OpenRequest(path=opened, draw_instance=lambda: "a" * 10, at_us=0)
            in_one_line(lambda opening=opening: open_database(opening).connection.close())  # type: ignore[misc]
    assert seen > FLIPS // 3
    assert repeated > FLIPS // 20


@pytest.mark.parametrize("old", [b"CREATE TABLE meta", b"CREATE TABLE execution_state", b"CREATE INDEX"])
def test_a_schema_with_a_byte_that_is_no_text_is_one_line(played: Path, tmp_path: Path, old: bytes) -> None:
    """In every command that takes a database: an exit code, a line, and the file as it was."""
    path = tmp_path / "d.sqlite"
    path.write_bytes(played.read_bytes().replace(old, old[:7] + b"\xff" + old[8:]))
    assert path.read_bytes() != played.read_bytes()
    before = path.read_bytes()
    for arguments in (
        ("db", "check", "--all", "--db", "d.sqlite"),
        ("db", "backup", "copy.sqlite", "--db", "d.sqlite"),
        ("db", "restore", "d.sqlite", "--db", "new.sqlite"),
        ("db", "migrate", "--db", "d.sqlite"),
        ("replay", "e000001", "--db", "d.sqlite"),
        ("methods", "list", "--db", "d.sqlite"),
        ("methods", "add", "m", "--algorithm", "market", "--db", "d.sqlite"),
        ("forecasts", "--db", "d.sqlite"),
        ("review", "d.sqlite"),
        ("report", "d.sqlite"),
        ("report", "d.sqlite", "--execution", "e000001"),
        ("demo", "--speed", "max", "--executions", "1", "--db", "d.sqlite", "--json"),
    ):
        done = invoke(tmp_path, *arguments)
        assert done.returncode in (1, 2), arguments
        said = done.stderr or done.stdout
        assert said.count("\n") == 1, (arguments, said)
        assert path.read_bytes() == before, arguments
    assert not (tmp_path / "copy.sqlite").exists()


def test_a_damaged_row_is_named_and_the_others_go_on(played: Path, tmp_path: Path) -> None:
    """A byte that is no UTF-8 in rows of some tables: table, key and column are said, and all other rows are there."""
    path = tmp_path / "d.sqlite"
    shutil.copy(played, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(
            "UPDATE execution_state SET accepted_at = CAST(x'ff' || substr(accepted_at, 2) AS TEXT), "
            "ticker = CAST(x'4bff' AS TEXT) WHERE execution_id = 'e000002'"
        )
        connection.execute("UPDATE methods SET config = CAST(x'7bff' AS TEXT) WHERE name = 'twap'")
        connection.execute("UPDATE markets SET price_ranges = '[{}]'")
    report = check_database(path, every=True)
    told = "\n".join(f"{found.execution_id}: {found.what}" for found in report.findings)
    assert "e000002: row e000002 of execution_state is damaged, column ticker" in told
    assert "e000002: row e000002 of execution_state is damaged, column accepted_at" in told
    assert "of methods is damaged, column config" in told
    assert report.executions == 4
    for arguments, line in (
        (("review", "d.sqlite"), "row e000002 of execution_state is damaged"),
        (("report", "d.sqlite"), "row e000002 of execution_state is damaged"),
        (("methods", "list", "--db", "d.sqlite"), "row twap 1 of methods is damaged, column config"),
    ):
        done = invoke(tmp_path, *arguments)
        assert done.returncode == 1, arguments
        assert line in done.stderr
        assert done.stdout
    for name in ("e000001", "e000003", "e000004"):
        assert invoke(tmp_path, "replay", name, "--db", "d.sqlite").returncode == 0


def test_replay_names_a_snapshot_that_is_no_text(played: Path, tmp_path: Path) -> None:
    """The history is told all the same, and what is wrong is said in one line."""
    path = tmp_path / "d.sqlite"
    shutil.copy(played, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE execution_state SET snapshot = CAST(x'7bff7d' AS TEXT) WHERE execution_id = 'e000002'"
        )
    for name, code in (("e000001", 0), ("e000002", 1), ("e000003", 0)):
        done = invoke(tmp_path, "replay", name, "--db", "d.sqlite")
        assert (done.returncode, done.stderr) == (code, "")
        assert f"{name} after row" in done.stdout
        assert ("differs: the snapshot cannot be read" in done.stdout) == (code == 1)
