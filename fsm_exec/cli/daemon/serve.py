"""`fsm-exec serve`: the engine as a daemon. It takes its locks, recovers, answers the API, and rests on a signal.

Exit codes: 0 rested after a signal, 1 failed (the database, a lock that another process holds, or orders that were to
be cancelled may still be live), 2 wrong usage or configuration, 130 stopped by a second signal, or by one before it was
ready. Whatever the end, nothing durable is lost: the next start goes on.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import click
import trio

from fsm_exec.cli.alert_channels import open_channels
from fsm_exec.cli.config import LoadedConfig
from fsm_exec.cli.daemon.account import load_account
from fsm_exec.cli.daemon.daemon_process import DaemonParts, DaemonProcess, OnStop
from fsm_exec.cli.daemon.key_watch import NamedKey
from fsm_exec.cli.daemon.pair import PairSetup, holder_of
from fsm_exec.cli.log_file import open_log_file
from fsm_exec.cli.logs.journal import is_journal
from fsm_exec.cli.output import say
from fsm_exec.cli.telemetry import open_telemetry
from fsm_exec.control.daemon_registry import lock_account
from fsm_exec.control.paths import database_path, ensure_directory, token_path
from fsm_exec.control.server import bind_socket
from fsm_exec.control.token import ensure_token
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.kalshi.environment import Environment
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.runtime.clock import system_us
from fsm_exec.standby.settings import open_place
from fsm_exec.store.files.file_modes import restrict_modes
from fsm_exec.store.files.locks import database_lock

PORT_MAX = 65_535
WHAT = "fsm-exec serve"


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--paper", help="The rest_url of a running fsm-exec paper, instead of a configuration.")
@click.option("--db", type=click.Path(path_type=Path), help="The database.  [default: this user's, by exchange]")
@click.option("--port", type=click.IntRange(0, PORT_MAX), default=0, help="Of the control API.  [default: a free one]")
@click.option(
    "--page-port",
    type=click.IntRange(0, PORT_MAX),
    help="Of the page, see: open.  [default: as configured, a free one]",
)
@click.option("--no-page", is_flag=True, help="Serve no page.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Opens the API; made if it is not there.")
@click.option(
    "--on-stop",
    type=click.Choice(["cancel", "leave"]),
    default="cancel",
    show_default=True,
    help="What becomes of live orders when the daemon stops; the executions go on at the next start.",
)
@click.option("--other-engine-is-gone", metavar="INSTANCE", help="Leave the live orders of that database alone.")
@click.option(
    "--log-format",
    type=click.Choice(["json", "journald"]),
    help="journald: lines of the log go to standard error too, in words, each with its priority.  [default: journald "
    "where standard error is systemd's journal]",
)
@click.option("--lease", metavar="URL", help="Where a pair has its leader lease.  [default: as configured, none]")
@click.option("--without-lease", is_flag=True, help="Work without the leader lease: no other engine leads, you know.")
@click.option("--take-over", is_flag=True, help="Replace the engine that the lease record names: end its orders first.")
@click.option("--json", "as_json", is_flag=True, help="Say that it is ready in one JSON line.")
def serve(
    config: Path | None,
    paper: str | None,
    db: Path | None,
    port: int,
    page_port: int | None,
    token_file: Path | None,
    on_stop: OnStop,
    other_engine_is_gone: str | None,
    no_page: bool,
    log_format: str | None,
    lease: str | None,
    without_lease: bool,
    take_over: bool,
    as_json: bool,
) -> None:
    """Work orders for whoever holds the token, until a signal."""
    if no_page and page_port is not None:
        raise UserError("--no-page and --page-port exclude each other; give one of them")
    account = load_account(config, paper)
    settings = account.config.standby
    where = settings.lease if lease is None else lease
    if without_lease and (take_over or lease is not None):
        raise UserError("--without-lease excludes --lease and --take-over; give one of them")
    if take_over and not where:
        raise UserError("--take-over needs a lease record: give --lease, or lease in the table [standby]")
    pair = None
    if where and not without_lease:
        holder = holder_of(choose_database(db, account.account_name), account)
        pair = PairSetup(place=open_place(where), lease_s=settings.lease_s, holder=holder, take_over=take_over)
    run_daemon(
        config=config,
        paper=paper,
        account=account,
        db=db,
        port=port,
        page_port=page_port,
        token_file=token_file,
        on_stop=on_stop,
        other_engine_is_gone=other_engine_is_gone,
        no_page=no_page,
        log_format=log_format,
        as_json=as_json,
        pair=pair,
    )


def run_daemon(
    *,
    config: Path | None,
    paper: str | None,
    account: LoadedConfig,
    db: Path | None,
    port: int,
    page_port: int | None,
    token_file: Path | None,
    on_stop: OnStop,
    other_engine_is_gone: str | None,
    no_page: bool,
    log_format: str | None,
    as_json: bool,
    pair: PairSetup | None,
) -> NoReturn:
    """Run the daemon to its end, and exit. `account` is what `config` or `paper` leads to. Raises what the command
    does."""
    key = SigningKey.load(account.key_path)
    name = account.exchange.name
    since_us = system_us()
    since = to_iso(since_us)
    database = choose_database(db, account.account_name)
    if token_file is None:
        ensure_directory(token_path().parent)
    token_file = Path(os.path.abspath(token_path() if token_file is None else token_file))
    token = ensure_token(token_file)
    channels = open_channels(account.config.alerts, account.path.parent)
    telemetry = account.config.telemetry
    collector = open_telemetry(telemetry.endpoint, telemetry.headers_file, account.path.parent)
    with ExitStack() as held:

        def lock_key(api_key_id: str) -> None:
            held.enter_context(
                lock_account(
                    environment=name,
                    address=account.exchange.rest_url,
                    api_key_id=api_key_id,
                    subaccount=account.config.subaccount,
                    database=database,
                    what=WHAT,
                    since=since,
                )
            )

        held.enter_context(database_lock(database, what=WHAT, since=since))
        lock_key(account.config.api_key_id)
        for line in restrict_modes(database):
            say(f"fsm-exec: {line}", err=True)
        to_journal = is_journal(sys.stderr) if log_format is None else log_format == "journald"
        log_file = held.enter_context(open_log_file(database, account.config.log, to_journal=to_journal))
        listening = held.enter_context(bind_socket(port))
        wanted = account.config.page.port if page_port is None else page_port
        page_listening = None if no_page else held.enter_context(bind_socket(wanted, option="--page-port"))
        parts = DaemonParts(
            account=account,
            key=key,
            database=database,
            token=token,
            token_file=token_file,
            listening=listening,
            page_listening=page_listening,
            log_file=log_file,
            since_us=since_us,
            on_stop=on_stop,
            other_engine_is_gone=other_engine_is_gone,
            as_json=as_json,
            channels=channels,
            collector=collector,
            load_key=lambda: _load_key(config, paper, account.exchange),
            lock_key=lock_key,
            pair=pair,
        )
        code = trio.run(DaemonProcess(parts).run)
    sys.exit(code)


def _load_key(config: Path | None, paper: str | None, exchange: Environment) -> NamedKey:
    """Load the key that is configured now, for this exchange. Raises UserError."""
    account = load_account(config, paper)
    if account.exchange != exchange:
        raise UserError(f"the configuration names another exchange now, {account.exchange.rest_url}: start again")
    return NamedKey(account.config.api_key_id, SigningKey.load(account.key_path))


def choose_database(wanted: Path | None, environment: str) -> Path:
    """Return the database's real path. Raises UserError."""
    path = database_path(environment) if wanted is None else wanted
    if wanted is None:
        ensure_directory(path.parent)
    if not path.name:
        raise UserError(f"--db {str(path)!r} is a directory; give the path of a file")
    try:
        real = os.path.realpath(path)
        real.encode()  # SQLite and JSON know no other text
    except ValueError as error:  # a UnicodeEncodeError is one
        raise UserError(f"--db {str(path)!r}: {error}; give the path of a file") from None
    return Path(real)
