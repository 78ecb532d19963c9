"""Executions that have ended move into archives: nothing is lost, nothing is there twice, whatever dies."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.core.journal import crashpoints
from fsm_exec.core.values.times import to_iso
from fsm_exec.store.archive import offline
from fsm_exec.store.archive.archive_files import archive_directory
from fsm_exec.store.archive.archive_reads import open_where, read_everywhere
from fsm_exec.store.archive.copying import CopyResult
from fsm_exec.store.archive.tables import COPIED, KEPT, MOVED
from fsm_exec.store.files.migrations import migrate
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.maintenance.integrity import check_database
from fsm_exec.store.reads import api_queries, execution_reads, report_queries, review_queries
from fsm_exec.store.reads.account_reads import load_account
from tests.store.moved_database import LATER_US, archive, make_database, rows_of, run_and_die


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "engine.db"
    make_database(path)
    return path


@pytest.fixture
def copy(made: Path, database: Path) -> Path:
    shutil.copy(made, database)
    return database


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of what moves, in the database and its archives together, each once."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for table in MOVED:
        rows = rows_of(path, table.name, table.renumbered)
        for one in sorted(archive_directory(path).glob("*.sqlite")):
            rows += rows_of(one, table.name, table.renumbered)
        found[table.name] = sorted(rows, key=repr)
    return found


def as_read(path: Path) -> object:
    """What readers of all executions see, and each one's own rows."""
    damage: list[str] = []
    seen = read_everywhere(
        path,
        lambda c: (
            [one.execution_id for one in report_queries.load_worked(c, damage)],
            [one.at_us for one in review_queries.load_saved(c, 0, damage)],
            [one.at_us for one in review_queries.load_opportunities(c, 0, damage)],
        ),
        damage,
    )
    each = []
    for execution_id in ("e1", "e2", "e3", "e4"):
        with open_where(path, execution_id) as connection:
            each.append(
                (
                    execution_reads.load_execution(connection, execution_id),
                    execution_reads.load_journal(connection, execution_id),
                    execution_reads.load_children(connection, execution_id),
                    execution_reads.load_fills(connection, execution_id),
                    execution_reads.load_metrics(connection, execution_id),
                )
            )
    assert damage == []
    return [sorted(one for part in seen for one in part[number]) for number in range(3)], each


def findings(path: Path) -> set[tuple[str | None, str]]:
    """What the check of everything says, wherever it stands: of what the tests changed by hand."""
    found = check_database(path, every=True).findings
    return {(one.execution_id, one.what.removeprefix("archive 2023-04.sqlite: ")) for one in found}


def test_every_table_moves_is_copied_or_stays() -> None:
    """Of a new table somebody has to say what becomes of it: one list has it, and one alone."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, None)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        with_execution = {
            name
            for name in tables
            if any(column[1] == "execution_id" for column in connection.execute(f"PRAGMA table_info({name})"))
        }
    named = [*(table.name for table in MOVED), *COPIED, *KEPT]
    assert sorted(named) == sorted(tables - {"sqlite_sequence"})
    assert with_execution <= {table.name for table in MOVED} | {"archived_executions", "unscored_executions"}


def test_what_is_over_moves_whole(copy: Path) -> None:
    """Every row of the executions is in their archive as it was, nothing is left of them, and every reader sees what it
    saw; the database says that it is sound, with its archives."""
    before, read, wrong = everything(copy), as_read(copy), findings(copy)
    report = archive(copy)
    assert (report.moved, report.stayed, report.refused) == ({"2023-04.sqlite": 3}, {}, {})
    (name,) = archive_directory(copy).iterdir()
    assert [row[0] for row in rows_of(name, "edges")] != []
    for table in MOVED:
        assert rows_of(name, table.name) != [], table.name
        with closing(sqlite3.connect(copy)) as connection:
            left = connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
        assert left == len(before[table.name]) - len(rows_of(name, table.name))
    assert everything(copy) == before
    assert as_read(copy) == read
    assert findings(copy) == wrong
    assert check_database(copy, every=False).archives == {"2023-04.sqlite": 3}
    assert archive(copy).moved == {}


def test_only_its_owner_reads_an_archive(copy: Path) -> None:
    """Neither the directory nor the file has a right for others."""
    archive(copy)
    directory = archive_directory(copy)
    assert [path.stat().st_mode & 0o077 for path in (directory, *directory.iterdir())] == [0, 0]


@pytest.mark.parametrize("rows_at_once", [1, 7, 2_000])
@pytest.mark.parametrize("point", crashpoints.MOVE_NAMES)
def test_a_kill_at_any_point_loses_and_doubles_nothing(
    copy: Path, point: str, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at every visit of the point, one after another: readers see everything once each time, the check finds
    nothing, the profit is the same, and the run that is not killed finishes the move."""
    monkeypatch.setattr(offline, "ROWS_AT_ONCE", rows_at_once)
    read, rows, profit, wrong = as_read(copy), everything(copy), profit_of(copy), findings(copy)
    deaths, visit = 0, 1
    while run_and_die(lambda: archive(copy), point, visit):
        deaths += 1
        visit = 1 + deaths % 5
        assert as_read(copy) == read
        assert findings(copy) == wrong
        assert profit_of(copy) == profit
        assert deaths < 200
    assert deaths or (point.startswith("clear") and rows_at_once == 2_000)
    archive(copy)
    assert as_read(copy) == read
    assert everything(copy) == rows
    assert profit_of(copy) == profit
    assert findings(copy) == wrong


