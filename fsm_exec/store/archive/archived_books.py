"""The account's books across a database and its archives.

What all fills that have moved came to stands in the database: the total is exact whether the archives are there or not.
By market, method, execution or day it is folded from the fills themselves, so those in archives are read too: market
by market, the entries of all files together, in the order of `place_in_books`.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from itertools import chain, groupby
from pathlib import Path

from msgspec.structs import replace

from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.profit import Profit, profit_of
from fsm_exec.core.account.rows import Bought, MarketBooks, TakenOver, place_in_books
from fsm_exec.core.errors import UserError
from fsm_exec.store.archive.archive_reads import ArchiveRow, open_named_archive
from fsm_exec.store.damaged_rows import DATABASE_ERRORS
from fsm_exec.store.reads.account_reads import load_all_books


def load_profit(
    books: Sequence[MarketBooks],
    database: Path,
    archives: Sequence[ArchiveRow],
    marks: Mapping[str, Mark],
    time_zone: str,
    damage: list[str],
) -> Profit:
    """Load the profit of everything there ever was, by all its divisions: of `books`, which the database had, and of
    what the archives have beyond it; one that cannot be read is named in `damage`. `archives` are those of after
    `books` were read: what moved in between is in both, and counts once. Raises UserError for a time zone."""
    here = {entry.execution_id for one in books for entry in one.entries if isinstance(entry, Bought)}
    with ExitStack() as stack:
        sources: list[Iterator[MarketBooks]] = [iter(sorted(books, key=_ticker))]
        for row in archives:
            try:
                archive = stack.enter_context(open_named_archive(database, row.name))
            except UserError as error:
                damage.append(str(error))
            else:
                sources.append(_read(archive, row.name, here, damage))
        return profit_of(_joined(sources), marks, time_zone)


def _read(
    archive: sqlite3.Connection, name: str, here: AbstractSet[str | None], damage: list[str]
) -> Iterator[MarketBooks]:
    """Yield the books of an archive without the executions that are `here`, as far as they can be read."""
    try:
        for one in load_all_books(archive, damage):
            entries = (each for each in one.entries if isinstance(each, TakenOver) or each.execution_id not in here)
            yield replace(one, entries=tuple(entries))
    except DATABASE_ERRORS as error:
        damage.append(f"the archive {name} cannot be read: {error}; restore it, or see: fsm-exec db check")


def _joined(sources: Iterable[Iterator[MarketBooks]]) -> Iterator[MarketBooks]:
    """Yield the books of each market once, all files' together."""
    empty: dict[str, MarketBooks] = {}

    def with_entries(books: Iterator[MarketBooks]) -> Iterator[MarketBooks]:
        for one in books:
            if one.entries:
                yield one
            else:
                empty.setdefault(one.ticker, one)

    parts = heapq.merge(*map(with_entries, sources), key=_ticker)
    for ticker, found in groupby(parts, key=_ticker):
        same = list(found)
        empty.pop(ticker, None)
        together = chain.from_iterable(one.entries for one in same)
        entries = sorted(together, key=place_in_books) if len(same) > 1 else None
        settlement = next((one.settlement for one in same if one.settlement is not None), None)
        yield replace(same[0], entries=tuple(entries or same[0].entries), settlement=settlement)
    yield from (empty[ticker] for ticker in sorted(empty))


def _ticker(books: MarketBooks) -> str:
    return books.ticker
