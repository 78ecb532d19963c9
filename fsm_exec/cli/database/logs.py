"""`fsm-exec logs`: what the log beside a database says, in words. Reads only; also beside a daemon, and of one that has
gone.

Exit codes: 0 told (with --follow: only when interrupted, so 130), 2 there is no log or it cannot be read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Final, get_args

import click

from fsm_exec.cli.database.default_database import resolve_database
from fsm_exec.cli.log_file import log_path
from fsm_exec.cli.logs.entries import RANKS, Entry, Level, parse_lines
from fsm_exec.cli.logs.log_files import LogTail, find_log_files, read_entries
from fsm_exec.cli.logs.wording import describe
from fsm_exec.cli.output import say
from fsm_exec.cli.since import parse_since_us
from fsm_exec.core.text import one_line
from fsm_exec.core.values.times import to_iso

LOOK_EVERY_S: Final = 0.25
LINES_MAX: Final = 1_000_000
LINES_BEFORE_FOLLOWING: Final = 10


@click.command()
@click.option("--db", type=click.Path(path_type=Path), help="The database.  [default: this user's, if there is one]")
@click.option("--execution", "execution_id", help="Only what names this execution or one of its orders.")
@click.option("--since", help="A time like 2026-10-01T00:00:00Z, or how far back: 7 (days), 2h, 30m.  [default: all]")
@click.option("--level", type=click.Choice(get_args(Level)), default="info", show_default=True, help="And above.")
@click.option(
    "--lines",
    "most",
    type=click.IntRange(0, LINES_MAX),
    help=f"The newest so many entries.  [default: all; {LINES_BEFORE_FOLLOWING} with --follow]",
)
@click.option("--follow", is_flag=True, help="Go on with what is added, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the entries as they are, a JSON document a line.")
def logs(
    db: Path | None,
    execution_id: str | None,
    since: str | None,
    level: str,
    most: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Tell what the log of a database says, a line a step in words; what was rotated is read too.

    A line begins with its time (UTC); ! marks a warning, # an error.
    """
    log = log_path(resolve_database(db))
    begin = "" if since is None else to_iso(parse_since_us("--since", since))

    def is_wanted(entry: Entry) -> bool:
        return entry.rank >= RANKS[level] and (execution_id is None or entry.concerns(execution_id))

    unread: list[str] = []
    if follow:
        with closing(LogTail(log)) as tail:
            older = tail.older_than(find_log_files(log))
            present = chain(read_entries(older, begin, unread), parse_lines(tail.read_lines(), begin, unread))
            _tell(_newest(filter(is_wanted, present), LINES_BEFORE_FOLLOWING if most is None else most), as_json)
            _say_unread(unread)
            while True:
                time.sleep(LOOK_EVERY_S)
                _tell(filter(is_wanted, parse_lines(tail.read_lines(), begin, [])), as_json)
    wanted = _newest(filter(is_wanted, read_entries(find_log_files(log), begin, unread)), most)
    if not _tell(wanted, as_json) and execution_id is not None and most != 0:
        say(f"fsm-exec: the log has nothing of {one_line(execution_id)[:40]}, as asked; see: fsm-exec list", err=True)
    _say_unread(unread)


def _newest(entries: Iterable[Entry], most: int | None) -> Iterable[Entry]:
    return entries if most is None else deque(entries, maxlen=most)


def _tell(entries: Iterable[Entry], as_json: bool) -> int:
    """Print the entries; return how many lines that are."""
    told = 0
    for line in (entry.raw for entry in entries) if as_json else describe(entries):
        say(line)
        told += 1
    return told


def _say_unread(unread: list[str]) -> None:
    if unread:
        say(f"fsm-exec: {len(unread)} lines of the log are torn, or not its own; left out", err=True)
