"""`fsm-exec forecasts`: did the forecasts of a database beat "nothing changes"? One that does not should stay off."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.cli.console import Page
from fsm_exec.cli.database.damage import say_damage
from fsm_exec.cli.output import say_json
from fsm_exec.core.signals.forecasts import score
from fsm_exec.store.archive.archive_reads import read_everywhere
from fsm_exec.store.reads.observations import load_completed_forecasts


@click.command()
@click.option("--db", required=True, type=click.Path(path_type=Path), help="The database, or a copy of it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def forecasts(db: Path, as_json: bool) -> None:
    """Judge every stored forecast by what came: the Brier score of chances, the pinball loss (dollars) of the others,
    beside the same of the last value. Lower is better."""
    damage: list[str] = []
    completed: dict[str, list[tuple[int, int, int]]] = {}
    for part in read_everywhere(db, partial(load_completed_forecasts, damage=damage), damage):
        for kind, known in part.items():
            completed.setdefault(kind, []).extend(known)
    judged = [one for kind, rows in sorted(completed.items()) if (one := score(kind, rows)) is not None]
    if as_json:
        rows = [{**msgspec.structs.asdict(one), "beats_last_value": one.beats_last_value} for one in judged]
        say_json({"forecasts": rows})
        say_damage(damage)
        return
    table = Table(box=SIMPLE_HEAD)
    for heading in ("forecast", "number", "loss", "of the last value", "beats it"):
        table.add_column(heading, justify="left" if heading == "forecast" else "right")
    for one in judged:
        beats = "yes" if one.beats_last_value else "no"
        table.add_row(one.kind, str(one.number), str(one.loss), str(one.last_value_loss), beats)
    Page().print(table)
    say_damage(damage)
