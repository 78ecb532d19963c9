"""What the service manager hears of `serve`: ready, alive as long as the engine is, stopping."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest
import trio

from fsm_exec.cli.daemon.service_manager import ServiceManager, say_alive_for_ever
from fsm_exec.cli.database.instance import draw_instance
from fsm_exec.runtime.clock import system_us
from fsm_exec.store import open_live_store
from tests.cli.daemons import END_S, serve
from tests.cli.exchange import site

PERIOD_US = 300_000


class Listening:
    """The manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._address = address

    async def __aenter__(self) -> Self:
        await self._socket.bind(self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    async def hear(self) -> list[str]:
        with trio.fail_after(END_S):
            return (await self._socket.recv(4_096)).decode().split("\n")

    async def hear_until(self, line: str) -> list[str]:
        """All lines up to the datagram that has it."""
        heard: list[str] = []
        while line not in heard:
            heard += await self.hear()
        return heard

    def is_silent(self) -> bool:
        """Whether nothing waits to be heard; what waited is thrown away."""
        was_silent = True
        with socket.socket(fileno=os.dup(self._socket.fileno())) as direct:
            direct.setblocking(False)
            try:
                while direct.recv(4_096):
                    was_silent = False
            except BlockingIOError:
                return was_silent
        return was_silent


async def test_serve_is_ready_alive_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY only once executions are accepted; alive again and again, with a line; STOPPING on a signal."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", str(PERIOD_US))
    async with Listening(address) as manager, site(tmp_path) as place:
        daemon = await serve(place)
        before = await manager.hear_until("READY=1")
        assert {line.partition("=")[0] for line in before} <= {"STATUS", "EXTEND_TIMEOUT_USEC", "WATCHDOG", "READY"}
        for _ in range(3):
            alive = await manager.hear_until("WATCHDOG=1")
        assert "STATUS=running, 0 at work" in alive
        assert not any(line.startswith("EXTEND_TIMEOUT_USEC") for line in alive)
        assert await daemon.end() == 0
        await manager.hear_until("STOPPING=1")


async def test_a_start_that_waits_for_its_exchange_is_not_ready_and_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for more time, says why, and is not killed for it."""
    address = str(tmp_path / "notify")
    async with site(tmp_path) as place:
        daemon = await serve(place)
        assert await daemon.end() == 0
        place.write_config(rest_url="http://127.0.0.1:9/trade-api/v2", ws_url=place.host.ws_url)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        async with Listening(address) as manager:
            process = await place.start("serve", "--config", place.config, "--db", tmp_path / "engine.sqlite")
            heard = await manager.hear()
            assert [line.partition("=")[0] for line in heard] == ["STATUS", "EXTEND_TIMEOUT_USEC"]
            assert heard[0].startswith("STATUS=recovering")
            process.kill()
            await process.wait()


@asynccontextmanager
async def stuck_writer(path: Path) -> AsyncIterator[tuple[ServiceManager, Listening, threading.Event]]:
    """A store whose own thread hangs until the event is set, and the watchdog of its daemon."""
    address = str(path / "notify")
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000"})
    opening = open_live_store(path / "one.sqlite", draw_instance=draw_instance, at_us=system_us(), tell=print)
    release, hangs = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        hangs.set()
        release.wait()

    async with Listening(address) as heard, opening as store, trio.open_nursery() as nursery:
        nursery.start_soon(say_alive_for_ever, manager, store.wait_for_turn, lambda: "running")
        await heard.hear_until("WATCHDOG=1")
        nursery.start_soon(store._writer.change, hang)
        await trio.to_thread.run_sync(hangs.wait)
        try:
            yield manager, heard, release
        finally:
            release.set()
            nursery.cancel_scope.cancel()


async def test_a_writer_that_hangs_starves_the_watchdog(tmp_path: Path) -> None:
    """Though the loop runs; when the disk answers again it is fed again."""
    async with stuck_writer(tmp_path) as (manager, heard, release):
        await trio.sleep(2 * manager.look_every_s)  # what was said before it hung
        heard.is_silent()
        for _ in range(20):
            await trio.sleep(manager.look_every_s)
            assert heard.is_silent()
        release.set()
        await heard.hear_until("WATCHDOG=1")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "x"},
        {"NOTIFY_SOCKET": "/" + "a" * 500, "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "@nobody-listens-here", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_a_manager_that_is_not_there_is_no_trouble(variables: dict[str, str]) -> None:
    """Nothing is raised, nothing waited for, and the watchdog of another process is not ours."""
    manager = ServiceManager(variables)
    manager.say_alive("running")
    manager.say_ready()
    manager.say_stopping()
    assert manager.look_every_s == 20.0
