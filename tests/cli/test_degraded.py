"""A dead exchange does not look healthy: stopped, and started again on the same ports with another key."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import trio

from fsm_exec.control.alert_schema import AlertList, AlertSeen
from fsm_exec.control.schema import Health, Status
from fsm_exec.core.values.times import from_iso
from fsm_exec.runtime.clock import system_us
from tests.cli.invoking import invoke
from tests.cli.support import COMMAND, environment
from tests.webhook import SECRET, webhook

TICKER = "KXPAPER-DEMO-A"
PATIENCE_S = 120
WITHIN_US = 10_000_000  # an exchange that is gone is known by then


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@asynccontextmanager
async def running(
    directory: Path, name: str, *arguments: str, variables: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[trio.Process, bytes]]:
    """A command that says one line when it is ready. `variables` are added to its environment."""
    out = directory / f"{name}.out"
    with out.open("wb") as out_file, (directory / f"{name}.err").open("wb") as err_file:
        process: trio.Process = await trio.lowlevel.open_process(
            [*COMMAND, *arguments],
            cwd=directory,
            env={**environment(), **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=out_file,
            stderr=err_file,
        )
    try:
        with trio.fail_after(120):
            while b"\n" not in out.read_bytes():
                assert process.poll() is None, (directory / f"{name}.err").read_text()
                await trio.sleep(0.05)
        yield process, out.read_bytes()
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.kill()
            await process.wait()


async def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await trio.to_thread.run_sync(lambda: invoke(directory, *arguments))


async def test_the_exchange_comes_back_with_another_key(tmp_path: Path) -> None:
    """Health 503, `status` degraded, submissions refused, each with the reason; with the exchange gone
    altogether it is the same."""
    rest, stream = free_ports()
    ports = ("--port", str(rest), "--ws-port", str(stream))

    async def status() -> Status:
        done = await command(tmp_path, "status", "--json")
        return msgspec.json.decode(done.stdout, type=Status)

    async def until_said(*words: str) -> Status:
        told = await status()
        with trio.fail_after(120):
            while not all(each in "; ".join(told.why_degraded) for each in words):
                await trio.sleep(0.5)
                told = await status()
        return told

    async with running(tmp_path, "paper", "paper", *ports) as (paper, _):
        arguments = ("serve", "--json", "--paper", f"http://127.0.0.1:{rest}", "--db", str(tmp_path / "engine.sqlite"))
        async with running(tmp_path, "serve", *arguments) as (_, ready):
            url = msgspec.json.decode(ready)["control_url"]
            submission = ("submit", TICKER, "yes", "5", "--target-price", "0.02", "--horizon", "25")
            done = await command(tmp_path, *submission, "--json")
            assert done.returncode == 0, done.stderr
            assert (await status()).state == "running"
            paper.kill()
            await paper.wait()
            assert (await until_said("ConnectError")).state == "degraded"

            # Its key lies elsewhere: one that took the place of ours would be found and used.
            elsewhere = {"XDG_STATE_HOME": str(tmp_path / "elsewhere")}
            async with running(tmp_path, "another", "paper", *ports, variables=elsewhere):
                # Reads and the stream try again each at its own time, and either may be the first to be refused.
                told = await until_said("handshake refused", "does not accept our signature")
                assert told.state == "degraded"
                assert "401" in "; ".join(told.why_degraded)
                async with httpx.AsyncClient(trust_env=False) as http:
                    answer = await http.get(f"{url}/v1/health")
                health = msgspec.json.decode(answer.content, type=Health)
                assert (answer.status_code, health.ok, health.state) == (503, False, "degraded")
                assert health.why_degraded == told.why_degraded
                shown = await command(tmp_path, "status")
                assert "does not accept our signature" in shown.stdout
                refused = await command(tmp_path, *submission)
                assert (refused.returncode, refused.stdout) == (1, "")
                assert "does not accept our signature" in refused.stderr


async def test_an_exchange_that_is_killed_is_noticed_and_one_that_is_back_is_taken_up(tmp_path: Path) -> None:
    """Within 10 s health is 503 with the reason and an alert is stored; started again, health is 200, the alert is
    over, what was at work goes on, and new work is accepted: by itself. A webhook was told of both."""
    rest, stream = free_ports()
    ports = ("--port", str(rest), "--ws-port", str(stream), "--key", str(tmp_path / "paper.pem"))
    with webhook() as hook:
        async with running(tmp_path, "paper", "paper", *ports) as (paper, said):
            told = msgspec.json.decode(said)
            (tmp_path / "hook.url").write_text(hook.url, encoding="utf-8")
            (tmp_path / "hook.url").chmod(0o600)
            config = tmp_path / "config.toml"
            lines = [f'{name} = "{told[name]}"' for name in ("rest_url", "ws_url", "api_key_id", "private_key_path")]
            lines += ['environment = "paper"', "[alerts.channels.hook]", 'url_file = "hook.url"']
            config.write_text("\n".join(lines), encoding="utf-8")
            arguments = ("--config", str(config), "--db", str(tmp_path / "engine.sqlite"))
            async with (
                running(tmp_path, "serve", "serve", "--json", *arguments) as (_, ready),
                httpx.AsyncClient(trust_env=False, base_url=msgspec.json.decode(ready)["control_url"]) as http,
            ):
                submission = ("submit", TICKER, "yes", "5", "--limit", "0.02", "--horizon", "600", "--json")
                first = await command(tmp_path, *submission)
                assert first.returncode == 0, first.stderr
                paper.kill()
                await paper.wait()
                killed_us = system_us()
                await until_health(http, 503)
                told_us = system_us()
                health = msgspec.json.decode((await http.get("/v1/health")).content, type=Health)
                assert health.why_degraded
                standing = await until_alerts(tmp_path, lambda alerts: bool(alerts))
                assert standing[0].kind in ("stream", "reads")
                assert standing[0].urgent
                assert max(told_us, from_iso(standing[-1].at)) - killed_us < WITHIN_US
                with trio.fail_after(PATIENCE_S):
                    while standing[0].text not in "; ".join(hook.lines):  # noqa: ASYNC110 - another process is waited for
                        await trio.sleep(0.1)

                async with running(tmp_path, "again", "paper", *ports):
                    await until_health(http, 200)
                    await until_alerts(tmp_path, lambda alerts: not alerts)
                    with trio.fail_after(PATIENCE_S):
                        while not any("live again" in line for line in hook.lines):  # noqa: ASYNC110 - as above
                            await trio.sleep(0.1)
                    second = await command(tmp_path, *submission)
                    assert second.returncode == 0, second.stderr
                    done = await command(tmp_path, "status", "--json")
                    status = msgspec.json.decode(done.stdout, type=Status)
                    assert (status.state, status.quarantined, status.at_work) == ("running", {}, 2)
                    assert SECRET not in done.stdout
                    tested = await command(tmp_path, "alerts", "--test")
                    assert (tested.returncode, tested.stdout) == (0, "hook: taken\n")
                    hook.status = 503
                    tested = await command(tmp_path, "alerts", "--test")
                    assert tested.returncode == 1
                    assert tested.stdout == "hook: NOT taken: the service did not take it: HTTP status 503\n"
                    shown = await command(tmp_path, "alerts")
                    assert "stream" in shown.stdout
                    assert "0 to be told; through hook" in shown.stdout
    assert files_with(tmp_path, SECRET.encode()) == ["hook.url"]  # in no log and no row


async def until_health(http: httpx.AsyncClient, status: int) -> None:
    with trio.fail_after(PATIENCE_S):
        while (await http.get("/v1/health")).status_code != status:  # noqa: ASYNC110 - another process is waited for
            await trio.sleep(0.1)


async def until_alerts(directory: Path, holds: Callable[[list[AlertSeen]], bool]) -> list[AlertSeen]:
    """Those that stand, once it holds for them."""
    with trio.fail_after(PATIENCE_S):
        while True:
            done = await command(directory, "alerts", "--json", "--standing")
            assert done.returncode == 0, done.stderr
            alerts = msgspec.json.decode(done.stdout, type=AlertList).alerts
            if holds(alerts):
                return alerts
            await trio.sleep(0.1)


def files_with(directory: Path, text: bytes) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.is_file() and text in path.read_bytes()]
