"""`fsm-exec tapes` says what recordings there are: of what, how long, how wide and thin their books were, how whole."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.tables.columns import figures, names, print_table
from fsm_exec.cli.tables.times import short_span
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import format_fixed
from fsm_exec.lab.experiment.tapes import fingerprint, is_recording, short_names
from fsm_exec.paper.tapes.description import describe_tape
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.recordings.format import PART

ENDINGS: Final = (".jsonl", ".jsonl.gz", f".jsonl{PART}", f".jsonl.gz{PART}")
SHORT_FINGERPRINT: Final = 6
DAY: Final = slice(len("2026-08-05"))


class TapeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One recording. `spread_cents`: the mean over the time both sides are there; `thin_share`: of that time, in which
    the thinner best level holds less than 50 contracts; both null if that is never. `gaps`: how often the feed was
    down. `cut_off`: a crash left the file without its end."""

    file: str
    product: str
    market: str
    began_at: str
    seconds: str
    book_events: int
    trades: int
    spread_cents: str | None
    thin_share: str | None
    gaps: int
    cut_off: bool
    fingerprint: str


class RefusedTape(msgspec.Struct, frozen=True, kw_only=True):
    file: str
    why: str


class TapesResult(msgspec.Struct, frozen=True, kw_only=True):
    tapes: list[TapeRow]
    refused: list[RefusedTape]


@click.command()
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PLACE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def tapes(places: tuple[Path, ...], as_json: bool) -> None:
    """List the recordings in directories, or given ones: product, date, length, events, spread, gaps."""
    rows, refused = [], []
    for path in _find_recordings(places):
        try:
            rows.append(_row_of(path, read_tape(path)))
        except UserError as error:
            refused.append(RefusedTape(file=str(path), why=str(error)))
    if as_json:
        say_json(TapesResult(tapes=rows, refused=refused), indent=2)
    elif rows:
        _print(rows)
    if refused and not as_json:
        for one in refused:
            say(f"fsm-exec: {one.why}", err=True)
    if refused:
        sys.exit(EXIT_FAILED)


def _find_recordings(places: tuple[Path, ...]) -> Iterator[Path]:
    """Find what is a recording by its name, in each directory and below it. Raises UserError for a directory without
    any and a file that is not there."""
    for place in places:
        if not place.is_dir():
            if not place.exists():
                raise UserError(f"{place}: no such file or directory; give where recordings are")
            yield place
            continue
        found = sorted(path for path in place.rglob("*") if is_recording(path, ENDINGS))
        if not found:
            raise UserError(f"{place}: no recording (.jsonl or .jsonl.gz) is in that directory or below it")
        yield from found


def _row_of(path: Path, tape: Tape) -> TapeRow:
    found = describe_tape(tape)
    return TapeRow(
        file=str(path),
        product=tape.header.series,
        market=tape.header.ticker,
        began_at=to_iso(tape.first_us),
        seconds=format_fixed(tape.length_us, 6),
        book_events=found.book_events,
        trades=found.trades,
        spread_cents=None if found.spread_e4 is None else format_fixed(found.spread_e4, 2),
        thin_share=None if found.thin_bp is None else format_fixed(found.thin_bp, 4),
        gaps=found.gaps,
        cut_off=tape.cut_off,
        fingerprint=fingerprint(tape),
    )


def _print(rows: list[TapeRow]) -> None:
    print_table(
        [
            names("file", list(short_names(row.file for row in rows).values())),
            names("product", [row.product for row in rows], then=((0, None),)),
            names("date", [row.began_at[DAY] for row in rows]),
            figures("span", [short_span(int(row.seconds.partition(".")[0])) for row in rows]),
            figures("events", [str(row.book_events) for row in rows]),
            figures("trades", [str(row.trades) for row in rows]),
            figures("spread", [row.spread_cents or "-" for row in rows]),
            figures("thin", ["-" if row.thin_share is None else _percent(row.thin_share) for row in rows]),
            figures("gaps", [f"{row.gaps}{'!' if row.cut_off else ''}" for row in rows]),
            names("fingerprint", [row.fingerprint[:SHORT_FINGERPRINT] for row in rows], then=((1, None),)),
        ]
    )
    say("spread: cents, mean over time; thin: share of the time that the thinner best")
    say("price holds fewer than 50 contracts; gaps: how often the feed was down")
    if any(row.cut_off for row in rows):
        say("!: cut off by a crash, or not ended yet; read to the last whole line")


def _percent(share: str) -> str:
    return f"{(int(share.replace('.', '')) + 50) // 100}%"
