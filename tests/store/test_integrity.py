"""A check finds what is wrong, says of which execution, and changes nothing."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.snapshot import SNAPSHOT_VERSION
from fsm_exec.store import read_executions, read_journal
from fsm_exec.store.maintenance.integrity import check_database
from tests.golden.histories import HISTORIES
from tests.store.histories import fill

NAMES = ("walking", "filled", "cancelled_late", "partial_amending")
PAGE_BYTES = 4_096
FILE_HEADER_BYTES = 100


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Executions e1 to e4, of NAMES."""
    path = tmp_path_factory.mktemp("sound") / "engine.db"
    fill(path, NAMES)
    return path


@pytest.fixture
def copy(sound: Path, database: Path) -> Path:
    shutil.copy(sound, database)
    return database


def contents(path: Path) -> object:
    return [(one, read_journal(path, one.execution_id)) for one in read_executions(path)]


def test_a_sound_database_is_said_to_be_sound(database: Path) -> None:
    """Every kind of execution; the finished ones are folded only when asked for."""
    executions = fill(database)
    unfinished = sum(not execution.is_ended for execution in executions.values())
    for every, folded in ((True, len(HISTORIES)), (False, unfinished)):
        report = check_database(database, every=every)
        assert (report.findings, report.executions, report.folded) == ([], len(HISTORIES), folded)
        assert report.snapshots == {SNAPSHOT_VERSION: len(HISTORIES)}
    assert report.instance == "aaaaaaaaaa"


