"""Reads the tape an engine kept of a market, with what its frames say of ourselves: our own orders in the book, trades
by their names, the exchange's own times.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.core.values.units import US_PER_MS, Outcome, PriceE4
from fsm_exec.paper.tapes.reading import change_of
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change
from fsm_exec.recordings.kept import KeptTape, find_kept_tapes
from fsm_exec.wire import ws
from fsm_exec.wire.recording import read_recording

FRAMES_BETWEEN_RESTS: Final = 16


class KeptChange(NamedTuple):
    """`at_us` is when it reached the engine, `stamped_us` what the exchange says. `by` is the client order id of the
    order of ours that did it, `trade_id` the name of a trade."""

    at_us: int
    change: Change
    stamped_us: int | None
    by: str | None = None
    trade_id: str | None = None


class KeptFrames(NamedTuple):
    """Changes in the order they came, from a whole book on. `gaps`: from when until when frames are missing."""

    changes: Sequence[KeptChange]
    gaps: Sequence[tuple[int, int]]


class _TradeName(msgspec.Struct):
    trade_id: str | None = None


def load_kept_frames(directory: Path, ticker: str, at_us: int, until_us: int, *, most: int | None = None) -> KeptFrames:
    """Load what was kept from before `at_us`, as far back as nothing is missing, until `until_us`. Raises UserError
    where nothing was kept of that time, where there are more than `most` frames, and for files that cannot be read."""
    tapes = find_kept_tapes(directory, ticker)
    changes: list[KeptChange] = []
    for tape in _around(tapes, at_us, until_us):
        for change in _read(tape.path, ticker):
            changes.append(change)
            if most is not None and len(changes) > most:
                raise UserError(f"the tape of {ticker} has more than {most} frames; draw it with: fsm-exec report")
            if len(changes) % FRAMES_BETWEEN_RESTS == 0:
                time.sleep(0)  # let an engine in this process go on
    ordered = sorted((each for each in changes if each.at_us <= until_us), key=_at_us)
    since, gaps = _holes(ordered, at_us)
    kept = ordered[since:]
    if not kept or kept[0].at_us > at_us:
        known = ", ".join(f"{to_iso(tape.began_us)} on" for tape in tapes) or "nothing"
        raise UserError(f"no tape of {ticker} was kept at {to_iso(at_us)} in {directory} (there is: {known})")
    return KeptFrames(kept, gaps)


def _around(tapes: Sequence[KeptTape], at_us: int, until_us: int) -> list[KeptTape]:
    found = [tape for tape in tapes if tape.began_us <= until_us]
    first = max((number for number, tape in enumerate(found) if tape.began_us <= at_us), default=0)
    return found[max(0, first - 1) :]  # one before: a file may end because it is long


def _read(path: Path, ticker: str) -> Iterator[KeptChange]:
    header, frames = read_recording(path)
    if header.ticker != ticker:
        raise UserError(f"recording {path} is of {header.ticker}, not of {ticker}; put it back where it was")
    for line in frames:
        try:
            message = ws.decode_message(line.frame)
            change = change_of(message, ticker)
            if change is not None:
                yield _marked(line.recv_us, message, line.frame.msg, change)
        except (msgspec.DecodeError, UnitError) as error:
            raise UserError(f"recording {path}: a {line.frame.type} frame is damaged ({error})") from error


def _marked(at_us: int, message: ws.Message, raw: msgspec.Raw, change: Change) -> KeptChange:
    match message:
        case ws.BookDelta():
            return KeptChange(at_us, change, _stamp(message.ts, message.ts_ms), by=message.client_order_id)
        case ws.Trade():
            name = msgspec.json.decode(raw, type=_TradeName).trade_id
            return KeptChange(at_us, change, _stamp(None, message.ts_ms), trade_id=name)
        case _:
            return KeptChange(at_us, change, None)


def _stamp(text: str | None, ts_ms: int | None) -> int | None:
    if text is not None:
        try:
            return from_iso(text)
        except ValueError:
            pass  # another precision: milliseconds will do
    return None if ts_ms is None else ts_ms * US_PER_MS


def _holes(changes: Sequence[KeptChange], at_us: int) -> tuple[int, list[tuple[int, int]]]:
    """Return where the last unbroken stretch before `at_us` begins, and the gaps after it: a whole book that is not the
    one there was says that something was missed."""
    since, gaps = 0, []
    levels: Counter[tuple[Outcome, PriceE4]] | None = None  # signed: frames of a moment may come in any order
    for number, each in enumerate(changes):
        change = each.change
        if isinstance(change, BookSnapshot):
            stated: Counter[tuple[Outcome, PriceE4]] = Counter()
            stated.update({("yes", price): int(count) for price, count in change.yes})
            stated.update({("no", price): int(count) for price, count in change.no})
            if levels is not None and stated != levels:  # a level of nothing is none
                if each.at_us <= at_us:
                    since = number
                else:
                    gaps.append((changes[number - 1].at_us, each.at_us))
            levels = stated
        elif isinstance(change, BookDelta) and levels is not None:
            levels[change.outcome, change.price_e4] += change.delta_e2
    return since, gaps


def _at_us(change: KeptChange) -> int:
    return change.at_us
