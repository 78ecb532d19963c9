"""The database goes while a daemon works: it notices within seconds, leaves nothing live, and says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.cli.daemons import END_S, live_orders, serve, start, status, submit, until
from tests.cli.exchange import Site, site

NOTICED_S = 15


def deleted(database: Path) -> None:
    database.unlink()


def moved(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (database.parent / (database.name + suffix)).rename(database.parent / f"moved.sqlite{suffix}")


def replaced(database: Path) -> None:
    shutil.copy(database, database.parent / "copy")
    (database.parent / "copy").replace(database)


def log_deleted(database: Path) -> None:
    database.with_name(database.name + "-wal").unlink()


@pytest.mark.parametrize("lose", [deleted, moved, replaced, log_deleted], ids=lambda lose: lose.__name__)
async def test_the_daemon_halts_cancels_and_says_so(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    """Exit code 1 and one line that names the file, in stderr and in the log; every order is off the book."""
    async with site(tmp_path) as exchange:
        daemon = await serve(exchange)
        for _ in range(2):
            await submit(exchange)
        await until(lambda: len(live_orders(exchange)) == 2)
        lose(tmp_path / "engine.sqlite")
        with trio.fail_after(NOTICED_S):
            assert await daemon.process.wait() == 1
        assert live_orders(exchange) == []
        (said,) = daemon.err.splitlines()
        assert "engine.sqlite" in said
        assert "while it was in use" in said
        assert "put it back" in said
        assert "while it was in use" in (tmp_path / "engine.sqlite.log").read_text(encoding="utf-8")


async def refused_elsewhere(exchange: Site, monkeypatch: pytest.MonkeyPatch, database: Path) -> str:
    """A second daemon of another state directory, which must not start: what it said."""
    with monkeypatch.context() as other:
        other.setenv("XDG_STATE_HOME", str(exchange.directory / "other-state"))
        process, _, err = await start(exchange, "--config", exchange.config, "--db", database, name="second")
    with trio.fail_after(END_S):
        assert await process.wait() == 1
    return err.read_text(encoding="utf-8")


async def test_a_lock_file_that_is_removed_opens_no_second_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second daemon, with a state directory of its own, is refused in one line that names the first; by a symbolic
    link too. The first works on, and takes new work."""
    async with site(tmp_path) as exchange:
        first = await serve(exchange)
        await submit(exchange)
        await until(lambda: len(live_orders(exchange)) == 1)
        (tmp_path / "link.sqlite").symlink_to(tmp_path / "engine.sqlite")
        for name in ("engine.sqlite", "link.sqlite"):
            (tmp_path / "engine.sqlite.lock").unlink(missing_ok=True)
            said = await refused_elsewhere(exchange, monkeypatch, tmp_path / name)
            assert f"held by process {first.process.pid}" in said
            assert said.count("\n") == 1
        await submit(exchange)
        assert (await status(exchange)).state == "running"
        assert await first.end() == 0
        assert live_orders(exchange) == []
