"""Alerts are delivered at least once through each channel, whatever the others do, over failures and restarts."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.alerts.alerts import Alert, AlertKind
from fsm_exec.core.alerts.channel_port import Message
from fsm_exec.core.alerts.settings import AlertSettings, ChannelSettings
from fsm_exec.core.errors import NotDelivered
from fsm_exec.runtime.alerts.delivery import AlertDelivery, open_delivery
from fsm_exec.runtime.alerts.notifier import ANSWER_WITHIN_S, LOADED_MAX, AlertSetup
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.logs import open_log
from fsm_exec.store import SqliteStore, open_virtual_store

T0_US = 1_681_149_600_000_250  # 2023-04-10T18:00:00.000250Z
SECRET = "tgram://123456:AAsecret"
QUIET_DAY = "17:00-19:00"


class Inbox:
    """A channel into memory; it fails while `why` says so, and hangs while `hangs`."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.titles: list[str] = []
        self.at_s: list[float] = []
        self.tries = 0
        self.why: Exception | None = None
        self.hangs = False

    async def send(self, message: Message) -> None:
        self.tries += 1
        if self.hangs:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        if self.why is not None:
            raise self.why
        self.texts += message.text.split("\n")
        self.titles.append(message.title)
        self.at_s.append(trio.current_time())


class Told:
    """A store with its delivery at work."""

    def __init__(self, store: SqliteStore, delivery: AlertDelivery, wall: WallClock, log: io.StringIO) -> None:
        self.store, self.delivery, self.wall, self.log = store, delivery, wall, log

    async def say(self, *texts: str, kind: AlertKind = "failure") -> None:
        for text in texts:
            alert = Alert(kind=kind, subject=text, text=text, at_us=self.wall.now_us(), stands=False)
            await self.store.save_alerts([alert])


@asynccontextmanager
async def telling(
    settings: AlertSettings | None = None, path: Path | None = None, **channels: Inbox
) -> AsyncIterator[Told]:
    wall, log_file = WallClock(T0_US), io.StringIO()
    plain = {name: ChannelSettings(command=("x",), text="{text}", max_messages_per_minute=600) for name in channels}
    chosen = AlertSettings() if settings is None else settings
    setup = AlertSetup(replace(chosen, channels=plain | chosen.channels), channels, "demo", "engine.sqlite")
    async with open_virtual_store(path, draw_instance=lambda: "abcdefghij", at_us=T0_US) as store:
        log = open_log(log_file, wall)
        async with open_delivery(store, setup, wall, log) as delivery:
            yield Told(store, delivery, wall, log_file)


async def test_each_channel_is_told_and_only_then_it_is_delivered(autojump_clock: MockClock) -> None:
    """It is pending until the last of them has taken it."""
    phone, mail = Inbox(), Inbox()
    mail.why = NotDelivered("no route")
    async with telling(phone=phone, mail=mail) as told:
        await told.say("one")
        await trio.sleep(1)
        assert (phone.texts, mail.texts) == (["one"], [])
        (alert,) = await told.store.load_alerts(9)
        failed, taken = await told.store.load_deliveries([alert.alert_id])
        assert (alert.state, failed.channel, failed.why, failed.attempts) == ("pending", "mail", "no route", 1)
        assert failed.next_at_us is not None
        assert (taken.channel, taken.why) == ("phone", None)
        mail.why = None
        await trio.sleep(5)
        assert (phone.texts, mail.texts) == (["one"], ["one"])
        (alert,) = await told.store.load_alerts(9)
        assert alert.state == "delivered"
        assert await told.store.count_pending_alerts() == 0


async def test_a_dead_channel_delays_loses_nothing_and_holds_nobody_back(autojump_clock: MockClock) -> None:
    """An hour of it: the other channel is told at once, it is tried at most once a minute, and then gets everything."""
    phone, mail = Inbox(), Inbox()
    mail.hangs = True
    async with telling(phone=phone, mail=mail) as told:
        names = [f"alert {number}" for number in range(60)]
        for name in names:
            await told.say(name)
            await trio.sleep(60)
        assert phone.texts == names
        assert 20 < mail.tries < 70
        mail.hangs = False
        await trio.sleep(1_800)
        assert sorted(mail.texts) == sorted(names)
        assert await told.store.count_pending_alerts() == 0


