"""The log beside a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm_exec.cli.log_file import log_path, open_log_file


@pytest.mark.parametrize("was", [None, "", "a line\n"])
@pytest.mark.parametrize("wrote", ["", "another\n"])
def test_only_a_new_log_without_a_line_does_not_stay(tmp_path: Path, was: str | None, wrote: str) -> None:
    """A start that is refused, because the path is another kind of file's, leaves nothing beside that file."""
    database = tmp_path / "engine.sqlite"
    log = log_path(database)
    if was is not None:
        log.write_text(was)
    with open_log_file(database) as file:
        file.write(wrote)
    assert log.exists() == (was is not None or wrote != "")
    if log.exists():
        assert log.read_text() == (was or "") + wrote
