"""A month in virtual time: an engine as the daemon composes it, left alone with a real month's clock and network.

    python -m tests.soak.month.month --days 30

prints a line a day; exit 1 if anything was found.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click
import trio

from fsm_exec.cli.daemon.pair import PairSetup
from fsm_exec.cli.logs.settings import LogSettings
from fsm_exec.control.service import Control
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.values.times import to_iso
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper_session import PLAY_CASH_E6, PaperExchange
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.logs import open_log
from fsm_exec.standby.places.memory_place import MemoryPlace
from fsm_exec.store.maintenance.backups import copy_database
from tests.soak.month import checks, schedule
from tests.soak.month.machine import EngineLife, Machine, Setting, holder_of, threads_inline
from tests.soak.month.markets import open_markets, settle_markets, tickers_of
from tests.soak.month.schedule import Day, days_of
from tests.soak.month.second_host import SecondHost
from tests.soak.month.trading import Trader

SEED = 17
START_AGAIN_S, RETRY_S = 20, 60  # after a process ended, as a supervisor does, and after one that could not begin
CHECK_H = 23.5
HOST_LEASE_S, LEASE_S = 90, 30
NEW_KEY_H, DISK_H, BACKUP_H = 10.1, 10.4, 21.9
LOST_ORDER, CANCELLED_ORDER = 19, 16  # of a day: accepted, and cancelled, after the last moment of the copy
BEFORE_US, AFTER_US = (
    1_000_000,
    2_000_000,
)  # its acceptance the copy ends, and the host dies: the copy is as old as both
FILLED_BYTES = 1_000_000
FREE_DISK_MB, FULL_MIN = 4, 90
RISK = RiskLimits(
    max_worst_case_account_dollars=100_000,
    max_submissions_per_minute=600,
    max_writes_per_minute=6_000,
    daily_loss_dollars=100_000,
    time_zone=schedule.ZONE,
)


@dataclass
class Report:
    """What the month showed, day by day."""

    findings: list[str] = field(default_factory=list)
    samples: list[checks.Sample] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    executions: int = 0
    fills: int = 0
    lives: int = 0


def live_through(days: list[Day], directory: Path, *, show: bool = False) -> Report:
    """Live through these days; the disk of the first host is at `directory`."""
    report = Report()
    with threads_inline(), tempfile.TemporaryDirectory() as elsewhere:
        run_virtual(partial(_Month(days, directory, Path(elsewhere), report, show).run), seed=SEED)
    return report


class _Month:
    def __init__(self, days: list[Day], directory: Path, elsewhere: Path, report: Report, show: bool) -> None:
        self._days, self._report, self._show = days, report, show
        self._directory, self._elsewhere = directory, elsewhere
        self._lives: list[EngineLife] = []
        self._has_host = trio.Event()
        self._has_host.set()
        self._expected: Counter[tuple[int, str]] = Counter()

    async def run(self) -> None:
        self._paper = paper = PaperExchange.starting_at(self._days[0].begins_us, seed=SEED)
        self._account, credentials = paper.gate.open_account(PLAY_CASH_E6, "ed25519")
        async with paper.directly(Latency()) as host, trio.open_nursery() as nursery:
            setting = Setting(
                after_days=1,
                retention_days=1,
                free_disk_mb=FREE_DISK_MB,
                host_lease_s=HOST_LEASE_S,
                risk=RISK,
                log=LogSettings(max_mb=1, keep=2),
            )
            self._machine = Machine(
                directory=self._directory,
                host=host,
                credentials=credentials,
                setting=setting,
                now_us=paper.clock.now_us,
                instance="monthaaaaa",
                pair=PairSetup(place=MemoryPlace(), lease_s=LEASE_S, holder=holder_of("first", self._directory)),
            )
            log = open_log(io.StringIO(), WallClock(self._days[0].begins_us))
            self._second = SecondHost(self._machine, self._elsewhere, log, self._tell)
            self._trader = Trader(paper.exchange, self._control, paper.clock.now_us)
            nursery.start_soon(self._keep_alive, nursery)
            for day in self._days:
                await self._live_a_day(day, nursery)
            self._lives[-1].terminate()
            await self._lives[-1].ended.wait()
            nursery.cancel_scope.cancel()
        self._report.findings += checks.growth_findings(self._report.samples)
        self._report.lives = len(self._lives)
        self._report.fills = len(self._account.fills)
        self._report.executions = len(self._trader.orders)

    def _control(self) -> Control | None:
        life = self._lives[-1] if self._lives else None
        return life.control if life is not None and life.is_up else None

    async def _keep_alive(self, nursery: trio.Nursery) -> None:
        while True:
            machine = self._machine
            life = EngineLife(machine, len(self._lives) + 1)
            self._lives.append(life)
            nursery.start_soon(life.run)
            await life.ended.wait()
            if life.failed is None or life.up.is_set():
                self._tell(f"process {life.life.number} has ended: {life.life.died_at}, {life.failed}")
            await trio.sleep(START_AGAIN_S if life.up.is_set() else RETRY_S)
            await self._has_host.wait()

    async def _until(self, at_us: int) -> None:
        await self._paper.clock.sleep_until(max(at_us, self._paper.clock.now_us()))

    async def _live_a_day(self, day: Day, nursery: trio.Nursery) -> None:
        began_s = time.process_time()
        open_markets(self._paper, day, SEED)
        before = len(self._trader.orders)
        nursery.start_soon(self._maintain, day)
        nursery.start_soon(self._pause, day)
        nursery.start_soon(self._trader.trade, day, nursery)
        for hour in day.crashes:
            nursery.start_soon(self._crash, day, hour)
        if day.new_key:
            nursery.start_soon(self._replace_key, day)
        if day.fills_disk:
            nursery.start_soon(self._fill_disk, day)
        if day.fails_over:
            nursery.start_soon(self._fail_over, day)
        nursery.start_soon(self._back_up, day)
        await self._until(day.at_us(schedule.CLOSE_H) + 2 * schedule.MINUTE_US)
        settle_markets(self._paper, day)
        await self._until(day.at_us(CHECK_H))
        self._check(day, before, time.process_time() - began_s)
        await self._until(day.ends_us)

    # What befalls it.

    async def _maintain(self, day: Day) -> None:
        """Take the exchange down at night; when it comes back, nothing may be traded for a minute."""
        exchange = self._paper.exchange
        await self._until(day.at_us(schedule.MAINTENANCE_H))
        ends_us = self._paper.clock.now_us() + schedule.MAINTENANCE_MIN * schedule.MINUTE_US
        exchange.begin_maintenance(resume_us=ends_us)
        self._expected.update([(day.number, "reads"), (day.number, "stream")])
        await self._until(ends_us)
        exchange.pause_trading()
        exchange.end_maintenance()
        await self._until(ends_us + schedule.MINUTE_US)
        exchange.resume_trading()

    async def _pause(self, day: Day) -> None:
        await self._until(day.at_us(schedule.PAUSE_H))
        ticker = tickers_of(day)[0]
        self._paper.exchange.deactivate_market(ticker)
        await self._until(self._paper.clock.now_us() + schedule.PAUSE_MIN * schedule.MINUTE_US)
        self._paper.exchange.activate_market(ticker)

    async def _crash(self, day: Day, hour: float) -> None:
        await self._until(day.at_us(hour))
        self._lives[-1].kill()

    async def _replace_key(self, day: Day) -> None:
        """Make a key, put it into the configuration, and revoke the old one five minutes later."""
        gate = self._paper.gate
        await self._until(day.at_us(NEW_KEY_H))
        old, self._machine.credentials = self._machine.credentials, gate.create_key(self._account, "ed25519")
        await self._until(self._paper.clock.now_us() + 5 * schedule.MINUTE_US)
        gate.revoke_key(old.api_key_id)
        said = len(self._machine.said)
        await self._until(self._paper.clock.now_us() + schedule.MINUTE_US)
        if len(self._machine.said) != said + 1:
            self._report.findings.append(f"{day.date}: of a new key was said: {self._machine.said[said:]}")

    async def _fill_disk(self, day: Day) -> None:
        """Fill the disk slowly until nothing fits any more, and free it after a while. It is a small one."""
        await self._until(day.at_us(DISK_H))
        filler = self._machine.directory / "filler"
        self._expected[day.number, "disk"] += 1
        told = len(self._machine.channel.texts)
        full = False
        with filler.open("wb", buffering=0) as file:
            while not full:
                try:
                    full = file.write(b"x" * FILLED_BYTES) < FILLED_BYTES
                except OSError:
                    full = True
                await self._until(self._paper.clock.now_us() + schedule.MINUTE_US)
        await self._until(self._paper.clock.now_us() + FULL_MIN * schedule.MINUTE_US)
        filler.unlink()
        texts = " ".join(self._machine.channel.texts[told:])
        if "MB left" not in texts or "has halted and cannot go on" not in texts:
            self._report.findings.append(f"{day.date}: of a full disk was told: {texts}")

    async def _fail_over(self, day: Day) -> None:
        """The host dies and never comes back; another one takes over from a copy that lacks the last seconds, in which
        an order was accepted and another one, which would rest for hours, cancelled. The user is told, and gives the
        one again under another key; the other is ended."""
        given_us = self._trader.given_us(day, LOST_ORDER)
        await self._until(given_us - BEFORE_US)
        self._second.replicate()
        self._has_host = trio.Event()
        await self._until(given_us + BEFORE_US)
        cancelled = await self._trader.cancel(day, CANCELLED_ORDER)
        await self._until(given_us + AFTER_US)
        self._expected.update([(day.number, "lost"), (day.number, "database")])  # the order, the cancel
        self._lives[-1].kill()
        self._machine = await self._second.take_over()
        self._has_host.set()
        ended = len(self._lives)
        while len(self._lives) == ended or not self._lives[-1].is_up:  # noqa: ASYNC110
            await trio.sleep(1)
        if (state := checks.state_of(self._machine.database, cancelled)) != "cancelled":
            self._report.findings.append(f"{day.date}: {cancelled}, cancelled on the lost host, is {state}")
        why = await self._trader.give_again(day, LOST_ORDER)
        if "lost with the other host" not in why:
            self._report.findings.append(f"{day.date}: of a lost order was said: {why or 'nothing'}")

    async def _back_up(self, day: Day) -> None:
        """Copy the database while it is worked, and look at the copy; the other host follows for a moment."""
        await self._until(day.at_us(BACKUP_H))
        target = self._machine.directory / "backup.sqlite"
        target.unlink(missing_ok=True)
        report = copy_database(self._machine.database, target).report
        self._report.findings += [f"{day.date}: the backup: {found.what}" for found in report.findings]
        if self._machine.directory == self._directory:
            self._second.replicate()
            await self._second.tidy()

    # What must hold.

    def _check(self, day: Day, before: int, cpu_s: float) -> None:
        life, database = self._lives[-1], self._machine.database
        orders = self._trader.orders[before:]
        found: list[str] = []
        if not life.is_up or life.session is None:
            found.append("no engine is up")
        else:
            session = life.session
            found += checks.book_findings(session.engine, self._account)
            roots = (session.client, session.observer, session.store, session.wall, life.control)
            self._report.samples.append(checks.sample(session.engine, roots, database, cpu_s))
        found += checks.execution_findings(database, orders, self._paper.clock.now_us())
        alerts = checks.alerts_of(database, day)
        told = Counter(kind for kind, _ in alerts)
        if day.new_key and told["signature"] <= 1:
            del told["signature"]  # only if somebody looks in the seconds before the new key is taken
        expected = Counter({kind: n for (number, kind), n in self._expected.items() if number == day.number})
        if told != expected:
            texts = [f"{kind}: {text}" for kind, text in alerts if told[kind] != expected[kind]]
            found.append(f"alerts: {dict(told)}, expected {dict(expected)}; {texts}")
        self._report.findings += [f"{day.date}: {line}" for line in found]
        fills = sum(fill.at_us >= day.begins_us for fill in self._account.fills)
        samples = f"{self._report.samples[-1]}, " if self._report.samples else ""
        self._tell(
            f"{day.date} {len(orders)} orders, {fills} fills, {samples}{cpu_s:.1f} s of processor; "
            f"{len(found)} findings"
        )
        for line in found:
            self._tell(f"  {line}")

    def _tell(self, line: str) -> None:
        line = f"{to_iso(self._paper.clock.now_us())} {line}"
        self._report.lines.append(line)
        if self._show:
            click.echo(line)


@click.command()
@click.option("--days", default=30, show_default=True)
@click.option("--directory", type=click.Path(path_type=Path), help="A small filesystem; it is filled, once.")
@click.option("--failover/--no-failover", default=True, show_default=True)
def main(days: int, directory: Path | None, *, failover: bool) -> None:
    """Live through a month."""
    with tempfile.TemporaryDirectory() as made:
        planned = days_of(days, disk=directory is not None, failover=failover)
        report = live_through(planned, directory or Path(made), show=True)
    for line in report.findings:
        click.echo(line)
    made_of = f"{report.executions} executions, {report.fills} fills, {report.lives} processes"
    click.echo(f"{made_of}, {len(report.findings)} findings")
    sys.exit(bool(report.findings))


if __name__ == "__main__":
    main()
