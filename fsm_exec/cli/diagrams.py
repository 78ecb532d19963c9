"""`fsm-exec diagrams` draws the state machines from the very tables that run, as Mermaid text that diffs in review."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fsm_exec.cli.output import say
from fsm_exec.core.errors import ExecError, UserError
from states import REASONS, TABLES, Row, Table

Group = tuple[tuple[str, ...], str]
"""One arrow: the states that it leaves, and the one that it leads to."""


def diagram(table: Table) -> str:
    """Return one Markdown file: the drawing of the main way, those of the odd rows if there are any, and every row
    with its guard."""
    main, odd = [row for row in table.rows if not row.odd], [row for row in table.rows if row.odd]
    lines = [
        f"# {table.name}",
        "",
        f"Drawn from `states/{table.name}.py` (version {table.version}) by `fsm-exec diagrams`; do not edit.",
        "",
        *_drawing(table, main, _arrows(main), is_main=True),
        "",
        "Legend: an arrow is a trigger; `[guard]` must hold for each trigger before it on its line; `stays at` names "
        "the triggers that lead back to their state; rows of one state and trigger are tried from top to bottom; a "
        "blue state is an end that nothing leaves. "
        + (f"It ends in: {', '.join(table.terminal)}." if table.terminal else "It has no end.")
        + " A trigger without a row for the state is refused and changes nothing.",
        "",
    ]
    alone, alike = _split(_grouped(odd))
    if odd:
        lines += ["When something is lost, late, or taken back:", ""]
        lines += [*_drawing(table, odd, alone, is_main=False), ""]
    if alike:
        lines += ["The same, where several states have the same way out; they are one box:", ""]
        lines += [*_drawing(table, [], alike, is_main=False), ""]
    lines += [
        "| from | trigger | guard | to |",
        "| --- | --- | --- | --- |",
        *(f"| {r.source} | {r.trigger} | {r.guard or ''} | {r.dest} |" for r in table.rows),
    ]
    if table.name == "execution":
        lines += ["", f"Reasons of an end: {', '.join(REASONS)}."]
    return "\n".join(lines) + "\n"


def _drawing(table: Table, drawn: Sequence[Row], arrows: dict[Group, list[Row]], *, is_main: bool) -> list[str]:
    """Return one Mermaid block of the arrows. What of the rows `drawn` stays in its state is a line in its box, not an
    arrow: the layout makes no room for the label of a loop."""
    lines = [
        "```mermaid",
        "stateDiagram-v2",
        "    direction LR",
        "    classDef done fill:#dbeafe,stroke:#1e40af,color:#111827",
    ]
    if is_main:
        lines.append(f"    [*] --> {table.initial}")
    for sources, dest in arrows:
        box = f'    state "{"<br/>".join(sources)}" as {_box(sources)}'
        if len(sources) > 1 and box not in lines:
            lines.append(box)
        lines.append(f"    {_box(sources)} --> {dest}: {_label(arrows[sources, dest])}")
    for state in table.states:
        staying = [row for row in drawn if row.source == row.dest == state]
        if staying:
            lines += [f"    {state}: {state}", f"    {state}: stays at {_label(staying)}"]
    for state in table.terminal:
        if any(state == dest for _, dest in arrows):
            if is_main:
                lines.append(f"    {state} --> [*]")
            lines.append(f"    class {state} done")
    return [*lines, "```"]


def _arrows(drawn: Sequence[Row]) -> dict[Group, list[Row]]:
    """Return one arrow for each pair of states, with all its rows."""
    arrows: dict[Group, list[Row]] = {}
    for row in drawn:
        if row.source != row.dest:
            arrows.setdefault(((row.source,), row.dest), []).append(row)
    return arrows


def _grouped(drawn: Sequence[Row]) -> dict[Group, list[Row]]:
    """Return one arrow for all states that the same trigger and guard lead to the same state, with one row of each
    trigger."""
    alike: dict[tuple[str, str | None, str], list[Row]] = {}
    for row in drawn:
        if row.source != row.dest:
            alike.setdefault((row.trigger, row.guard, row.dest), []).append(row)
    arrows: dict[Group, list[Row]] = {}
    for same in alike.values():
        arrows.setdefault((tuple(row.source for row in same), same[0].dest), []).append(same[0])
    return arrows


def _split(arrows: dict[Group, list[Row]]) -> tuple[dict[Group, list[Row]], dict[Group, list[Row]]]:
    """Split the arrows into those from one state and those from several."""
    alone = {group: found for group, found in arrows.items() if len(group[0]) == 1}
    dests = list(dict.fromkeys(dest for _, dest in arrows))
    alike = sorted((item for item in arrows.items() if item[0] not in alone), key=lambda item: dests.index(item[0][1]))
    return alone, dict(alike)  # those to one state beside one another: fewer arrows cross


def _box(sources: Sequence[str]) -> str:
    return "_or_".join(sources)


def _label(labelled: Sequence[Row]) -> str:
    """Return the triggers, a line for each guard."""
    by_guard: dict[str | None, list[str]] = {}
    for row in labelled:
        by_guard.setdefault(row.guard, []).append(row.trigger)
    return "<br/>".join(", ".join(triggers) + (f" [{guard}]" if guard else "") for guard, triggers in by_guard.items())


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if a drawing is stale or missing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("state_diagrams"),
    show_default=True,
    help="The folder of the drawings.",
)
def diagrams(check: bool, out: Path) -> None:
    """Draw the state machines into FOLDER/<table>.md."""
    stale = []
    for name, table in TABLES.items():
        path, text = out / f"{name}.md", diagram(table)
        try:
            if check:
                if not path.is_file() or path.read_text(encoding="utf-8") != text:
                    stale.append(str(path))
            else:
                out.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                say(str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot use {path}: {error}; give another folder with --out") from error
    if stale:
        raise StaleDiagram(f"stale: {', '.join(stale)}; run: fsm-exec diagrams")


class StaleDiagram(ExecError):
    """A drawing that is not what the tables say."""
