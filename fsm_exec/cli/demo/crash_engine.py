"""The engine of `demo --crash` is `fsm-exec serve` in a process of its own, which is killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import trio

from fsm_exec.cli.exit_codes import EXIT_USAGE
from fsm_exec.control.client import Client
from fsm_exec.core.errors import ExecError, UserError

START_S: Final = 60
REST_S: Final = 20  # how long a stop may take before it becomes a kill
LINE_BYTES_MAX: Final = 65_536
T = TypeVar("T")


class EngineReady(msgspec.Struct):
    """The fields that are needed of the line that `serve --json` prints."""

    control_url: str
    token_file: str
    instance: str
    restored: int


class EngineProcess:
    """The engine's process; at most one at a time."""

    def __init__(self, config: Path, database: Path, token_file: Path) -> None:
        self._arguments = ["serve", "--config", config, "--db", database.absolute(), "--token-file", token_file]
        self._errors = token_file.with_name("engine.err")
        self._process: trio.Process | None = None
        self._client: Client | None = None
        self._connection = ExitStack()

    @property
    def pid(self) -> int:
        """The process id; 0: none runs."""
        return 0 if self._process is None else self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether the engine can be asked."""
        return self._client is not None

    async def start(self) -> EngineReady:
        """Start a process; return once it accepts executions. Raises UserError or ExecError with its own words if it
        does not start."""
        with self._errors.open("wb") as errors:
            self._process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "fsm_exec", *map(str, self._arguments), "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "XDG_STATE_HOME": str(self._errors.parent)},  # its locks go with the demo
                start_new_session=True,  # Ctrl-C is the demo's, which then stops the engine
            )
        line = b""
        with trio.move_on_after(START_S):
            line = await self._read_first_line()
        try:
            ready = msgspec.json.decode(line, type=EngineReady)
        except msgspec.DecodeError:
            raise await self._start_error() from None
        client = Client(ready.control_url, ready.token_file, patience_s=0)
        self._client = self._connection.enter_context(client)
        return ready

    async def ask(self, question: Callable[[Client], T]) -> T:
        """Ask the running engine, in a thread: the exchange that it needs lives in this one. Raises what the client
        raises."""
        client = self._client
        assert client is not None
        return await trio.to_thread.run_sync(lambda: question(client), abandon_on_cancel=True)

    async def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
                await self._reap(process)

    async def stop(self) -> int | None:
        """Stop it with SIGTERM; return its exit code, None if it had to be killed."""
        process = self._process
        if process is None:
            return None
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(REST_S):
            code = await process.wait()
            self._process = None
            await self._reap(process)
            return code
        await self.kill()
        return None

    def errors(self) -> str:
        return " ".join(self._errors.read_text(encoding="utf-8", errors="replace").split())

    async def _reap(self, process: trio.Process) -> None:
        if process.stdout is not None:
            await process.stdout.aclose()
        if self._client is not None:
            self._client = None
            self._connection.close()

    async def _read_first_line(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        said = b""
        while b"\n" not in said and len(said) < LINE_BYTES_MAX:
            more = await self._process.stdout.receive_some()
            if not more:
                break
            said += more
        return said.partition(b"\n")[0]

    async def _start_error(self) -> ExecError:
        process = self._process
        code = None
        if process is not None:
            with trio.move_on_after(1):
                code = await process.wait()
        await self.kill()
        said = self.errors().removeprefix("fsm-exec: ") or f"it said nothing within {START_S} s"
        return UserError(said) if code == EXIT_USAGE else ExecError(f"the engine did not start: {said}")
