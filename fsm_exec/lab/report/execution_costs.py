"""What one execution cost, from the exact totals that are stored: a waterfall, and the same numbers as a table.

The parts add up to the shortfall as integers of 10^-7 dollars, and with the estimated rewards to the cost; what is
shown in cents per contract is rounded for display, so its last digit may differ from the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from plotly.graph_objects import Figure, Waterfall

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.units import CountE2, format_fixed, rounded_ratio
from fsm_exec.lab.report.page import Section
from fsm_exec.lab.report.tables import Table
from fsm_exec.lab.report.theme import INK, apply_theme

PARTS: Final = (
    ("delay", "delay", "the mid's move from acceptance to the first order, on the whole target"),
    ("spread", "spread", "price paid against the mid just before each fill"),
    ("drift", "drift", "the mid's move from the first order to each fill"),
    ("fees", "fees", "what the exchange billed"),
    ("opportunity", "opportunity", "buying the unfilled rest from the deadline's book, fees included"),
    ("over_fill", "over-fill", "selling back what was bought beyond the target"),
)
REWARDS: Final = (
    ("liquidity_reward", "liquidity reward", "what a programme pays for resting orders, an estimate until it pays"),
    ("volume_reward", "volume reward", "what a programme pays for contracts traded, an estimate until it pays"),
)
UNKNOWN_REWARDS: Final = "What programmes pay is not known"
FLAGS: Final = {
    "no_arrival_mid": "there was no two-sided book at acceptance, so nothing to measure from",
    "no_deadline_book": "the book at the deadline is not known, so the unfilled rest has no price",
    "not_the_deadline_book": "the rest is priced by a book that is older or later than the deadline",
    "beyond_depth": "the rest was more than the book held; the excess is priced 2 cents beyond its last level",
    "fill_mid_missing": "the mid before some fill is not known; the mid at the first order stands in for it",
    "late_fill": "a fill came after its order's end",
    "volume_incomplete": "the market's volume is not fully known",
}
COST, GAIN = "#D55E00", "#009E73"


def cents_per_contract(total_e7: int, target_e2: CountE2, decimals: int = 4) -> str:
    """A total in 10^-7 dollars over the whole target, signed."""
    return f"{rounded_ratio(total_e7, target_e2 * 1_000, decimals):+f}"


def cost_section(execution: Execution, metrics: MetricsRow | None) -> Section:
    """Raises UserError for stored parts that do not add up."""
    title = "What it cost"
    if metrics is None:
        why = "it has ended, and its cost has not been reckoned yet" if execution.is_ended else "it has not ended"
        return Section(title, f"No cost: {why}. The picture is of what is known up to now.")
    words = "; ".join(FLAGS.get(flag, flag) for flag in metrics.flags.split(",") if flag)
    stored = [getattr(metrics, f"{field}_e7") for field, _, _ in PARTS]
    parts = [part for part in stored if part is not None]
    if metrics.shortfall_e7 is None or len(parts) < len(stored):
        fees = Table(("part", "cents per contract", "dollars"), [_row("fees", metrics.fees_e7, execution.target_e2)])
        return Section(title, f"The shortfall is not known: {words or 'it was not stored'}. Fees are.", table=fees)
    if sum(parts) != metrics.shortfall_e7:
        raise UserError(
            f"the cost of {execution.execution_id} does not add up: its parts make {sum(parts)}, its shortfall is "
            f"{metrics.shortfall_e7} (10^-7 dollars); see: fsm-exec db check"
        )
    note = (
        "All-in shortfall against the mid at acceptance, in cents per contract of the target; positive is a cost, "
        "negative a gain. Its parts add up exactly."
        + (f" Note: {words}." if words else "")
        + (f" {UNKNOWN_REWARDS}." if None in (metrics.liquidity_reward_e7, metrics.volume_reward_e7) else "")
    )
    steps = [_Step(label, value, "relative", means) for (_, label, means), value in zip(PARTS, parts, strict=True)]
    steps.append(_Step("shortfall", sum(parts), "total", "all of them"))
    rewards = [
        _Step(label, found, "relative", means)
        for field, label, means in REWARDS
        if (found := getattr(metrics, f"{field}_e7"))
    ]
    if rewards:
        steps += [*rewards, _Step("cost", sum(parts) + metrics.rewards_e7, "total", "with the estimated rewards")]
    return Section(title, note, _waterfall(steps, execution.target_e2), _table(steps, execution.target_e2))


class _Step(NamedTuple):
    """One step of the waterfall, in 10^-7 dollars; a `measure` of `total` sums up what stands before it."""

    label: str
    value: int
    measure: str
    means: str


def _waterfall(steps: Sequence[_Step], target: CountE2) -> Figure:
    figure = Figure(
        Waterfall(
            x=[step.label for step in steps],
            y=[step.value / (target * 1_000) for step in steps],
            measure=[step.measure for step in steps],
            text=[cents_per_contract(step.value, target, 2) for step in steps],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": COST}},
            decreasing={"marker": {"color": GAIN}},
            totals={"marker": {"color": INK}},
            connector={"line": {"color": "#9fb0c0", "width": 1}},
            hovertext=[f"{step.means}<br>{cents_per_contract(step.value, target)} c" for step in steps],
            hoverinfo="text",
        )
    )
    figure.update_yaxes(title_text="cents per contract")
    return apply_theme(figure, height=300, legend=False)


def _table(steps: Sequence[_Step], target: CountE2) -> Table:
    rows = [(*_row(step.label, step.value, target), step.means) for step in steps]
    columns = ("part", "cents per contract", "dollars", "what it is")
    return Table(columns, rows, frozenset(columns[1:3]))


def _row(label: str, total_e7: int, target: CountE2) -> tuple[str, str, str]:
    return label, cents_per_contract(total_e7, target), format_fixed(total_e7, 7)
