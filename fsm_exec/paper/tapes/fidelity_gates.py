"""Whether generated tapes look like a recording: every statistic of the two, with its gate.

The gates are those of the published table. Of several generated tapes the means are judged (of variances for standard
deviations), sizes are put together, and of the largest moves the largest counts: that one must be able to occur.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fsm_exec.paper.tapes.fidelity import SPREAD_CLASSES, WINDOWS_S, Figures, ks_distance, log_mean_sd, median

Reading = Callable[[Figures], float | None]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One row of the table. `passed` is None where there is no gate, or nothing in the recording to compare with."""

    statistic: str
    unit: str
    recorded: float | None
    generated: float | None
    gate: str
    passed: bool | None


@dataclass(frozen=True)
class Gate:
    text: str
    holds: Callable[[float, float], bool]  # of the recorded and the generated figure


def _within_part(part: float) -> Gate:
    return Gate(f"within {part * 100:.0f} %", lambda recorded, generated: abs(generated - recorded) <= part * recorded)


def _within(most: float, text: str) -> Gate:
    return Gate(f"within {text}", lambda recorded, generated: abs(generated - recorded) <= most)


def _factor(most: float) -> Gate:
    return Gate(
        f"factor {most:g} either way", lambda recorded, generated: recorded <= generated * most <= recorded * most**2
    )


OCCURS = Gate("can occur", lambda recorded, generated: generated >= recorded)
KS_MAX = 0.1
_Row = tuple[str, str, Reading, Gate | None]


def judge(recorded: Figures | None, generated: Sequence[Figures]) -> list[Verdict]:
    """The whole table. Without a recording it says what `generated`, at least one, look like."""
    assert generated, "no tape to judge"
    verdicts = [_verdict(row, recorded, generated, _mean) for row in _levels()]
    verdicts += _of_sizes("limit size", recorded, generated, lambda figures: figures.book.limit_sizes)
    verdicts += [_verdict(row, recorded, generated, _mean) for row in _rates()]
    verdicts += _of_sizes("trade size", recorded, generated, lambda figures: figures.trade_sizes)
    verdicts += [_verdict(row, recorded, generated, _mean) for row in _clustering()]
    verdicts += [_verdict(row, recorded, generated, _root_mean_square) for row in _mid_sds()]
    verdicts += [_verdict(row, recorded, generated, max) for row in _mid_maxima()]
    return verdicts


# The rows


def _levels() -> list[_Row]:
    shares = [f"{low}c" if low == high else f"{low}-{high}c" for low, high in SPREAD_CLASSES[:-1]] + ["more"]
    rows: list[_Row] = [("mean spread", "c", lambda f: f.book.spread_c, _within_part(0.2))]
    rows += [
        (f"time at spread {name}", "%", _item(lambda f: f.book.spread_shares, index, 100), _within(8, "8 pp"))
        for index, name in enumerate(shares)
    ]
    rows += [
        ("touch < 50", "%", lambda f: 100 * f.book.touch_below_50, _within(10, "10 pp")),
        ("touch < 100", "%", lambda f: 100 * f.book.touch_below_100, _within(10, "10 pp")),
        ("depth 3 < 50", "%", lambda f: 100 * f.book.near_below_50, _within(5, "5 pp")),
    ]
    rows += [
        (f"depth at {d}c", "contracts", _item(lambda f: f.book.depths, d - 1), _within_part(0.3)) for d in range(1, 5)
    ]
    rows += [
        (f"limit arrivals at {d}c", "/s/side", _item(lambda f: f.book.arrivals, d - 1), _within_part(0.25))
        for d in range(1, 5)
    ]
    rows += [
        (f"cancels at {d}c", "/s/contract", _item(lambda f: f.book.cancels, d - 1), None) for d in (1, 2, 3, 4, 6, 8)
    ]
    return rows


def _rates() -> list[_Row]:
    return [
        ("trades", "/s", lambda f: f.trades_per_s, _within_part(0.25)),
        ("traded contracts", "/s", lambda f: f.contracts_per_s, _within_part(0.25)),
    ]


def _clustering() -> list[_Row]:
    rows: list[_Row] = [
        (f"Fano factor of trades, {window} s", "", _item(lambda f: f.fano, index), _factor(1.5))
        for index, window in enumerate(WINDOWS_S)
    ]
    rows.append(("trade-sign autocorrelation", "", lambda f: f.sign_autocorrelation, _within(0.15, "0.15")))
    return rows


def _mid_sds() -> list[_Row]:
    return [
        (f"sd of mid change, {window} s", "c", _item(lambda f: f.mid_sd, index), _within_part(0.3))
        for index, window in enumerate(WINDOWS_S)
    ]


def _mid_maxima() -> list[_Row]:
    return [
        (f"largest mid move, {window} s", "c", _item(lambda f: f.mid_max, index), OCCURS)
        for index, window in enumerate(WINDOWS_S)
    ]


def _item(of: Callable[[Figures], Sequence[float | None]], index: int, factor: int = 1) -> Reading:
    def read(figures: Figures) -> float | None:
        value = of(figures)[index]
        return None if value is None else factor * value

    return read


# Judging


def _verdict(
    row: _Row, recorded: Figures | None, generated: Sequence[Figures], together: Callable[[list[float]], float]
) -> Verdict:
    name, unit, read, gate = row
    known = [value for value in map(read, generated) if value is not None]
    before = None if recorded is None else read(recorded)
    after = together(known) if known else None
    passed = None if gate is None or before is None or after is None else gate.holds(before, after)
    return Verdict(
        statistic=name, unit=unit, recorded=before, generated=after, gate=gate.text if gate else "", passed=passed
    )


def _of_sizes(
    name: str, recorded: Figures | None, generated: Sequence[Figures], sizes_of: Callable[[Figures], Sequence[int]]
) -> list[Verdict]:
    """What describes the distribution, without a gate, and then the distance, which has one."""
    before = () if recorded is None else sizes_of(recorded)
    after = sorted(size for figures in generated for size in sizes_of(figures))
    verdicts = [
        Verdict(statistic=f"{name}, {what}", unit=unit, recorded=one, generated=other, gate="", passed=None)
        for (what, unit, one), (_, _, other) in zip(_described(before), _described(after), strict=True)
    ]
    distance = ks_distance(before, after) if before and after else None
    verdicts.append(
        Verdict(
            statistic=f"{name}, KS distance",
            unit="",
            recorded=None,
            generated=distance,
            gate=f"at most {KS_MAX:g}",
            passed=None if distance is None else distance <= KS_MAX,
        )
    )
    return verdicts


def _described(sizes: Sequence[int]) -> list[tuple[str, str, float | None]]:
    if not sizes:
        return [("median", "contracts", None), ("mean", "contracts", None), ("mu", "", None), ("sigma", "", None)]
    mu, sigma = log_mean_sd(sizes)
    return [
        ("median", "contracts", median(sizes)),
        ("mean", "contracts", _mean(sizes)),
        ("mu", "", mu),
        ("sigma", "", sigma),
    ]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _root_mean_square(values: Sequence[float]) -> float:
    return math.sqrt(_mean([value * value for value in values]))
