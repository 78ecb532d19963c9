"""The commands under test keep their state and data in directories of the test's own, not in the user's."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def user_directories(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`state` and `data` below it."""
    directory = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("XDG_STATE_HOME", str(directory / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(directory / "data"))
    return directory