def profit_of(path: Path) -> object:
    """What the account has won, as it is known without its archives."""
    with closing(sqlite3.connect(path)) as connection:
        account = load_account(connection)
        brought = account.archived
        for market in account.markets:
            if market.settlement is not None:
                brought = brought.plus(market.holding)
        return brought


def test_a_missing_archive_is_said_and_hides_nothing_else(copy: Path) -> None:
    """Who asks for what is in it hears which file that is; who asks for all gets the others and one line."""
    archive(copy)
    (path,) = archive_directory(copy).iterdir()
    path.unlink()
    with (
        pytest.raises(UserError, match=r"the archive .*2023-04\.sqlite is not there; put it back"),
        open_where(copy, "e1"),
    ):
        pass
    damage: list[str] = []
    found = read_everywhere(copy, lambda c: report_queries.load_worked(c, damage), damage)
    assert [one.execution_id for part in found for one in part] == ["e4"]
    assert len(damage) == 1
    assert damage[0] in [finding.what for finding in check_database(copy, every=False).findings]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_archive_that_was_cut_is_found(copy: Path, share: float) -> None:
    """Cut in the middle: the check says so of this file, readers of all say so in a line and read the rest."""
    archive(copy)
    (path,) = archive_directory(copy).iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert any("2023-04.sqlite" in finding.what for finding in check_database(copy, every=False).findings)
    damage: list[str] = []
    read_everywhere(copy, lambda c: report_queries.load_worked(c, []), damage)
    assert all("2023-04.sqlite" in line for line in damage)


def test_an_execution_that_an_archive_lost_is_missed(copy: Path) -> None:
    """An older copy of an archive put in its place lacks what moved later: the check names it."""
    archive(copy)
    (path,) = archive_directory(copy).iterdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in MOVED:
            if table.name != "markouts":
                connection.execute(f"DELETE FROM {table.name} WHERE execution_id = 'e2'")
    found = check_database(copy, every=False).findings
    assert ("e2", "it moved into the archive 2023-04.sqlite, and is not in it; put back a later one") in [
        (one.execution_id, one.what) for one in found
    ]


