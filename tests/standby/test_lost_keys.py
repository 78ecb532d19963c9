"""What the notes beside the lease record say that a database does not have."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import VenueError
from fsm_exec.core.journal.rows import SubmissionRow
from fsm_exec.core.market.orders import OrderListing, OrderReport
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S, CountE2, PriceE4
from fsm_exec.runtime.missed_facts import ForgottenOrders, leave_out_reported
from fsm_exec.standby.accepted_notes import AcceptedNote, load_notes, note_name, save_note
from fsm_exec.standby.lost_keys import LostKeys, describe_lost
from fsm_exec.standby.places.memory_place import MemoryPlace
from fsm_exec.standby.places.place import PlaceUnreachable, Stored
from fsm_exec.store import SqliteStore, open_virtual_store
from tests.store.conftest import T0_US, Samples

LOG = structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
OURS, THEIRS = "abcdefghij", "jihgfedcba"


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    async with open_virtual_store(None, draw_instance=lambda: OURS, at_us=T0_US) as opened:
        yield opened


def note_of(key: str, instance: str) -> AcceptedNote:
    return AcceptedNote(
        key=key,
        execution_id="e000007",
        instance=instance,
        ticker="KXTEST-1",
        outcome="yes",
        quantity="5.00",
        noted_at="2026-01-01T00:00:00.000000Z",
    )


async def test_what_another_host_accepted_and_no_copy_has_is_lost_once(store: SqliteStore) -> None:
    """A key that the database knows is not lost; another host's that it does not know is, is durable, and is said once,
    by this process and by the next."""
    place = MemoryPlace()
    await store.save(msgspec.structs.replace(Samples().save(), submission=SubmissionRow("known", b"{}")))
    for key in ("known", "unknown"):
        await save_note(place, note_of(key, THEIRS))
    keys = LostKeys(place, store, lambda: T0_US, LOG)
    (lost,) = await keys.find(is_start=True)
    assert (lost.key, lost.accepted_as, lost.bought) == ("unknown", "e000007", None)
    assert "how much it bought is not known" in describe_lost(lost)
    assert await store.load_lost("unknown") == lost
    assert await store.load_all_lost() == [lost]
    assert await keys.find(is_start=False) == []
    await keys.save_said(await keys.learn_bought([lost], Orders()))
    assert await LostKeys(place, store, lambda: T0_US, LOG).find(is_start=True) == []


async def test_what_was_found_and_never_said_is_said_by_the_next_process(store: SqliteStore) -> None:
    """A process that dies once it has stored what was lost, or has learned what it bought, leaves it to the next to
    say; so does one to which the exchange did not say what it bought."""
    place = MemoryPlace()
    await save_note(place, note_of("unknown", THEIRS))
    (lost,) = await LostKeys(place, store, lambda: T0_US, LOG).find(is_start=True)
    keys = LostKeys(place, store, lambda: T0_US + 1, LOG)
    assert await keys.find(is_start=True) == [lost]
    assert await keys.find(is_start=False) == []
    (learned,) = await keys.learn_bought([lost], Orders())
    assert learned.bought == "5.00"
    later = LostKeys(place, store, lambda: T0_US + 2, LOG)
    assert await later.find(is_start=True) == [lost]
    await later.save_said(await later.learn_bought([lost], NoOrders()))
    last = LostKeys(place, store, lambda: T0_US + 3, LOG)
    assert await last.find(is_start=True) == [lost]
    await last.save_said([learned])
    assert await LostKeys(place, store, lambda: T0_US + 4, LOG).find(is_start=True) == []
    assert await store.load_lost("unknown") == learned


def order_of(name: str) -> OrderReport:
    return OrderReport(
        order_id=f"at-{name}",
        client_order_id=name,
        ticker="KXTEST-1",
        outcome="yes",
        status="executed",
        price_e4=PriceE4(5_000),
        count_e2=CountE2(500),
        filled_e2=CountE2(500),
        remaining_e2=CountE2(0),
        at_us=T0_US,
    )


class Orders:
    """An exchange that has the order of what `note_of` notes, executed."""

    async def fetch_orders(self) -> OrderListing:
        return OrderListing(as_of_us=T0_US, orders=(order_of(f"fx{THEIRS}-e000007-1-1-aaaaaa"),))


class NoOrders:
    """An exchange that does not answer."""

    async def fetch_orders(self) -> OrderListing:
        raise VenueError("it does not answer")


async def test_a_start_says_no_more_of_orders_whose_key_is_reported_as_lost(store: SqliteStore) -> None:
    """Orders of a lost submission that is reported by key are no loss of their own, at this start and at every later
    one; another's of the same host are."""
    place = MemoryPlace()
    await save_note(place, note_of("unknown", THEIRS))
    reported, other = order_of(f"fx{THEIRS}-e000007-1-1-aaaaaa"), order_of(f"fx{THEIRS}-e000008-1-1-aaaaaa")
    forgot = ForgottenOrders((reported, other), 8)
    assert await leave_out_reported(forgot, store) == forgot
    assert len(await LostKeys(place, store, lambda: T0_US, LOG).find(is_start=True)) == 1
    assert await leave_out_reported(forgot, store) == ForgottenOrders((other,), 8)
    assert await leave_out_reported(ForgottenOrders((reported,), 7), store) is None


