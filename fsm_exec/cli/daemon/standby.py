"""`fsm-exec standby` follows the engine of another host, and becomes the engine when that one is gone.

It keeps a copy of the other database (standby/README.md), says how far it is behind, and takes over when the lease has
run out, or at once with --take-over. From then on it is `fsm-exec serve` on the copy, in the same process. Started
where the engine that led last worked on this very database, it goes on with that: no copy is newer.

Exit codes: 0 ended by a signal while following, otherwise those of `serve`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import msgspec
import trio

from fsm_exec.cli.daemon.account import load_account
from fsm_exec.cli.daemon.daemon_process import OnStop
from fsm_exec.cli.daemon.pair import PairSetup, holder_of
from fsm_exec.cli.daemon.serve import PORT_MAX, choose_database, run_daemon
from fsm_exec.cli.daemon.service_manager import ServiceManager
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.log_file import open_log_file
from fsm_exec.cli.output import say, say_json
from fsm_exec.control.paths import ensure_directory
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.runtime.logs import LogFile, open_log
from fsm_exec.standby.copy_reads import load_own_instance
from fsm_exec.standby.follower import LOOK_EVERY_S, Follower, StandbySeen
from fsm_exec.standby.lease import Lease, LeaseHeld
from fsm_exec.standby.lease_record import LeaseHolder, LeaseRecord
from fsm_exec.standby.litestream import Litestream
from fsm_exec.standby.metrics_file import write_metrics
from fsm_exec.standby.places.place import Place, PlaceUnreachable
from fsm_exec.standby.settings import open_place, source_url
from fsm_exec.standby.takeover import restore_newest
from fsm_exec.store.files.locks import database_lock

WHAT: Final = "fsm-exec standby"
FOLLOWED: Final = ".standby"  # of the directory beside the database with what is followed
SAY_EVERY_S: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class StandbyParts:
    """What the command prepared before anything runs."""

    litestream: Litestream
    source: str
    place: Place
    holder: LeaseHolder
    lease_s: int
    database: Path
    followed: Path
    log_file: LogFile
    take_over: bool
    metrics_file: Path | None
    as_json: bool


class StandbyLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `standby --json`. `lag_us` null: not known yet; `lease_left_s` null: there is no record, or it cannot
    be read; `notes`: submissions that the copy does not have yet."""

    state: str
    source: str
    lag_us: int | None
    lease_left_s: int | None
    term: int | None
    leader: str | None
    executions: int | None
    notes: int | None
    why: list[str]


@click.command()
@click.option("--from", "source", metavar="REPLICA", help="What Litestream writes.  [default: as configured]")
@click.option("--lease", metavar="URL", help="Where the pair has its leader lease.  [default: as configured]")
@click.option("--take-over", is_flag=True, help="Take over at once, whether the other engine lives or not.")
@click.option("--litestream", type=click.Path(path_type=Path), help="The program.  [default: found on the path]")
@click.option(
    "--metrics-file", type=click.Path(path_type=Path), help="Keep lag and leader lease there, as Prometheus reads."
)
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--paper", help="The rest_url of a running fsm-exec paper, instead of a configuration.")
@click.option("--db", type=click.Path(path_type=Path), help="The database to become.  [default: as of serve]")
@click.option("--port", type=click.IntRange(0, PORT_MAX), default=0, help="Of the control API, after the takeover.")
@click.option("--page-port", type=click.IntRange(0, PORT_MAX), help="Of the page, after the takeover.")
@click.option("--no-page", is_flag=True, help="Serve no page.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Opens the API; made if it is not there.")
@click.option("--on-stop", type=click.Choice(["cancel", "leave"]), default="cancel", help="As of serve.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line whenever something changes.")
def standby(
    source: str | None,
    lease: str | None,
    take_over: bool,
    litestream: Path | None,
    metrics_file: Path | None,
    config: Path | None,
    paper: str | None,
    db: Path | None,
    port: int,
    page_port: int | None,
    no_page: bool,
    token_file: Path | None,
    on_stop: OnStop,
    as_json: bool,
) -> None:
    """Follow the engine of another host, and take its work over when it is gone."""
    if no_page and page_port is not None:
        raise UserError("--no-page and --page-port exclude each other; give one of them")
    account = load_account(config, paper)
    SigningKey.load(account.key_path)  # now, and not at the takeover, when nobody may be there
    settings = account.config.standby
    where, from_where = lease or settings.lease, source or settings.replica
    if not where:
        raise UserError("a standby needs the lease record: give --lease, or lease in the table [standby]")
    if not from_where:
        raise UserError("a standby needs a copy to follow: give --from, or replica in the table [standby]")
    place, replica = open_place(where), source_url(from_where)
    database = choose_database(db, account.account_name)
    program = Litestream.find(litestream, database)
    since = to_iso(system_us())
    followed = database.with_name(database.name + FOLLOWED) / "followed.sqlite"
    with ExitStack() as held:
        held.enter_context(database_lock(database, what=WHAT, since=since))  # no engine works on what is replaced
        parts = StandbyParts(
            litestream=program,
            source=replica,
            place=place,
            holder=holder_of(database, account),
            lease_s=settings.lease_s,
            database=database,
            followed=followed,
            log_file=held.enter_context(open_log_file(database, account.config.log)),
            take_over=take_over,
            metrics_file=metrics_file,
            as_json=as_json,
        )
        term = trio.run(_run_standby, parts)
    if term is None:
        return
    run_daemon(
        config=config,
        paper=paper,
        account=account,
        db=database,
        port=port,
        page_port=page_port,
        token_file=token_file,
        on_stop=on_stop,
        other_engine_is_gone=None,
        no_page=no_page,
        log_format=None,
        as_json=as_json,
        pair=PairSetup(place=place, lease_s=settings.lease_s, holder=parts.holder, term=term),
    )


