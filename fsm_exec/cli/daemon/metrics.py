"""`fsm-exec metrics`: what the daemon measures of itself, and how Prometheus and Grafana are led to it."""

from __future__ import annotations

from pathlib import Path

import click

from fsm_exec.cli.daemon.client_command import open_client
from fsm_exec.cli.output import say
from fsm_exec.control.daemon_registry import load_running_daemons
from fsm_exec.control.discovery import find_daemon
from fsm_exec.control.metrics.board import load_board, scrape_config
from fsm_exec.control.paths import token_path


@click.command()
@click.option("--board", is_flag=True, help="Print the Grafana board instead; it needs no daemon.")
@click.option("--scrape-config", is_flag=True, help="Print what a Prometheus needs to read the daemon instead.")
@click.option(
    "--token-file",
    envvar="FSM_EXEC_TOKEN_FILE",
    type=click.Path(path_type=Path),
    help="The daemon's token file.  [default: the one the daemon uses]",
)
@click.option("--url", envvar="FSM_EXEC_URL", help="The daemon's address.  [default: the one that runs]")
def metrics(url: str | None, token_file: Path | None, *, board: bool, scrape_config: bool) -> None:
    """Print what the daemon measures of itself, as Prometheus reads it from /metrics."""
    if board and scrape_config:
        raise click.UsageError("--board and --scrape-config are two documents; give one of them")
    if board:
        say(load_board().rstrip("\n"))
    elif scrape_config:
        _print_scrape_config(url, token_file)
    else:
        with open_client(url, token_file) as daemon:
            say(daemon.metrics().rstrip("\n"))


def _print_scrape_config(url: str | None, token_file: Path | None) -> None:
    address = find_daemon(url, token_file).url
    running = [Path(one.token_file) for one in load_running_daemons() if one.url == address]
    say(scrape_config(address, token_file or (running[0] if running else token_path())).rstrip("\n"))
