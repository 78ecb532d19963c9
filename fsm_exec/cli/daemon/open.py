"""`fsm-exec open`: the daemon's page in a browser, or with --db the same pages of a database without a daemon.

Each link holds for a minute and for one browser: other users of this machine may see the command line of a browser that
starts, and who comes second with a link ends what the first one opened with it.

Exit codes: 0 opened (with --db: until a signal), 1 no browser could be opened, 2 wrong usage.
"""

from __future__ import annotations

import sys
import webbrowser
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio

from fsm_exec.cli.daemon.client_command import daemon_options, open_client
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.output import say, say_json
from fsm_exec.control.schema import PageLink
from fsm_exec.control.server import bind_socket
from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.runtime.logs import open_log
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads.api_queries import load_environment

PORT_MAX: Final = 65_535


class NoBrowser(ExecError):
    """The page is there, but no browser could be opened."""


@click.command("open")
@click.option("--read-only", is_flag=True, help="A link that may look and change nothing.")
@click.option("--print", "only_print", is_flag=True, help="Print the link and open nothing.")
@click.option("--db", type=click.Path(path_type=Path), help="Show this database without a daemon, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, PORT_MAX), help="With --db: of its page.  [default: a free one]")
@daemon_options
def open_page(
    url: str | None,
    token_file: Path | None,
    db: Path | None,
    port: int | None,
    *,
    read_only: bool,
    only_print: bool,
    as_json: bool,
) -> None:
    """Open the daemon's page in a browser."""
    show = partial(_show, opens=not (only_print or as_json), as_json=as_json)
    if db is not None:
        if url is not None or token_file is not None:
            raise UserError("--db shows a database without a daemon; leave --url and --token-file out")
        trio.run(_serve_database, db, port or 0, show)
        return
    if port is not None:
        raise UserError("--port goes with --db; a daemon's page has the port it was started with")
    with open_client(url, token_file) as daemon:
        show(daemon.draw_page_link(read_only=read_only))


async def _serve_database(db: Path, port: int, show: partial[None]) -> None:
    from fsm_exec.web.server import run_page  # only here: who opens a daemon's page does not serve it

    with open_read_only(db) as found:
        environment = load_environment(found.connection) or "no exchange"
    wall = WallClock(system_us())
    with bind_socket(port) as listening, trio.open_signal_receiver(*ending_signals()) as signals:
        page = run_page(None, db, environment, listening, wall, open_log(sys.stderr, wall))
        async with page as door:
            show(PageLink(url=door.draw_link(read_only=True)))
            async for _ in signals:
                break


def _show(link: PageLink, *, opens: bool, as_json: bool) -> None:
    if as_json:
        say_json(link)
        return
    if not opens:
        say(link.url)
        return
    if not webbrowser.open(link.url):
        raise NoBrowser(f"no browser could be opened here; open this within a minute: {link.url}")
    say("opened in the browser; for a link to copy: fsm-exec open --print")
