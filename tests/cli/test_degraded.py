"""A dead exchange does not look healthy: stopped, and started again on the same ports with another key."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import trio

from fsm_exec.control.schema import Health, Status
from tests.cli.invoking import invoke
from tests.cli.support import COMMAND, environment

TICKER = "KXPAPER-DEMO-A"


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@asynccontextmanager
async def running(directory: Path, name: str, *arguments: str) -> AsyncIterator[tuple[trio.Process, bytes]]:
    """A command that says one line when it is ready."""
    out = directory / f"{name}.out"
    with out.open("wb") as out_file, (directory / f"{name}.err").open("wb") as err_file:
        process: trio.Process = await trio.lowlevel.open_process(
            [*COMMAND, *arguments],
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out_file,
            stderr=err_file,
        )
    try:
        with trio.fail_after(30):
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
        with trio.fail_after(60):
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

            async with running(tmp_path, "another", "paper", *ports):
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
