"""A standby follows: it keeps a copy of the leader's database, watches the lease record, and says when to take over.

Litestream keeps the copy, in a process that is started again when it ends. The lease has run out when the record has
not changed for its length and a margin, on this host's own clock. A record that cannot be reached has not run out: with
the network split, nobody may take over who could not say so. Once it can be read again its time begins anew: the share
may have been away from both hosts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import ExecError
from fsm_exec.core.trouble import Trouble
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.standby.accepted_notes import delete_note, load_notes
from fsm_exec.standby.command_notes import load_execution_notes
from fsm_exec.standby.copy_reads import CopySeen, find_ended, find_known_keys, load_copy
from fsm_exec.standby.lag import LagMeter
from fsm_exec.standby.lease import Lease
from fsm_exec.standby.lease_record import ExpiryWatch, LeaseRecord
from fsm_exec.standby.litestream import Litestream
from fsm_exec.standby.places.place import Place

LOOK_EVERY_S: Final = 1.0
NOTES_EVERY_S: Final = 10.0
AGAIN_AFTER_S: Final = 2.0
AFRESH_AFTER: Final = 3  # failures in a row: what is left of the copy may be why


class StandbySeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a standby knows. `lag_us` None: not known yet. `lease_left_s`: the leader may live for so long without being
    heard of; None: there is no record, or it cannot be read. `notes`: submissions that the copy does not have yet.
    `why` says what does not work, one line each."""

    source: str
    copy: CopySeen | None
    lag_us: int | None
    record: LeaseRecord | None
    lease_left_s: int | None
    notes: int | None
    why: list[str]

    @property
    def has_run_out(self) -> bool:
        """Whether nobody leads any more."""
        return self.lease_left_s is not None and self.lease_left_s <= 0


class Follower:
    """Keeps `copy` at what `source` has."""

    def __init__(
        self,
        litestream: Litestream,
        source: str,
        copy: Path,
        lease: Lease,
        place: Place,
        wall_us: Callable[[], int],
        log: FilteringBoundLogger,
    ) -> None:
        self._litestream, self._source, self.copy = litestream, source, copy
        self._lease, self._place, self._wall_us, self._log = lease, place, wall_us, log
        self._meter, self._expiry = LagMeter(), ExpiryWatch()
        self._why_no_copy: str | None = None
        self._notes: int | None = None

    async def run(self) -> None:
        """Keep the copy, for ever."""
        failures, ended = 0, Trouble(self._log, "copying_ended", "why")
        while True:
            began_s = trio.current_time()
            try:
                async with self._litestream.follow(self._source, self.copy) as process:
                    why = await process.read_failure()
            except ExecError as error:
                why = str(error)
            failures += 1
            if trio.current_time() - began_s > NOTES_EVERY_S:
                failures = 1
                ended.end()
            ended.record(why)
            self._why_no_copy = why
            if failures >= AFRESH_AFTER:
                remove_copy(self.copy)
            await trio.sleep(AGAIN_AFTER_S)

    async def clean_notes(self) -> None:
        """Delete the notes of submissions that the copy has, and of executions that have ended by it, again and again,
        for ever."""
        while True:
            with suppress(ExecError):  # the next time
                notes = await load_notes(self._place)
                known = await trio.to_thread.run_sync(find_known_keys, self.copy, [note.key for note in notes])
                for key in known:
                    await delete_note(self._place, key)
                self._notes = len(notes) - len(known)
            with suppress(ExecError):
                await self._clean_execution_notes()
            await trio.sleep(NOTES_EVERY_S)

    async def _clean_execution_notes(self) -> None:
        notes = await load_execution_notes(self._place)
        noted = {name: (note.execution_id, note.accepted_at) for name, note in notes.items()}
        ended = await trio.to_thread.run_sync(find_ended, self.copy, list(noted.values()))
        for name in [name for name, execution in noted.items() if execution in ended]:
            await self._place.delete(name)

    async def look(self) -> StandbySeen:
        """Look at copy and record."""
        seen = await trio.to_thread.run_sync(load_copy, self.copy)
        record, left_s, why = None, None, []
        looked_s = trio.current_time()  # not later: this process may be stopped in between
        try:
            found = await self._lease.load()
            if found is not None:
                record = found[0]
                left_s = self._expiry.left_s(found[1], record, looked_s)
            else:
                why.append(f"there is no lease record at {self._lease.where}: no engine has led there yet")
        except ExecError as error:
            why.append(str(error))
            self._expiry.begin_anew()
        if seen is None:
            why.append(self._why_no_copy or f"nothing of {self._source} is here yet")
        every_us = (self._lease.lease_s if record is None else record.lease_s) * US_PER_S // 3
        times = [] if seen is None else [seen.beat, seen.newest_step]
        return StandbySeen(
            source=self._source,
            copy=seen,
            lag_us=self._meter.measure_us(times, every_us, self._wall_us()),
            record=record,
            lease_left_s=None if left_s is None else -int(-left_s // 1),
            notes=self._notes,
            why=why,
        )


def remove_copy(copy: Path) -> None:
    """Remove a copy with what belongs to it."""
    for suffix in ("", "-wal", "-shm", "-txid"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
