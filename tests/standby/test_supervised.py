"""A service manager knows how a standby fares: started as soon as it follows, then what it sees."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.cli.exchange import site
from tests.cli.test_service_manager import Listening
from tests.standby.hosts import pair_of


async def test_a_standby_that_follows_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY before there is anything to take over, for that may be in a month; then its line as the status."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    async with Listening(address) as manager, site(tmp_path) as at:
        _, second = pair_of(at)
        follower = await second.follow((tmp_path / "replica").as_uri())
        assert await manager.hear() == ["READY=1"]
        (status,) = await manager.hear()
        assert status.startswith("STATUS=following: ")
        follower.process.send_signal(signal.SIGTERM)
        assert await follower.wait_end() == 0, follower.said
