"""`fsm-exec diagrams` draws the state machines from the very tables that run, as Mermaid text that diffs in review."""

from __future__ import annotations

from pathlib import Path

import click

from fsm_exec.cli.output import say
from fsm_exec.core.errors import ExecError, UserError
from states import REASONS, TABLES, Table


def diagram(table: Table) -> str:
    """Return one Markdown file: the drawing, and every row with its guard."""
    lines = [
        f"# {table.name}",
        "",
        f"Drawn from `states/{table.name}.py` (version {table.version}) by `fsm-exec diagrams`; do not edit.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    direction LR",
        "    classDef done fill:#dbeafe,stroke:#1e40af,color:#111827",
        f"    [*] --> {table.initial}",
    ]
    for (source, dest), labels in _arrows(table).items():
        lines.append(f"    {source} --> {dest}: {', '.join(labels)}")
    for state in table.terminal:
        lines.append(f"    {state} --> [*]")
        lines.append(f"    class {state} done")
    lines += [
        "```",
        "",
        "Legend: an arrow is a trigger; `[guard]` must hold for it to be taken; rows of one state and trigger are "
        "tried from top to bottom; a blue state is an end that nothing leaves. "
        + (f"It ends in: {', '.join(table.terminal)}." if table.terminal else "It has no end.")
        + " A trigger without a row for the state is refused and changes nothing.",
        "",
        "| from | trigger | guard | to |",
        "| --- | --- | --- | --- |",
        *(f"| {r.source} | {r.trigger} | {r.guard or ''} | {r.dest} |" for r in table.rows),
    ]
    if table.name == "execution":
        lines += ["", f"Reasons of an end: {', '.join(REASONS)}."]
    return "\n".join(lines) + "\n"


def _arrows(table: Table) -> dict[tuple[str, str], list[str]]:
    """Return one arrow for each pair of states, labelled with all its triggers."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in table.rows:
        label = row.trigger + (f" [{row.guard}]" if row.guard else "")
        arrows.setdefault((row.source, row.dest), []).append(label)
    return arrows


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
