"""`fsm-exec demo` runs a dozen executions on a paper exchange in this process, without account or configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fsm_exec.cli.demo.crash import CRASH_ALGORITHMS, CRASH_HORIZON_S, CRASH_PROFILE, CrashRun, check_crash_options
from fsm_exec.cli.demo.database import new_database_path
from fsm_exec.cli.demo.options import check_on_grid, parse_choices, parse_speed
from fsm_exec.cli.demo.plan import schedule
from fsm_exec.cli.demo.run import DemoRun
from fsm_exec.cli.recordings import load_tape
from fsm_exec.core.errors import UserError
from fsm_exec.paper.faults import load_fault_profile, shipped_profile_names
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.profiles import DEFAULT_PROFILE, PROFILES
from fsm_exec.paper.tapes.tape import Tape, copies
from fsm_exec.plugins import installed

GENERATED_TAPE_S = 600
ON_PAGE_S = 60  # how long the tape plays on the live page, if no speed is asked for
GENERATED_START_US = 1_767_625_200_000_000  # Monday 2026-01-05, 15:00 UTC: the same for every run


@click.command()
@click.option("--recording", type=click.Path(path_type=Path), help="Play this recording instead of a generated tape.")
@click.option("--profile", help=f"The flow of a generated tape; one of: {', '.join(PROFILES)}.")
@click.option(
    "--faults", help=f"What goes wrong at the exchange: a TOML file, or {', '.join(shipped_profile_names())}."
)
@click.option("--executions", type=int, default=12, show_default=True, help="How many executions to start.")
@click.option("--quantity", help="Contracts of each execution, up to 2 decimals.  [default: several sizes]")
@click.option("--horizon", type=int, default=120, show_default=True, help="Seconds each execution may take.")
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    help=f"May be repeated; a method of --db, or: {', '.join(installed().names)}.",
)
@click.option("--outcome", type=click.Choice(["yes", "no", "both"]), default="both", show_default=True)
@click.option("--target-price", help="Target price of each, in dollars.  [default: from the book at its start]")
@click.option("--seed", type=int, default=1, show_default=True, help="Makes the tape and the order of everything.")
@click.option("--speed", help="How much faster than life, or 'max'; 1 uses sockets.  [default: about half a minute]")
@click.option("--db", type=click.Path(path_type=Path), help="The database.  [default: a new file here]")
@click.option("--open", "opens", is_flag=True, help="Open the picture of an episode in the browser, once it is drawn.")
@click.option("--web", "on_page", is_flag=True, help="Play it on the live page, in a minute; it stays until Ctrl-C.")
@click.option("--crash", is_flag=True, help="The engine as a process, killed twice in mid-work; takes about a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def demo(
    recording: Path | None,
    profile: str | None,
    faults: str | None,
    executions: int,
    quantity: str | None,
    horizon: int,
    algorithms: tuple[str, ...],
    outcome: str,
    target_price: str | None,
    seed: int,
    speed: str | None,
    db: Path | None,
    opens: bool,
    on_page: bool,
    crash: bool,
    as_json: bool,
) -> None:
    """Work orders on a paper exchange and report what they cost."""
    if crash:
        if click.get_current_context().get_parameter_source("horizon") is click.core.ParameterSource.DEFAULT:
            horizon = CRASH_HORIZON_S
        algorithms = algorithms or CRASH_ALGORITHMS
        profile = profile or (CRASH_PROFILE if recording is None else None)
    path = new_database_path(db)
    if crash:
        if on_page:
            raise UserError("--web and --crash: the page ends with its engine; leave one of them out")
        if opens:
            raise UserError("--open and --crash: no picture is drawn of a run with kills; leave one of them out")
        check_crash_options(speed, horizon, path)
    choices = parse_choices(executions, quantity, horizon, algorithms, outcome, target_price, path)
    trouble = None if faults is None else load_fault_profile(faults)
    tape, name = _tape(recording, profile, seed)
    check_on_grid(choices, tape)
    if crash:
        sys.exit(CrashRun(tape, name, choices, seed, path, trouble, as_json=as_json).run())
    starts = schedule(choices, tape.length_us)
    tapes = copies(tape, len(choices.methods))
    if on_page and speed == "max":
        raise UserError("--web and --speed max: a browser cannot follow; give a number, or leave --speed out")
    pace = parse_speed(speed, tape, ON_PAGE_S) if on_page else parse_speed(speed, tape)
    shown = {"as_json": as_json, "opens": opens, "on_page": on_page}
    sys.exit(DemoRun(tapes, name, starts, choices, pace, seed, path, trouble, **shown).run())


def _tape(recording: Path | None, profile: str | None, seed: int) -> tuple[Tape, str]:
    """Load the tape; return it with its name. Raises UserError."""
    if recording is None:
        chosen = profile or DEFAULT_PROFILE
        tape = generate(seed, GENERATED_TAPE_S, profile=chosen, start_us=GENERATED_START_US)
        return tape, f"generated:{seed}" if profile is None else f"generated:{profile}:{seed}"
    if profile is not None:
        raise UserError(f"--recording {recording} and --profile {profile} are two tapes; give one of them")
    return load_tape(recording), str(recording)
