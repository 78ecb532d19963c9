"""When which alerts are told, in which words, and why nothing happens: pure decisions."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from fsm_exec.core.alerts.alerts import StoredAlert
from fsm_exec.core.alerts.idle import IdleFacts, WaitingExecution, why_nothing_happens
from fsm_exec.core.alerts.notifying import (
    ALERTS_PER_MESSAGE_MAX,
    RETRY_MAX_S,
    QuietHours,
    Undelivered,
    choose_next,
    message_of,
    retry_after_s,
)
from fsm_exec.core.alerts.settings import AlertSettings, ChannelSettings, check_alert_settings, quiet_minutes
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import US_PER_S, PriceE4

NOW_US = 1_681_149_600_000_250  # 2023-04-10T18:00:00.000250Z
ALERT = StoredAlert(
    alert_id=1,
    at_us=NOW_US,
    kind="stream",
    subject="",
    text="the stream is silent",
    is_urgent=True,
    is_recovery=False,
    times=1,
    last_at_us=NOW_US,
    over_at_us=None,
    state="pending",
    settled_at_us=None,
)


def waiting(number: int, *, urgent: bool = True, attempts: int = 0, next_at_us: int | None = None) -> Undelivered:
    alert = replace(ALERT, alert_id=number, is_urgent=urgent)
    return Undelivered(alert=alert, attempts=attempts, next_at_us=next_at_us)


def chosen(*found: Undelivered, is_quiet: bool = False) -> list[int]:
    return [one.alert.alert_id for one in choose_next(found, NOW_US, is_quiet=is_quiet)]


def test_what_is_new_shares_a_message_and_what_failed_is_told_alone() -> None:
    """Urgent ones first, at most so many; a failed one when its pause is over, never beside another."""
    assert chosen() == []
    assert chosen(waiting(1, urgent=False), waiting(2), waiting(3)) == [2, 3, 1]
    assert len(chosen(*(waiting(number) for number in range(1, 99)))) == ALERTS_PER_MESSAGE_MAX
    failed = waiting(1, attempts=1, next_at_us=NOW_US + 1)
    assert chosen(failed) == []
    assert chosen(failed, waiting(2)) == [2]
    late = [waiting(1, attempts=2, next_at_us=NOW_US), waiting(2, attempts=1, next_at_us=NOW_US - 1)]
    assert chosen(*late) == [2]


def test_quiet_hours_hold_back_what_is_not_urgent() -> None:
    """And nothing else."""
    assert chosen(waiting(1, urgent=False), is_quiet=True) == []
    assert chosen(waiting(1, urgent=False), waiting(2), is_quiet=True) == [2]


def test_a_clock_that_was_put_back_holds_no_alert_back() -> None:
    """A time of retry beyond any pause is due."""
    beyond_us = NOW_US + RETRY_MAX_S * US_PER_S + 1
    assert chosen(waiting(1, attempts=3, next_at_us=beyond_us)) == [1]


def test_pauses_grow_to_a_bound() -> None:
    """Two seconds, doubled, a minute at most; however many attempts there were."""
    assert [retry_after_s(attempts) for attempts in (1, 2, 3, 6, 1_000)] == [2, 4, 8, RETRY_MAX_S, RETRY_MAX_S]


@pytest.mark.parametrize(
    ("hours", "zone", "at", "is_quiet"),
    [
        ("22:00-07:00", "UTC", "2023-04-10T22:00:00.000000Z", True),
        ("22:00-07:00", "UTC", "2023-04-10T06:59:59.999999Z", True),
        ("22:00-07:00", "UTC", "2023-04-10T07:00:00.000000Z", False),
        ("22:00-07:00", "America/New_York", "2023-04-10T22:00:00.000000Z", False),
        ("22:00-07:00", "America/New_York", "2023-04-11T02:00:00.000000Z", True),
        ("12:00-13:30", "UTC", "2023-04-10T13:29:00.000000Z", True),
        ("12:00-13:30", "UTC", "2023-04-10T23:00:00.000000Z", False),
    ],
)
def test_quiet_hours_are_those_of_their_zone(hours: str, zone: str, at: str, is_quiet: bool) -> None:
    """They may span midnight; the begin is quiet, the end is not."""
    minutes = quiet_minutes(hours)
    assert minutes is not None
    assert QuietHours(*minutes, ZoneInfo(zone)).holds(from_iso(at)) is is_quiet


def test_a_message_has_the_words_of_its_template() -> None:
    """One line for each alert; the title is that of the first, with how many more there are."""
    settings = ChannelSettings(command=("x",), text="{kind}|{subject}|{text}", title="{environment}: {kind} {database}")
    second = replace(ALERT, kind="quarantine", subject="e000001", is_recovery=True, is_urgent=False, text="{at} again")
    told = message_of([ALERT, second], settings, environment="demo", database="d.sqlite")
    assert told.title == "demo: stream d.sqlite and 1 more"
    assert told.text == "stream||the stream is silent\nquarantine over|e000001|{at} again"
    assert told.is_urgent
    plain = message_of([ALERT], ChannelSettings(command=("x",)), environment="demo", database="d.sqlite")
    assert (plain.title, plain.text) == ("fsm-exec demo: stream", "2023-04-10T18:00:00Z the stream is silent")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (AlertSettings(quiet_hours="22-7"), "alerts.quiet_hours '22-7'"),
        (AlertSettings(quiet_hours="22:00-22:00"), "begin when they end"),
        (AlertSettings(time_zone="Mars/Base"), "alerts.time_zone 'Mars/Base'"),
        (AlertSettings(channels={"Phone!": ChannelSettings(url_file="f")}), "alerts.channels.'Phone!'"),
        (AlertSettings(channels={"phone": ChannelSettings()}), "give one of url_file"),
        (AlertSettings(channels={"phone": ChannelSettings(url_file="f", command=("x",))}), "give one of url_file"),
        (AlertSettings(channels={"phone": ChannelSettings(command=("",))}), "command is empty"),
        (AlertSettings(channels={"phone": ChannelSettings(command=("x",), text="{text.__class__}")}), "is not known"),
        (AlertSettings(channels={"phone": ChannelSettings(command=("x",), title="{")}), "channels.phone.title"),
        (AlertSettings(channels={"phone": ChannelSettings(command=("x",), title="{0}")}), "it takes {at}"),
        (AlertSettings(channels={"phone": ChannelSettings(command=("x",), title="{at!r:>9}")}), "is not known"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: AlertSettings, words: str) -> None:
    """In one line that names the key."""
    with pytest.raises(UserError) as refused:
        check_alert_settings(settings)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


WAITS = WaitingExecution(
    execution_id="e000001",
    ticker="KXTEST-1",
    market="open",
    feed="live",
    limit_e4=PriceE4(3_000),
    ask_e4=PriceE4(4_500),
)
QUIET = IdleFacts(state="running", why_halted=None, why_degraded=(), risk=None, quarantined=0, waiting=())


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (QUIET, "no execution is at work"),
        (replace(QUIET, state="halted", why_halted="asked to"), "the engine is halted (asked to); no execution"),
        (replace(QUIET, state="degraded", why_degraded=("no connection",)), "nothing can be done at the exchange"),
        (replace(QUIET, state="recovering"), "the engine is recovering"),
        (replace(QUIET, risk="it is reducing: 120 were lost"), "the brake lets nothing in that adds risk"),
        (replace(QUIET, quarantined=2), "2 executions are quarantined"),
        (
            replace(QUIET, waiting=(WAITS, WAITS, replace(WAITS, market="paused"))),
            "of 3 executions at work 2 bid below the market, 1 have a market that is paused (e000001 in KXTEST-1 pays "
            "0.3000 at most, the best offer is 0.4500)",
        ),
        (replace(QUIET, waiting=(replace(WAITS, feed="stale"),)), "1 have no live book (it is stale)"),
        (replace(QUIET, waiting=(replace(WAITS, ask_e4=None),)), "1 find nobody who offers"),
        (replace(QUIET, waiting=(replace(WAITS, limit_e4=PriceE4(5_000)),)), "1 could buy and wait"),
    ],
)
def test_why_nothing_happens(facts: IdleFacts, words: str) -> None:
    """Each reason is named: halted, degraded, braked, quarantined, none at work, all below the market."""
    assert words in why_nothing_happens(facts)
