"""The history of an execution, held against the fold that `fsm-exec replay` makes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.core.costs.so_far import cost_so_far_e7, cost_steps
from fsm_exec.core.execution.describe import UNITS
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.replay import ReplayedRow, replay_rows
from fsm_exec.core.journal.rows import JournalRow
from fsm_exec.store.reads.execution_history import StoredBook
from fsm_exec.store.reads.execution_reads import iterate_journal, load_journal, load_metrics
from fsm_exec.web.database import open_reader
from fsm_exec.web.execution.books import merge_books
from fsm_exec.web.execution.differences import differences
from fsm_exec.web.execution.history import STRIDE, History
from fsm_exec.web.execution.looking import Looking
from fsm_exec.web.execution.thinned_books import BOOKS_MAX, ThinnedBooks
from fsm_exec.web.execution.words import tell_event, tell_intents
from tests.cli.invoking import invoke
from tests.store.histories import AT_US, fill
from tests.web.long_journals import fill_long


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every golden history."""
    path = tmp_path_factory.mktemp("histories") / "engine.db"
    fill(path)
    return path


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        yield connection


def ids(connection: sqlite3.Connection) -> list[str]:
    return [str(one) for (one,) in connection.execute("SELECT execution_id FROM execution_state ORDER BY rowid")]


def folded(connection: sqlite3.Connection, execution_id: str) -> list[ReplayedRow]:
    return list(replay_rows(load_journal(connection, execution_id)))


