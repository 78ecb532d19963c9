"""The commands under test keep their state and data in directories of the test's own, not in the user's."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.daemon import daemon_on_paper
from tests.cli.daemons import Ready


@pytest.fixture(autouse=True)
def user_directories(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`state` and `data` below it."""
    directory = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("XDG_STATE_HOME", str(directory / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(directory / "data"))
    return directory


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    """One daemon for all tests of a module that neither kill nor halt it for good."""
    with pytest.MonkeyPatch.context() as patch:
        user = tmp_path_factory.mktemp("user")
        patch.setenv("XDG_STATE_HOME", str(user / "state"))
        patch.setenv("XDG_DATA_HOME", str(user / "data"))
        with daemon_on_paper(tmp_path_factory.mktemp("daemon")) as daemon:
            yield daemon.start()
            daemon.end(signal.SIGTERM)
