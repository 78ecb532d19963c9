"""A daemon on a database with damaged rows: the damaged execution is quarantined, the others go on."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.daemons import command, listed, live_orders, serve, show, status, submit, until
from tests.cli.exchange import site

NO_TEXT = "CAST({column} || x'ff' AS TEXT)"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("snapshot", "CAST(x'7bff7d' AS TEXT)"),
        ("snapshot", "replace(snapshot, 'walking', 'partial')"),
        ("state", "'walkinh'"),
        ("ticker", NO_TEXT),
        ("updated_at", NO_TEXT),
        ("quarantine", "CAST(x'ff' AS TEXT)"),
    ],
)
async def test_the_damaged_execution_is_quarantined_and_the_others_go_on(
    tmp_path: Path, column: str, value: str
) -> None:
    """Whatever column it is: the daemon starts, lists both, shows both, works the other one, and stops cleanly with
    nothing live. One whose snapshot or state is damaged is quarantined with a reason that names it."""
    async with site(tmp_path) as exchange:
        first = await serve(exchange)
        damaged, sound = await submit(exchange), await submit(exchange)
        await until(lambda: len(live_orders(exchange)) == 2)
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
        with closing(sqlite3.connect(tmp_path / "engine.sqlite", isolation_level=None)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            statement = f"UPDATE execution_state SET {column} = {value.format(column=column)} WHERE execution_id = ?"
            assert connection.execute(statement, (damaged.execution_id,)).rowcount == 1
        second = await serve(exchange, name="second")
        quarantined = (await status(exchange)).quarantined
        assert set(quarantined) <= {damaged.execution_id}
        assert (damaged.execution_id in quarantined) == (column in ("snapshot", "state", "quarantine"))
        assert {one.execution_id for one in (await listed(exchange)).executions} == {
            damaged.execution_id,
            sound.execution_id,
        }
        for one in (damaged, sound):
            assert (await show(exchange, one.execution_id)).execution.execution_id == one.execution_id
            assert (await command(exchange, "show", one.execution_id)).returncode == 0
        assert (await command(exchange, "list")).returncode == 0
        await submit(exchange)
        await until(lambda: len(live_orders(exchange)) >= 2)
        assert await second.end() == 0
        assert live_orders(exchange) == []
        checked = await command(exchange, "db", "check", "--all", "--db", "engine.sqlite")
        if column != "updated_at":  # that one was written anew
            assert (checked.returncode, damaged.execution_id in checked.stdout) == (1, True), checked.stdout
        for text in (second.err, (tmp_path / "second.err").read_text()):
            assert "Traceback" not in text
