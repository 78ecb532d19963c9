"""An exchange and engines in processes of their own, forked by a zygote, one engine after another on one database."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Final

import httpx
import msgspec
import trio

from fsm_exec.cli.exchange.paper_file import PaperReady
from tests.chaos.zygote import Forked, Zygote

START_S: Final = 240.0  # until a process is ready where one must be
LOOK_S: Final = 0.01
CONFIG: Final = "proxy.toml"


class Daemons:
    """`told` is what the exchange said. Whoever uses this writes the configuration CONFIG into the directory."""

    told: PaperReady

    def __init__(self, zygote: Zygote, directory: Path) -> None:
        self._zygote, self._where = zygote, directory
        self.database = directory / "engine.sqlite"
        self.lives = 0

    async def fork(self, arguments: list[str], name: str) -> Forked:
        return await trio.to_thread.run_sync(self._zygote.fork, arguments, self._where, name)

    async def paper(self, market: str, seed: int) -> Forked:
        """The exchange, once it is ready."""
        arguments = ["paper", "--market", market, "--profile", "liquid", "--seed", str(seed)]
        exchange = await self.fork(arguments, "paper")
        line = await self.first_line(exchange, START_S)
        assert line is not None, exchange.err.read_text()
        self.told = msgspec.json.decode(line, type=PaperReady)
        return exchange

    async def serve(self, *more: str) -> Forked:
        """An engine that goes through the proxy; it may not be ready yet."""
        self.lives += 1
        arguments = ["serve", "--config", CONFIG, "--db", self.database.name, "--json", "--token-file", "token", *more]
        return await self.fork(arguments, f"serve{self.lives}")

    async def ready(self, process: Forked, within_s: float) -> str | None:
        """Where its control API is; None if it ended before, or takes too long."""
        line = await self.first_line(process, within_s)
        return None if line is None else str(json.loads(line)["control_url"])

    def control(self, url: str) -> httpx.AsyncClient:
        """A client of it. It asks nothing yet."""
        token = (self._where / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False)

    async def kill(self, process: Forked) -> int | None:
        process.signal(signal.SIGKILL)
        return await self.ended(process, START_S)

    @staticmethod
    async def first_line(process: Forked, within_s: float) -> bytes | None:
        """None: it ended without one, or takes too long."""
        with trio.move_on_after(within_s):
            while True:
                line, end, _ = process.out.read_bytes().partition(b"\n")
                if end:
                    return line
                if process.wait(0) is not None:
                    return None
                await trio.sleep(LOOK_S)
        return None

    @staticmethod
    async def ended(process: Forked, within_s: float) -> int | None:
        """Its exit code, or minus the signal; None: it still runs."""
        with trio.move_on_after(within_s):
            while process.wait(0) is None:  # noqa: ASYNC110 - told by another thread
                await trio.sleep(LOOK_S)
        return process.wait(0)
