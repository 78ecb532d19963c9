"""The report of an experiment: what `compare` has measured, drawn.

Every mean, interval and probability is that of `lab.experiment.summary`, which the command prints too; only quantiles
are added here. An episode counts once every method of the report has worked it. Costs are cents per contract, positive
= cost; a difference below zero says that the method is cheaper than the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, format_count
from fsm_exec.lab.experiment.compare import Scope
from fsm_exec.lab.experiment.methods import full_name
from fsm_exec.lab.experiment.results import EpisodeResult, Results, results_at
from fsm_exec.lab.experiment.summary import ALL_TAPES, Cell, ComparisonReport, Group, Paired, groups_of, summarize
from fsm_exec.lab.report import comparison_figures as figures
from fsm_exec.lab.report.page import Section
from fsm_exec.lab.report.quantiles import Spread, spread
from fsm_exec.lab.report.tables import Table
from fsm_exec.lab.report.theme import colours
from fsm_exec.lab.statistics import BLOCKS_FEW

ROUGH = f" ~: an interval from fewer than {BLOCKS_FEW} blocks of a market and 15 minutes is rough."
COST = "Cents per contract, all fees included; positive is cost."


def comparison_sections(
    path: Path, *, baseline: str, methods: Sequence[str] | None = None
) -> tuple[str, list[tuple[str, str]], list[Section]]:
    """Title, facts and sections of the results at `path`; `methods` are names, all that have worked anything if None.

    Raises UserError for a file of something else, methods it does not hold, and if no episode is complete.
    """
    with results_at(path) as results:
        names = _methods(results, baseline, methods, path)
        stated, stored = results.stated(), list(results.read(names))
    complete = [episode for episode in stored if len(episode.runs) == len(names)]
    if not complete:
        raise UserError(f"{path}: no episode has been worked by all of {', '.join(names)}; name fewer with --methods")
    scope = Scope(
        tapes=tuple(dict.fromkeys(e.key.tape for e in complete)),
        methods=tuple(names),
        baseline=names[0],
        quantities_e2=tuple(sorted({e.key.quantity_e2 for e in complete})),
        horizons_us=tuple(sorted({e.key.horizon_us for e in complete})),
    )
    found = summarize(scope, complete, unfinished=len(stored) - len(complete), with_buckets=True)
    return "Which method is better", _facts(scope, found, stated, len(complete)), _sections(scope, found, complete)


def _methods(results: Results, baseline: str, asked: Sequence[str] | None, path: Path) -> list[str]:
    """Full names, the baseline first."""
    held = results.methods()
    wanted = held if asked is None else [full_name(name) for name in asked]
    names = list(dict.fromkeys([full_name(baseline), *wanted]))
    for name in names:
        if name not in held:
            raise UserError(f"{path} holds nothing of {name}; it holds: {', '.join(held) or 'nothing'}")
    return names


def _facts(scope: Scope, found: ComparisonReport, stated: dict[str, str], episodes: int) -> list[tuple[str, str]]:
    fee = stated.get("maker_fee", "None")
    facts = [
        ("tapes", ", ".join(tape_name(tape) for tape in scope.tapes)),
        ("episodes", f"{episodes:,}, each worked by every method"),
        ("methods", ", ".join(scope.methods)),
        ("baseline", scope.baseline),
        ("quantities", ", ".join(_count(q) for q in scope.quantities_e2)),
        ("horizons", ", ".join(f"{h // 1_000_000} s" for h in scope.horizons_us)),
        ("fill model", stated.get("fill_model", "?")),
        ("queue model", stated.get("queue_model", "?")),
        ("decision to match", f"{int(stated.get('latency_us', 0)) // 1_000} ms"),
        ("maker fee", "the market's own" if fee == "None" else f"{fee} %"),
    ]
    if found.unfinished:
        facts.append(("left out", f"{found.unfinished:,} episodes that not every method has worked yet"))
    return facts


def _sections(scope: Scope, found: ComparisonReport, episodes: Sequence[EpisodeResult]) -> list[Section]:
    widest = ALL_TAPES if len(scope.tapes) > 1 else scope.tapes[0]
    cells = [cell for cell in found.cells if cell.tape == widest]
    more = {(p.tape, p.quantity, p.horizon, p.method): p for p in found.paired}
    hues = colours(scope.methods, scope.baseline)
    groups = [group for group in groups_of(scope, episodes) if group.tape == widest]
    costs = {(g.quantity, g.horizon_s, m): spread(_cents(g, m)) for g in groups for m in scope.methods}
    differences = {
        (g.quantity, g.horizon_s, m): spread(_differences(g, m, scope.baseline))
        for g in groups
        for m in scope.methods
        if m != scope.baseline
    }
    rough = ROUGH if any(p.blocks < BLOCKS_FEW for p in found.paired) else ""
    sections = [
        Section(
            "Cheaper than the baseline, and how sure",
            f"All-in cost minus that of {scope.baseline} on the same episodes, with its 95 % interval from resampled "
            "blocks of a market and 15 minutes. Left of zero is cheaper; an interval that touches zero shows nothing.",
            figures.differences(cells, scope.baseline, hues),
        ),
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
        Section(
            "How differences are spread",
            f"The same of the cost minus that of {scope.baseline} on the same episode; left of zero is cheaper. A mean "
            "may hide a method that is often a little cheaper and seldom much dearer.",
            figures.spreads(differences, hues, "d of an episode, cents per contract"),
        ),
        Section(
            "The desk's table",
            f"{COST} fill*: before the closing leg; d: against {scope.baseline}; better: how probable it is that the "
            "method is cheaper; fees: in cents per contract asked for; gap: the share of the way from the baseline to "
            "the physical limit; hindsight: the best single limit price." + rough,
            table=_table(cells, more, costs, groups),
        ),
    ]
    if found.buckets:
        sections.append(
            Section(
                "By liquidity",
                "The difference within buckets of the spread, and of the quantity over what is offered at the touch, "
                "at arrival, in cents per contract; blue is cheaper than the baseline. p is two-sided and adjusted by "
                "Holm for all rows of its kind; a star says that it is below 5 %.",
                figures.buckets(found.buckets),
                _bucket_table(found),
                folded=True,
            )
        )
    if len(scope.tapes) > 1:
        by_tape = [cell for cell in found.cells if cell.tape != ALL_TAPES]
        sections.append(
            Section(
                "By tape",
                "The same difference on each tape alone: a method that wins on one day only has shown little.",
                figures.by_tape(by_tape, scope.baseline, hues, tape_name),
                _tape_table(by_tape, more),
                folded=True,
            )
        )
    return sections


def _cents(group: Group, method: str) -> list[Decimal]:
    """The cost of each episode, exact."""
    return [Decimal(e.runs[method].shortfall_e7) / (group.quantity_e2 * 1_000) for e in group.episodes]


def _differences(group: Group, method: str, baseline: str) -> list[Decimal]:
    return [cost - base for cost, base in zip(_cents(group, method), _cents(group, baseline), strict=True)]


def _table(
    cells: Sequence[Cell],
    more: dict[tuple[str, str, int, str], Paired],
    costs: dict[tuple[str, int, str], Spread],
    groups: Sequence[Group],
) -> Table:
    columns = (
        *("contracts", "s", "method", "episodes", "fill*", "fill", "cost", "p50", "p95", "d", "95 %", "better"),
        *("fees", "writes", "walks", "limit", "hindsight", "gap"),
    )
    by_cell = {(g.quantity, g.horizon_s): g for g in groups}
    rows = []
    for cell in cells:
        paired = more.get((cell.tape, cell.quantity, cell.horizon, cell.method))
        group, seen = by_cell[cell.quantity, cell.horizon], costs[cell.quantity, cell.horizon, cell.method]
        runs = [e.runs[cell.method] for e in group.episodes]
        fees = Decimal(sum(run.fees_e7 for run in runs)) / (len(runs) * group.quantity_e2 * 1_000)
        rows.append(
            (
                *(cell.quantity, str(cell.horizon), cell.method, f"{cell.episodes:,}"),
                *(_percent(cell.fill_before_close), _percent(cell.fill)),
                *(_two(cell.shortfall), _two(seen.p50), _two(seen.p95)),
                *("" if paired is None else _signed(cell.delta), "" if paired is None else _interval(cell, paired)),
                "" if paired is None or paired.p_better is None else _percent(paired.p_better),
                *(_two(fees), cell.writes, _two(Decimal(sum(run.walks for run in runs)) / len(runs))),
                _two(cell.bound),
                "" if paired is None else _two(paired.static),
                "" if paired is None or cell.gap_closed is None else _percent(cell.gap_closed),
            )
        )
    return Table(columns, rows, frozenset(columns) - {"method"})


def _bucket_table(found: ComparisonReport) -> Table:
    columns = ("contracts", "s", "kind", "bucket", "method", "episodes", "d", "95 %", "p")
    rows = [
        (
            *(b.quantity, str(b.horizon), b.kind, b.bucket, b.method, f"{b.episodes:,}", _signed(b.delta)),
            *(_between(b.delta_low, b.delta_high), b.p_holm or ""),
        )
        for b in found.buckets
    ]
    return Table(columns, rows, frozenset({"contracts", "s", "episodes", "d", "95 %", "p"}))


def _tape_table(cells: Sequence[Cell], more: dict[tuple[str, str, int, str], Paired]) -> Table:
    columns = ("tape", "contracts", "s", "method", "episodes", "fill*", "fill", "cost", "d", "95 %", "limit")
    rows = [
        (
            *(tape_name(c.tape), c.quantity, str(c.horizon), c.method, f"{c.episodes:,}"),
            *(_percent(c.fill_before_close), _percent(c.fill), _two(c.shortfall)),
            *(("", "") if (p := more.get((c.tape, c.quantity, c.horizon, c.method))) is None else _difference(c, p)),
            _two(c.bound),
        )
        for c in cells
    ]
    return Table(columns, rows, frozenset(columns) - {"tape", "method"})


def tape_name(tape: str) -> str:
    """Without its directory: what a reader calls it."""
    return Path(tape).name.removesuffix(".gz").removesuffix(".jsonl")


def _count(quantity_e2: CountE2) -> str:
    return format_count(quantity_e2).removesuffix(".00")


def _difference(cell: Cell, paired: Paired) -> tuple[str, str]:
    return _signed(cell.delta), _interval(cell, paired)


def _interval(cell: Cell, paired: Paired) -> str:
    """Marked as rough where it is."""
    rough = "~" if cell.delta_low is not None and paired.blocks < BLOCKS_FEW else ""
    return rough + _between(cell.delta_low, cell.delta_high)


def _between(low: str | None, high: str | None) -> str:
    return "too few" if low is None or high is None else f"[{_signed(low)}, {_signed(high)}]"


def _two(value: str | Decimal) -> str:
    return f"{Decimal(value):z.2f}"


def _signed(value: str) -> str:
    return f"{Decimal(value):+z.2f}"


def _percent(share: str) -> str:
    return f"{100 * Decimal(share):z.0f} %"
