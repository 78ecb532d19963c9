"""`fsm-exec report` draws one HTML file of what was measured: an experiment, a database, or one execution of it."""

from __future__ import annotations

from pathlib import Path

import click

from fsm_exec.cli.database.damage import say_damage
from fsm_exec.cli.lab import options
from fsm_exec.cli.lab.page_file import check_free, write_page
from fsm_exec.cli.output import say
from fsm_exec.cli.recordings import load_tape
from fsm_exec.core.errors import UserError
from fsm_exec.lab.experiment.results import FILE_NAME
from fsm_exec.lab.experiment.tapes import NamedTape
from fsm_exec.store.files.migrations import APPLICATION_ID

SQLITE_MAGIC, HEADER_BYTES, APPLICATION_ID_AT = b"SQLite format 3\0", 100, 68
GIVEN_PER_EXECUTION = "--execution names one execution of a database"


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--execution", help="The picture of this one; `fsm-exec list` or the report of the database names them.")
@click.option("--recording", type=click.Path(path_type=Path), help="Its market's recording: the whole book is drawn.")
@click.option("--baseline", default="passive_mid", show_default=True, help="Of an experiment: what others are held to.")
@click.option("--methods", help="Of an experiment: only these, separated by commas.")
@click.option("--each-tape", is_flag=True, help="Of an experiment: also each tape alone.")
@click.option("--without-rewards", is_flag=True, help="Leave out what the exchange's programmes are estimated to pay.")
@click.option("--out", type=click.Path(path_type=Path), help="The file.  [default: beside SOURCE]")
@click.option("--force", is_flag=True, help="Write over a page that is there.")
def report(
    source: Path,
    execution: str | None,
    recording: Path | None,
    baseline: str,
    methods: str | None,
    each_tape: bool,
    without_rewards: bool,
    out: Path | None,
    force: bool,
) -> None:
    """Draw SOURCE: the directory of a comparison, or a database, as one HTML file that needs no network."""
    if recording is not None and execution is None:
        raise UserError(f"--recording: {GIVEN_PER_EXECUTION}; give both")
    file = source / FILE_NAME if source.is_dir() else source
    experiment = not _is_database(file)
    if experiment and execution is not None:
        raise UserError(f"{file} is an experiment; {GIVEN_PER_EXECUTION}")
    target = out or file.with_name(f"{file.stem}{'-' + execution if execution else ''}.html")
    check_free(target, force=force)
    from fsm_exec.lab.report import renderers as drawing  # with plotly, which nothing but a drawing needs

    damage: list[str] = []
    pictures: list[drawing.Picture] = []
    if experiment:
        names = None if methods is None else options.split_list("--methods", methods)
        title, facts, sections = drawing.comparison_sections(
            file, baseline=baseline, methods=names, each_tape=each_tape, with_rewards=not without_rewards
        )
    elif execution is not None:
        named = None if recording is None else NamedTape(recording.name, load_tape(recording))
        title, facts, sections = drawing.execution_sections(file, execution, named, with_rewards=not without_rewards)
    else:
        title, facts, sections = drawing.overview_sections(file, damage, with_rewards=not without_rewards)
        pictures = drawing.overview_pictures(file, sections, with_rewards=not without_rewards)
    write_page(target, drawing.render_page(title, facts, sections, pictures).encode())
    say(f"report: {target.resolve()}")
    say_damage(damage)


def _is_database(file: Path) -> bool:
    """Return whether the file is a database of fsm-exec, by its header: no file is opened that an engine may be
    writing. Raises UserError for a file that does not exist, and for one that SQLite did not write."""
    try:
        with file.open("rb") as opened:
            header = opened.read(HEADER_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; give a comparison's --out, or a database") from error
    if not header.startswith(SQLITE_MAGIC):
        raise UserError(f"{file} is neither a comparison nor a database of fsm-exec")
    return int.from_bytes(header[APPLICATION_ID_AT : APPLICATION_ID_AT + 4]) == APPLICATION_ID
