"""What stood in the database's place before a takeover is kept, the newest few of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from fsm_exec.standby.litestream import Litestream
from fsm_exec.standby.takeover import ASIDE_KEPT, BESIDE, restore_newest
from fsm_exec.store import open_live_store
from tests.standby.hosts import LITESTREAM
from tests.store.conftest import T0_US


async def test_the_newest_databases_that_were_moved_aside_are_kept(tmp_path: Path) -> None:
    """The replica does not answer, so what was followed is taken. Of twelve takeovers the last few, by number and not
    by name, leave their database with all that belongs to it; each removed one is said, and nothing else is touched."""
    database, followed = tmp_path / "engine.sqlite", tmp_path / "followed.sqlite"
    async with open_live_store(followed, draw_instance=lambda: "a" * 10, at_us=T0_US) as store:
        await store.save_beat("2026-01-01T00:00:00.000000Z")
    with closing(sqlite3.connect(followed)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    others = [tmp_path / "other.sqlite.before-term-1", tmp_path / "engine.sqlite.before-term-x"]
    for other in others:
        other.touch()
    said: list[str] = []
    litestream, absent = Litestream.find(Path(LITESTREAM)), (tmp_path / "replica").as_uri()
    for term in range(1, 13):
        await restore_newest(litestream, absent, followed, database, term, said.append)
        for suffix in BESIDE:
            database.with_name(database.name + suffix).touch()
    begin = "engine.sqlite.before-term-"
    found = {name for name in os.listdir(tmp_path) if name.startswith(begin) and not name.endswith("-x")}
    kept = range(13 - ASIDE_KEPT, 13)
    assert found == {f"{begin}{term}{suffix}" for term in kept for suffix in ("", *BESIDE)}
    assert sum("is removed" in line for line in said) == 11 - ASIDE_KEPT
    assert all(other.exists() for other in others)
