"""`fsm-exec record` writes books and trades of markets as the stream brings them.

What is written is what the client itself took for good: from the first snapshot on, without what came after a gap and
before the next snapshot. Nothing of the account is recorded. All markets share one connection, so their numbers
(`seq`) interleave; each file alone has holes in them, none in its book. What is written reaches the system every two
seconds: a kill loses no more, and the unfinished file is a recording that ends early.

One market may go into one file. Into a directory go any number, each into a file a day; of a series or an event those
that are open, and those that open later. SIGHUP ends the files and begins new ones, unless the terminal went.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio

from fsm_exec.cli.config import LoadedConfig, load_config
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exchange.access import access_of
from fsm_exec.cli.exchange.recorder import Recorder
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import UserError, VenueError, VenueRefused, VenueUnreadable
from fsm_exec.core.market.fees import FeeWords, fee_words
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.translate import is_ticker
from fsm_exec.recordings.day_files import MarketFiles, day_paths, numbered_paths, recover_market
from fsm_exec.recordings.unfinished import Recovered, recover_unfinished
from fsm_exec.runtime.clock import WallClock, keep_synchronized, system_us
from fsm_exec.session import connect
from fsm_exec.wire.markets import MarketRow

MARKETS_MAX: Final = 100
LOOK_S: Final = 20  # between two looks for markets of a series or an event that have opened
STDERR: Final = 2


@click.command()
@click.argument("tickers", nargs=-1, metavar="[TICKER]...")
@click.option("--series", multiple=True, help="Every market of this series while it is open; may be repeated.")
@click.option("--event", "events", multiple=True, help="Every market of this event; may be repeated.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="A file for one market, a directory for several."
)
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--seconds", type=click.IntRange(min=1), help="End by itself.  [default: at Ctrl-C or SIGTERM]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end.")
def record(
    tickers: tuple[str, ...],
    series: tuple[str, ...],
    events: tuple[str, ...],
    out: Path,
    config_path: Path | None,
    seconds: int | None,
    as_json: bool,
) -> None:
    """Record the books and trades of markets until interrupted."""
    wanted = Wanted(tickers, series, events, out)
    loaded = load_config(config_path)
    key = SigningKey.load(loaded.key_path)
    recorder = trio.run(partial(_record, loaded, key, wanted, seconds))
    rows = recorder.rows()
    if as_json:
        say_json({"recordings": rows, "connections": recorder.connections})
        return
    for row in rows:
        say(f"{row['market']}: {row['frames']} frames, {row['gaps']} gaps, {row['file'] or 'nothing to keep'}")


class Wanted:
    """What is to be recorded, and where. `directory` is None for one market in one file."""

    def __init__(self, tickers: Iterable[str], series: Iterable[str], events: Iterable[str], out: Path) -> None:
        """Raises UserError for what is no ticker, and for files that are there already."""
        self.tickers, self.series, self.events = (tuple(dict.fromkeys(one)) for one in (tickers, series, events))
        self.out = out
        every = (*self.tickers, *self.series, *self.events)
        if not every:
            raise UserError("nothing to record: give TICKERs, --series or --event")
        for kind, given in (("market", self.tickers), ("series", self.series), ("event", self.events)):
            for ticker in given:
                if not is_ticker(ticker):
                    raise UserError(f"{ticker[:60]!r} is no {kind} ticker; copy it from the market's page")
        if len(self.tickers) > MARKETS_MAX:
            raise UserError(f"{len(self.tickers)} markets; record at most {MARKETS_MAX} at once")
        try:
            is_one_file = every == self.tickers and len(every) == 1 and not out.is_dir()
            if out.exists() and not out.is_dir():
                if is_one_file:
                    raise UserError(f"--out: {out} exists already; give another path, nothing is overwritten")
                raise UserError(f"--out {out} is a file, and one file holds one market; give a directory")
        except (OSError, ValueError) as error:
            raise UserError(f"--out {str(out)!r}: cannot be used ({error}); give another path") from error
        self.directory = None if is_one_file else out

    def open_files(self, row: MarketRow, fees: FeeWords | None) -> MarketFiles:
        """Open the files of a market; what a kill has left of it becomes recordings of their own, and is said. Raises
        VenueUnreadable for a market without a grid, UserError."""
        if row.price_level_structure is None:
            raise VenueUnreadable(
                f"market {row.ticker}: its price_level_structure is missing, which a recording must name"
            )
        try:
            (self.directory or self.out.parent).mkdir(exist_ok=True)
            if self.directory is not None:
                left = recover_market(self.directory, row.ticker)
            else:
                left = [one] if (one := recover_unfinished(self.out)) is not None else []
        except OSError as error:
            raise UserError(
                f"--out {self.out}: cannot be written ({error.strerror or error}); give another path"
            ) from error
        for found in left:
            _say_recovered(found)
        path_of = numbered_paths(self.out) if self.directory is None else day_paths(self.directory)
        return MarketFiles(row.ticker, row.price_level_structure, path_of, self.directory, fees)


def _say_recovered(left: Recovered) -> None:
    where = f"its {left.frames} frames are in {left.kept}" if left.kept else "it held no frame and is gone"
    say(f"fsm-exec: {left.part} was left by a recording that was killed; {where}", err=True)


async def _record(loaded: LoadedConfig, key: SigningKey, wanted: Wanted, seconds: int | None) -> Recorder:
    """Record until a signal, or for `seconds`. Raises UserError."""
    wall = WallClock(system_us())
    over: list[str] = []
    recorder = Recorder(wall.now_us, over.append)
    with trio.open_signal_receiver(*ending_signals()) as signals:
        try:
            async with (
                connect(access_of(loaded, key), wall, tap=recorder.record_frame) as client,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_end_at, signals, nursery, recorder)
                first = await _open_first(client, wanted, recorder)
                said = ", ".join(first) or "nothing yet, no market of it is open"
                say(f"fsm-exec: recording {said}; end with Ctrl-C", err=True)
                nursery.start_soon(keep_synchronized, wall, lambda _: None)
                nursery.start_soon(client.stream, recorder, first)
                nursery.start_soon(recorder.keep_flushing)
                nursery.start_soon(_keep_looking, client, wanted, recorder, over)
                with trio.move_on_after(float("inf") if seconds is None else seconds):
                    await recorder.failed.wait()
                nursery.cancel_scope.cancel()
        finally:
            recorder.close()
    if recorder.failure is not None:
        path, error = recorder.failure
        raise UserError(f"recording {path}: cannot be written ({error.strerror or error}); make room, then start again")
    return recorder


async def _end_at(signals: AsyncIterator[int], nursery: trio.Nursery, recorder: Recorder) -> None:
    """End at a signal; begin new files at SIGHUP, unless it says that the terminal has gone."""
    had_terminal = os.isatty(STDERR)
    async for number in signals:
        if number == signal.SIGHUP and not (had_terminal and not os.isatty(STDERR)):
            recorder.begin_anew()
            continue
        nursery.cancel_scope.cancel()
        return


async def _open_first(client: KalshiClient, wanted: Wanted, recorder: Recorder) -> tuple[str, ...]:
    """Open the files of all markets there are. Raises UserError for one that the exchange does not know."""
    rows = [await _fetch_market(client, ticker) for ticker in wanted.tickers]
    rows += await _fetch_open(client, wanted)
    return _add(wanted, recorder, rows, await _fetch_fees(client, rows))


async def _keep_looking(client: KalshiClient, wanted: Wanted, recorder: Recorder, over: list[str]) -> None:
    """Watch markets of a series or an event as they open; let go of those that are over."""
    trouble = ""
    while True:
        await trio.sleep(LOOK_S)
        while over:
            client.unwatch(over.pop())
        if not wanted.series and not wanted.events:
            continue
        try:
            rows = await _fetch_open(client, wanted)
        except VenueError as error:
            if trouble != str(error):
                trouble = str(error)
                say(f"fsm-exec: markets that have opened cannot be seen ({error}); looking again", err=True)
            continue
        trouble = ""
        new = [row for row in rows if row.ticker not in recorder]
        for ticker in _add(wanted, recorder, new, await _fetch_fees(client, new)):
            client.watch(ticker)
            say(f"fsm-exec: recording {ticker} too", err=True)


def _add(
    wanted: Wanted, recorder: Recorder, rows: Iterable[MarketRow], fees: Mapping[str, FeeWords | None]
) -> tuple[str, ...]:
    """Open the files of markets that are new; leave out what is too many, and say so. Raises UserError."""
    added, left_out = [], 0
    for row in rows:
        if row.ticker in recorder:
            continue
        if recorder.open_markets >= MARKETS_MAX:
            left_out += 1
            continue
        recorder.add(wanted.open_files(row, fees.get(row.ticker)))
        added.append(row.ticker)
    if left_out and added:
        say(f"fsm-exec: {left_out} markets are left out, {MARKETS_MAX} are recorded at once", err=True)
    return tuple(added)


async def _fetch_fees(client: KalshiClient, rows: Sequence[MarketRow]) -> dict[str, FeeWords | None]:
    """Fetch what these markets charge, as far as it can be read: a recording is one without it too."""
    try:
        terms = await client.fetch_markets([row.ticker for row in rows]) if rows else {}
    except (VenueError, UserError):
        return {}
    return {ticker: fee_words(found.fees) for ticker, found in terms.items()}


async def _fetch_open(client: KalshiClient, wanted: Wanted) -> list[MarketRow]:
    found: list[MarketRow] = []
    for series in wanted.series:
        found += await client.public.fetch_markets(series=series, status="open")
    for event in wanted.events:
        found += await client.public.fetch_markets(event=event, status="open")
    return found


async def _fetch_market(client: KalshiClient, ticker: str) -> MarketRow:
    try:
        return await client.public.fetch_market(ticker)
    except VenueRefused as error:
        if error.status != 404:
            raise
        raise UserError(f"market {ticker}: the exchange does not know it; copy it from the market's page") from error
