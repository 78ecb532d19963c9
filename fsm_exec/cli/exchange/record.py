"""`fsm-exec record` writes books and trades of markets as the stream brings them, one file a market.

What is written is what the client itself took for good: from the first snapshot on, without what came after a gap and
before the next snapshot. Nothing of the account is recorded. All markets share one connection, so their numbers
(`seq`) interleave; each file alone has holes in them, none in its book. What is written reaches the system every two
seconds: a kill loses no more, and the unfinished file is a recording that ends early.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio

from fsm_exec.cli.config import LoadedConfig, load_config
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exchange.access import access_of
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import UserError, VenueRefused, VenueUnreadable
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.translate import is_ticker
from fsm_exec.recordings.format import FORMAT, Header
from fsm_exec.recordings.unfinished import recover_unfinished
from fsm_exec.recordings.writer import RecordingWriter
from fsm_exec.runtime.clock import WallClock, keep_synchronized, system_us
from fsm_exec.session import connect

MARKETS_MAX: Final = 100
SUFFIX: Final = ".jsonl.gz"
FLUSH_S: Final = 2


@click.command()
@click.argument("tickers", nargs=-1, required=True, metavar="TICKER...")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A file for one market, a directory for several."
)
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--seconds", type=click.IntRange(min=1), help="End by itself.  [default: at Ctrl-C, SIGTERM or SIGHUP]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end.")
def record(tickers: tuple[str, ...], out: Path, config_path: Path | None, seconds: int | None, as_json: bool) -> None:
    """Record the books and trades of markets until interrupted."""
    paths = paths_of(tickers, out)
    loaded = load_config(config_path)
    key = SigningKey.load(loaded.key_path)
    recorder = trio.run(partial(_record, loaded, key, paths, seconds))
    rows = [{"market": ticker, **recorder.count(ticker)} for ticker in paths]
    if as_json:
        say_json({"recordings": rows, "connections": recorder.connections})
        return
    for row in rows:
        say(f"{row['market']}: {row['frames']} frames, {row['gaps']} gaps, {row['file'] or 'nothing to keep'}")


def paths_of(tickers: Sequence[str], out: Path) -> dict[str, Path]:
    """Return each market's file. Raises UserError for tickers that are none and for files that are there already."""
    wanted = list(dict.fromkeys(tickers))
    for ticker in wanted:
        if not is_ticker(ticker):
            raise UserError(f"{ticker[:60]!r} is no market ticker; copy it from the market's page")
    if len(wanted) > MARKETS_MAX:
        raise UserError(f"{len(wanted)} markets; record at most {MARKETS_MAX} at once")
    try:
        is_directory = out.is_dir()
        if len(wanted) == 1 and not is_directory:
            paths = {wanted[0]: out}
        elif is_directory or not out.exists():
            paths = {ticker: out / f"{ticker}{SUFFIX}" for ticker in wanted}
        else:
            raise UserError(f"--out {out} is a file, and one file holds one market; give a directory")
        taken = next((path for path in paths.values() if path.exists()), None)
    except (OSError, ValueError) as error:
        raise UserError(f"--out {str(out)!r}: cannot be used ({error}); give another path") from error
    if taken is not None:
        raise UserError(f"--out: {taken} exists already; give another path, nothing is overwritten")
    return paths