@pytest.mark.parametrize("stride", [1, 3, STRIDE])
def test_each_row_of_each_history_is_what_the_whole_fold_has_there(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    """Whatever row is asked for, alone or with others, and however many snapshots are kept, it has the snapshot and the
    changes of the fold from the first."""
    monkeypatch.setattr("fsm_exec.web.execution.history.STRIDE", stride)
    for execution_id in ids(connection):
        whole = folded(connection, execution_id)
        history = History(execution_id)
        assert history.read_on(connection)
        assert history.execution == whole[-1].advance.execution
        for one in whole:
            assert history.rows(connection, one.row.seq, one.row.seq) == [one]
        assert history.rows(connection, 1, len(whole)) == whole
        changes = [(one.row.seq, change) for one in whole for change in one.advance.changes]
        for seq in range(1, len(whole) + 1):
            assert [(s.seq, s.change) for s in history.steps_until(seq)] == [c for c in changes if c[0] <= seq]


def test_a_row_is_what_replay_prints(database: Path, connection: sqlite3.Connection) -> None:
    """The snapshot at a row, as JSON, is the `execution` of `fsm-exec replay --until ROW --json`."""
    execution_id = max(ids(connection), key=lambda one: len(load_journal(connection, one)))
    history = History(execution_id)
    history.read_on(connection)
    for seq in {1, history.seq // 2, history.seq}:
        printed = invoke(database.parent, "replay", execution_id, "--db", database.name, "--until", str(seq), "--json")
        (one,) = history.rows(connection, seq, seq)
        shown = json.loads(msgspec.json.encode(one.advance.execution))
        assert json.loads(printed.stdout)["execution"] == shown


def test_a_journal_is_read_on(tmp_path: Path) -> None:
    """A history that was read half-way and then on, row by row, is the one that was read at once."""
    path = tmp_path / "engine.db"
    fill(path, ("walking", "restored"))
    with closing(sqlite3.connect(path)) as connection:
        for execution_id in ids(connection):
            rows = load_journal(connection, execution_id)
            at_once = History(execution_id)
            at_once.read_on(connection)
            growing = History(execution_id)
            growing._fold(rows[:1])
            for row in rows[1:]:
                growing._fold([row])
            assert growing.execution == at_once.execution
            assert growing.steps == at_once.steps
            assert growing.timeline.build([]) == at_once.timeline.build([])
            assert not growing.read_on(connection)


def test_a_damaged_row_leaves_what_is_before_it(tmp_path: Path) -> None:
    """A journal with a row that cannot be read, or with one missing, is shown up to there, and says why."""
    for harm, why in (
        ("UPDATE execution_events SET event = '{' WHERE seq = 3", "row"),
        ("DELETE FROM execution_events WHERE seq = 3", "row 3 of the journal is missing"),
        ("UPDATE execution_events SET event = replace(event, 'Order', 'Ordre') WHERE seq = 3", "row"),
    ):
        path = tmp_path / f"{len(harm)}.db"
        fill(path, ("walking",))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(harm)
            history = History("e1")
            assert history.read_on(connection)
            assert history.seq == 2
            assert history.broken is not None
            assert why in history.broken
            assert not history.read_on(connection), "it is not read again and again"
            assert len(history.rows(connection, 1, 2)) == 2


def test_what_a_row_changed_is_all_that_differs(connection: sqlite3.Connection) -> None:
    """Each row that changes the snapshot is told so, each difference differs, and a row that follows itself has
    none."""
    for execution_id in ids(connection):
        for one in folded(connection, execution_id):
            before, after = one.before, one.advance.execution
            found = differences(before, after)
            assert differences(after, after) == []
            assert all(change.before != change.after for change in found), found
            if before is not None and msgspec.structs.replace(before, seq=after.seq) != after:
                assert found
            told = {change.what for change in found}
            if before is not None:
                for name in ("state", "walks", "writes"):
                    assert (name in told) == (getattr(before, name) != getattr(after, name))


def test_every_field_with_a_unit_is_told_in_it() -> None:
    """The fields of an execution that end in a unit end in one that differences can tell."""
    known = set(UNITS)
    for field in Execution.__struct_fields__:
        unit = field.rpartition("_")[2]
        if unit in {"e2", "e4", "e5", "e6", "us", "ppm"}:
            assert unit in known


def test_every_row_has_words(connection: sqlite3.Connection) -> None:
    """Each fact and each decision of the golden histories is a sentence on one line, without the names of the code."""
    kinds = set()
    for execution_id in ids(connection):
        for one in folded(connection, execution_id):
            kinds.add(type(one.event).__name__)
            for told in (tell_event(one.event), tell_intents(one.intents)):
                assert "\n" not in told
                assert "_e2" not in told
                assert not told or (told[0].isupper() and told.endswith("."))
    assert len(kinds) > 12, kinds


def test_the_cost_builds_up_to_what_it_is(connection: sqlite3.Connection) -> None:
    """The steps of the cost end in the cost so far, and for an execution that is filled in its stored parts."""
    compared = 0
    for execution_id in ids(connection):
        execution = folded(connection, execution_id)[-1].advance.execution
        steps = cost_steps(execution)
        total = cost_so_far_e7(execution)
        assert (steps == []) == (total is None)
        if not steps:
            continue
        assert len(steps) == 1 + len(execution.fills)
        assert steps[-1].total == total
        metrics = load_metrics(connection, execution_id)
        if metrics is not None and execution.filled_e2 == execution.target_e2:
            compared += 1
            last = steps[-1]
            stored = (metrics.delay_e7, metrics.spread_e7, metrics.drift_e7, metrics.fees_e7, metrics.shortfall_e7)
            assert (last.delay, last.spread, last.drift, last.fees, last.total) == stored
    assert compared, "no history was filled"


def test_books_are_thinned_evenly() -> None:
    """However many books there were, so many are kept, in order, from the first to the newest."""
    books = ThinnedBooks()
    for number in range(10 * BOOKS_MAX):
        books.add(StoredBook(number * 1_000, (), ()))
        kept = books.until(2**60)
        assert len(kept) <= BOOKS_MAX
        assert kept[-1].taken_at_us == number * 1_000
    times = [book.taken_at_us for book in books.until(2**60)]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert max(after - before for before, after in pairwise(times)) <= 40 * 1_000


def test_a_stored_book_stands_for_what_was_seen_near_it() -> None:
    """What a decision saw is drawn only where no photograph is within a second."""
    stored = [StoredBook(10_000_000, (), ()), StoredBook(20_000_000, (), ())]
    seen = [StoredBook(at_us, (), ()) for at_us in (9_500_000, 15_000_000, 20_900_000, 22_000_000)]
    assert [book.taken_at_us for book in merge_books(stored, seen)] == [
        10_000_000,
        15_000_000,
        20_000_000,
        22_000_000,
    ]


def test_a_row_of_a_long_journal_reads_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of 700 rows is read once; any row of it then needs no more than the rows from the kept snapshot before
    it, and what is kept is a snapshot for each STRIDE-th row and a bounded number of books."""
    rows = 700
    last = fill_long(tmp_path / "long.db", rows)
    read: list[tuple[int, int]] = []

    def counted(
        connection: sqlite3.Connection, execution_id: str, after: int = 0, until: int = 2**63 - 1
    ) -> Iterator[JournalRow]:
        read.append((after, until))
        return iterate_journal(connection, execution_id, after, until)

    monkeypatch.setattr("fsm_exec.web.execution.history.iterate_journal", counted)
    with closing(sqlite3.connect(tmp_path / "long.db")) as connection:
        history = History("e1")
        history.read_on(connection)
        assert history.execution == last
        assert len(history._kept) == rows // STRIDE
        assert len(history.seen.until(2**62)) <= BOOKS_MAX
        for seq in (1, STRIDE, STRIDE + 1, 333, rows):
            read.clear()
            (one,) = history.rows(connection, seq, seq)
            assert one.row.seq == one.advance.execution.seq == seq
            ((after, until),) = read
            assert until - after <= STRIDE
        assert history.rows(connection, rows, rows)[0].advance.execution == last


async def test_histories_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many executions' histories, and so many rows of all, are kept: those looked at last."""
    path = tmp_path / "engine.db"
    await trio.to_thread.run_sync(fill, path, ("walking", "restored", "no_book", "walking"))
    monkeypatch.setattr("fsm_exec.web.execution.looking.HISTORIES_KEPT", 3)
    with open_reader(path, is_own_engines=False) as reader:
        looking = Looking(reader, lambda: AT_US, None)
        for name in ("e1", "e2", "e3", "e1", "e4"):
            assert await looking.look(name) is not None
        assert await looking.look("nobody") is None
        assert list(looking._kept) == ["e3", "e1", "e4"]
        monkeypatch.setattr("fsm_exec.web.execution.looking.ROWS_KEPT", 1)
        assert await looking.look("e3") is not None
        assert list(looking._kept) == ["e3"]
