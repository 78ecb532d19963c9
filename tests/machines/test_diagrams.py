"""The drawings are what the tables say."""

from __future__ import annotations

import re
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


def drawings_of(table: Table) -> list[str]:
    return diagram(table).split("```mermaid\n")[1:]


def rows_drawn(drawing: str) -> list[tuple[str, str, str | None, str]]:
    """Every row that a drawing shows, read back from its text: (from, trigger, guard, to)."""
    boxes = dict(re.findall(r'state "([^"]*)" as (\w+)', drawing.split("```")[0]))
    sources = {name: text.split("<br/>") for text, name in boxes.items()}
    found = []
    for source, dest, label in re.findall(r"^    (\w+) --> (\w+): (.*)$", drawing, re.MULTILINE):
        found += [(one, *labelled, dest) for one in sources.get(source, [source]) for labelled in labels(label)]
    for state, label in re.findall(r"^    (\w+): stays at (.*)$", drawing, re.MULTILINE):
        found += [(state, *labelled, state) for labelled in labels(label)]
    return found


def labels(text: str) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for line in text.split("<br/>"):
        triggers, _, guard = line.removesuffix("]").partition(" [")
        found += [(trigger, guard or None) for trigger in triggers.split(", ")]
    return found


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_the_drawings_show_every_row_once(table: Table) -> None:
    """Read back, they are the table: no row, guard or end is missing, none is there twice; the odd ones are apart."""
    main, *odd = (rows_drawn(drawing) for drawing in drawings_of(table))
    assert sorted(map(str, main)) == sorted(
        str((r.source, r.trigger, r.guard, r.dest)) for r in table.rows if not r.odd
    )
    assert sorted(str(row) for drawn in odd for row in drawn) == sorted(
        str((r.source, r.trigger, r.guard, r.dest)) for r in table.rows if r.odd
    )
    picture = drawings_of(table)[0]
    assert f"[*] --> {table.initial}\n" in picture
    assert set(re.findall(r"(\w+) --> \[\*\]", picture)) == set(table.terminal)
    text = diagram(table)
    assert all(f"| {row.source} | {row.trigger} | {row.guard or ''} | {row.dest} |" in text for row in table.rows)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_drawing_can_be_read(table: Table) -> None:
    """No arrow leads back to its own state, where its label would lie under others; one arrow joins two boxes; and
    none has so many that it is a ball of wool."""
    for drawing in drawings_of(table):
        arrows = re.findall(r"^    (\w+) --> (\w+)", drawing, re.MULTILINE)
        assert all(source != dest for source, dest in arrows)
        assert len(arrows) == len(set(arrows)) <= 12


def test_the_executions_drawing_lists_the_reasons() -> None:
    """Why an execution ended is part of its picture."""
    assert ", ".join(REASONS) in diagram(TABLES["execution"])
