"""A paper exchange on loopback for commands in processes of their own, and the configuration that leads to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from fsm_exec.core.values.units import MoneyE6, parse_count, parse_price
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.hosting import LoopbackHost
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper_session import PaperExchange
from fsm_exec.runtime.clock import system_us
from tests.cli.support import COMMAND, environment

TICKER, OTHER = "KXTEST-26OCT01-A", "KXTEST-26OCT01-B"


@dataclass
class Site:
    """An exchange with two markets, and a directory with key and configuration."""

    exchange: Exchange
    account: Account
    gate: Authenticator
    host: LoopbackHost
    directory: Path
    config: Path
    api_key_id: str
    processes: list[trio.Process] = field(default_factory=list)  # ended with the exchange, if they have not yet

    def write_config(self, **changes: object) -> None:
        """Write it; a dictionary is a table of its own."""
        values: dict[str, object] = {
            "environment": "paper",
            "rest_url": self.host.rest_url,
            "ws_url": self.host.ws_url,
            "api_key_id": self.api_key_id,
            "private_key_path": "key.pem",
        }
        given = {name: value for name, value in (values | changes).items() if value is not None}
        lines = [f"{name} = {json.dumps(value)}" for name, value in given.items() if not isinstance(value, dict)]
        for name, table in given.items():
            if isinstance(table, dict):
                lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        self.config.write_text("\n".join(lines), encoding="utf-8")

    async def start(self, *arguments: str | Path) -> trio.Process:
        """`fsm-exec ARGUMENTS`, its output in `directory`/out and /err."""
        with (self.directory / "out").open("wb") as out, (self.directory / "err").open("wb") as err:
            process: trio.Process = await trio.lowlevel.open_process(
                [*COMMAND, *map(str, arguments)], cwd=self.directory, env=environment(), stdout=out, stderr=err
            )
        self.processes.append(process)
        return process

    async def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        process = await self.start(*arguments)
        with trio.fail_after(120):
            code = await process.wait()
        return code, self.output(), self.errors()

    def output(self) -> str:
        return (self.directory / "out").read_text(encoding="utf-8")

    def errors(self) -> str:
        return (self.directory / "err").read_text(encoding="utf-8")


@asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    now_us = system_us()
    paper = PaperExchange.starting_at(now_us, seed=1)
    for ticker in (TICKER, OTHER):
        paper.exchange.add_market(tape_header(ticker, "linear_cent", category="Testing"))
        sides = [tuple((parse_price(p), parse_count("10")) for p in prices) for prices in (("0.44", "0.45"), ("0.47",))]
        paper.exchange.apply(ticker, BookSnapshot(*sides))
    account, credentials = paper.gate.open_account(MoneyE6(1_000_000_000))
    credentials.write_private_key(directory / "key.pem")
    async with paper.on_loopback(latency=NO_LATENCY) as host:
        config = directory / "config.toml"
        made = Site(paper.exchange, account, paper.gate, host, directory, config, credentials.api_key_id)
        made.write_config()
        try:
            yield made
        finally:
            for process in made.processes:
                if process.poll() is None:
                    process.kill()