async def _run_standby(parts: StandbyParts) -> int | None:
    return await StandbyProcess(parts).run()


class StandbyProcess:
    """A standby until it has taken over."""

    def __init__(self, parts: StandbyParts) -> None:
        self._parts = parts
        wall = WallClock(system_us())
        log = open_log(parts.log_file, wall)
        self._manager = ServiceManager(os.environ)
        self._lease = Lease(parts.place, parts.holder, system_us, log, lease_s=parts.lease_s)
        self._follower = Follower(
            parts.litestream, parts.source, parts.followed, self._lease, parts.place, system_us, log
        )
        self._own_instance = load_own_instance(parts.database)
        self._said: tuple[object, ...] = ()
        self._said_s = -SAY_EVERY_S

    async def run(self) -> int | None:
        """Follow; return the term in which this host leads, the database in its place. 0: its own database led last,
        and is to go on as it is. None: ended by a signal. Raises ExecError."""
        term = None
        with trio.open_signal_receiver(*ending_signals()) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_by, signals, nursery.cancel_scope)
                term = await self._follow()
                nursery.cancel_scope.cancel()
        return term

    @staticmethod
    async def _end_by(signals: AsyncIterator[int], life: trio.CancelScope) -> None:
        async for _ in signals:
            life.cancel()
            return

    async def _follow(self) -> int:
        parts = self._parts
        version = await parts.litestream.load_version()
        ensure_directory(parts.followed.parent)
        self._manager.say_ready()
        self._tell(f"following {parts.source} with Litestream {version}, by the lease record {self._lease.where}")
        if parts.take_over:
            found = await self._lease.load()
            leader = None if found is None else found[0]
            if not self._led_here(leader):
                return await self._restore(await self._lease.acquire(take_over=True))
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follower.run)
                nursery.start_soon(self._follower.clean_notes)
                leader = await self._lead()
                nursery.cancel_scope.cancel()
            if not self._led_here(leader):
                return await self._restore(leader)
        self._tell(f"{parts.database} itself led last: it goes on, and no copy replaces it")
        return 0

    async def _lead(self) -> LeaseRecord | None:
        """Follow until nobody leads any more, and lead; return whose lease had run out. One that led on our database
        is returned as it is. Raises UserError."""
        while True:
            leader = await self._wait_for_end_of_lease()
            if self._led_here(leader):
                return leader
            try:
                return await self._lease.acquire(over=leader)
            except (LeaseHeld, PlaceUnreachable) as error:  # it renewed at the last moment, or another standby leads
                self._tell(f"not taking over: {error}")

    def _led_here(self, record: LeaseRecord | None) -> bool:
        """Whether the engine that led last worked on our database. It is dead: we have the lock."""
        return record is not None and self._own_instance is not None and record.holder.instance == self._own_instance

    async def _wait_for_end_of_lease(self) -> LeaseRecord | None:
        """Return who led, once nobody does."""
        while True:
            seen = await self._follower.look()
            self._report(seen, "following")
            if seen.has_run_out or self._led_here(seen.record):
                return seen.record
            await trio.sleep(LOOK_EVERY_S)

    async def _restore(self, replaced: LeaseRecord | None) -> int:
        """Put the newest copy in the database's place; return the term in which we lead. Raises ExecError."""
        parts = self._parts
        whom = "no engine" if replaced is None else f"{replaced.holder}, renewed at {replaced.renewed_at}"
        self._tell(f"taking over in term {self._lease.term} from {whom}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._lease.run, lambda _: None)  # the engine asks again before it does anything
            await restore_newest(
                parts.litestream, parts.source, parts.followed, parts.database, self._lease.term, self._tell
            )
            nursery.cancel_scope.cancel()
        self._tell(f"{parts.database} is the newest copy there is; starting the engine on it")
        return self._lease.term

    def _tell(self, line: str) -> None:
        say(f"fsm-exec: {line}", err=True)

    def _report(self, seen: StandbySeen, state: str) -> None:
        """Say what is seen: at once what has changed, otherwise once a minute."""
        if self._parts.metrics_file is not None:
            write_metrics(self._parts.metrics_file, seen)
        line = _line_of(seen, state)
        self._manager.say_alive(describe_standby(line))
        known = line.lag_us is not None, line.lease_left_s is not None
        news = (line.term, line.leader, known, line.executions, line.notes, tuple(line.why))
        if news == self._said and trio.current_time() - self._said_s < SAY_EVERY_S:
            return
        self._said, self._said_s = news, trio.current_time()
        if self._parts.as_json:
            say_json(line)
        else:
            say(describe_standby(line))


def _line_of(seen: StandbySeen, state: str) -> StandbyLine:
    record = seen.record
    return StandbyLine(
        state=state,
        source=seen.source,
        lag_us=seen.lag_us,
        lease_left_s=seen.lease_left_s,
        term=None if record is None else record.term,
        leader=None if record is None else str(record.holder),
        executions=None if seen.copy is None else seen.copy.executions,
        notes=seen.notes,
        why=seen.why,
    )


def describe_standby(line: StandbyLine) -> str:
    """Return a line for people."""
    lag = "the lag is not known yet" if line.lag_us is None else f"{line.lag_us / US_PER_S:.1f} s behind"
    led = "nobody leads" if line.leader is None else f"{line.leader} leads in term {line.term}"
    left = "" if line.lease_left_s is None else f", taken over in {max(0, line.lease_left_s)} s unless it renews"
    held = "" if line.executions is None else f", {line.executions} executions"
    why = "".join(f"; {one}" for one in line.why)
    return f"{line.state}: {lag}{held}; {led}{left}{why}"