def test_what_changed_since_it_was_copied_stays(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A markout that comes between copy and move is not lost: the execution moves with the next run, whole."""
    real = offline._copy

    def copy_then_change(path: Path, name: str, instance: str, at: str, ids: list[str]) -> CopyResult:
        result = real(path, name, instance, at, ids)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE execution_metrics SET computed_at = '2024-01-01T00:00:00.000000Z'")
            connection.commit()
        return result

    monkeypatch.setattr(offline, "_copy", copy_then_change)
    assert sum(archive(copy).moved.values()) == 0
    before, read = rows_of(copy, "execution_metrics"), as_read(copy)
    monkeypatch.setattr(offline, "_copy", real)
    assert sum(archive(copy).moved.values()) == 3
    assert as_read(copy) == read
    (path,) = archive_directory(copy).iterdir()
    assert sorted([*rows_of(copy, "execution_metrics"), *rows_of(path, "execution_metrics")], key=repr) == before


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM execution_metrics", "its cost is not reckoned yet"),
        ("DELETE FROM markouts WHERE horizon_s = 0", "its market has not settled"),
        ("DELETE FROM settlements", "its market has not settled in the account, or only lately"),
        ("UPDATE settlements SET value = NULL", "its market has not settled in the account, or only lately"),
        ("UPDATE execution_state SET quarantine = 'x'", "quarantined: resume or cancel it"),
        ("UPDATE forecasts SET completed_at = NULL, happened = NULL", "a forecast of it is open"),
        (
            "INSERT INTO account_openings SELECT DISTINCT ticker, '1.00', '0.500000', NULL, NULL, accepted_at "
            "FROM execution_state WHERE reason IS NOT NULL",
            "contracts of its market were taken over from the exchange",
        ),
    ],
)
def test_what_is_not_over_stays_and_is_said(copy: Path, statement: str, why: str) -> None:
    """Each reason by itself; nothing of what stays is touched."""
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(statement)
        connection.commit()
    before = everything(copy)
    report = archive(copy)
    assert report.stayed.get(why, 0) >= 1
    assert everything(copy) == before


def test_the_newest_stays(copy: Path) -> None:
    """Numbers go on from the newest of each kind, so the newest execution, step and edge never move: none of them comes
    twice."""
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("DELETE FROM edges WHERE execution_id = 'e4'")
        connection.execute("DELETE FROM execution_events WHERE execution_id = 'e4'")
        connection.execute("UPDATE edges SET edge_id = 99 WHERE execution_id = 'e1'")
        connection.commit()
    report = archive(copy)
    assert (sum(report.moved.values()), report.stayed) == (1, {"the newest stays": 2})
    assert {row[-1] for row in rows_of(copy, "archived_executions")} == {1}


def test_what_listings_may_reach_stays(copy: Path) -> None:
    """An execution at work lets the start list the exchange back to its beginning: nothing that ended a day before it
    or later moves, so no fill of what moved is ever met again."""
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(
            "UPDATE execution_state SET accepted_at = (SELECT max(updated_at) FROM execution_state "
            "WHERE reason IS NOT NULL) WHERE reason IS NULL"
        )
        connection.commit()
    report = archive(copy)
    assert (report.moved, report.before < to_iso(LATER_US)) == ({}, True)


def test_no_engine_works_on_an_archive(copy: Path) -> None:
    """It would take it for a copy of a database, and be another engine of the same account."""
    archive(copy)
    (path,) = archive_directory(copy).iterdir()
    with pytest.raises(
        UserError, match=r"is an archive of executions that are over; give the database beside it, .*engine\.db"
    ):
        open_database(OpenRequest(path=path, draw_instance=lambda: "a" * 10, at_us=0))


def test_an_archive_of_another_database_is_not_written(copy: Path, made: Path, tmp_path: Path) -> None:
    """One that was left where another database was: nothing moves into it, and a line says which file that is."""
    archive(copy)
    (path,) = archive_directory(copy).iterdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET instance = 'zzzzzzzzzz'")
        connection.commit()
    another = tmp_path / "another.db"
    shutil.copy(made, another)
    archive_directory(copy).rename(archive_directory(another))
    before = rows_of(another, "execution_state")
    with pytest.raises(UserError, match=r"the archive .*2023-04\.sqlite is not of this database; move it away"):
        archive(another)
    assert rows_of(another, "execution_state") == before


def test_readers_of_all_see_nothing_in_an_archive_that_did_not_move_there(copy: Path) -> None:
    """An execution that another database left in it, or that an older backup of this one does not know, is not among
    what this database has done."""
    archive(copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("DELETE FROM archived_executions WHERE execution_id = 'e2'")
        connection.execute("UPDATE archives SET executions = executions - 1")
        connection.commit()
    damage: list[str] = []
    found = read_everywhere(copy, lambda c: report_queries.load_worked(c, damage), damage)
    assert sorted(one.execution_id for part in found for one in part) == ["e1", "e3", "e4"]


@pytest.mark.parametrize("content", [b"", b"no database at all" * 300])
def test_an_archive_that_cannot_be_written_is_named(copy: Path, content: bytes) -> None:
    """An empty file in its place is made anew; what is no archive is named, and the database is not said to be
    damaged."""
    archive_directory(copy).mkdir()
    (archive_directory(copy) / "2023-04.sqlite").write_bytes(content)
    if not content:
        assert archive(copy).moved == {"2023-04.sqlite": 3}
        return
    with pytest.raises(UserError, match=r"cannot copy into the archive .*2023-04\.sqlite: file is not a database"):
        archive(copy)


def test_an_archive_that_may_not_be_read_is_one_line(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its directory is another user's: the rest is read."""
    archive(copy)
    real = Path.exists

    def refuse(path: Path) -> bool:
        if path.parent == archive_directory(copy):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "exists", refuse)
    damage: list[str] = []
    found = read_everywhere(copy, lambda c: report_queries.load_worked(c, damage), damage)
    assert [one.execution_id for part in found for one in part] == ["e4"]
    assert len(damage) == 1
    assert damage[0].startswith("cannot read the archive ")


def test_an_archive_without_its_meta_row_is_read(copy: Path) -> None:
    """A lost row of `meta` says nothing of the executions beside it."""
    archive(copy)
    (path,) = archive_directory(copy).iterdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM meta")
        connection.commit()
    assert read_everywhere(copy, api_queries.load_environment, []) == [None, None]
