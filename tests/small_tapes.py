"""Small recordings made by the project itself, one of each kind that a reader may stumble over."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, complement, format_count, format_fixed, format_price
from fsm_exec.paper.tapes.generator import OUTCOMES, generate
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, TapeEvent, Trade
from fsm_exec.recordings.format import FORMAT

TICKER = "KXSMALL-26AUG05-A"
LENGTH_S = 420
START_US = 1_785_931_200_000_000  # 2026-08-05T12:00:00Z
DOWN_US, UP_US = START_US + 340_000_000, START_US + 345_000_000
Line = dict[str, Any]


def write_whole(path: Path) -> Path:
    """Some minutes, of which nothing is odd."""
    return _write(path, _lines(_generated(LENGTH_S)))


def write_short(path: Path) -> Path:
    """Shorter than any horizon."""
    return _write(path, _lines(_generated(8)))


def write_without_trades(path: Path) -> Path:
    """The book alone, as of a recorder that did not subscribe to trades."""
    return _write(path, (line for line in _lines(_generated(LENGTH_S)) if line["frame"]["type"] != "trade"))


def write_crossed_for_no_time(path: Path) -> Path:
    """Each ten seconds a bid crosses the book and is gone, received in one microsecond."""
    lines: list[Line] = []
    for number, line in enumerate(_lines(_generated(LENGTH_S))):
        lines.append(line)
        if number % 200 == 100:
            lines += (_change(line["recv_us"], "yes", 9_900, delta_e2) for delta_e2 in (50_000, -50_000))
    return _write(path, lines)


def write_cut_off(path: Path) -> Path:
    """Its end is missing, in the middle of a frame."""
    write_whole(path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 9 // 10])
    return path


def write_two_snapshots(path: Path) -> Path:
    """The feed was down for five seconds: what changed then is not known, the book after it is."""
    events: list[TapeEvent] = []
    ladders: dict[Outcome, dict[PriceE4, CountE2]] = {"yes": {}, "no": {}}
    for at_us, played in _generated(LENGTH_S).events:
        change = played
        if isinstance(change, BookSnapshot):
            ladders = {"yes": dict(change.yes), "no": dict(change.no)}
        elif isinstance(change, BookDelta):
            ladder = ladders[change.outcome]
            ladder[change.price_e4] = CountE2(ladder.get(change.price_e4, 0) + change.delta_e2)
        if not DOWN_US <= at_us < UP_US:
            if at_us >= UP_US > DOWN_US > events[-1][0]:
                yes, no = (tuple((p, c) for p, c in sorted(ladders[side].items()) if c) for side in OUTCOMES)
                change = BookSnapshot(yes, no)
            events.append((at_us, change))
    return _write(path, map(_line, events))


def write_fractional(path: Path) -> Path:
    """Counts in hundredths of a contract."""
    return _write(path, map(_line, _mapped(_generated(LENGTH_S), count=lambda count_e2: count_e2 * 37 // 100)))


def write_tapered(path: Path) -> Path:
    """Traded at a tenth of its price, where the grid's steps are a tenth of a cent."""
    lines = map(_line, _mapped(_generated(LENGTH_S), price=_tenth))
    return _write(path, lines, structure="tapered_deci_cent")


def write_passing_offers(path: Path) -> Path:
    """0.40 bid, 0.45 asked; twice a second somebody offers 5 at 0.42 for a thousandth of a second, and then 0.30 is bid
    for one more."""
    events: list[TapeEvent] = [
        (START_US, BookSnapshot(((PriceE4(4_000), CountE2(10_000)),), ((PriceE4(5_500), CountE2(8_000)),))),
        (START_US + 1, Trade("yes", PriceE4(4_500), CountE2(100))),
    ]
    for number in range(1, 2 * LENGTH_S):
        at_us = START_US + 500_000 * number
        events += (
            (at_us, BookDelta("no", PriceE4(5_800), CountE2(500))),
            (at_us + 1_000, BookDelta("no", PriceE4(5_800), CountE2(-500))),
            (at_us + 2_000, BookDelta("yes", PriceE4(3_000), CountE2(100))),
        )
    return _write(path, map(_line, events))


KINDS: dict[str, Callable[[Path], Path]] = {
    "whole": write_whole,
    "short": write_short,
    "without trades": write_without_trades,
    "crossed for no time": write_crossed_for_no_time,
    "cut off": write_cut_off,
    "two snapshots": write_two_snapshots,
    "fractional": write_fractional,
    "tapered": write_tapered,
}


def _generated(seconds: int) -> Tape:
    return generate(11, seconds, profile="moderate", ticker=TICKER, start_us=START_US)


def _tenth(ladder: Outcome, price_e4: PriceE4) -> PriceE4:
    return PriceE4(price_e4 // 10) if ladder == "yes" else complement(PriceE4(complement(price_e4) // 10))


def _mapped(
    tape: Tape,
    *,
    price: Callable[[Outcome, PriceE4], PriceE4] = lambda _, price_e4: price_e4,
    count: Callable[[int], int] = lambda count_e2: count_e2,
) -> Iterator[TapeEvent]:
    for at_us, change in tape.events:
        match change:
            case BookSnapshot():
                yes, no = (
                    tuple((price(side, p), CountE2(count(c))) for p, c in levels)
                    for side, levels in zip(OUTCOMES, (change.yes, change.no), strict=True)
                )
                yield at_us, BookSnapshot(yes, no)
            case BookDelta():
                ladder = change.outcome
                yield at_us, BookDelta(ladder, price(ladder, change.price_e4), CountE2(count(change.delta_e2)))
            case Trade():
                yes_price_e4 = price("yes", change.yes_price_e4)
                yield at_us, Trade(change.taker, yes_price_e4, CountE2(count(change.count_e2)))


def _lines(tape: Tape) -> Iterator[Line]:
    return map(_line, tape.events)


def _line(event: TapeEvent) -> Line:
    at_us, change = event
    match change:
        case BookSnapshot():
            ladders = {
                f"{side}_dollars_fp": [[format_price(p), format_count(c)] for p, c in levels]
                for side, levels in (("yes", change.yes), ("no", change.no))
            }
            return _frame(at_us, "orderbook_snapshot", **ladders)
        case BookDelta():
            return _change(at_us, change.outcome, change.price_e4, change.delta_e2)
        case Trade():
            return _frame(
                at_us,
                "trade",
                yes_price_dollars=format_price(change.yes_price_e4),
                no_price_dollars=format_price(complement(change.yes_price_e4)),
                count_fp=format_count(change.count_e2),
                taker_outcome_side=change.taker,
                taker_book_side="bid" if change.taker == "yes" else "ask",
                ts_ms=at_us // 1_000,
            )


def _change(at_us: int, ladder: str, price_e4: int, delta_e2: int) -> Line:
    prices = {"price_dollars": format_fixed(price_e4, 4), "delta_fp": format_fixed(delta_e2, 2), "side": ladder}
    return _frame(at_us, "orderbook_delta", **prices)


def _frame(at_us: int, kind: str, **msg: object) -> Line:
    frame = {"type": kind, "sid": 2 if kind == "trade" else 1, "seq": 1, "msg": {"market_ticker": TICKER, **msg}}
    return {"recv_us": at_us, "frame": frame}


def _write(path: Path, lines: Iterable[Line], *, structure: str = "linear_cent") -> Path:
    header = {"header": {"format": FORMAT, "ticker": TICKER, "price_level_structure": structure}}
    path.write_bytes(gzip.compress("".join(f"{json.dumps(line)}\n" for line in (header, *lines)).encode(), mtime=0))
    return path
