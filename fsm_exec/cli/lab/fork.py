"""`fsm-exec fork`: what another method would have done from a moment of an execution on, on the tape that was kept.

Exit 0: the method that ran did the same again, and the others are shown; 1: it did not, and nothing is said of others
(unless --anyway); 2: there is no tape of that time, or no such execution.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast, get_args

import click

from fsm_exec.algorithms import Method
from fsm_exec.cli.console import Page
from fsm_exec.cli.database.default_database import resolve_database
from fsm_exec.cli.database.methods import stored_method_finder
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.lab import options
from fsm_exec.cli.output import say_json
from fsm_exec.cli.tables.columns import figures, names, print_table, words
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import format_count, format_fixed, format_money, rounded_ratio
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.lab.fork.fork import Fork, Outcome, fork_execution
from fsm_exec.lab.fork.forked_market import load_forked_market
from fsm_exec.paper.matching_engine.fill_models import FillModel

EVEN_SO: Final = 2  # outcomes that are shown whatever comes of it: what was, and the same method here
CAUSES: Final = ("trade", "queue", "crossing", "through", "taken")


@click.command()
@click.argument("execution")
@click.option("--at", type=click.IntRange(min=1), metavar="SEQ", help="From this row of its journal.  [default: 1]")
@click.option("--methods", help="Others to try, separated by commas: NAME, NAME@VERSION or NAME[SETTING=VALUE;...].")
@click.option("--db", type=click.Path(path_type=Path), help="The database.  [default: this user's]")
@click.option(
    "--tapes", type=click.Path(path_type=Path), help="Where its engine kept tapes.  [default: beside the database]"
)
@click.option(
    "--fill-model",
    type=click.Choice(get_args(FillModel)),
    default="recorded",
    show_default=True,
    help="Which recorded limit orders cross to ours.",
)
@click.option("--anyway", is_flag=True, help="Show the others though the method that ran does not do the same again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def fork(
    execution: str,
    at: int | None,
    methods: str | None,
    db: Path | None,
    tapes: Path | None,
    fill_model: str,
    anyway: bool,
    as_json: bool,
) -> None:
    """Work what was left of an execution again by other methods, on the tape kept of its market.

    First by the method that really ran: what others would have done is believed only if that does the same again.
    """
    database = resolve_database(db)
    find = stored_method_finder(database)
    names = [] if methods is None else options.split_list("--methods", methods)
    others = [_method(name, find) for name in names]
    market = load_forked_market(database, execution, tapes)
    ran = find(market.execution.method)
    conditions = Conditions(fill_model=cast("FillModel", fill_model))
    found = fork_execution(market, at, ran, others, conditions=conditions, anyway=anyway)
    if as_json:
        say_json(_document(found), indent=2)
    else:
        _print(found, len(others))
    if not found.likeness.holds:
        sys.exit(EXIT_FAILED)


def _method(name: str, find: Callable[[str], Method]) -> Method:
    """A method of the database, or one with settings of its own. Raises UserError."""
    return resolve(name) if "[" in name else find(name)


def _document(found: Fork) -> dict[str, object]:
    return {
        "execution_id": found.execution_id,
        "at": found.seq,
        "at_time": to_iso(found.at_us),
        "method": found.method,
        "reproduced": found.likeness.holds,
        "writes_alike": found.likeness.same,
        "writes": found.likeness.of,
        "apart_ms": found.likeness.apart_us // 1_000,
        "difference": found.likeness.difference,
        "outcomes": [
            {
                "method": one.method,
                "quantity": format_count(one.quantity_e2),
                "filled": format_count(one.filled_e2),
                "taken": format_count(one.taken_e2),
                "cost_cents": _cost(one),
                "fees": format_money(one.fees_e6),
                "writes": one.writes,
                "state": one.state,
                "reason": one.reason,
                "fills": None if one.fills is None else _causes(one),
            }
            for one in found.outcomes
        ],
        "notes": list(found.notes),
    }


def _causes(one: Outcome) -> dict[str, str]:
    assert one.fills is not None
    return {cause: format_count(getattr(one.fills, f"{cause}_e2")) for cause in CAUSES}


def _cost(one: Outcome) -> str | None:
    """All in, cents per contract."""
    if one.cost_e7 is None:
        return None
    cents = rounded_ratio(one.cost_e7, one.quantity_e2 * 10**3, 2)
    return str(cents or abs(cents))  # no -0.00


def _last_fill_s(found: Fork, one: Outcome) -> str:
    return "" if one.last_fill_us is None else format_fixed(one.last_fill_us - found.at_us, 6)[:-3]


def _fills(one: Outcome) -> str:
    return "" if one.fills is None else ", ".join(f"{n} {c}" for n, c in _causes(one).items() if c != "0.00")


def _print(found: Fork, others: int) -> None:
    page = Page(soft_wrap=True)
    likeness = found.likeness
    if likeness.holds:
        page.print(
            f"reproduced: {found.method} asks for the same {likeness.of} writes here, at most "
            f"{likeness.apart_us // 1_000} ms apart",
            highlight=False,
        )
    else:
        page.print(
            f"NOT reproduced: {found.method} asks for {likeness.same} of {likeness.of} writes alike, then "
            f"{likeness.difference}",
            highlight=False,
        )
    shown = found.outcomes
    print_table(
        [
            names(f"from row {found.seq}", [one.method for one in shown]),
            figures("filled", [format_count(one.filled_e2) for one in shown]),
            figures("of", [format_count(one.quantity_e2) for one in shown], then=((0, None),)),
            figures("taken", [format_count(one.taken_e2) for one in shown]),
            figures("cost c", [_cost(one) or "-" for one in shown]),
            figures("fees $", [format_money(one.fees_e6) for one in shown]),
            figures("writes", [str(one.writes) for one in shown]),
            figures("last fill s", [_last_fill_s(found, one) for one in shown], then=((1, None),)),
            words("ended", [one.reason or one.state for one in shown]),
            words("fills by cause", [_fills(one) for one in shown]),
        ]
    )
    if not likeness.holds and others and len(found.outcomes) == EVEN_SO:
        page.print("nothing is said of the other methods: the lab does not do again what was done (see --anyway)")
    for note in found.notes:
        page.print(note, highlight=False)
