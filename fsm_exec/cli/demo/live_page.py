"""The page of the demo: that of a daemon, over the demo's own engine, while the tape plays and until Ctrl-C."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from fsm_exec.cli.database.methods import method_finder
from fsm_exec.cli.output import say
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.server import bind_socket
from fsm_exec.control.service import Control, DaemonInfo
from fsm_exec.runtime.logs import LogFile, open_log
from fsm_exec.session import Session
from fsm_exec.web.server import run_page

ENVIRONMENT: Final = "demo on a paper exchange"


@asynccontextmanager
async def open_live_page(session: Session, db: Path, log_file: LogFile) -> AsyncIterator[str]:
    """Serve the page of the engine while the block runs; gives a link that opens it. Links and sessions age by real
    time, whatever the speed of the tape."""
    wall = session.wall
    log = open_log(log_file, wall)
    watchers = Watchers(wall.now_us)
    session.store.listen(watchers.notify)
    about = DaemonInfo(version="demo", environment=ENVIRONMENT, database=db.name, since_us=wall.now_us())
    control = Control(
        session.engine, session.store, wall, watchers, ControlLimits(), about, method_finder(db), session.client
    )
    async with AsyncExitStack() as stack:
        page = run_page(control, db, ENVIRONMENT, bind_socket(0), wall, log, time.monotonic)
        door = await stack.enter_async_context(page)
        control.page_door = door
        stack.callback(watchers.close)
        yield door.draw_link(read_only=False)
        await control.close()


def open_browser(link: str) -> None:
    """Open the link in the user's browser, or say it for who does that himself."""
    if not webbrowser.open(link):
        say(f"fsm-exec: no browser could be opened here; open this within a minute: {link}", err=True)
