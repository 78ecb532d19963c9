"""`fsm-exec init` makes what a daemon needs: a private key that nobody else may read, the configuration, and units.

Nothing that is there is overwritten, and everything is looked at in the end as `fsm-exec doctor` does. Exit codes: 0
sound, 1 something in it is not (everything was written, and the line says what to do), 2 wrong usage, or something is
there already.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import click

from fsm_exec.cli.config import FILE_NAME, Config, load_config, user_config_directory
from fsm_exec.cli.doctor.command import make_checks, say_checks
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say
from fsm_exec.cli.setup.answers import (
    KEY_NAME,
    PAPER_KEY_NAME,
    Asker,
    account_config,
    ask_environment,
    ask_key_file,
    ask_key_id,
    limits_of,
    read_key,
)
from fsm_exec.cli.setup.config_text import config_text
from fsm_exec.cli.setup.pair_units import find_pair_units
from fsm_exec.cli.setup.paper_exchange import paper_arguments, serve_paper
from fsm_exec.cli.setup.private_files import make_private_directory, save_new
from fsm_exec.cli.setup.systemd import Manager, save_units
from fsm_exec.control.paths import database_path
from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.environment import EnvironmentName

PORT_MAX: Final = 65_535
PAPER_PORT: Final = 8_765
PAPER_WS_PORT: Final = 8_767


@click.command("init")
@click.option("--paper", "is_paper", is_flag=True, help="An exchange on this machine: no account needed.")
@click.option("--demo", "is_demo", is_flag=True, help="Kalshi's demo: play money.")
@click.option("--production", "is_production", is_flag=True, help="Real money.")
@click.option("--allow-real-money", is_flag=True, help="Said again, for --production.")
@click.option("--config", type=click.Path(path_type=Path), help="Write it here.  [default: this user's]")
@click.option("--api-key-id", help="As the exchange shows it.")
@click.option("--key-file", type=click.Path(path_type=Path), help="The private key that the exchange offered with it.")
@click.option("--max-order-dollars", type=click.IntRange(1, 10**9), help="Most that one execution may cost.")
@click.option("--max-loss-dollars", type=click.IntRange(1, 10**9), help="Most that may be lost in all.")
@click.option(
    "--paper-port",
    type=click.IntRange(1, PORT_MAX),
    default=PAPER_PORT,
    show_default=True,
    help="Of the paper exchange.",
)
@click.option(
    "--paper-ws-port", type=click.IntRange(1, PORT_MAX), default=PAPER_WS_PORT, show_default=True, help="Of its stream."
)
@click.option("--systemd", type=click.Choice(["user", "system"]), help="Write units too: yours, or the system's.")
@click.option("--standby", "follows", is_flag=True, help="With --systemd, of a second host: the unit that follows.")
@click.option("--offline", is_flag=True, help="Look at nothing that needs the exchange at Kalshi.")
@click.option("--yes", is_flag=True, help="Ask nothing: what is not given has its default.")
def init(
    is_paper: bool,
    is_demo: bool,
    is_production: bool,
    allow_real_money: bool,
    config: Path | None,
    api_key_id: str | None,
    key_file: Path | None,
    max_order_dollars: int | None,
    max_loss_dollars: int | None,
    paper_port: int,
    paper_ws_port: int,
    systemd: str | None,
    follows: bool,
    offline: bool,
    yes: bool,
) -> None:
    """Set a daemon up: configuration, key and, where wanted, units; then look at it all."""
    units = cast("Manager | None", systemd)
    path = Path(os.path.abspath(user_config_directory() / FILE_NAME if config is None else config))
    if path.is_dir():
        raise UserError(f"configuration {path}: is a directory; give the path of a file, as {path / FILE_NAME}")
    if follows and (units is None or not os.path.lexists(path)):
        raise UserError("--standby goes with --systemd and a configuration that is there: fsm-exec init writes one")
    if os.path.lexists(path):
        _set_up_around(path, units, follows=follows)
        return
    asker = Asker(asks=not yes)
    environment = _only_one(paper=is_paper, demo=is_demo, production=is_production)
    exchange: EnvironmentName = asker.choose(environment, "--paper, --demo or --production", ask_environment)
    if exchange == "production":
        asker.confirm_money(is_allowed=allow_real_money)
    elif allow_real_money:
        raise UserError(f"--allow-real-money goes with --production, not with --{exchange}; leave it out")
    limits, risk = limits_of(asker, max_order_dollars, max_loss_dollars)
    if exchange == "paper":
        if api_key_id is not None or key_file is not None:
            raise UserError("--api-key-id and --key-file are of an account at Kalshi; --paper makes both itself")
        make_private_directory(path.parent)
        key = path.with_name(PAPER_KEY_NAME)
        served = paper_arguments(key, paper_port, paper_ws_port)
        with serve_paper(key, paper_port, paper_ws_port) as ready:
            made = Config(
                environment="paper",
                api_key_id=ready.api_key_id,
                private_key_path=PAPER_KEY_NAME,
                rest_url=ready.rest_url,
                ws_url=ready.ws_url,
                limits=limits,
                risk=risk,
            )
            is_sound = _save_and_check(path, made)
        _say_what_next(path, served, units)
    else:
        key_id = asker.choose(api_key_id, "--api-key-id", ask_key_id)
        made = account_config(exchange, key_id, limits, risk)
        _place_key(asker.choose(key_file, "--key-file", ask_key_file), path)
        is_sound = _save_and_check(path, made, asks_exchange=not offline)
        _say_what_next(path, None, units)
    if not is_sound:
        sys.exit(EXIT_FAILED)


def _only_one(**given: bool) -> EnvironmentName | None:
    """Return the exchange that was given. Raises UserError for several: which is meant, nobody guesses."""
    named = [name for name, is_given in given.items() if is_given]
    if len(named) > 1:
        raise UserError(f"{' and '.join(f'--{name}' for name in named)} exclude each other; give one of them")
    return cast("EnvironmentName", named[0]) if named else None


def _set_up_around(path: Path, systemd: Manager | None, *, follows: bool) -> None:
    """Write the units of a configuration that is there. Raises UserError where none are wanted: it stays as it is."""
    if systemd is None:
        raise UserError(f"configuration {path} is there already and stays as it is; fsm-exec doctor looks at it")
    loaded = load_config(path)
    config = loaded.config
    served = None
    if config.rest_url is not None and config.ws_url is not None:
        ports = (urlsplit(url).port for url in (config.rest_url, config.ws_url))
        served = paper_arguments(loaded.key_path, *(port or PAPER_PORT for port in ports))
    _say_what_next(path, served, systemd, follows=follows)


def _place_key(source: Path, config: Path) -> None:
    """Put the key beside the configuration, for its owner alone. Raises UserError."""
    pem, place = read_key(source), config.with_name(KEY_NAME)
    make_private_directory(config.parent)
    if source.resolve() == place.resolve():
        place.chmod(0o600)
        return
    save_new(place, pem)
    say(f"key: {place}; {source} is needed no more: delete it")


def _save_and_check(path: Path, made: Config, *, asks_exchange: bool = True) -> bool:
    """Save the configuration and look at all that it leads to; return whether nothing fails. Raises UserError."""
    save_new(path, config_text(made).encode())
    written = load_config(path).config
    assert written == made, "what was written is not what is read"
    say(f"configuration: {path}")
    checks = make_checks(path, asks_exchange=asks_exchange)
    say_checks(checks)
    return not any(check.verdict == "fail" for check in checks)


def _say_what_next(path: Path, served: list[str] | None, systemd: Manager | None, *, follows: bool = False) -> None:
    """Write the units if they are wanted, and say which commands come next."""
    if systemd is not None:
        made = load_config(path)
        pair = find_pair_units(made.config.standby, Path(os.path.realpath(database_path(made.account_name))))
        places, commands = save_units(systemd, path, made.config.environment, served, pair, follows=follows)
        say("\n".join(f"unit: {place}" for place in places.values()))
    else:
        commands = [shlex.join(["fsm-exec", *served])] if served else []
        commands.append(shlex.join(["fsm-exec", "serve", "--config", str(path)]))
    say("\n".join(["next:", *(f"  {command}" for command in commands)]))
