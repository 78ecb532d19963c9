"""A daemon tells through its channels what happens to it: by a real webhook and a program, over its restarts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from fsm_exec.control.alert_schema import AlertList
from tests.cli.daemons import command, serve, status, submit
from tests.cli.exchange import Site, site
from tests.webhook import SECRET, webhook

ALERTS = """
[alerts]
free_disk_mb = 1_000_000_000
[alerts.channels.hook]
url_file = "hook.url"
text = "{kind}|{text}"
"""
PATIENCE_S = 120


def write_alerts(place: Site, url: str, more: str = "") -> None:
    path = place.directory / "hook.url"
    path.write_text(url, encoding="utf-8")
    path.chmod(0o600)
    place.write_config()
    with place.config.open("a", encoding="utf-8") as config:
        config.write(ALERTS + more)


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - another process is waited for
            await trio.sleep(0.05)


async def test_what_happens_is_told_by_each_channel_over_a_kill(tmp_path: Path) -> None:
    """A full disk, a halt and its end; a webhook that is down for a while and a daemon that is killed meanwhile lose
    nothing, and the program is told at once."""
    out = tmp_path / "program.out"
    script = f"import sys; open({str(out)!r}, 'a').write(sys.stdin.read())"
    program = f"[alerts.channels.program]\ncommand = {msgspec.json.encode([sys.executable, '-c', script]).decode()}\n"
    with webhook() as hook:
        async with site(tmp_path) as place:
            write_alerts(place, hook.url, program)
            daemon = await serve(place)
            await until(lambda: any(line.startswith("disk|the disk of the database has") for line in hook.lines))
            hook.status = 503
            assert (await command(place, "halt")).returncode == 0
            await until(lambda: out.exists() and "the engine is halted: asked to" in out.read_text(encoding="utf-8"))
            assert (await status(place)).alerts_pending == 1
            daemon.process.kill()
            await daemon.process.wait()
            hook.status = 200
            daemon = await serve(place, name="again")
            await until(lambda: "halt|the engine is halted: asked to" in hook.lines)
            assert (await command(place, "resume")).returncode == 0
            await until(lambda: "halt over|the engine accepts work again" in hook.lines)
            with trio.fail_after(60):  # a channel has taken it before that is durable, and the other may be later
                while (await status(place)).alerts_pending:  # noqa: ASYNC110 - another process delivers
                    await trio.sleep(0.05)
            done = await command(place, "alerts", "--json")
            found = msgspec.json.decode(done.stdout, type=AlertList)
            assert (found.pending, found.channels) == (0, ["hook", "program"])
            assert [(one.kind, one.recovery, one.state) for one in found.alerts if one.kind == "halt"] == [
                ("halt", True, "delivered"),
                ("halt", False, "delivered"),
            ]
            assert await daemon.end() == 0
            assert SECRET not in daemon.err + (tmp_path / "engine.sqlite.log").read_text(encoding="utf-8")
    assert out.read_text(encoding="utf-8").count("the engine is halted") == 1


async def test_a_database_that_is_gone_is_told_before_the_daemon_ends(tmp_path: Path) -> None:
    """Nothing can be stored any more; the webhook hears why the engine halted, and the exit code is 1."""
    with webhook() as hook:
        async with site(tmp_path) as place:
            write_alerts(place, hook.url)
            daemon = await serve(place)
            await submit(place)
            os.unlink(tmp_path / "engine.sqlite")
            with trio.fail_after(PATIENCE_S):
                assert await daemon.process.wait() == 1
    (told,) = [line for line in hook.lines if line.startswith("database|")]
    assert "the engine has halted and cannot go on" in told
    assert "engine.sqlite" in told


async def test_a_channel_that_cannot_be_opened_refuses_the_start(tmp_path: Path) -> None:
    """Exit code 2 and one line, without the address."""
    async with site(tmp_path) as place:
        write_alerts(place, f"nonsense://{SECRET}")
        code, output, errors = await place.run("serve", "--config", place.config, "--db", tmp_path / "engine.sqlite")
        assert (code, output, errors.count("\n")) == (2, "", 1)
        assert "alerts.channels.hook.url_file" in errors
        assert SECRET not in errors
