"""The demo writes a new database, or one of an earlier demo in which everything has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fsm_exec.cli.database.instance import draw_instance
from fsm_exec.cli.database.methods import save_shipped_methods
from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.rows import StoredExecution
from fsm_exec.store import EMBEDDED, SqliteStore, open_live_store, open_virtual_store

NAMES_SHOWN = 3  # of unfinished executions, in a refusal


@asynccontextmanager
async def open_demo_store(db: Path, at_us: int, *, live: bool) -> AsyncIterator[SqliteStore]:
    """Open the store of a demo, in SQLite's thread if `live`, else in trio's. Raises UserError for a database that
    cannot be used."""
    open_store = open_live_store if live else open_virtual_store
    async with open_store(db, draw_instance=draw_instance, at_us=at_us) as store:
        await store.bind(EMBEDDED)
        await save_shipped_methods(store, at_us)
        _refuse_unfinished(await store.load_unfinished(), str(db))
        yield store


def _refuse_unfinished(unfinished: Sequence[StoredExecution], database: str) -> None:
    """Raise UserError for unfinished executions: their exchange ended with the process of that demo."""
    if unfinished:
        names = ", ".join(e.execution_id for e in unfinished[:NAMES_SHOWN])
        more = f" and {len(unfinished) - NAMES_SHOWN} more" if len(unfinished) > NAMES_SHOWN else ""
        raise UserError(f"{database} holds unfinished executions ({names}{more}); give another path for new work")


def new_database_path(wanted: Path | None) -> Path:
    """Return `wanted`, or a new file in the working directory. Raises UserError if that is no name, or none is free."""
    if wanted is not None:
        if not wanted.name:
            raise UserError(f"--db {str(wanted)!r} is a directory; give the path of a file")
        try:
            str(wanted.absolute()).encode()  # SQLite and JSON know no other text
        except UnicodeEncodeError as error:
            raise UserError(
                f"--db {str(wanted)!r} has bytes that are no text; give a path that is UTF-8 text"
            ) from error
        return wanted
    for n in range(1, 10_000):
        path = Path(f"fsm-exec-demo-{n}.sqlite")
        if not path.exists():
            return path
    raise UserError("ten thousand demo databases lie here already; give a path with --db")