@pytest.mark.parametrize(
    ("statement", "execution_id", "says"),
    [
        (
            f"""UPDATE execution_state SET snapshot = replace(snapshot, '"version":{SNAPSHOT_VERSION}', '"version":99')
            WHERE execution_id = 'e2'""",
            "e2",
            "snapshot of version 99 (tables 1.2), by a newer fsm-exec; this one reads versions up to "
            f"{SNAPSHOT_VERSION}: start the newer one again, nothing was changed",
        ),
        (
            "UPDATE execution_state SET snapshot = replace(snapshot, '\"walks\":0', '\"walks\":7') "
            "WHERE execution_id = 'e1'",
            "e1",
            "the snapshot is damaged, its checksum does not match: restore a backup, nothing was changed",
        ),
        (
            "UPDATE execution_state SET snapshot = substr(snapshot, 1, 900) WHERE execution_id = 'e1'",
            "e1",
            "the snapshot cannot be read: Input data was truncated; restore a backup, nothing was changed",
        ),
        (
            "UPDATE execution_state SET state = 'walking' WHERE execution_id = 'e2'",
            "e2",
            "the snapshot is of e2 (filled), its row of e2 (walking)",
        ),
        (
            "DELETE FROM execution_events WHERE execution_id = 'e4' AND seq = 3",
            "e4",
            "row 3 of the journal is missing; the next one there is 4",
        ),
        (
            "UPDATE split_orders SET filled_quantity = '9.00' WHERE client_order_id LIKE '%-e4-1-1'",
            "e4",
            "split_orders fxaaaaaaaaaa-e4-1-1: filled_quantity is 9.00, the journal says 1.00",
        ),
        ("DELETE FROM fills WHERE execution_id = 'e4'", "e4", "fills at-exchange-fxaaaaaaaaaa-e4-1-1 f1: the row"),
        (
            "UPDATE execution_events SET event = '{}' WHERE execution_id = 'e3' AND seq = 2",
            "e3",
            "row 2 (DecisionDue) cannot be folded: the journal row cannot be read: Object missing",
        ),
        (
            "UPDATE execution_events SET at = 'yesterday' WHERE execution_id = 'e3' AND seq = 2",
            "e3",
            "row e3 2 of execution_events is damaged, column at: 'yesterday' is not a time",
        ),
        (
            "UPDATE execution_events SET at = '2023-04-10T18:00:59.000000Z' WHERE execution_id = 'e3' AND seq = 2",
            "e3",
            "row 2 of the journal: at_us is 1681149659000000, its event says 16811496",
        ),
        (
            "UPDATE execution_events SET event_type = 'OrderAbsent' WHERE execution_id = 'e3' AND seq = 2",
            "e3",
            'row 2 of the journal: event_type is "OrderAbsent", its event says "DecisionDue"',
        ),
        (
            "UPDATE execution_events SET steps = '' WHERE execution_id = 'e3' AND seq = 2",
            "e3",
            'row 2 of the journal: steps is "", its event says "execution e',
        ),
        (
            "UPDATE execution_events SET state = 'split' WHERE execution_id = 'e3' AND seq = 1",
            "e3",
            "row 1 of the journal: state is split, the journal says pending",
        ),
        (
            "UPDATE execution_events SET fills = NULL WHERE execution_id = 'e4' AND fills IS NOT NULL",
            "e4",
            "row 6 of the journal: fills is None, the journal says {",
        ),
        (
            "UPDATE execution_metrics SET shortfall_e7 = 1, spread_e7 = NULL WHERE execution_id = 'e2'",
            "e2",
            "its metrics do not add up: the parts of the shortfall are not its sum",
        ),
        ("UPDATE fills SET client_order_id = 'x' WHERE execution_id = 'e2'", None, "references: row"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_of_the_execution_it_is_wrong_with(
    copy: Path, statement: str, execution_id: str | None, says: str
) -> None:
    """One thing is changed behind the engine's back: it is found, and nothing is said of the other executions."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        assert connection.execute(statement).rowcount > 0
    before = copy.read_bytes()
    findings = check_database(copy, every=True).findings
    assert any(finding.execution_id == execution_id and finding.what.startswith(says) for finding in findings), findings
    assert {finding.execution_id for finding in findings} <= {
        execution_id,
        None,
        "e2" if "fills" in statement else None,
    }
    assert all(finding.what.isprintable() for finding in findings)
    assert copy.read_bytes() == before


def test_a_table_that_is_listed_as_something_else_is_found(copy: Path) -> None:
    """One bit of the kind's own header: SQLite goes on with the table, and whoever lists the tables never sees it."""
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        assert (
            connection.execute("UPDATE sqlite_schema SET type = CAST(type AS BLOB) WHERE name = 'fills'").rowcount == 1
        )
    findings = check_database(copy, every=True).findings
    assert [(found.execution_id, found.what) for found in findings] == [(None, "schema: the table fills is missing")]


def test_a_corrupted_page_never_passes_for_another_history(sound: Path, database: Path) -> None:
    """Bytes flipped on every page in turn, in its header and anywhere: it is found, or it was where nothing of an
    execution is. The check never fails, and changes nothing."""
    image, truth = sound.read_bytes(), contents(sound)
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    for page in range(len(image) // PAGE_BYTES):
        header = page * PAGE_BYTES + (FILE_HEADER_BYTES if page == 0 else 0)
        for start in (header, page * PAGE_BYTES + dice.randrange(PAGE_BYTES - 64)):
            damage = image[:start] + bytes(byte ^ 0x55 for byte in image[start : start + 64]) + image[start + 64 :]
            database.write_bytes(damage)
            says = said(database)
            assert says or (start != header and contents(database) == truth), f"seed {seed}, byte {start}"
            assert database.read_bytes() == damage


def said(path: Path) -> list[str]:
    """What a check finds, or why it cannot look; one line each."""
    try:
        lines = [finding.what for finding in check_database(path, every=True).findings]
    except UserError as error:
        lines = [str(error)]
    assert all(line.isprintable() for line in lines), lines
    return lines


def test_a_finding_is_one_line_that_prints_whatever_it_quotes(sound: Path, database: Path) -> None:
    """Line ends and a terminal's commands, in the text of a row and in the schema itself."""
    image = sound.read_bytes()
    ugly = b"\n\x1b[2J"
    for text, found in ((b"fxaaaaaaaaaa-e2-1-1", "e2"), (b"tableexecution_metrics", "schema")):
        places = [match.start() + 8 for match in re.finditer(re.escape(text), image)]
        assert places
        lines = []
        for at in places[:5]:
            database.write_bytes(image[:at] + ugly + image[at + len(ugly) :])
            lines += said(database)
        assert any(found in line and "[2J" in line for line in lines), lines


def test_a_truncated_file_is_never_sound(sound: Path, database: Path) -> None:
    """Cut at every page and in the middle of some: found, or refused in one line."""
    image = sound.read_bytes()
    cuts = {*range(0, len(image), PAGE_BYTES), *range(1_000, len(image), 7 * PAGE_BYTES)}
    for size in sorted(cuts):
        database.write_bytes(image[:size])
        assert said(database), f"cut to {size}"
        assert database.read_bytes() == image[:size]


def test_the_report_is_one_document(copy: Path) -> None:
    """Everything in it is plain JSON."""
    document = msgspec.json.decode(msgspec.json.encode(check_database(copy, every=True)))
    assert document["findings"] == []
    assert document["executions"] == len(NAMES)
