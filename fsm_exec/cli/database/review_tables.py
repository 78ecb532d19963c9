"""What `fsm-exec review` prints: the verdict first, in a line; the triggers, a table for each kind of group, the
break-even."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fsm_exec.cli.console import Page
from fsm_exec.core.values.short_text import trim_dollars
from fsm_exec.core.values.units import format_money
from fsm_exec.lab.blocks import BLOCK_WORDS
from fsm_exec.lab.break_even import BreakEven
from fsm_exec.lab.review import TRIGGERS, By, Figures, Measure, Name, Trigger, Verdict, interval, percent, share_text

PLAIN_WIDTH: Final = 100  # of the tables when no terminal says how wide it is
GROUPS_SHOWN: Final = 15
SHARES: Final[dict[Name, str]] = {
    "slippage": "trades with slippage above 1.5 %",
    "fill_failures": "limit executions not filled whole",
    "thin_markets": "opportunities at volume under 100",
}
HEADINGS: Final[dict[By, str]] = {"type": "market type", "series": "series", "method": "method"}


class Review(NamedTuple):
    """A review. `break_even` None: not asked for, or nothing to compute it from. `is_play`: no real exchange counts
    the volume."""

    figures: Figures
    groups: dict[By, dict[str, Figures]]
    verdict: Verdict
    break_even: BreakEven | None
    is_play: bool


def document(review: Review) -> dict[str, Any]:
    """Return the review as JSON: shares and dollars are decimal strings, null is unknown."""
    return {
        "verdict": review.verdict._asdict(),
        **_figures(review.figures),
        "groups": {
            kind: {name: _figures(each) for name, each in found.items()} for kind, found in review.groups.items()
        },
        "break_even": None if review.break_even is None else _break_even(review.break_even),
    }


def show(review: Review, console: Console, *, cost_asked: bool) -> None:
    """Print the review for a person, within 100 columns."""
    if not console.is_terminal or console.width < PLAIN_WIDTH:
        console = Page(width=PLAIN_WIDTH)
    for line in _verdict_lines(review.verdict):
        console.print(line, highlight=False, soft_wrap=True)
    console.print()
    console.print(_triggers(review.figures))
    for kind, found in review.groups.items():
        console.print()
        console.print(_groups(kind, found))
        if len(found) > GROUPS_SHOWN:
            console.print(f"and {len(found) - GROUPS_SHOWN} more; --json has all", highlight=False)
    console.print()
    for line in (
        *_notes(review),
        *_break_even_lines(review.break_even, asked=cost_asked),
    ):
        console.print(line, highlight=False, soft_wrap=True)


def _triggers(found: Figures) -> Table:
    table = _table(f"{found.ended} executions ended, {found.opportunities} opportunities ({found.refused} refused)")
    table.add_column("share", no_wrap=True)
    for heading in ("n", "hits", "rate", "95 %", "threshold", "blocks", "unknown"):
        table.add_column(heading, justify="right", no_wrap=True)
    for trigger in TRIGGERS:
        table.add_row(SHARES[trigger.name], *_row(found.of(trigger), percent(float(trigger.threshold))))
        if trigger.name == "slippage":
            table.add_row("  the same against the arrival mid", *_row(found.arrival_slippage, "-"))
    return table


def _row(measure: Measure, threshold: str) -> tuple[str, ...]:
    found = measure.found
    counted = str(found.number), str(found.hits), _rate(measure), _interval(measure)
    return (*counted, threshold, str(found.blocks), str(measure.unknown))


def _groups(kind: By, found: dict[str, Figures]) -> Table:
    table = _table(f"By {HEADINGS[kind]}: rate, 95 % interval, number")
    table.add_column(HEADINGS[kind], no_wrap=True, max_width=28)
    for heading in ("slippage", "not filled whole", "thin market"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in list(found.items())[:GROUPS_SHOWN]:
        table.add_row(name, *(_cell(figures, trigger) for trigger in TRIGGERS))
    return table


def _cell(figures: Figures, trigger: Trigger) -> str:
    measure = figures.of(trigger)
    if not measure.found.number:
        return "-"
    return f"{_rate(measure)} {_interval(measure)} {measure.found.number:>4}"


def _rate(measure: Measure) -> str:
    return "-" if measure.found.rate is None else percent(measure.found.rate)


def _interval(measure: Measure) -> str:
    if measure.found.rate is None:
        return "-"
    return interval(measure.found)


def _notes(review: Review) -> list[str]:
    lines = [
        "slippage: (average fill - target) / target; nought or less for a limit at its target by construction, hence",
        "the arrival mid beside it; unknown: in no share; blocks, whose draws count together:",
        BLOCK_WORDS,
    ]
    if review.figures.ended_by_owner:
        lines.append(f"{review.figures.ended_by_owner} of the executions were ended by their owner or a halt")
    if review.is_play:
        lines.append("volume: a play exchange counts only what its tape has traded so far")
    return lines


def _break_even_lines(found: BreakEven | None, *, asked: bool) -> list[str]:
    if not asked:
        return []
    if found is None:
        return [
            "break-even: no executions of both resting and walking methods to compare; give --saving PERCENT, and trade"
        ]
    saving = found.saving
    basis = f"{saving.resting} resting against {saving.walking} walking" if saving.basis == "observed" else "assumed"
    span = ""
    if saving.low_e6 is not None and saving.high_e6 is not None:
        span = f" [{format_money(saving.low_e6)}, {format_money(saving.high_e6)}]"
    trades = "never" if found.trades is None else f"after {found.trades:,} trades"
    if saving.basis == "observed" and saving.low_e6 is not None:
        least, most = (f"{each:,}" if each is not None else "never" for each in (found.at_least, found.at_most))
        trades += f" [{least}, {most}]"
    return [
        f"break-even: ${trim_dollars(format_money(found.cost_e6))} at ${format_money(saving.e6)}{span} saved a trade "
        f"({basis}): paid {trades}"
    ]


def _verdict_lines(verdict: Verdict) -> list[str]:
    """The decision in a line of its own, then what it rests on."""
    word = {"adopt": f"adopt {verdict.method}", "wait": "wait for more data", "stay": "stay as it is"}[verdict.word]
    return [f"verdict: {word}", *(f"  {reason}" for reason in verdict.reasons)]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)


def _figures(found: Figures) -> dict[str, Any]:
    measures: dict[str, Any] = {trigger.name: _measure(found.of(trigger), trigger) for trigger in TRIGGERS}
    return {
        "ended": found.ended,
        "ended_by_owner": found.ended_by_owner,
        "opportunities": found.opportunities,
        "refused": found.refused,
        **measures,
        "arrival_slippage": _measure(found.arrival_slippage, None),
    }


def _measure(measure: Measure, trigger: Trigger | None) -> dict[str, Any]:
    found = measure.found
    return {
        "number": found.number,
        "hits": found.hits,
        "unknown": measure.unknown,
        "blocks": found.blocks,
        "rate": None if found.rate is None else share_text(found.rate),
        "low": share_text(found.low) if found.number else None,
        "high": share_text(found.high) if found.number else None,
        "threshold": None if trigger is None else str(trigger.threshold),
    }


def _break_even(found: BreakEven) -> dict[str, Any]:
    saving = found.saving
    return {
        "cost": format_money(found.cost_e6),
        "basis": saving.basis,
        "resting": saving.resting,
        "walking": saving.walking,
        "saved_a_trade": format_money(saving.e6),
        "low": None if saving.low_e6 is None else format_money(saving.low_e6),
        "high": None if saving.high_e6 is None else format_money(saving.high_e6),
        "trades": found.trades,
        "at_least": found.at_least,
        "at_most": found.at_most,
    }
