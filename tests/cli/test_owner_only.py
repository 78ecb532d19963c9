"""No command makes a file that anybody but its owner may use, whatever umask it was started under."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from tests.cli.daemons import serve
from tests.cli.exchange import site
from tests.cli.support import COMMAND, environment


def wide(*directories: Path) -> list[str]:
    """Everything below that others have a right on."""
    found = [path for directory in directories for path in directory.rglob("*")]
    assert found
    return [str(path) for path in found if stat.S_IMODE(path.lstat().st_mode) & 0o077]


def run(directory: Path, *arguments: str) -> None:
    subprocess.run([*COMMAND, *arguments], cwd=directory, env=environment(), umask=0, check=True, capture_output=True)


def test_what_commands_write_is_their_owners_alone(tmp_path: Path) -> None:
    """A demo's database and log, its backup, a method's file, a report and the diagrams, under a umask that gives
    everybody every right."""
    run(tmp_path, "demo", "--speed", "max", "--seed", "1", "--executions", "2", "--db", "demo.sqlite", "--json")
    run(tmp_path, "db", "backup", "backup.sqlite", "--db", "demo.sqlite")
    run(tmp_path, "report", "demo.sqlite", "--out", "report.html")
    run(tmp_path, "diagrams", "--out", str(tmp_path / "pictures"))
    assert {"demo.sqlite", "demo.sqlite.log", "backup.sqlite", "report.html"} <= {p.name for p in tmp_path.iterdir()}
    assert wide(tmp_path) == []


async def test_a_daemon_and_what_it_finds(tmp_path: Path, user_directories: Path) -> None:
    """Database, write-ahead log, lock, token, account lock and the daemon's own file; a database that others could
    read until now is narrowed, and one line says so."""
    before = os.umask(0)
    try:
        (tmp_path / "site").mkdir(mode=0o700)
        async with site(tmp_path / "site") as exchange:
            database = tmp_path / "engine.sqlite"
            first = await serve(exchange, "--config", exchange.config, "--db", database)
            assert wide(user_directories) == []
            assert [path for path in wide(tmp_path) if "/site" not in path] == []
            assert await first.end() == 0
            for path in (database, tmp_path / "engine.sqlite.log"):
                path.chmod(0o664)
            second = await serve(exchange, "--config", exchange.config, "--db", database, name="second")
            assert second.err.splitlines() == [
                f"fsm-exec: {path} could be used by others (mode 664); it is its owner's alone now"
                for path in (database, tmp_path / "engine.sqlite.log")
            ]
            assert [path for path in wide(tmp_path) if "/site" not in path] == []
            assert await second.end() == 0
    finally:
        os.umask(before)
