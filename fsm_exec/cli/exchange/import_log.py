"""`fsm-exec import` makes recordings of raw logs of the exchange's WebSocket, and prints what proves them sound."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
import msgspec

from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.tables.columns import figures, names, print_table
from fsm_exec.cli.tables.times import short_span
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.price_structures import coarsest_structure, grid_of
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import format_fixed
from fsm_exec.kalshi.translate import is_ticker
from fsm_exec.paper.tapes.description import describe_tape
from fsm_exec.paper.tapes.log_import import LogFindings, MarketFindings, MarketImport, follow_logs
from fsm_exec.paper.tapes.raw_log import Layout, find_layout, in_order
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.recordings.format import FORMAT, Header
from fsm_exec.recordings.writer import RecordingWriter, part_of

ENDING: Final = ".jsonl.gz"


class ImportedMarket(msgspec.Struct, frozen=True, kw_only=True):
    """One recording. It was read again: no level of it is ever below zero and no book crossed. `left_out`: frames
    behind a gap, before the next snapshot. `impossible`: how often the log itself had a book that cannot be.
    `matched_trades`: those with a decrease of their level and size within 3 s."""

    market: str
    file: str
    price_level_structure: str
    began_at: str
    seconds: str
    book_events: int
    trades: int
    matched_trades: int
    gaps: int
    impossible: int
    left_out: int


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """`times`: where the times of receipt are from. `without_book`: markets of which the logs hold no snapshot."""

    times: list[str]
    markets: list[ImportedMarket]
    without_book: list[str]
    frames: int
    of_no_market: int
    other_lines: int
    damaged: int
    holes: int
    set_back: int
    cut_off: bool


@click.command("import")
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LOG...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The directory of the recordings.")
@click.option("--time", "time_name", help="The member of a line that is the time of receipt, if it is not plain.")
@click.option("--structure", help="The grid of prices of all markets.  [default: the coarsest that has the prices]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def import_log(logs: tuple[Path, ...], out: Path, time_name: str | None, structure: str | None, as_json: bool) -> None:
    """Make recordings of raw WebSocket logs, a frame a line: bare, or with times of receipt around it."""
    if structure is not None:
        grid_of(structure)
    paths = list(dict.fromkeys(logs))
    layouts = {path: find_layout(path, time_name) for path in paths}
    ordered = in_order(paths, layouts)
    surveyed: dict[str, MarketImport] = {}
    findings = _follow(ordered, layouts, surveyed, ())
    chosen = {ticker: one.findings for ticker, one in sorted(surveyed.items()) if one.findings.kept}
    if not chosen:
        raise UserError(
            f"{_named(paths)}: no market's book can be told from it, a snapshot is missing; give another log"
        )
    files = _files_of(chosen, out)
    grids = {ticker: structure or coarsest_structure(one.prices) for ticker, one in chosen.items()}
    _write(ordered, layouts, files, grids)
    rows = [_row_of(ticker, files[ticker], grids[ticker], chosen[ticker]) for ticker in chosen]
    result = ImportResult(
        times=[_times_of(path, layouts[path]) for path, _ in ordered],
        markets=rows,
        without_book=sorted(surveyed.keys() - chosen.keys()),
        frames=findings.counts.frames,
        of_no_market=findings.of_no_market,
        other_lines=findings.counts.other_lines,
        damaged=findings.damaged,
        holes=findings.holes,
        set_back=findings.set_back,
        cut_off=findings.counts.cut_off,
    )
    if as_json:
        say_json(result, indent=2)
    else:
        _print(result)


def _follow(
    logs: list[tuple[Path, int]],
    layouts: dict[Path, Layout],
    markets: dict[str, MarketImport],
    only: tuple[str, ...],
) -> LogFindings:
    findings = LogFindings()

    def lose(sid: int | None) -> None:
        for market in markets.values():
            market.lose(sid)

    for frame in follow_logs(logs, layouts, findings, lose):
        market = markets.get(frame.ticker)
        if market is None:
            if only:
                continue
            market = markets[frame.ticker] = MarketImport()
        market.take(frame)
    for market in markets.values():
        market.end_moment()
    return findings


def _write(
    logs: list[tuple[Path, int]], layouts: dict[Path, Layout], files: dict[str, Path], grids: dict[str, str]
) -> None:
    """Go through the logs once more, now into files. Raises UserError."""
    try:
        with ExitStack() as opened:
            markets = {}
            for ticker, path in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                header = Header(format=FORMAT, ticker=ticker, price_level_structure=grids[ticker])
                writer = RecordingWriter(path, header)
                opened.callback(writer.close)
                markets[ticker] = MarketImport(writer)
            _follow(logs, layouts, markets, tuple(files))
    except OSError as error:
        raise UserError(
            f"--out {error.filename}: cannot be written ({error.strerror or error}); give another"
        ) from error


def _files_of(markets: dict[str, MarketFindings], out: Path) -> dict[str, Path]:
    """Raises UserError: nothing is overwritten, and a ticker must be one before it names a file."""
    for ticker in markets:
        if not is_ticker(ticker):
            raise UserError(f"the log has frames of {ticker[:60]!r}, which is no market ticker; give another log")
    files = {ticker: out / f"{ticker}{ENDING}" for ticker in markets}
    try:
        taken = next((path for file in files.values() for path in (file, part_of(file)) if path.exists()), None)
    except (OSError, ValueError) as error:
        raise UserError(f"--out {str(out)!r}: cannot be used ({error}); give another path") from error
    if taken is not None:
        raise UserError(f"--out: {taken} exists already; give another directory, nothing is overwritten")
    return files


def _row_of(ticker: str, file: Path, structure: str, found: MarketFindings) -> ImportedMarket:
    """Read a recording again. Raises UserError if it is no tape, which would be a fault of this command."""
    tape = read_tape(file)
    described = describe_tape(tape)
    return ImportedMarket(
        market=ticker,
        file=str(file),
        price_level_structure=structure,
        began_at=to_iso(tape.first_us),
        seconds=format_fixed(tape.length_us, 6),
        book_events=described.book_events,
        trades=described.trades,
        matched_trades=described.matched_trades,
        gaps=found.gaps,
        impossible=found.impossible,
        left_out=found.left_out,
    )


def _times_of(path: Path, layout: Layout) -> str:
    if layout.time is None:
        return f"{path.name}: the exchange's own, there are none of receipt"
    unit = "ISO 8601" if layout.unit == "text" else layout.unit
    return f"{path.name}: of receipt, in {layout.time!r}, {unit}"


def _named(paths: list[Path]) -> str:
    return f"log {paths[0]}" if len(paths) == 1 else f"{len(paths)} logs"


def _print(result: ImportResult) -> None:
    rows = result.markets
    print_table(
        [
            names("market", [row.market for row in rows]),
            figures("span", [short_span(int(row.seconds.partition(".")[0])) for row in rows]),
            figures("events", [str(row.book_events) for row in rows]),
            figures("trades", [str(row.trades) for row in rows]),
            figures("matched", [_share(row.matched_trades, row.trades) for row in rows]),
            figures("gaps", [str(row.gaps) for row in rows]),
            figures("impossible", [str(row.impossible) for row in rows]),
            figures("left out", [str(row.left_out) for row in rows]),
        ]
    )
    for line in result.times:
        say(f"times of {line}")
    left = {
        "of no market": result.of_no_market,
        "damaged": result.damaged,
        "other lines": result.other_lines,
        "with a time set back": result.set_back,
    }
    told = "".join(f", {number} {what}" for what, number in left.items() if number)
    say(f"{result.frames} frames{told}; {result.holes} holes in the exchange's numbers")
    if result.cut_off:
        say("a log was cut off: it was read to its last whole line")
    if result.without_book:
        say(f"left out, without a snapshot: {', '.join(result.without_book)}")
    say("Read again: no level is below zero, no book crossed after any moment.")
    say("matched: trades with a decrease of their level and size within 3 s;")
    say("impossible: books of the log that cannot be; left out: frames from there,")
    say("or from a gap, to the next snapshot")


def _share(part: int, whole: int) -> str:
    return "-" if not whole else f"{(200 * part + whole) // (2 * whole)}%"
