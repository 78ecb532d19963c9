"""The picture of the demo: one episode as every method worked it, and the totals, as one HTML file."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from fsm_exec.cli.demo.totals import MethodTotal, Worked, cents, sentences_of
from fsm_exec.cli.lab.page_file import check_free, write_page
from fsm_exec.cli.output import say


def picture_path(db: Path) -> Path:
    """Where the picture of the run on `db` is drawn."""
    return db.with_name(f"{db.stem}-picture.html")


def draw_picture(db: Path, worked: Sequence[Worked], totals: Sequence[MethodTotal]) -> Path:
    """Draw the episode in which what the methods cost differs most; return the file. Raises UserError."""
    from fsm_exec.lab.report.page import render_page
    from fsm_exec.lab.report.side_by_side import side_by_side_sections

    episode = _telling(worked)
    drawn = sorted((one for one in worked if one.start.episode == episode), key=lambda one: one.start.copy)
    sections = side_by_side_sections(db, [one.ended.execution.execution_id for one in drawn])
    start = drawn[0].start
    facts = [
        ("episode", f"{start.after_us // 1_000_000} s after the tape's start: the one in which costs differ most"),
        *((total.method, _sum_up(total)) for total in totals),
        *(("difference", sentence) for sentence in sentences_of(totals)),
    ]
    title = " against ".join(dict.fromkeys(one.start.method.algorithm for one in drawn))
    target = picture_path(db)
    check_free(target, force=True)  # an earlier picture is written over, and nothing else
    write_page(target, render_page(title, facts, sections).encode())
    return target


def open_picture(path: Path) -> None:
    """Open the picture in the user's browser, or say that there is none."""
    if not webbrowser.open(path.resolve().as_uri()):
        say(f"fsm-exec: no browser could be opened; open {path} yourself", err=True)


def _telling(worked: Sequence[Worked]) -> int:
    """Return the episode in which the costs differ most, whoever's is lower; with one method, the first."""
    costs: dict[int, list[int]] = {}
    for one in worked:
        costs.setdefault(one.start.episode, []).extend(() if one.cost_e7 is None else (one.cost_e7,))
    return max(costs, key=lambda episode: (max(costs[episode], default=0) - min(costs[episode], default=0), -episode))


def _sum_up(total: MethodTotal) -> str:
    cost = "cost not known" if total.shortfall is None else f"all-in {cents(total.shortfall)} c a contract asked for"
    return f"{total.filled_quantity} of {total.target_quantity} filled in {total.executions} executions, {cost}"
