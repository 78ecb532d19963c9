"""A daemon that is to stop while its exchange does not do what it should: what it does, and what it says.

Everything is real: the daemon is a process of its own, killed where that is the case, and between it and the paper
exchange stands the bending proxy.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.control.schema import Status
from tests.bending import frames, requests
from tests.bending.bends import Bends, RequestBend
from tests.bending.proxy import bending_proxy
from tests.cli.daemons import command, live_orders, serve, start, states, status, submit, until
from tests.cli.exchange import Site, site

DELETES = ("DELETE", "/portfolio/events/orders/*")


@dataclass
class Bent:
    """An exchange with one order of a daemon's, and the proxy between them."""

    at: Site
    bends: Bends
    process: trio.Process
    execution_id: str

    @property
    def state(self) -> str:
        return states(self.at.directory / "engine.sqlite")[self.execution_id]


@asynccontextmanager
async def bent(directory: Path, horizon: str = "600") -> AsyncIterator[Bent]:
    async with site(directory) as at, bending_proxy(at.host.rest_url, at.host.ws_url) as proxy:
        at.write_config(rest_url=proxy.rest_url, ws_url=proxy.ws_url)
        daemon = await serve(at)
        accepted = await submit(at, horizon=horizon)
        await until(lambda: len(live_orders(at)) == 1)
        while (await status(at)).unknown_orders:  # noqa: ASYNC110 - until the answer is durable, too
            await trio.sleep(0.05)
        try:
            yield Bent(at, proxy.bends, daemon.process, accepted.execution_id)
        finally:
            with trio.CancelScope(shield=True):
                for process in at.processes:
                    if process.poll() is None:
                        process.kill()
                    await process.wait()


async def answering(at: Site) -> Status:
    """The status, once the daemon's API answers."""
    with trio.fail_after(30):
        while True:
            done = await command(at, "status", "--json")
            if done.returncode == 0:
                return msgspec.json.decode(done.stdout, type=Status)
            await trio.sleep(0.2)


@pytest.mark.parametrize("down", ["/exchange/user_data_timestamp", "*"])
@pytest.mark.parametrize("asked", ["halt", "cancel", "SIGTERM"])
async def test_killed_and_restarted_while_reads_are_down(tmp_path: Path, asked: str, down: str) -> None:
    """The order is taken off at once; what is said meanwhile is true."""
    async with bent(tmp_path) as scene:
        scene.process.kill()
        await scene.process.wait()
        scene.bends.on_request(requests.error(503), "GET", down)
        arguments = ("--config", scene.at.config, "--db", tmp_path / "engine.sqlite")
        second, _, err = await start(scene.at, *arguments, name="second")
        told = await answering(scene.at)
        assert (told.state, told.live_orders, told.nothing_live) == ("recovering", 1, False)
        if asked == "SIGTERM":
            second.send_signal(signal.SIGTERM)
            with trio.fail_after(20):
                assert await second.wait() == 0, err.read_text()
            assert live_orders(scene.at) == []
            assert scene.state == "walking"
            return
        if asked == "halt":
            done = await command(scene.at, "halt", "--wait", "2")
            assert done.returncode == 1
            assert "the exchange has not said yet what it holds" in done.stderr
            assert "nothing is live" not in done.stdout + done.stderr
        else:
            done = await command(scene.at, "cancel", scene.execution_id)
            assert done.returncode == 0, done.stderr
        await until(lambda: live_orders(scene.at) == [])
        assert not (await status(scene.at)).nothing_live
        scene.bends.calm()
        done = await command(scene.at, "halt", "--wait", "40")
        assert (done.returncode, done.stdout) == (0, "halted: the exchange says that nothing is live\n")
        await until(lambda: scene.state == "cancelled")
        second.send_signal(signal.SIGTERM)
        with trio.fail_after(20):
            assert await second.wait() == 0


@pytest.mark.parametrize(
    ("bend", "reads_too"),
    [
        (requests.error(503), False),
        (requests.error(429, "too_many_requests"), True),
        (requests.error(401, "authentication_error"), False),
        (requests.cut(), True),
        (requests.error(503, arrives=True), False),
    ],
    ids=["503", "429, and no read", "401", "cut, and no read", "done, and 503"],
)
async def test_a_halt_whose_cancels_fail_goes_on_trying(tmp_path: Path, bend: RequestBend, reads_too: bool) -> None:
    """It says how many may be live, with exit code 1, and nothing else than the truth; when the exchange takes cancels
    again, the order goes, and then it is said."""
    async with bent(tmp_path) as scene:
        rule = scene.bends.on_request(bend, *DELETES)
        if reads_too:
            scene.bends.on_request(requests.error(503), "GET")
        done = await command(scene.at, "halt", "--wait", "8")
        if live_orders(scene.at) == []:
            assert done.returncode == 0, "it was done, and the stream says so"
        else:
            assert (done.returncode, done.stdout) == (1, "")
            assert "1 order may be live" in done.stderr
            shown = await command(scene.at, "status")
            assert "1 order may be live" in shown.stdout
            assert (await status(scene.at)).live_orders == 1
            assert rule.bent >= 2, "it was not tried again"
        scene.bends.calm()
        done = await command(scene.at, "halt", "--wait", "40")
        assert (done.returncode, done.stdout) == (0, "halted: the exchange says that nothing is live\n")
        assert live_orders(scene.at) == []
        await until(lambda: scene.state == "cancelled")
        assert (await status(scene.at)).live_orders == 0


async def test_a_signal_while_cancels_fail(tmp_path: Path) -> None:
    """It goes on trying, for the minute it has; what is left is said, with exit code 1."""
    async with bent(tmp_path) as scene:
        rule = scene.bends.on_request(requests.error(503), *DELETES)
        scene.process.send_signal(signal.SIGTERM)
        with trio.fail_after(80):
            assert await scene.process.wait() == 1
        assert "1 order may be live; the next start looks them up" in (tmp_path / "serve.err").read_text()
        assert rule.bent >= 4
        assert len(live_orders(scene.at)) == 1
        scene.bends.calm()
        second = await serve(scene.at, name="second")
        assert (await command(scene.at, "halt")).returncode == 0
        assert live_orders(scene.at) == []
        assert await second.end() == 0


async def test_an_order_that_settles_is_not_said_to_be_gone(tmp_path: Path) -> None:
    """Its end is known, its fills are not: `status` counts it, and a halt waits."""
    async with bent(tmp_path) as scene:
        (order,) = scene.at.exchange.orders.values()
        scene.bends.on_request(requests.error(503), "GET", "/portfolio/fills")
        scene.bends.on_frame(frames.drop(), "user_order*")
        scene.bends.on_request(
            requests.changed("reduced_by", "15.00"), *DELETES
        )  # as if 5 had been filled, and nobody had told
        done = await command(scene.at, "halt", "--wait", "3")
        told = await status(scene.at)
        assert (told.live_orders, told.settling_orders, told.nothing_live) == (1, 1, False)
        assert (done.returncode, "1 order may be live (1 settling)" in done.stderr) == (1, True)
        assert order.status == "canceled"