async def test_what_one_process_could_not_deliver_the_next_does(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Also what was taken by one of two channels: the other gets it, and nobody gets it twice."""
    phone, mail = Inbox(), Inbox()
    mail.why = NotDelivered("no route")
    async with telling(path=tmp_path / "d.sqlite", phone=phone, mail=mail) as told:
        await told.say("one", "two")
        await trio.sleep(10)
    mail.why = None
    async with telling(path=tmp_path / "d.sqlite", phone=phone, mail=mail) as told:
        await trio.sleep(120)
        assert await told.store.count_pending_alerts() == 0
    assert (sorted(phone.texts), sorted(mail.texts)) == (["one", "two"], ["one", "two"])
    mail.why = NotDelivered("no route")
    async with telling(path=tmp_path / "d.sqlite", phone=phone, mail=mail) as told:
        await told.say("three")
        await trio.sleep(1)
    async with telling(path=tmp_path / "d.sqlite", phone=phone) as told:  # mail is not configured any more
        await trio.sleep(1)
        assert await told.store.count_pending_alerts() == 0
    assert sorted(phone.texts) == ["one", "three", "two"]


async def test_a_channel_is_sent_no_more_than_its_rate(autojump_clock: MockClock) -> None:
    """What comes faster shares messages; all of it arrives."""
    phone = Inbox()
    rare = ChannelSettings(command=("x",), text="{text}", max_messages_per_minute=2)
    async with telling(AlertSettings(channels={"phone": rare}), phone=phone) as told:
        names = [f"alert {number}" for number in range(100)]
        for name in names:
            await told.say(name)
            await trio.sleep(1)
        await trio.sleep(600)
        assert phone.texts == names
    for begin_s in phone.at_s:
        assert sum(begin_s <= at_s < begin_s + 60 for at_s in phone.at_s) <= 2


async def test_quiet_hours_wait_for_their_end_and_urgent_kinds_do_not(autojump_clock: MockClock) -> None:
    """A channel without quiet hours is told at once."""
    phone, desk = Inbox(), Inbox()
    plain = ChannelSettings(command=("x",), text="{text}")
    settings = AlertSettings(quiet_hours=QUIET_DAY, channels={"desk": replace(plain, quiet_hours=False)})
    async with telling(settings, phone=phone, desk=desk) as told:
        await told.say("the book is stale", kind="book")
        await told.say("the engine failed")
        await trio.sleep(600)
        assert (phone.texts, sorted(desk.texts)) == (["the engine failed"], ["the book is stale", "the engine failed"])
        await trio.sleep(3_600)
        assert phone.texts == ["the engine failed", "the book is stale"]


async def test_what_waits_for_the_morning_holds_back_nothing_urgent(autojump_clock: MockClock) -> None:
    """More of it than is kept in memory, and then the engine fails; in the morning all is told."""
    phone = Inbox()
    async with telling(AlertSettings(quiet_hours=QUIET_DAY), phone=phone) as told:
        flaps = [f"the book is stale {number}" for number in range(LOADED_MAX + 20)]
        await told.say(*flaps, kind="book")
        await trio.sleep(60)
        await told.say("the engine failed")
        await trio.sleep(60)
        assert phone.texts == ["the engine failed"]
        await trio.sleep(4_200)
        assert phone.texts == ["the engine failed", *flaps]


async def test_an_error_tells_no_address(autojump_clock: MockClock) -> None:
    """Of an unforeseen error the type alone is stored and logged."""
    phone = Inbox()
    phone.why = ValueError(f"cannot reach {SECRET}")
    async with telling(phone=phone) as told:
        await told.say("one")
        await trio.sleep(1)
        (row,) = await told.store.load_deliveries([1])
        assert row.why == "the channel failed: ValueError"
        assert await told.delivery.test() == {"phone": "the channel failed: ValueError"}
        assert "AAsecret" not in told.log.getvalue()
        assert "alert_not_delivered" in told.log.getvalue()


async def test_without_a_channel_nothing_is_pending(autojump_clock: MockClock) -> None:
    """It is stored, and says that there was none; a channel that comes later is not told of the past."""
    async with telling() as told:
        await told.say("one")
        await trio.sleep(1)
        (alert,) = await told.store.load_alerts(9)
        assert (alert.state, await told.store.count_pending_alerts()) == ("no_channel", 0)


async def test_what_is_old_is_forgotten_and_what_is_pending_never(autojump_clock: MockClock) -> None:
    """By the configured days, from when it was delivered."""
    phone, mail = Inbox(), Inbox()
    async with telling(AlertSettings(retention_days=1), phone=phone, mail=mail) as told:
        await told.say("one")
        await trio.sleep(10)
        mail.why = NotDelivered("no route")
        await told.say("two")
        await trio.sleep(3 * 86_400)
        assert [one.text for one in await told.store.load_alerts(9)] == ["two"]


async def test_what_the_database_cannot_keep_is_told_all_the_same(autojump_clock: MockClock) -> None:
    """Before the process ends, through a channel that fails once; one that never answers is not waited for for long."""
    phone, mail = Inbox(), Inbox()
    phone.why, mail.hangs = NotDelivered("busy"), True
    async with telling(phone=phone, mail=mail) as told:
        alert = Alert(kind="database", subject="", text="the database failed", at_us=T0_US, stands=False)
        told.delivery.notify_unsaved(alert)
        await trio.sleep(1)
        phone.why = None
        left_s = trio.current_time()
    assert phone.texts == ["the database failed"]
    assert trio.current_time() - left_s <= ANSWER_WITHIN_S
