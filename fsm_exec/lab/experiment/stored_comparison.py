"""What a stored experiment says, without its tapes: for reports, and for whoever asks the lab before deciding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.lab.evidence import BASELINE, Evidence
from fsm_exec.lab.experiment.groups import Group, Scope, groups_of
from fsm_exec.lab.experiment.methods import full_name
from fsm_exec.lab.experiment.results import FILE_NAME, Results, results_at
from fsm_exec.lab.experiment.summary import ComparisonReport, summarize


class StoredComparison(NamedTuple):
    """`stated` are the conditions, `groups` the episodes that the report's cells are of, `episodes` how many."""

    scope: Scope
    report: ComparisonReport
    groups: list[Group]
    stated: dict[str, str]
    episodes: int


def load_comparison(
    path: Path,
    *,
    baseline: str,
    methods: Sequence[str] | None = None,
    with_buckets: bool = False,
    each_tape: bool = False,
    with_rewards: bool = True,
) -> StoredComparison:
    """Read the results at `path`; `methods` are names, all that have worked anything if None; `with_rewards`: what
    programmes are estimated to pay is taken off the costs. Raises UserError for a file of something else, methods it
    does not hold, and if no episode is complete."""
    with results_at(path) as results:
        names = _methods(results, baseline, methods, path)
        stated, products = results.stated(), results.products()
        stored = list(results.read(names, with_rewards=with_rewards))
        without_trades = results.without_trades()
    complete = [episode for episode in stored if len(episode.runs) == len(names)]
    if not complete:
        raise UserError(f"{path}: no episode has been worked by all of {', '.join(names)}; name fewer with --methods")
    scope = Scope(
        products={tape: products[tape] for tape in dict.fromkeys(e.key.tape for e in complete)},
        methods=tuple(names),
        baseline=names[0],
        quantities_e2=tuple(sorted({e.key.quantity_e2 for e in complete})),
        horizons_us=tuple(sorted({e.key.horizon_us for e in complete})),
        each_tape=each_tape,
    )
    report = summarize(
        scope,
        complete,
        unfinished=len(stored) - len(complete),
        without_trades=[tape for tape in scope.products if tape in without_trades],
        with_buckets=with_buckets,
    )
    return StoredComparison(scope, report, groups_of(scope, complete), stated, len(complete))


def load_evidence(directory: Path) -> Evidence:
    """The evidence of the results in `directory`. Raises UserError as `load_comparison` does."""
    found = load_comparison(directory / FILE_NAME, baseline=BASELINE)
    return msgspec.json.decode(msgspec.json.encode(found.report), type=Evidence)


def _methods(results: Results, baseline: str, asked: Sequence[str] | None, path: Path) -> list[str]:
    """Full names, the baseline first."""
    held = results.methods()
    wanted = held if asked is None else [full_name(name) for name in asked]
    names = list(dict.fromkeys([full_name(baseline), *wanted]))
    for name in names:
        if name not in held:
            raise UserError(f"{path} holds nothing of {name}; it holds: {', '.join(held) or 'nothing'}")
    return names