class Recorder:
    """The stream's listener and tap: a frame is seen first, and written once it has been understood."""

    def __init__(self) -> None:
        self.connections = 0
        self.failed = trio.Event()
        self.failure: tuple[Path, OSError] | None = None
        self._writers: dict[str, RecordingWriter] = {}
        self._gaps: dict[str, int] = {}
        self._started: set[str] = set()
        self._frame: tuple[str | bytes, int] = (b"", 0)

    def add(self, ticker: str, writer: RecordingWriter) -> None:
        self._writers[ticker] = writer
        self._gaps[ticker] = 0

    def count(self, ticker: str) -> dict[str, object]:
        writer = self._writers[ticker]
        path = str(writer.path) if writer.frames else None
        return {"file": path, "frames": writer.frames, "gaps": self._gaps[ticker]}

    def close(self, writer: RecordingWriter) -> None:
        try:
            writer.close()
        except OSError as error:
            self.failure = self.failure or (writer.path, error)

    async def keep_flushing(self) -> None:
        while True:
            await trio.sleep(FLUSH_S)
            for writer in self._writers.values():
                self._try(writer, writer.flush)

    def _try(self, writer: RecordingWriter, step: Callable[[], None]) -> None:
        """Run a step on a file; keep its error for the command: raised here, the stream would only dial again."""
        if self.failure is not None:
            return
        try:
            step()
        except OSError as error:
            self.failure = writer.path, error
            self.failed.set()

    def record_frame(self, frame: str | bytes, at_us: int) -> None:
        self._frame = frame, at_us

    def _write_pending(self, ticker: str) -> None:
        writer = self._writers.get(ticker)
        if writer is not None and ticker in self._started:
            frame, at_us = self._frame
            self._try(writer, partial(writer.write, at_us, frame))

    # As a listener.

    def connected(self) -> None:
        self.connections += 1

    def disconnected(self, why: str) -> None:
        say(f"fsm-exec: the connection was lost ({why}); dialling again", err=True)

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        self._started.add(ticker)
        self._write_pending(ticker)

    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
        self._write_pending(ticker)

    def book_gap(self, tickers: Sequence[str]) -> None:
        for ticker in tickers:
            self._gaps[ticker] += 1

    def book_broken(self, ticker: str) -> None:
        self.book_gap([ticker])

    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        self._write_pending(ticker)

    def market_status(self, ticker: str, status: MarketStatus) -> None:
        """Not recorded: a tape is of the book."""

    def market_grid(self, ticker: str, grid: PriceGrid) -> None:
        """Not recorded either."""

    def fill(self, report: FillReport) -> None:
        """Not recorded: it is the account's."""

    def order(self, report: OrderReport) -> None:
        """Not recorded: it is the account's."""

    def heard(self) -> None:
        """A recording shows by its times when nothing came."""


async def _record(loaded: LoadedConfig, key: SigningKey, paths: dict[str, Path], seconds: int | None) -> Recorder:
    """Record until a signal, or for `seconds`. Raises UserError."""
    wall, recorder = WallClock(system_us()), Recorder()
    with trio.open_signal_receiver(*ending_signals()) as signals, ExitStack() as files:
        async with (
            connect(access_of(loaded, key), wall, tap=recorder.record_frame) as client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_end_at, signals, nursery)
            for ticker, path in paths.items():
                writer = await _open_writer(client, ticker, path)
                files.callback(recorder.close, writer)
                recorder.add(ticker, writer)
            say(f"fsm-exec: recording {', '.join(paths)}; end with Ctrl-C", err=True)
            nursery.start_soon(keep_synchronized, wall, lambda _: None)
            nursery.start_soon(client.stream, recorder, tuple(paths))
            nursery.start_soon(recorder.keep_flushing)
            with trio.move_on_after(float("inf") if seconds is None else seconds):
                await recorder.failed.wait()
            nursery.cancel_scope.cancel()
    if recorder.failure is not None:
        path, error = recorder.failure
        raise UserError(f"recording {path}: cannot be written ({error.strerror or error}); make room, then start again")
    return recorder


async def _end_at(signals: AsyncIterator[int], nursery: trio.Nursery) -> None:
    await anext(signals)
    nursery.cancel_scope.cancel()


async def _open_writer(client: KalshiClient, ticker: str, path: Path) -> RecordingWriter:
    try:
        market = await client.public.fetch_market(ticker)
    except VenueRefused as error:
        if error.status != 404:
            raise
        raise UserError(f"market {ticker}: the exchange does not know it; copy it from the market's page") from error
    if market.price_level_structure is None:
        raise VenueUnreadable(f"market {ticker}: its price_level_structure is missing, which a recording must name")
    try:
        path.parent.mkdir(exist_ok=True)
        if (left := recover_unfinished(path)) is not None:
            where = f"its {left.frames} frames are in {left.kept}" if left.kept else "it held no frame and is gone"
            say(f"fsm-exec: {left.part} was left by a recording that was killed; {where}", err=True)
        header = Header(format=FORMAT, ticker=ticker, price_level_structure=market.price_level_structure)
        return RecordingWriter(path, header)
    except OSError as error:
        raise UserError(f"--out {path}: cannot be written ({error.strerror or error}); give another path") from error
