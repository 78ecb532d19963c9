"""`fsm-exec fit-estimate` fits the table of the estimator to measured executions, and shows how well one holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.cli.console import Page
from fsm_exec.cli.output import say, say_json
from fsm_exec.control.estimate_table import load_estimate_table
from fsm_exec.core.costs.estimate import INTERVAL_PERCENT
from fsm_exec.core.costs.estimate_table import encode_table
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.lab.estimation.calibration import Calibration, calibrations, judge_held_out, judge_table
from fsm_exec.lab.estimation.fitting import EXECUTIONS_MIN, fit_table
from fsm_exec.lab.estimation.samples import SampleSet, load_samples
from fsm_exec.lab.estimation.stored_executions import load_stored
from fsm_exec.runtime.system_time import system_us

PLAIN_WIDTH = 120  # the tables are as wide, also where a terminal is narrower: they would be cut to nothing


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """`held_out`: each tape by a table fitted on others; `given`: by the table that is asked about, on what it was not
    fitted on. `executions` are known, `unobserved` had to be left out."""

    executions: int
    unobserved: int
    held_out: list[Calibration]
    given: list[Calibration]


@click.command("fit-estimate")
@click.argument("results", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--db", "databases", multiple=True, type=click.Path(path_type=Path), help="Of executions; may be repeated."
)
@click.option("--out", type=click.Path(path_type=Path), help="The file to write the table to.")
@click.option("--check", is_flag=True, help="Show how well estimates hold on tapes they were not fitted on.")
@click.option(
    "--table", type=click.Path(path_type=Path), help="What --check also judges.  [default: the shipped table]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def fit_estimate(
    results: tuple[Path, ...],
    databases: tuple[Path, ...],
    out: Path | None,
    check: bool,
    table: Path | None,
    as_json: bool,
) -> None:
    """Fit what `fsm-exec estimate` says to the RESULTS of fsm-exec compare (its --out directories) and to databases.

    --out FILE writes the table; --check shows its calibration: each tape is estimated by what the others say.
    """
    if not results and not databases:
        raise UserError("nothing to fit to; give directories that fsm-exec compare wrote, or --db DATABASE")
    if out is None and not check:
        raise UserError("give --out FILE to write the table to, or --check to see how well it would hold")
    found = load_samples(results)
    for database in databases:
        found = load_stored(found, database)
    written = None
    if out is not None:
        written = fit_table(found, date.fromisoformat(to_iso(system_us()).partition("T")[0]))
        _write(out, encode_table(written))
    given = load_estimate_table(table)
    checked = None
    if check:
        checked = CheckResult(
            executions=len(found.samples),
            unobserved=found.unobserved,
            held_out=calibrations(judge_held_out(found.samples)),
            given=calibrations(judge_table(found, given)),
        )
    if as_json:
        say_json({"table": written, "check": checked})
        return
    _show(found, checked, "the shipped table" if table is None else str(table))
    if out is not None and written is not None:
        cells = sum(len(method.cells) for method in written.methods.values())
        say(f"{out.resolve()}: {len(written.methods)} methods, {cells} cells")


def _write(path: Path, text: bytes) -> None:
    try:
        path.write_bytes(text)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --out") from error


def _show(found: SampleSet, checked: CheckResult | None, called: str) -> None:
    page = Page(width=PLAIN_WIDTH)
    tapes = len(found.sources)
    line = f"{len(found.samples)} executions from {tapes} {'source' if tapes == 1 else 'sources'}"
    if found.unobserved:
        line += f"; {found.unobserved} left out, whose market had not been observed for a minute"
    say(line)
    if checked is None:
        return
    if checked.held_out:
        page.print(_table("Held out: each tape by a table fitted on others", checked.held_out))
    else:
        say(f"Nothing can be held out: each horizon needs {EXECUTIONS_MIN} executions beside those of a tape.")
    if checked.given:
        page.print(_table(f"By {called}, on tapes it was not fitted on", checked.given))
    else:
        say(f"{called} was fitted on all of these, or knows none of these methods and horizons: not judged.")
    for line in (
        f"inside: outcomes in the {INTERVAL_PERCENT} % interval; below, above: outside of it; width, error (said less "
        "what came), off (without its sign): cents per contract;",
        "whole: filled to the last contract by the end; resting: before the closing leg took the rest; said/came;",
        "skill: of that chance, by its Brier score against always saying the rate that came: above 0 is better",
    ):
        page.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(title: str, rows: Sequence[Calibration]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("market", "method", "s"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        "n",
        "inside",
        "below",
        "above",
        "width",
        "error",
        "off",
        "whole",
        "skill",
        "resting",
        "skill",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    last: tuple[str, str] | None = None
    for row in rows:
        group = (row.product, row.method)
        if last is not None and group != last:
            table.add_section()
        table.add_row(*(("", "") if group == last else group), *_figures(row))
        last = group
    return table


def _figures(row: Calibration) -> Sequence[str]:
    return (
        "all" if row.horizon_s is None else str(row.horizon_s),
        str(row.executions),
        *(_share(share) for share in (row.inside, row.below, row.above)),
        f"{row.width:.2f}",
        f"{row.error:+z.2f}",
        f"{row.absolute_error:.2f}",
        f"{_share(row.complete_said)}/{_share(row.complete)}",
        _skill(row.complete_skill),
        f"{_share(row.resting_said)}/{_share(row.resting)}",
        _skill(row.resting_skill),
    )


def _share(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _skill(value: float | None) -> str:
    return "" if value is None else f"{value:+z.2f}"
