"""The drawings are what the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm_exec.cli.diagrams import diagram
from states import REASONS, TABLES, Table

DRAWINGS = Path(__file__).parents[2] / "state_diagrams"


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_drawing_is_never_stale(table: Table) -> None:
    """Run `fsm-exec diagrams` after a change of a table."""
    assert (DRAWINGS / f"{table.name}.md").read_text(encoding="utf-8") == diagram(table)


def test_there_is_a_drawing_for_each_table_and_no_other() -> None:
    """A table that went leaves no drawing behind."""
    assert sorted(path.name for path in DRAWINGS.iterdir()) == sorted(f"{name}.md" for name in TABLES)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_drawing_shows_every_state_row_guard_and_end(table: Table) -> None:
    """Nothing that may happen is missing from the picture or from its table."""
    text = diagram(table)
    picture = text.split("```")[1]
    assert f"[*] --> {table.initial}\n" in picture
    for state in table.states:
        assert state in picture
        assert (f"{state} --> [*]" in picture) == (state in table.terminal)
    for row in table.rows:
        (arrow,) = [line for line in picture.splitlines() if line.startswith(f"    {row.source} --> {row.dest}: ")]
        label = row.trigger if row.guard is None else f"{row.trigger} [{row.guard}]"
        assert label in arrow.split(": ", 1)[1].split(", ")
        assert f"| {row.source} | {row.trigger} | {row.guard or ''} | {row.dest} |" in text


def test_the_executions_drawing_lists_the_reasons() -> None:
    """Why an execution ended is part of its picture."""
    assert ", ".join(REASONS) in diagram(TABLES["execution"])