async def test_what_is_being_accepted_here_keeps_its_note(store: SqliteStore) -> None:
    """A submission is noted, then saved: a look in between neither takes it for lost nor deletes its note. The note
    that a dead process left without a save is deleted by the next start: nobody was told that it was accepted."""
    place = MemoryPlace()
    keys = LostKeys(place, store, lambda: T0_US, LOG)
    assert await keys.find(is_start=True) == []
    await save_note(place, note_of("under way", OURS))
    assert await keys.find(is_start=False) == []
    assert [note.key for note in await load_notes(place)] == ["under way"]
    assert await LostKeys(place, store, lambda: T0_US, LOG).find(is_start=True) == []
    assert await load_notes(place) == []


async def test_what_another_host_accepts_after_the_takeover_is_found_too(store: SqliteStore) -> None:
    """An engine that did not know yet that it was replaced accepts something: the leader finds its note later."""
    place = MemoryPlace()
    keys = LostKeys(place, store, lambda: T0_US, LOG)
    assert await keys.find(is_start=True) == []
    await save_note(place, note_of("late", THEIRS))
    assert [one.key for one in await keys.find(is_start=False)] == ["late"]


async def test_without_a_standby_notes_do_not_pile_up(store: SqliteStore, autojump_clock: MockClock) -> None:
    """A note older than a week whose key the database knows is deleted, at a start and later; one whose key it does not
    know is reported whatever its age, and a newer one stays for a copy to come."""
    place = MemoryPlace()
    old = to_iso(T0_US - 8 * 86_400 * US_PER_S)
    await store.save(msgspec.structs.replace(Samples().save(), submission=SubmissionRow("known", b"{}")))
    await save_note(place, msgspec.structs.replace(note_of("known", OURS), noted_at=old))
    await save_note(place, msgspec.structs.replace(note_of("unknown", THEIRS), noted_at=old))
    keys = LostKeys(place, store, lambda: T0_US, LOG)
    (lost,) = await keys.find(is_start=True)
    assert lost.key == "unknown"
    assert [note.key for note in await load_notes(place)] == ["unknown"]
    await save_note(place, msgspec.structs.replace(note_of("known", OURS), noted_at=to_iso(T0_US)))
    await keys.save_said(await keys.learn_bought([lost], Orders()))
    late = LostKeys(place, store, lambda: T0_US + times.pop(), LOG)
    times = [8 * 86_400 * US_PER_S, 0]
    assert await late.find(is_start=True) == []
    assert "known" in [note.key for note in await load_notes(place)]
    await trio.sleep(2 * 3_600)
    assert await late.find(is_start=False) == []
    assert await load_notes(place) == []


async def test_a_note_that_cannot_be_read_is_said_and_stops_no_takeover(store: SqliteStore) -> None:
    """The others are found; it is found, too, once it can be read. With the whole place gone the look fails."""

    class Place(MemoryPlace):
        unreadable = note_name("bad")
        is_away = False

        async def load(self, name: str) -> Stored | None:
            if name == self.unreadable or self.is_away:
                raise PlaceUnreachable("input/output error")
            return await super().load(name)

        async def load_names(self, folder: str) -> list[str]:
            if self.is_away:
                raise PlaceUnreachable("away")
            return await super().load_names(folder)

    place = Place()
    for key in ("good", "bad"):
        await MemoryPlace.save(place, note_name(key), msgspec.json.encode(note_of(key, THEIRS)), None)
    keys = LostKeys(place, store, lambda: T0_US, LOG)
    assert [lost.key for lost in await keys.find(is_start=True)] == ["good"]
    (line,) = keys.unread_lines()
    assert place.unreadable in line
    place.unreadable = ""
    assert [lost.key for lost in await keys.find(is_start=False)] == ["bad"]
    assert keys.unread_lines() == []
    place.is_away = True
    with pytest.raises(PlaceUnreachable):
        await keys.find(is_start=False)
