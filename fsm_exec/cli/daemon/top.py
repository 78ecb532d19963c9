"""`fsm-exec top`: the daemon as it stands, live. It looks and asks, and never acts.

It is woken by the daemon's own stream of steps, and asks for the overview then, at most a few times a second; without
a step it asks once a second, for prices and the time left move by themselves. A daemon that goes away is looked for
again, and the last that was known stays on the screen, marked so.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import click
import trio
from rich.live import Live

from fsm_exec.cli.console import Page
from fsm_exec.cli.daemon.client_command import daemon_options, open_client, print_json
from fsm_exec.cli.daemon.top_screen import draw
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exit_codes import EXIT_INTERRUPTED
from fsm_exec.cli.tables.columns import open_console, print_rendered
from fsm_exec.control.client import AsyncClient, Refused, Step
from fsm_exec.control.overview_schema import WORKING_MAX, Overview

LOOK_EVERY_S: Final = 1.0
LOOKS_APART_S: Final = 0.25
ENDED_SHOWN: Final = 8
TOO_MANY_WATCHERS: Final = "too_many_watchers"  # the API's code
CONSOLE_LINES_LEAST: Final = 8


@click.command()
@click.option("--once", is_flag=True, help="Show it once and end; so it is wherever no terminal shows it.")
@daemon_options
def top(url: str | None, token_file: Path | None, *, once: bool, as_json: bool) -> None:
    """Show how everything stands, live: engine, exchange, risk, what is at work, what ended last.

    Executions that end first stand first. Ctrl-C ends the looking, nothing else.
    """
    console = open_console()
    if as_json or once or not console.is_terminal or console.is_dumb_terminal:
        with open_client(url, token_file) as daemon:
            seen = daemon.overview(working=WORKING_MAX, ended=ENDED_SHOWN)
        if as_json:
            print_json(seen)
        else:
            print_rendered(console, draw(seen, console.width))
        return
    raise SystemExit(trio.run(TopScreen(console, url, token_file).run))


class TopScreen:
    """The live screen: one task follows the steps, one asks for the overview, one draws."""

    def __init__(self, console: Page, url: str | None, token_file: Path | None) -> None:
        self._console, self._url, self._token_file = console, url, token_file
        self._seen: Overview | None = None
        self._gone: str | None = None
        self._news = trio.Event()

    async def run(self) -> int:
        """Show until a signal. Raises what the client raises if no daemon runs at first."""
        client = AsyncClient(self._url, self._token_file, patience_s=math.inf, when_gone=self._mark_gone)
        async with client as daemon:
            await self._look(daemon)
            with (
                trio.open_signal_receiver(*ending_signals()) as signals,
                Live(console=self._console, auto_refresh=False, screen=True, transient=True) as live,
            ):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._follow, daemon)
                    nursery.start_soon(self._keep_looking, daemon)
                    nursery.start_soon(self._keep_drawing, live)
                    async for _ in signals:
                        nursery.cancel_scope.cancel()
                        break
        return EXIT_INTERRUPTED

    async def _follow(self, daemon: AsyncClient) -> None:
        """Wake the one who asks at each step. Where too many follow already, once a second has to do."""
        try:
            steps: AsyncGenerator[Step, None] = daemon.follow_all()
            async with aclosing(steps):
                async for _ in steps:
                    self._news.set()
        except Refused as refused:
            if refused.code != TOO_MANY_WATCHERS:
                raise

    async def _keep_looking(self, daemon: AsyncClient) -> None:
        while True:
            with trio.move_on_after(LOOK_EVERY_S):
                await self._news.wait()
            self._news = trio.Event()
            await self._look(daemon)
            await trio.sleep(LOOKS_APART_S)

    async def _look(self, daemon: AsyncClient) -> None:
        rows = max(CONSOLE_LINES_LEAST, min(self._console.size.height, WORKING_MAX))
        self._seen = await daemon.overview(working=rows, ended=ENDED_SHOWN)
        self._gone = None

    async def _keep_drawing(self, live: Live) -> None:
        while True:
            if self._seen is not None:
                size = self._console.size
                live.update(draw(self._seen, size.width, size.height, self._gone), refresh=True)
            await trio.sleep(LOOKS_APART_S)

    def _mark_gone(self, line: str) -> None:
        self._gone = line
