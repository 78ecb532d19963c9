"""A soak in real time: `serve` as a process on an exchange in this one, so many executions continuously renewed.

    python -m tests.soak.daemon --executions 200 --minutes 10

prints the daemon's resident memory, open files and database once a minute, and exits 1 if at the end the memory is more
than 1.1 times that after the first sixth, or files were left open.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import trio

from fsm_exec.control.client import Client, DaemonFailed
from fsm_exec.control.schema import Submission
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import MoneyE6
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.runtime.clock import system_us
from tests.cli.daemons import Serve, serve
from tests.cli.exchange import Site, site
from tests.soak.soaking import METHODS

PAGE = os.sysconf("SC_PAGE_SIZE")
CASH = MoneyE6(10**15)
SEED = 13
SAMPLES = 6
FILES_SPARE = 5


@dataclass(frozen=True)
class Sample:
    at_s: float
    submitted: int
    resident_bytes: int
    files: int
    database_bytes: int

    def __str__(self) -> str:
        each = self.database_bytes / max(1, self.submitted) / 1_000
        return (
            f"{self.at_s:6.0f} s  {self.submitted:6,} submitted  {self.resident_bytes / 1_000_000:7.1f} MB resident  "
            f"{self.files:3} files  {self.database_bytes / 1_000_000:7.1f} MB of database, {each:.1f} kB an execution"
        )


class Users:
    """`executions` of them, each of whom submits anew when the horizon is over."""

    def __init__(self, daemon: Serve, tickers: list[str], executions: int, horizon_s: int) -> None:
        self._client = Client(daemon.ready.control_url, daemon.ready.token_file, patience_s=0)
        self._tickers, self._executions, self._horizon_s = tickers, executions, horizon_s
        self._rng = random.Random(SEED)
        self.submitted = 0

    async def run(self) -> None:
        pause_s = self._horizon_s / self._executions
        while True:
            number = self.submitted
            self.submitted += 1
            submission = Submission(
                key=f"soak-{number}",
                ticker=self._tickers[number % len(self._tickers)],
                outcome="yes" if self._rng.randrange(2) else "no",
                quantity="20",
                method=METHODS[number % len(METHODS)],
                target_price=f"0.{self._rng.randrange(30, 60)}",
                horizon_s=self._horizon_s,
            )
            try:
                await trio.to_thread.run_sync(self._client.submit, submission)
            except (UserError, DaemonFailed) as refused:
                click.echo(f"refused: {refused}", err=True)
            await trio.sleep(pause_s)


async def soak(executions: int, markets: int, minutes: int, horizon_s: int, directory: Path) -> list[Sample]:
    async with site(directory) as made:
        _, credentials = made.gate.open_account(CASH)
        credentials.write_private_key(directory / "soak.pem")
        made.write_config(api_key_id=credentials.api_key_id, private_key_path="soak.pem")
        tickers = _play(made, markets, minutes)
        daemon = await serve(made)
        users = Users(daemon, tickers, executions, horizon_s)
        samples: list[Sample] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(users.run)
            began_s = trio.current_time()
            for _ in range(max(minutes, SAMPLES)):
                await trio.sleep(minutes * 60 / max(minutes, SAMPLES))
                samples.append(_sample(daemon, users, trio.current_time() - began_s))
                click.echo(str(samples[-1]))
            nursery.cancel_scope.cancel()
        await daemon.end(signal.SIGKILL)
        return samples


def _play(made: Site, markets: int, minutes: int) -> list[str]:
    tickers = [f"KXSOAK-26OCT01-{n:02}" for n in range(markets)]
    now_us = system_us()
    for number, ticker in enumerate(tickers):
        tape = generate(SEED + number, (minutes + 5) * 60, ticker=ticker, start_us=now_us)
        TapePlayer(made.exchange, tape).start(system_us())
    return tickers


def _sample(daemon: Serve, users: Users, at_s: float) -> Sample:
    process = Path(f"/proc/{daemon.process.pid}")
    database = Path(daemon.ready.database)
    files = (database, database.with_name(f"{database.name}-wal"))
    return Sample(
        at_s=at_s,
        submitted=users.submitted,
        resident_bytes=int((process / "statm").read_text(encoding="ascii").split()[1]) * PAGE,
        files=len(list((process / "fd").iterdir())),
        database_bytes=sum(file.stat().st_size for file in files if file.exists()),
    )


@click.command()
@click.option("--executions", default=200, show_default=True)
@click.option("--markets", default=20, show_default=True)
@click.option("--horizon", "horizon_s", default=30, show_default=True, help="Seconds of each execution.")
@click.option("--minutes", default=10, show_default=True)
def main(executions: int, markets: int, horizon_s: int, minutes: int) -> None:
    """Soak a daemon in real time."""
    with tempfile.TemporaryDirectory() as directory:
        samples = trio.run(soak, executions, markets, minutes, horizon_s, Path(directory))
    early, last = samples[len(samples) // SAMPLES], samples[-1]
    growth = last.resident_bytes / early.resident_bytes
    click.echo(f"resident memory at the end is {growth:.2f} times that at {early.at_s:.0f} s")
    sys.exit(growth > 1.1 or last.files > early.files + FILES_SPARE)


if __name__ == "__main__":
    main()
