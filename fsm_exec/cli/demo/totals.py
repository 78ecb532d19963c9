"""The totals of the demo: what each method filled and what that cost, and the difference over the same episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.cli.demo.plan import PlannedStart
from fsm_exec.core.values.short_text import trim_count, trim_dollars
from fsm_exec.core.values.units import CountE2, MoneyE6, format_count, format_money, rounded_ratio
from fsm_exec.lab.figure_texts import two
from fsm_exec.runtime.engine import EndedExecution

HELD_TO = "passive_mid"  # as in `compare`; without it, the last method given


class MethodTotal(msgspec.Struct, kw_only=True):
    """One method of the document. Counts in contracts, fees in dollars; `shortfall` is the all-in cost in dollars per
    contract asked for, `difference` that less the one of the method `against`, over the episodes that both worked;
    null = unknown, or nothing to compare with."""

    method: str
    market: str
    executions: int
    target_quantity: str
    filled_quantity: str
    fill_rate: str
    fees: str
    shortfall: str | None
    against: str | None
    episodes_compared: int
    difference: str | None


class Worked(NamedTuple):
    """An execution that has ended, and the start it was planned as."""

    start: PlannedStart
    ended: EndedExecution

    @property
    def cost_e7(self) -> int | None:
        """All-in, of the whole target, in ten-millionths of a dollar; None if it is not known."""
        return None if self.ended.metrics is None else self.ended.metrics.shortfall_e7

    @property
    def target_e2(self) -> CountE2:
        return self.ended.execution.target_e2


def totals_of(worked: Sequence[Worked]) -> list[MethodTotal]:
    """Add up the executions of each method, in the order in which the methods were given."""
    by_copy: dict[int, list[Worked]] = {}
    for one in sorted(worked, key=lambda one: (one.start.copy, one.start.episode)):
        by_copy.setdefault(one.start.copy, []).append(one)
    names = {copy: found[0].start.method.algorithm for copy, found in by_copy.items()}
    held_to = next((copy for copy, name in names.items() if name == HELD_TO), max(by_copy, default=0))
    costs = {copy: _costs(found) for copy, found in by_copy.items()}
    return [_total(found, names.get(held_to), costs[copy], costs[held_to]) for copy, found in by_copy.items()]


def table_of_totals(totals: Sequence[MethodTotal]) -> Table:
    """Lay out the totals for a person, within 80 columns."""
    table = Table(
        title="Per method (cost: as above)",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 2, 0, 0),
        show_edge=False,
    )
    table.add_column("method", overflow="fold")
    for heading in ("filled", "%", "cost c", "fees $"):
        table.add_column(heading, justify="right", no_wrap=True)
    for total in totals:
        table.add_row(
            total.method,
            f"{trim_count(total.filled_quantity)}/{trim_count(total.target_quantity)}",
            _percent(total.fill_rate),
            "-" if total.shortfall is None else cents(total.shortfall),
            trim_dollars(total.fees),
        )
    return table


def sentences_of(totals: Sequence[MethodTotal]) -> list[str]:
    """Return the differences, a line for each method that was held to another."""
    return [
        f"{total.method} cost {cents(total.difference.removeprefix('-'))} c a contract "
        f"{'less' if total.difference.startswith('-') else 'more'} than {total.against}, in the same "
        f"{total.episodes_compared} episodes on the same tape."
        for total in totals
        if total.difference is not None and total.market != _market_of(totals, total.against)
    ]


def cents(dollars: str) -> str:
    """Return dollars with six decimals as cents with two, rounded as the lab's pages round: both show one figure."""
    return two(str(Decimal(dollars) * 100))


def _market_of(totals: Sequence[MethodTotal], method: str | None) -> str | None:
    return next((total.market for total in totals if total.method == method), None)


def _costs(found: Sequence[Worked]) -> dict[int, tuple[int, int]]:
    """Return cost and target of each episode whose cost is known."""
    return {one.start.episode: (one.cost_e7, one.target_e2) for one in found if one.cost_e7 is not None}


def _total(
    found: Sequence[Worked],
    held_to: str | None,
    costs: Mapping[int, tuple[int, int]],
    baseline: Mapping[int, tuple[int, int]],
) -> MethodTotal:
    executions = [one.ended.execution for one in found]
    target_e2 = CountE2(sum(execution.target_e2 for execution in executions))
    filled_e2 = CountE2(sum(execution.filled_e2 for execution in executions))
    common = sorted(costs.keys() & baseline.keys()) if costs is not baseline else []
    difference = None
    if common:
        more_e7 = sum(costs[episode][0] - baseline[episode][0] for episode in common)
        difference = _per_contract(more_e7, sum(costs[episode][1] for episode in common))
    all_in = None
    if costs:
        all_in = _per_contract(sum(cost for cost, _ in costs.values()), sum(asked for _, asked in costs.values()))
    return MethodTotal(
        method=found[0].start.method.algorithm,
        market=executions[0].terms.ticker,
        executions=len(executions),
        target_quantity=format_count(target_e2),
        filled_quantity=format_count(filled_e2),
        fill_rate=str(rounded_ratio(filled_e2, target_e2, 6)),
        fees=format_money(MoneyE6(sum(fill.fee_e6 for execution in executions for fill in execution.fills))),
        shortfall=all_in,
        against=held_to if common else None,
        episodes_compared=len(common),
        difference=difference,
    )


def _per_contract(cost_e7: int, target_e2: int) -> str:
    return str(rounded_ratio(cost_e7, target_e2 * 10**5, 6))


def _percent(rate: str) -> str:
    return str(rounded_ratio(int(rate.replace(".", "")), 10**4, 0))
