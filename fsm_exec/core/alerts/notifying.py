"""When which alerts are told through a channel, and in which words. Nothing here reads a clock.

An alert is told as soon as it is due: at once the first time, after a growing pause once it failed. Several that are
due together and were never tried share a message; one that failed is told alone, so that none holds back the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import msgspec

from fsm_exec.core.alerts.alerts import StoredAlert
from fsm_exec.core.alerts.channel_port import Message
from fsm_exec.core.alerts.settings import ChannelSettings
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S

ALERTS_PER_MESSAGE_MAX: Final = 10
FIRST_RETRY_S: Final = 2
RETRY_MAX_S: Final = 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
WHOLE_SECONDS: Final = len("2023-04-10T18:00:00")


class Undelivered(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that a channel has not taken. `next_at_us` None: it was not tried yet."""

    alert: StoredAlert
    attempts: int = 0
    next_at_us: int | None = None


class QuietHours(msgspec.Struct, frozen=True):
    """Minutes of the day, of a time zone; they may span midnight."""

    begin_min: int
    end_min: int
    zone: tzinfo

    def holds(self, at_us: int) -> bool:
        """Whether they hold at this time."""
        local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(self.zone)
        minute = 60 * local.hour + local.minute
        if self.begin_min < self.end_min:
            return self.begin_min <= minute < self.end_min
        return minute >= self.begin_min or minute < self.end_min


def retry_after_s(attempts: int) -> int:
    """Return the pause after so many attempts that failed."""
    return min(FIRST_RETRY_S << min(attempts - 1, 16), RETRY_MAX_S)


def choose_next(waiting: Sequence[Undelivered], now_us: int, *, is_quiet: bool) -> tuple[Undelivered, ...]:
    """Return the alerts of the next message, urgent ones first; empty if none is due. A time of retry that lies further
    ahead than any pause is, comes of a clock that was put back: it is due."""
    due = [
        one
        for one in waiting
        if (one.alert.is_urgent or not is_quiet)
        and (one.next_at_us is None or not now_us < one.next_at_us <= now_us + RETRY_MAX_S * US_PER_S)
    ]
    fresh = [one for one in due if not one.attempts]
    if fresh:
        fresh.sort(key=lambda one: (not one.alert.is_urgent, one.alert.alert_id))
        return tuple(fresh[:ALERTS_PER_MESSAGE_MAX])
    return tuple(sorted(due, key=lambda one: (one.next_at_us or 0, one.alert.alert_id))[:1])


def message_of(alerts: Sequence[StoredAlert], settings: ChannelSettings, *, environment: str, database: str) -> Message:
    """Return the message that tells these alerts: each in the words of the template, one a line; the title is that of
    the first."""
    said = [
        {
            "at": f"{to_iso(one.at_us)[:WHOLE_SECONDS]}Z",
            "kind": f"{one.kind} over" if one.is_recovery else one.kind,
            "subject": one.subject,
            "text": one.text if one.times == 1 else f"{one.text} ({one.times} times)",
            "environment": environment,
            "database": database,
        }
        for one in alerts
    ]
    title = settings.title.format_map(said[0])
    if len(said) > 1:
        title += f" and {len(said) - 1} more"
    return Message(
        title=title,
        text="\n".join(settings.text.format_map(one) for one in said),
        is_urgent=any(one.is_urgent for one in alerts),
    )
