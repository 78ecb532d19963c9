"""The picture of an ended execution on the page: of the tape that was kept, where there is one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio
from markupsafe import Markup

from fsm_exec.core.values.units import CountE2
from fsm_exec.recordings.kept import tapes_directory
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.web.database import open_reader
from fsm_exec.web.execution import looking
from fsm_exec.web.execution.looking import Looking
from tests.lab.kept_executions import work_all


async def picture(database: Path, execution_id: str, tapes: Path | None) -> Markup:
    with open_reader(database, is_own_engines=False) as reader:
        looked = await Looking(reader, lambda: 0, None, tapes).look(execution_id)
    assert looked is not None
    return looked.picture


def test_the_page_draws_the_book_that_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its trades and its best prices at every change; the photographs stand in where nothing was kept, and where a
    tape is too long to be read in an engine's process."""
    database = tmp_path / "engine.sqlite"
    worked = run_virtual(partial(work_all, database, 7, "yes", CountE2(5_000), ("deadline_walker",)), seed=1)
    (execution_id,) = worked.values()
    tapes = tapes_directory(database)
    kept = trio.run(picture, database, execution_id, tapes)
    plain = trio.run(picture, database, execution_id, None)
    assert len(kept) > len(plain)
    assert trio.run(picture, database, execution_id, tmp_path / "nowhere") == plain
    monkeypatch.setattr(looking, "KEPT_FRAMES_MAX", 100)
    assert trio.run(picture, database, execution_id, tapes) == plain
