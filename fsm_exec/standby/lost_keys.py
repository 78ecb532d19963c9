"""Submissions that another engine of the pair accepted and that this database does not have: found, kept, and said.

They were accepted after the copy's last moment. Which they are, the notes beside the lease record say; what they
bought, the exchange. A row of each is durable before the engine accepts anything, so its key is never worked a second
time in silence: used again it is refused, with what became of it. What one bought is saved only once that was said: a
row without it is said again by the next start, whose process may be the first that gets as far.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import trio
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueError
from fsm_exec.core.journal.rows import LostSubmission
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.core.market.orders import OrderListing
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S, CountE2, format_count
from fsm_exec.standby.accepted_notes import FOLDER, AcceptedNote, delete_note, load_note
from fsm_exec.standby.places.place import Place, PlaceUnreachable

KEPT_US: Final = 7 * 86_400 * US_PER_S  # of notes whose keys are known here: a copy that is further behind is no copy
TIDY_EVERY_S: Final = 3_600.0


class LostStore(Protocol):
    """The part of a database that finds and keeps what was lost."""

    @property
    def instance(self) -> str: ...
    @property
    def lost(self) -> str | None:
        """What it had acknowledged and does not have, by its own mark."""
        ...

    async def knows_key(self, key: str) -> bool:
        """Whether something was accepted under the key, or was reported as lost."""
        ...

    async def save_lost(self, rows: Sequence[LostSubmission]) -> None: ...
    async def load_all_lost(self) -> list[LostSubmission]: ...


class OrderLister(Protocol):
    """The exchange's list of orders."""

    async def fetch_orders(self) -> OrderListing:
        """Fetch all orders of the account. Raises VenueError."""
        ...


class LostKeys:
    """Looks for lost submissions of `store` in the notes of `place`."""

    def __init__(self, place: Place, store: LostStore, wall_us: Callable[[], int], log: FilteringBoundLogger) -> None:
        self._place, self._store, self._wall_us, self._log = place, store, wall_us, log
        self._seen: set[str] = set()
        self._tidied_s = -TIDY_EVERY_S
        self._unread: dict[str, str] = {}  # notes that cannot be read, and why

    async def find(self, *, is_start: bool) -> list[LostSubmission]:
        """Find what is lost and was not said before; it is durable when this returns. At a start the notes of this
        very database count too; later one of them may be of a submission that is being saved. So does what an earlier
        process found, and may have died before it said so. Raises PlaceUnreachable and StoreFailed."""
        found: list[LostSubmission] = []
        unsaid = [one for one in await self._store.load_all_lost() if one.bought is None] if is_start else []
        names = await self._place.load_names(FOLDER)
        if trio.current_time() - self._tidied_s >= TIDY_EVERY_S:
            self._tidied_s = trio.current_time()
            names = await self._delete_old(names)
        for name in names:
            if name in self._seen:
                continue
            note = await self._load_note(name)
            if name in self._unread:
                continue  # it is tried again with the next look
            is_own = note is not None and note.instance == self._store.instance
            if note is None or (is_own and not is_start) or await self._store.knows_key(note.key):
                pass
            elif is_own and self._store.lost is None:
                await delete_note(self._place, note.key)  # its process died before it was saved: nobody was told
            else:
                found.append(_lost(note, to_iso(self._wall_us())))
            self._seen.add(name)
        if found:
            await self._store.save_lost(found)
            for one in found:
                self._log.error("submission_lost", key=one.key, execution=one.accepted_as, instance=one.instance)
        self._seen.intersection_update(names)
        self._unread = {name: why for name, why in self._unread.items() if name in names}
        return unsaid + found

    def unread_lines(self) -> list[str]:
        """Return a line about each note that could not be read by the last look."""
        return [
            f"the note {self._place.url}/{name} cannot be read ({why}): whether something was lost is not known; make "
            "it readable, or look for what it names in the other host's database"
            for name, why in self._unread.items()
        ]

    async def _load_note(self, name: str) -> AcceptedNote | None:
        """Load a note. One that alone cannot be read stops no takeover, and is kept in mind. Raises PlaceUnreachable
        when nothing can be read."""
        try:
            note = await load_note(self._place, name)
        except PlaceUnreachable as error:
            await self._place.load_names(FOLDER)
            if name not in self._unread:
                self._log.error("note_unread", note=name, why=str(error))
            self._unread[name] = str(error)
            return None
        self._unread.pop(name, None)
        return note

    async def _delete_old(self, names: Sequence[str]) -> list[str]:
        """Delete the notes that a standby would have deleted long ago, if one followed: they must not pile up. Returns
        the names of the others."""
        kept: list[str] = []
        before = to_iso(self._wall_us() - KEPT_US)
        for name in names:
            note = await self._load_note(name)
            if note is not None and note.noted_at < before and await self._store.knows_key(note.key):
                await delete_note(self._place, note.key)
            else:
                kept.append(name)
        return kept

    async def learn_bought(self, lost: Sequence[LostSubmission], exchange: OrderLister) -> list[LostSubmission]:
        """Return the rows with what the exchange executed for each; as they are if it does not say."""
        try:
            listing = await exchange.fetch_orders()
        except VenueError as error:
            self._log.warning("lost_not_looked_up", why=str(error))
            return list(lost)
        filled: dict[tuple[str, str], int] = {}
        for order in listing.orders:
            named = parse_order_name(order.client_order_id)
            if named is not None:
                owner = named.instance, named.execution_id
                filled[owner] = filled.get(owner, 0) + order.filled_e2
        return [_with_bought(one, filled.get((one.instance, one.accepted_as), 0)) for one in lost]

    async def save_said(self, lost: Sequence[LostSubmission]) -> None:
        """Save that these were said, each with what it bought: no later start says it again. One of which that is not
        known is left, for the next start to say it with what it bought. Raises StoreFailed."""
        known = [one for one in lost if one.bought is not None]
        if known:
            await self._store.save_lost(known)


def describe_lost(one: LostSubmission) -> str:
    """Return a line about a lost submission."""
    bought = "how much it bought is not known" if one.bought is None else f"{one.bought} contracts of it were bought"
    return (
        f"lost with the other host: key {one.key!r}, {one.quantity} {one.outcome} of {one.ticker}, accepted there as "
        f"{one.accepted_as} at {one.noted_at}; {bought}; give a new key to buy what is missing"
    )


def _lost(note: AcceptedNote, at: str) -> LostSubmission:
    return LostSubmission(
        key=note.key,
        accepted_as=note.execution_id,
        instance=note.instance,
        ticker=note.ticker,
        outcome=note.outcome,
        quantity=note.quantity,
        noted_at=note.noted_at,
        bought=None,
        reported_at=at,
    )


def _with_bought(one: LostSubmission, filled_e2: int) -> LostSubmission:
    return replace(one, bought=format_count(CountE2(filled_e2)))
