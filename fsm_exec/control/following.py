"""A watch that outlives the daemon: it finds the next one, and goes on after the last row it has.

Rows are numbered in the database, so nothing is lost or repeated however often the connection is cut. Another database
has other rows: a daemon of another one is refused, and waited for no longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from fsm_exec.control.client import ControlClient, DaemonAbsent, DaemonFailed
from fsm_exec.control.finding import open_client
from fsm_exec.control.messages import QuarantineSeen, Transition
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import one_line

PAUSE_S: Final = 0.2  # before the first new try; each is twice the last
PAUSE_MAX_S: Final = 5.0


class Following:
    """`daemon` is the one that answers now. `say` is told in one line that the daemon has gone, once each time."""

    def __init__(
        self,
        daemon: ControlClient,
        url: str | None,
        token_file: Path | None,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._daemon, self._url, self._token_file = daemon, url, token_file
        self._say, self._sleep = say, sleep

    def steps(self, execution_id: str | None, after: int | None) -> Iterator[Transition | QuarantineSeen]:
        """The steps of one execution to its end, or of all for ever, each once. Raises UserError, and DaemonAbsent or
        DaemonFailed only if it never began."""
        of = self._daemon.status()
        place, has_begun, pause_s = after, False, PAUSE_S
        daemon: ControlClient | None = self._daemon
        while True:
            try:
                if daemon is None:
                    daemon = self._found_again(of.instance, of.database)
                for heard in daemon.watch(execution_id, place):
                    place, has_begun, pause_s = heard.place, True, PAUSE_S
                    if heard.told is not None:
                        yield heard.told
                return
            except (DaemonAbsent, DaemonFailed) as error:
                if not has_begun:
                    raise
                if daemon is not None and pause_s == PAUSE_S:
                    self._say(f"{one_line(str(error))}; going on after row {place} as soon as it runs")
                if daemon is not None and daemon is not self._daemon:
                    daemon.close()
                daemon = None
                self._sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_MAX_S)

    def _found_again(self, instance: str, database: str) -> ControlClient:
        """Raises DaemonAbsent and DaemonFailed if it does not answer yet, UserError if another database does."""
        daemon = open_client(self._url, self._token_file, None if self._url is not None else database)
        try:
            found = daemon.status()
        except BaseException:
            daemon.close()
            raise
        if found.instance != instance:
            daemon.close()
            raise UserError(
                f"the daemon there has another database now, {found.database}, with other rows; watch again"
            )
        return daemon
