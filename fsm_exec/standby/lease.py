"""An engine's hold on the lease record: it takes it at its start, renews it, and learns when another one has it.

A start with a record that cannot be reached is refused by its caller; an engine that runs goes on without it, since the
fence at the exchange keeps two engines apart, and says so. An engine that finds another leader of a higher term in the
record is fenced: it has to stop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import ExecError
from fsm_exec.core.leadership_port import Leader, LeadershipUnknown
from fsm_exec.core.trouble import Trouble
from fsm_exec.standby.lease_record import (
    LEASE_S,
    LeaseHolder,
    LeaseRecord,
    decode_record,
    encode_record,
    renewed_record,
)
from fsm_exec.standby.places.place import Place, PlaceChanged, PlaceUnreachable, Stored

RECORD: Final = "lease.json"
GROUPS: Final = "groups"
GROUPS_KEPT_MAX: Final = 64  # noted ones, of the newest openings; whatever is older was fenced long ago
TRIES_MAX: Final = 5


class LeaseHeld(ExecError):
    """The record names another engine; the message says which, and what to do."""


class Lease:
    """Implements `core.leadership_port.Leadership`. `wall_us` stamps the record. `save_beat` leaves a sign of life in
    the database and returns its time, so that a copy shows how old it is."""

    def __init__(
        self,
        place: Place,
        holder: LeaseHolder,
        wall_us: Callable[[], int],
        log: FilteringBoundLogger,
        *,
        lease_s: int = LEASE_S,
        save_beat: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._place, self._wall_us, self._log = place, wall_us, log
        self.holder = holder
        self.lease_s = lease_s
        self.term = 0  # ours; 0: we do not lead
        self.save_beat = save_beat
        self._beat = ""
        self._why_failing: str | None = None
        self._failing = Trouble(log, "lease_not_renewed", "why")
        self._renewed_s = 0.0

    @property
    def where(self) -> str:
        """Where the record is."""
        return f"{self._place.url}/{RECORD}"

    async def load(self) -> tuple[LeaseRecord, str] | None:
        """Load the record, with the tag of its state; None: there is none. Raises PlaceUnreachable and UserError."""
        stored = await self._place.load(RECORD)
        return None if stored is None else (decode_record(stored.content, self.where), stored.tag)

    async def acquire(self, *, take_over: bool = False, over: LeaseRecord | None = None) -> LeaseRecord | None:
        """Begin to lead, under a term of our own; return the record that was replaced. With `take_over` whoever leads
        is replaced, with `over` only who has not renewed since that record, otherwise only ourselves: an engine on the
        same database file that is dead. Raises LeaseHeld, PlaceUnreachable and UserError."""
        for _ in range(TRIES_MAX):
            stored = await self._place.load(RECORD)
            found = None if stored is None else decode_record(stored.content, self.where)
            if found is not None and not take_over and found != over and not found.is_of(self.holder):
                raise LeaseHeld(self._describe(found))
            term = 1 if found is None else found.term + 1
            try:
                await self._save(term, stored)
            except PlaceChanged:
                continue
            self.term = term
            self._log.info("lease_acquired", where=self.where, term=term)
            return found
        raise PlaceUnreachable(f"the lease record {self.where} changes all the time; stop the other engines first")

    def _describe(self, found: LeaseRecord) -> str:
        return (
            f"the lease record {self.where} names another engine, {found.holder} in term {found.term}, renewed at "
            f"{found.renewed_at}: this one must not work beside it; follow it with: fsm-exec standby, or, if this "
            "database is to replace it, start with --take-over"
        )

    async def renew(self) -> Leader | None:
        """Renew the lease; return who leads instead, if another engine has taken over. Raises PlaceUnreachable and
        UserError."""
        if self.save_beat is not None:
            self._beat = await self.save_beat()
        for _ in range(TRIES_MAX):
            stored = await self._place.load(RECORD)
            if stored is None:  # never made again: who else would then make one of the same term?
                raise PlaceUnreachable(f"the lease record {self.where} is gone")
            found = decode_record(stored.content, self.where)
            if found.term > self.term or (found.term == self.term and found.holder.name != self.holder.name):
                return _leader(found)
            try:
                await self._save(self.term, stored)
            except PlaceChanged:
                continue
            return None
        raise PlaceUnreachable(f"the lease record {self.where} changes all the time")

    async def _save(self, term: int, over: Stored | None) -> None:
        record = renewed_record(term, self.holder, self.lease_s, self._wall_us(), self._beat)
        await self._place.save(RECORD, encode_record(record), None if over is None else over.tag)
        self._renewed_s = trio.current_time()
        self._why_failing = None
        self._failing.end()

    async def run(self, stop: Callable[[Leader], None]) -> None:
        """Renew the lease three times in its length, until another engine leads; then call `stop` with it, once."""
        while True:
            await trio.sleep(self.lease_s / 3)
            try:
                leader = await self.renew()
            except ExecError as error:
                self._note_failure(str(error))
                continue
            if leader is not None:
                self._log.error("fenced", leader=leader.holder, term=leader.term, own_term=self.term)
                stop(leader)
                return

    def _note_failure(self, why: str) -> None:
        self._failing.record(why, where=self.where)
        self._why_failing = why

    async def who_leads(self) -> Leader | None:
        """Return who leads instead of us; None: nobody that we know of. Raises LeadershipUnknown."""
        try:
            found = await self.load()
        except ExecError as error:
            self._note_failure(str(error))
            raise LeadershipUnknown(str(error)) from error
        if found is None or found[0].is_of(self.holder):
            return None
        return _leader(found[0])

    async def note_group(self, group_id: str) -> None:
        """Note an order group of ours beside the record: its order may be newer than any copy of the database.

        Who takes over has the record first and looks for groups then. So a note after which we still lead is found by
        every successor; after one that comes later nothing may be placed. Raises LeadershipUnknown, also then."""
        try:
            noted = await self._place.load_names(GROUPS)
            for old in noted[:-GROUPS_KEPT_MAX]:
                await self._place.delete(old)
            name = f"{GROUPS}/{self.term:08d}-{group_id}"
            if name not in noted:
                await self._place.save(name, group_id.encode(), None)
        except (PlaceUnreachable, PlaceChanged) as error:
            raise LeadershipUnknown(str(error)) from error
        if (leader := await self.who_leads()) is not None:
            raise LeadershipUnknown(f"{leader.holder} leads since term {leader.term}")

    async def load_groups(self) -> Sequence[str]:
        """Load the ids of the order groups that were noted in the terms before ours, the oldest first: of those of our
        own one may be noted already when this is asked. Raises LeadershipUnknown."""
        try:
            names = await self._place.load_names(GROUPS)
        except PlaceUnreachable as error:
            raise LeadershipUnknown(str(error)) from error
        noted = [name.rpartition("/")[2].partition("-") for name in names]
        return [group_id for term, _, group_id in noted if term.isdecimal() and int(term) < self.term]

    def trouble(self) -> str | None:
        """Return why the lease is not renewed now, for people; None: it is."""
        if self._why_failing is None:
            return None
        for_s = round(trio.current_time() - self._renewed_s)
        return f"the lease record was not renewed for {for_s} s, a standby may take over: {self._why_failing}"


def _leader(record: LeaseRecord) -> Leader:
    return Leader(holder=str(record.holder), term=record.term)
