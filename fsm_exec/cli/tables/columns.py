"""A table is laid out for the width there is: what matters least goes first, and nothing is ever cut.

At first columns are left out or shortened that only help (a bar, a key, a date), in the order their ranks say; then
columns are moved together and names broken over lines; then columns go that the table can be read without. Prices,
counts, states and times keep every character, at whatever width: in a terminal too narrow for all of that they are
broken over lines too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fsm_exec.cli.console import Page
from fsm_exec.cli.output import say
from fsm_exec.core.text import clean_lines

PLAIN_WIDTH: Final = 140  # when nothing says how wide it is: a table that is cut says nothing
FLOOR: Final = 4  # no column is narrower, however narrow the terminal is
NAME_LEAST: Final = 10  # a name that is broken over more lines than need be is hard to read
CLOSE: Final = 10  # ranks below it are spent before columns are moved together
LATE: Final = 50  # ranks below it are spent before a name is broken
BETWEEN: Final = 2  # a column's padding, and the space that stands for a line
TIGHT: Final = 1

Cell: TypeAlias = str | Text | ProgressBar
Cells: TypeAlias = Sequence[Cell]


@dataclass(frozen=True)
class Column:
    """`then` are the shorter forms of the column, by rank: other cells, or None, without it. `least` is how narrow it
    may become by breaking its text over lines, within words too if `is_name`; None: it is not broken. `width` fixes the
    width of a bar."""

    heading: str
    cells: Cells
    right: bool = False
    least: int | None = None
    is_name: bool = False
    width: int | None = None
    then: tuple[tuple[int, Cells | None], ...] = field(default=())


def names(heading: str, cells: Cells, *, then: tuple[tuple[int, Cells | None], ...] = ()) -> Column:
    """Return a column of names, which may be broken anywhere, at a hyphen or an underscore if there is one."""
    return Column(heading, cells, least=NAME_LEAST, is_name=True, then=then)


def words(
    heading: str, cells: Sequence[str | Text], *, right: bool = False, then: tuple[tuple[int, Cells | None], ...] = ()
) -> Column:
    """Return a column of words, which may be broken between two of them."""
    longest = max((cell_len(word) for cell in (heading, *cells) for word in str(cell).split()), default=FLOOR)
    return Column(heading, cells, right, least=longest, then=then)


def figures(heading: str, cells: Cells, *, then: tuple[tuple[int, Cells | None], ...] = ()) -> Column:
    """Return a column of figures, at the right, never broken."""
    return Column(heading, cells, right=True, then=then)


def lay_out(columns: Iterable[Column], width: int, *, title: str | None = None, total: bool = False) -> Table:
    """Lay a table out within `width`. `total`: its last row is apart from the others."""
    shown = _fit(list(columns), width)
    gap = _gap(shown, width)
    padding = (0, gap - TIGHT, 0, 0)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=padding)
    widths = _widths(shown, width - _between(shown, gap))
    for column, wide in zip(shown, widths, strict=True):
        table.add_column(column.heading, justify="right" if column.right else "left", overflow="fold", width=wide)
    rows = list(zip(*(_broken(one, wide) for one, wide in zip(shown, widths, strict=True)), strict=True))
    for place, row in enumerate(rows):
        if total and place == len(rows) - 1:
            table.add_section()
        table.add_row(*row)
    return table


def _fit(columns: list[Column], width: int) -> list[Column]:
    """Take the shorter forms that are needed, by rank."""
    steps = [(rank, place, cells) for place, one in enumerate(columns) for rank, cells in one.then]
    shown: dict[int, Column] = dict(enumerate(columns))
    for rank, place, cells in sorted(steps, key=lambda step: step[:2]):
        needs, gap = (_natural, BETWEEN) if rank < CLOSE else (_natural if rank < LATE else _least, TIGHT)
        if sum(map(needs, shown.values())) + _between(shown, gap) <= width:
            if rank < LATE:
                continue
            break
        if place not in shown:
            continue
        if cells is None:
            del shown[place]
        else:
            shown[place] = replace(shown[place], cells=cells)
    return list(shown.values())


def _gap(shown: list[Column], width: int) -> int:
    """Return the space between columns: they are moved together if that keeps names in one piece, or is needed."""
    for needs, gap in ((_natural, BETWEEN), (_natural, TIGHT), (_least, BETWEEN)):
        if sum(map(needs, shown)) + _between(shown, gap) <= width:
            return gap
    return TIGHT


def _widths(shown: list[Column], width: int) -> list[int]:
    """Share the width out. Words between which there are spaces give first, then names, the widest of them first."""
    widths = [_natural(one) for one in shown]
    least = [_least(one) for one in shown]
    of_words = [wide if one.is_name else floor for one, wide, floor in zip(shown, widths, least, strict=True)]
    of_names = [min(FLOOR, floor) if one.is_name else floor for one, floor in zip(shown, least, strict=True)]
    for floors in (of_words, least, of_names, [min(FLOOR, one) for one in widths]):
        while (over := sum(widths) - width) > 0:
            able = [place for place in range(len(shown)) if widths[place] > floors[place]]
            if not able:
                break
            widest = max(able, key=lambda place: widths[place])
            others = [widths[place] for place in able if place != widest]
            until = max([floors[widest], *(other - 1 for other in others if other <= widths[widest])])
            widths[widest] = max(until, widths[widest] - over, floors[widest])
    return widths


def _broken(column: Column, width: int) -> list[Cell]:
    """Return the cells with the names broken where a reader would."""
    if not column.is_name:
        return list(column.cells)
    return ["\n".join(_pieces(cell, width)) if isinstance(cell, str) else cell for cell in column.cells]


def _pieces(text: str, width: int) -> Iterable[str]:
    """Yield a text in pieces that fit, broken behind the last hyphen, underscore or space of each if it has one."""
    text = clean_lines(text)
    while cell_len(text) > width:
        fitting = next(size for size in range(len(text), 0, -1) if size == 1 or cell_len(text[:size]) <= width)
        behind = max(text.rfind(mark, 0, fitting) for mark in "-_. ") + 1
        end = behind if behind > fitting // 2 else fitting
        yield text[:end].rstrip(" ")
        text = text[end:]
    yield text


def _between(shown: Sequence[Column] | dict[int, Column], gap: int) -> int:
    return max(0, len(shown) * gap - 1)


def _natural(column: Column) -> int:
    if column.width is not None:
        return column.width
    lines = [line for cell in (column.heading, *column.cells) for line in clean_lines(str(cell)).split("\n")]
    return max(map(cell_len, lines))


def _least(column: Column) -> int:
    natural = _natural(column)
    heading = max(map(cell_len, column.heading.split("\n")))
    return natural if column.least is None else min(natural, max(column.least, heading))


def open_console() -> Page:
    """Open the console of a table. Without a terminal it is as wide as COLUMNS says, or wide enough."""
    made = Page()
    if made.is_terminal and not made.is_dumb_terminal:
        return made
    wide = PLAIN_WIDTH
    with suppress(KeyError, ValueError):
        wide = max(1, int(os.environ["COLUMNS"]))
    return Page(width=wide)


def print_table(columns: Iterable[Column], *, title: str | None = None, total: bool = False) -> None:
    """Print a table as wide as there is room."""
    console = open_console()
    print_rendered(console, lay_out(columns, console.width, title=title, total=total))


def print_rendered(console: Page, rendered: RenderableType) -> None:
    """Print what was laid out. Where no terminal shows it, no line ends in spaces."""
    if console.is_terminal:
        console.print(rendered)
        return
    with console.capture() as captured:
        console.print(rendered)
    say("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))
