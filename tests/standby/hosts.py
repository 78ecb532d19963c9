"""Two hosts on one machine: each with directories of its own, on one paper exchange, with one share and the real
Litestream.

A host's processes are those that die with it: the engine or the standby, and the Litestream beside it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import trio

from fsm_exec.control.client import Client
from fsm_exec.control.schema import Accepted, Status, Submission
from tests.cli.daemons import Ready
from tests.cli.exchange import TICKER, Site
from tests.cli.support import COMMAND, environment

T = TypeVar("T")
WAIT_S = 120.0
LITESTREAM = str(Path(sys.executable).parent / "litestream")


@dataclass
class Host:
    """One of the two, in `root`/`name`. `replica` is where its Litestream writes; `started` has the processes of all
    hosts, which are ended with the test."""

    root: Path
    name: str
    config: Path
    started: list[trio.Process]
    ticker: str = TICKER
    generation: int = 0
    processes: list[trio.Process] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.root / self.name

    @property
    def database(self) -> Path:
        return self.directory / "engine.sqlite"

    @property
    def replica(self) -> Path:
        return self.root / f"replica-{self.name}-{self.generation}"

    async def start(self, name: str, *arguments: str | Path) -> Started:
        """`fsm-exec ARGUMENTS`, as a process of this host."""
        self.directory.mkdir(exist_ok=True)
        homes = {f"XDG_{kind}_HOME": str(self.directory / kind.lower()) for kind in ("STATE", "DATA", "CONFIG")}
        out, err = self.directory / f"{name}.out", self.directory / f"{name}.err"
        command = [*COMMAND, *map(str, arguments)]
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process: trio.Process = await trio.lowlevel.open_process(
                command,
                cwd=self.directory,
                env={**environment(), **homes},
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
            )
        self._own(process)
        return Started(process, out, err, self.directory / "token", self.ticker)

    async def serve(self, *extra: str | Path, name: str = "serve") -> Started:
        """The engine of this host, ready for executions."""
        config = ("--config", self.config, "--db", self.database, "--token-file", self.directory / "token")
        started = await self.start(name, "serve", "--json", "--no-page", *config, *extra)
        await started.wait_ready()
        return started

    async def follow(self, source: Path | str, *extra: str | Path, name: str = "standby") -> Started:
        """A standby on this host."""
        config = ("--config", self.config, "--db", self.database, "--token-file", self.directory / "token")
        files = ("--litestream", LITESTREAM, "--from", source)
        return await self.start(name, "standby", "--json", "--no-page", *config, *files, *extra)

    async def replicate(self, elsewhere: str | None = None) -> trio.Process:
        """The real Litestream, beside the engine of this host; it has begun to write its replica. Or `elsewhere`."""
        command = [LITESTREAM, "replicate", str(self.database), elsewhere or self.replica.as_uri()]
        with (self.directory / "litestream.log").open("ab") as log:
            process: trio.Process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._own(process)
        with trio.fail_after(WAIT_S):
            while not elsewhere and not self.replica.is_dir() and process.poll() is None:  # noqa: ASYNC110
                await trio.sleep(0.02)
        return process

    def _own(self, process: trio.Process) -> None:
        self.processes.append(process)
        self.started.append(process)

    async def die(self) -> None:
        """All its processes are killed at once."""
        self.generation += 1
        living = [process for process in self.processes if process.poll() is None]
        for process in living:
            process.send_signal(signal.SIGKILL)
        for process in living:
            await process.wait()


@dataclass
class Started:
    """A process of a host; `out` and `err` are what it says."""

    process: trio.Process
    out: Path
    err: Path
    token: Path
    ticker: str

    @property
    def said(self) -> str:
        return self.err.read_text(encoding="utf-8")

    def lines(self) -> list[bytes]:
        """The whole lines of its output so far."""
        return self.out.read_bytes().split(b"\n")[:-1]

    def ready(self) -> Ready | None:
        """That it accepts executions, once it has said so."""
        for line in self.lines():
            if b'"control_url"' in line:
                return msgspec.json.decode(line, type=Ready)
        return None

    async def wait_ready(self) -> Ready:
        with trio.fail_after(WAIT_S):
            while (found := self.ready()) is None:
                assert self.process.poll() is None, self.said
                await trio.sleep(0.02)
        return found

    async def wait_line(self, words: bytes) -> None:
        """Wait until a line of its output has these words."""
        with trio.fail_after(WAIT_S):
            while not any(words in line for line in self.lines()):
                assert self.process.poll() is None, self.said
                await trio.sleep(0.02)

    async def wait_end(self) -> int:
        with trio.fail_after(WAIT_S):
            return await self.process.wait()

    async def submit(self, key: str, quantity: str = "20", price: str = "0.30", horizon_s: int = 600) -> Accepted:
        """Rests below every offer, unless told otherwise. Raises what the client raises."""
        wanted = {
            "key": key,
            "ticker": self.ticker,
            "outcome": "yes",
            "quantity": quantity,
            "method": "simple_limit",
            "target_price": price,
            "horizon_s": horizon_s,
        }
        return await self.ask(lambda client: client.submit(msgspec.convert(wanted, Submission)))

    async def status(self) -> Status:
        return await self.ask(lambda client: client.status())

    async def ask(self, question: Callable[[Client], T]) -> T:
        """Ask its daemon, once. Raises what the client raises."""
        found = self.ready()
        assert found is not None

        def ask() -> T:
            with Client(found.control_url, self.token, patience_s=0) as client:
                return question(client)

        return await trio.to_thread.run_sync(ask)


PAIR = {"lease_s": 3}


def pair_of(site: Site) -> tuple[Host, Host]:
    """Two hosts, a share between them, and a configuration that both have."""
    share = site.directory / "share"
    share.mkdir()
    site.write_config(standby={**PAIR, "lease": share.as_uri()})
    first, second = (Host(site.directory, name, site.config, site.processes) for name in ("first", "second"))
    return first, second
