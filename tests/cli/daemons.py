"""Daemons for the tests: an exchange in the test's own process, `fsm-exec serve` beside it, and the commands."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from fsm_exec.control.schema import Accepted, ExecutionDetail, Page, Status
from tests.cli.exchange import TICKER, Site
from tests.cli.invoking import invoke
from tests.cli.support import COMMAND, environment

READY_S = 120
END_S = 120


class Ready(msgspec.Struct, forbid_unknown_fields=True):
    control_url: str
    token_file: str
    database: str
    environment: str
    instance: str
    restored: int
    quarantined: int
    state: str
    page_url: str | None


@dataclass
class Serve:
    """A running daemon; `err` is what it said on stderr so far."""

    process: trio.Process
    ready: Ready
    directory: Path
    err_path: Path = field(repr=False)

    @property
    def err(self) -> str:
        return self.err_path.read_text(encoding="utf-8")

    async def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        with trio.fail_after(END_S):
            return await self.process.wait()


async def start(site: Site, *arguments: str | Path, name: str = "serve") -> tuple[trio.Process, Path, Path]:
    out, err = site.directory / f"{name}.out", site.directory / f"{name}.err"
    with out.open("wb") as out_file, err.open("wb") as err_file:
        process: trio.Process = await trio.lowlevel.open_process(
            [*COMMAND, "serve", "--json", *map(str, arguments)],
            cwd=site.directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out_file,
            stderr=err_file,
        )
    site.processes.append(process)
    return process, out, err


async def serve(site: Site, *arguments: str | Path, name: str = "serve") -> Serve:
    """Started, and ready for executions."""
    arguments = arguments or ("--config", site.config, "--db", site.directory / "engine.sqlite")
    process, out, err = await start(site, *arguments, name=name)
    with trio.fail_after(READY_S):
        while b"\n" not in out.read_bytes():
            assert process.poll() is None, err.read_text(encoding="utf-8")
            await trio.sleep(0.02)
    return Serve(process, msgspec.json.decode(out.read_bytes(), type=Ready), site.directory, err)


async def refused(site: Site, *arguments: str | Path) -> tuple[int, str]:
    """A start that must fail: its exit code, and its one line."""
    process, out, err = await start(site, *arguments, name="refused")
    with trio.fail_after(READY_S):
        code = await process.wait()
    said = err.read_text(encoding="utf-8")
    assert (out.read_bytes(), said.count("\n")) == (b"", 1), said
    return code, said


async def command(site: Site, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`fsm-exec ARGUMENTS` to its end, in a thread, while the exchange goes on. One at a time."""
    return await trio.to_thread.run_sync(lambda: invoke(site.directory, *map(str, arguments)))


async def in_a_process(site: Site, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The same, for one that must not be the only one at a time."""
    done: subprocess.CompletedProcess[bytes] = await trio.run_process(
        [*COMMAND, *map(str, arguments)],
        cwd=site.directory,
        env=environment(),
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


async def submit(site: Site, *extra: str, quantity: str = "20", price: str = "0.30", horizon: str = "60") -> Accepted:
    """One that rests at 0.30, below every offer, unless told otherwise."""
    done = await command(
        site,
        "submit",
        TICKER,
        "yes",
        quantity,
        *("--method", "simple_limit", "--target-price", price, "--horizon", horizon, "--json"),
        *extra,
    )
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Accepted)


async def show(site: Site, execution_id: str) -> ExecutionDetail:
    done = await command(site, "show", execution_id, "--json")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=ExecutionDetail)


async def status(site: Site) -> Status:
    done = await command(site, "status", "--json")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Status)


async def listed(site: Site) -> Page:
    done = await command(site, "list", "--json")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Page)


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(END_S):
        while not holds():  # noqa: ASYNC110 - other processes are waited for
            await trio.sleep(0.02)


def states(database: Path) -> dict[str, str]:
    """State of each execution, read from outside."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return dict(connection.execute("SELECT execution_id, state FROM execution_state").fetchall())
    except sqlite3.OperationalError:
        return {}


def live_orders(site: Site) -> list[str]:
    """Client order ids that rest at the exchange."""
    return [order.client_order_id for order in site.exchange.orders.values() if order.status == "resting"]
