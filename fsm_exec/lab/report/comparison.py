"""The report of an experiment: what `compare` has measured, drawn.

Every mean, interval and probability is that of `lab.experiment.summary`, which the command prints too; only quantiles
are added here. An episode counts once every method of the report has worked it. Costs are cents per contract, positive
= cost; a difference below zero says that the method is cheaper than the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from fsm_exec.core.values.units import CountE2, format_count
from fsm_exec.lab.blocks import BLOCK_WORDS
from fsm_exec.lab.experiment.differences import cents
from fsm_exec.lab.experiment.groups import Group, Scope
from fsm_exec.lab.experiment.stored_comparison import StoredComparison, load_comparison
from fsm_exec.lab.experiment.summary import ComparisonReport
from fsm_exec.lab.experiment.tapes import short_names
from fsm_exec.lab.products import ALL_TAPES, part_title
from fsm_exec.lab.report import comparison_figures as figures
from fsm_exec.lab.report.comparison_tables import bucket_table, fill_table, method_table, tail_table
from fsm_exec.lab.report.page import Section
from fsm_exec.lab.report.quantiles import Spread, spread
from fsm_exec.lab.report.theme import colours
from fsm_exec.lab.statistics import BLOCKS_FEW

ROUGH = f" ~: an interval from fewer than {BLOCKS_FEW} blocks is rough."
TAPES_NAMED = 6
COST = "Cents per contract, all fees included; positive is cost."
TABLE_NOTE = (
    f"{COST} fill*: before the closing leg; d: against the baseline; better: how probable it is that the method is "
    "cheaper; fees: in cents per contract asked for; gap: the share of the way from the baseline to the physical "
    "limit; hindsight: the best single limit price."
)


def comparison_sections(
    path: Path,
    *,
    baseline: str,
    methods: Sequence[str] | None = None,
    each_tape: bool = False,
    with_rewards: bool = True,
) -> tuple[str, list[tuple[str, str]], list[Section]]:
    """Title, facts and sections of the results at `path`; `methods` are names, all that have worked anything if None;
    `each_tape` adds what each tape says alone; `with_rewards`: what programmes are estimated to pay is taken off.

    Raises UserError for a file of something else, methods it does not hold, and if no episode is complete.
    """
    found = load_comparison(
        path, baseline=baseline, methods=methods, with_buckets=True, each_tape=each_tape, with_rewards=with_rewards
    )
    return "Which method is better", _facts(found), _sections(found.scope, found.report, found.groups)


def _facts(found: StoredComparison) -> list[tuple[str, str]]:
    scope, stated = found.scope, found.stated
    fee = stated.get("maker_fee", "None")
    facts = [
        ("products", ", ".join(scope.series)),
        ("tapes", _tapes(list(short_names(scope.products).values()))),
        ("episodes", f"{found.episodes:,}, each worked by every method"),
        ("methods", ", ".join(scope.methods)),
        ("baseline", scope.baseline),
        ("quantities", ", ".join(_count(q) for q in scope.quantities_e2)),
        ("horizons", ", ".join(f"{h // 1_000_000} s" for h in scope.horizons_us)),
        ("fill model", stated.get("fill_model", "?")),
        ("queue model", stated.get("queue_model", "?")),
        ("decision to match", f"{int(stated.get('latency_us', 0)) // 1_000} ms"),
        ("maker fee", "the market's own" if fee == "None" else f"{fee} %"),
    ]
    if found.report.without_trades:
        silent = [short_names(scope.products)[tape] for tape in found.report.without_trades]
        facts.append(("without trades", f"{', '.join(silent)}: that anybody fills a resting order there is assumed"))
    if stated.get("fee_multiplier", "None") != "None":
        facts.append(("all fees", f"times {stated['fee_multiplier']}"))
    if any(Decimal(cell.reward) for cell in found.report.cells):
        facts.append(("rewards", "what programmes are estimated to pay is taken off the costs"))
    if found.report.unfinished:
        facts.append(("left out", f"{found.report.unfinished:,} episodes that not every method has worked yet"))
    return facts


def _tapes(names: Sequence[str]) -> str:
    """All names, or how many there are from which to which."""
    return ", ".join(names) if len(names) <= TAPES_NAMED else f"{len(names)}, from {names[0]} to {names[-1]}"


def _sections(scope: Scope, found: ComparisonReport, groups: Sequence[Group]) -> list[Section]:
    cells = found.widest()
    more = {(p.product, p.tape, p.quantity, p.horizon, p.method): p for p in found.paired}
    hues = colours(scope.methods, scope.baseline)
    called = short_names(scope.products)
    widest = [group for group in groups if (group.product, group.tape) == (cells[0].product, cells[0].tape)]
    costs = {(g.quantity, g.horizon_s, m): _cost_spread(g, m) for g in widest for m in scope.methods}
    differences = {
        (g.quantity, g.horizon_s, m): _difference_spread(g, m, scope.baseline)
        for g in widest
        for m in scope.methods
        if m != scope.baseline
    }
    rough = ROUGH if any(p.is_rough for p in found.paired) else ""
    pooled = " Every episode of a product weighs the same, and every product." if len(scope.series) > 1 else ""
    products = [cell for cell in found.cells if (cell.product, cell.tape) in _product_parts(scope)]
    against_baseline: list[Section] = []
    spread_of_differences: list[Section] = []
    if differences:  # the baseline alone has none
        against_baseline = [
            Section(
                "Cheaper than the baseline, and how sure",
                f"All-in cost minus that of {scope.baseline} on the same episodes, with its 95 % interval from "
                f"resampled blocks ({BLOCK_WORDS}). Left of zero is cheaper; an interval that touches zero shows "
                f"nothing.{pooled}",
                figures.differences(cells, scope.baseline, hues),
            ),
        ]
        spread_of_differences = [
            Section(
                "How differences are spread",
                f"The same of the cost minus that of {scope.baseline} on the same episode; left of zero is cheaper. A "
                "mean may hide a method that is often a little cheaper and seldom much dearer.",
                figures.spreads(differences, hues, "d of an episode, cents per contract"),
            ),
        ]
    sections = [
        *against_baseline,
        Section(
            "Fill against cost",
            "Share of the quantity filled before the closing leg, and all-in cost with what is left swept at the "
            "deadline. Up and to the left is better; the line joins the methods that no other beats on both; whiskers "
            f"are the 95 % interval of the difference to {scope.baseline}.",
            figures.frontier(cells, hues),
        ),
        Section(
            "Distance to the possible",
            "Bars reach from the physical limit (the cheapest contracts that the flow could have sold, with perfect "
            f"foresight) to the method's cost; dashed: the best single limit price, known afterwards. {COST}",
            figures.limits(cells, more, hues),
        ),
        Section(
            "How costs are spread",
            f"Median, middle half, and the 5th to 95th of 100 episodes, of the all-in cost; dashed: the mean. {COST}",
            figures.spreads(costs, hues, "all-in cost, cents per contract"),
        ),
        *spread_of_differences,
        Section("The desk's table", TABLE_NOTE + pooled + rough, table=method_table(cells, more, groups, called)),
        Section(
            "Middle and tails",
            "A mean may hide a method that costs a little often and saves much seldom. p5, p50, p95: of 100 episodes "
            "5, 50 and 95 cost less; worst: the mean of the dearest twentieth; d, d p50, d trimmed: of the difference "
            "to the baseline the mean, the median, and the mean without a tenth at each end; blocks better: the share "
            f"of blocks ({BLOCK_WORDS}) in which the method is cheaper; neighbours: how alike the means of "
            "neighbouring blocks are (0: not at all; far above it, the interval is somewhat narrow).",
            table=tail_table(cells, called),
        ),
    ]
    parts_shown = {(cell.product, cell.tape) for cell in (*cells, *products)}
    sections.append(
        Section(
            "What filled the orders",
            "Shares of the contracts filled. trade: a recorded taker at a worse price met us first; queue: one at our "
            "price came to us, once those ahead were served; crossing, through: a recorded limit order arrived at our "
            "price, beyond it; taken: we took what was offered. assumed: the share of crossing and through in what was "
            "filled without taking. That these makers would have crossed to us is an assumption, the fill model's.",
            table=fill_table([row for row in found.fills if (row.product, row.tape) in parts_shown], called),
        )
    )
    if found.buckets:
        sections.append(
            Section(
                "By liquidity",
                "The difference within buckets of the spread, and of the quantity over what is offered at the touch, "
                "at arrival, in cents per contract; blue is cheaper than the baseline. p is two-sided and adjusted by "
                "Holm for all rows of its kind; a star says that it is below 5 %.",
                figures.buckets(found.buckets),
                bucket_table(found.buckets),
                folded=True,
            )
        )
    for title, parts, note in (
        (
            "By product",
            products if len(scope.series) > 1 else [],
            "A method that wins on one product has shown little.",
        ),
        (
            "By tape",
            [c for c in found.cells if c.tape != ALL_TAPES] if scope.each_tape and len(scope.products) > 1 else [],
            "A method that wins on one day only has shown little.",
        ),
    ):
        if parts:
            sections += [
                Section(
                    title,
                    f"The same difference on each alone. {note}",
                    figures.by_part(parts, scope.baseline, hues, lambda c: part_title(c.product, c.tape, called)),
                    method_table(parts, more, groups, called),
                    folded=True,
                ),
                Section(f"{title}: middle and tails", "", table=tail_table(parts, called), folded=True),
            ]
    return sections


def _cost_spread(group: Group, method: str) -> Spread:
    return spread(group.weighted(lambda e: cents(e, method)))


def _difference_spread(group: Group, method: str, baseline: str) -> Spread:
    return spread(group.weighted(lambda e: cents(e, method) - cents(e, baseline)))


def _product_parts(scope: Scope) -> set[tuple[str, str]]:
    """The parts that are a whole product."""
    tapes = {series: [tape for tape, own in scope.products.items() if own == series] for series in scope.series}
    return {(series, own[0] if len(own) == 1 else ALL_TAPES) for series, own in tapes.items()}


def _count(quantity_e2: CountE2) -> str:
    return format_count(quantity_e2).removesuffix(".00")
