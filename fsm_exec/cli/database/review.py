"""`fsm-exec review`: the reference design's review after weeks of trading; reads only, also beside a daemon."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast, get_args

import click
from msgspec.structs import replace

from fsm_exec.cli.console import Page
from fsm_exec.cli.database import review_tables
from fsm_exec.cli.database.damage import say_damage
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.since import parse_since_us
from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import MoneyE6, ceil_div, parse_fixed, parse_money
from fsm_exec.lab.break_even import BreakEven, assumed_saving, break_even, observed_saving
from fsm_exec.lab.evidence import Evidence, load_shipped_evidence, propose
from fsm_exec.lab.review import By, figures, grouped, verdict
from fsm_exec.store.archive.archive_reads import read_everywhere
from fsm_exec.store.reads.api_queries import load_environment
from fsm_exec.store.reads.review_queries import EndedRow, OpportunityRow, load_opportunities, load_saved

HOURS_DECIMALS: Final = 2
PERCENT_DECIMALS: Final = 6
PLAY: Final = ("embedded", "paper")  # exchanges that know no volume from before their tape began


@click.command()
@click.argument("database", type=click.Path(path_type=Path))
@click.option("--since", help="A time like 2026-10-01T00:00:00Z, or how many days back.  [default: all]")
@click.option("--by", default="type,series,method", show_default=True, help="Which tables, separated by commas.")
@click.option("--hours", help="What adopting would take, for the break-even; up to 2 decimals.")
@click.option("--hourly-cost", help="Dollars an hour.")
@click.option("--saving", help="Per cent of a trade's price to assume where the database has nothing to compare.")
@click.option(
    "--lab",
    type=click.Path(path_type=Path),
    help="Results of fsm-exec compare that a method must win in to be proposed.  [default: the shipped]",
)
@click.option("--without-rewards", is_flag=True, help="Leave out what the exchange's programmes are estimated to pay.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def review(
    database: Path,
    since: str | None,
    by: str,
    hours: str | None,
    hourly_cost: str | None,
    saving: str | None,
    lab: Path | None,
    without_rewards: bool,
    as_json: bool,
) -> None:
    """Judge weeks of trading: do slippage, fill failures, thin markets call for a method that walks, and for which?"""
    kinds = _parse_kinds(by)
    since_us = 0 if since is None else parse_since_us("--since", since)
    cost_e6 = _parse_cost_e6(hours, hourly_cost)
    percent = None if saving is None else _parse("--saving", saving, lambda text: parse_fixed(text, PERCENT_DECIMALS))
    if percent is not None and percent <= 0:
        raise UserError(f"--saving {saving} is not above 0; give a percentage like 1.5")
    evidence = load_shipped_evidence() if lab is None else _load_own_evidence(lab)
    damage: list[str] = []

    def load(connection: sqlite3.Connection) -> tuple[list[EndedRow], list[OpportunityRow], str | None]:
        ended, offered = load_saved(connection, since_us, damage), load_opportunities(connection, since_us, damage)
        return ended, offered, load_environment(connection)

    found = read_everywhere(database, load, damage, since=to_iso(since_us))
    rows = sorted((row for ended, _, _ in found for row in ended), key=lambda row: row.at_us)
    chances = sorted((row for _, offered, _ in found for row in offered), key=lambda row: row.at_us)
    environment = found[0][2]
    if without_rewards:
        rows = [replace(row, rewards_e7=0) for row in rows]
    everything = figures(rows, chances)
    traded = {row.series for row in rows if row.series} | {row.series for row in chances if row.series}
    review = review_tables.Review(
        figures=everything,
        groups={kind: grouped(kind, rows, chances) for kind in kinds},
        verdict=verdict(everything, propose(evidence, traded)),
        break_even=None if cost_e6 is None else _break_even(rows, cost_e6, percent),
        is_play=environment is not None and environment.split("-")[0] in PLAY,  # behind it stands a subaccount
    )
    if as_json:
        say_json(review_tables.document(review))
    elif not rows:
        say(f"{database}: no execution has ended{' since then' if since else ''}, so there is nothing to review")
    else:
        review_tables.show(review, Page(), cost_asked=cost_e6 is not None)
    say_damage(damage)


def _load_own_evidence(directory: Path) -> Evidence:
    from fsm_exec.lab.experiment.stored_comparison import load_evidence  # with the whole lab, which nothing else needs

    return load_evidence(directory)


def _parse_kinds(text: str) -> list[By]:
    known: Sequence[str] = get_args(By)
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise UserError(f"--by {name[:40]!r} is none of: {', '.join(known)}")
    return cast("list[By]", names)


def _parse_cost_e6(hours: str | None, hourly_cost: str | None) -> MoneyE6 | None:
    if (hours is None) != (hourly_cost is None):
        raise UserError("give --hours and --hourly-cost together, or neither")
    if hours is None or hourly_cost is None:
        return None
    hours_e2 = _parse("--hours", hours, lambda text: parse_fixed(text, HOURS_DECIMALS))
    dollars_e6 = _parse("--hourly-cost", hourly_cost, parse_money)
    if hours_e2 <= 0 or dollars_e6 <= 0:
        raise UserError("--hours and --hourly-cost must be above 0")
    return MoneyE6(ceil_div(hours_e2 * dollars_e6, 10**HOURS_DECIMALS))


def _parse(option: str, text: str, read: Callable[[str], int]) -> int:
    try:
        return read(text)
    except UnitError as error:
        raise UserError(f"{option}: {error}") from error


def _break_even(rows: Sequence[EndedRow], cost_e6: MoneyE6, percent_e6: int | None) -> BreakEven | None:
    """Compute the break-even; None if there is nothing to compare and nothing to assume."""
    saving = observed_saving(rows)
    if saving is None and percent_e6 is not None:
        saving = assumed_saving(rows, percent_e6)
    return None if saving is None else break_even(cost_e6, saving)
