"""The second host: it follows the first by the standby's own code, and takes over when the lease has run out.

Litestream works in real time alone, so here SQLite's backup makes the copies; what Litestream makes of a failover is
seen by `tests.chaos.failovers`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.standby.follower import LOOK_EVERY_S, NOTES_EVERY_S, Follower
from fsm_exec.standby.lease import Lease
from fsm_exec.standby.litestream import Litestream
from fsm_exec.standby.takeover import restore_newest
from fsm_exec.store.maintenance.backups import copy_database
from tests.soak.month.machine import Machine, holder_of


class CopiedBySqlite(Litestream):
    """Restores what `SecondHost.replicate` has copied."""

    async def restore(self, source: str, target: Path) -> None:
        await trio.lowlevel.checkpoint()
        shutil.copyfile(source, target)


class SecondHost:
    """A host with a disk of its own at `directory`. `tell` is told what it does."""

    def __init__(
        self, first: Machine, directory: Path, log: FilteringBoundLogger, tell: Callable[[str], object]
    ) -> None:
        self._first, self._directory, self._tell, self._log = first, directory, tell, log
        self._replica, self._followed = directory / "replica.sqlite", directory / "followed.sqlite"
        self._litestream = CopiedBySqlite(directory)
        holder = holder_of("standby", directory)
        self._lease = Lease(first.pair.place, holder, first.now_us, log, lease_s=first.pair.lease_s)

    def replicate(self) -> None:
        """Copy what the first has now; nothing that comes later is copied."""
        self._replica.unlink(missing_ok=True)
        copy_database(self._first.database, self._replica)
        shutil.copyfile(self._replica, self._followed)

    async def tidy(self) -> None:
        """Follow for as long as it takes to delete the notes of what has been copied."""
        with trio.move_on_after(NOTES_EVERY_S):
            await self._follower().clean_notes()

    def _follower(self) -> Follower:
        first, source = self._first, str(self._replica)
        return Follower(
            self._litestream, source, self._followed, self._lease, first.pair.place, first.now_us, self._log
        )

    async def take_over(self) -> Machine:
        """Follow until the first's lease has run out, and take over; return the machine that leads from then on, its
        database in its place."""
        first, follower = self._first, self._follower()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.clean_notes)
            while not (seen := await follower.look()).has_run_out:  # noqa: ASYNC110 - as a standby does
                await trio.sleep(LOOK_EVERY_S)
            nursery.cancel_scope.cancel()
        await self._lease.acquire(over=seen.record)
        second = replace(
            first, directory=self._directory, pair=replace(first.pair, holder=self._lease.holder, term=self._lease.term)
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._lease.run, lambda _: None)
            await restore_newest(
                self._litestream, str(self._replica), self._followed, second.database, self._lease.term, self._tell
            )
            nursery.cancel_scope.cancel()
        return second
