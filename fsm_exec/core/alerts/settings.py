"""The settings of alerts: the table `[alerts]` of the configuration. Secrets are paths of files, never values."""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from string import Formatter
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec

from fsm_exec.core.errors import UserError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
TEMPLATE_FIELDS: Final = frozenset({"at", "kind", "subject", "text", "environment", "database"})
_QUIET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
DEFAULT_TITLE: Final = "fsm-exec {environment}: {kind}"
DEFAULT_TEXT: Final = "{at} {text}"


class ChannelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A channel that alerts are told through: one of `url_file`, a file with one address as apprise takes them, and
    `command`, a program and its arguments, which gets the text on its standard input. `quiet_hours` false: it is told
    everything at any hour."""

    url_file: str | None = None
    command: tuple[str, ...] = ()
    max_messages_per_minute: Annotated[int, msgspec.Meta(ge=1, le=600)] = 10
    quiet_hours: bool = True
    title: str = DEFAULT_TITLE
    text: str = DEFAULT_TEXT


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What alerts are about and how they are told. `quiet_hours`, as in "22:00-07:00" of `time_zone`, hold back what is
    not urgent. `nothing_happened_h` 0: that nothing happens is no alert."""

    channels: dict[str, ChannelSettings] = {}
    quiet_hours: str = ""
    time_zone: str = "UTC"
    unknown_order_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 60
    nothing_happened_h: Annotated[int, msgspec.Meta(ge=0, le=8_760)] = 24
    free_disk_mb: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 500
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 30


def check_alert_settings(settings: AlertSettings) -> None:
    """Raises UserError, one line that names the key, for settings that contradict themselves."""
    quiet_minutes(settings.quiet_hours)
    zone_of(settings.time_zone)
    for name, channel in settings.channels.items():
        if not NAME.fullmatch(name):
            raise UserError(f"alerts.channels.{name[:40]!r}: a name has small letters, digits, - and _, at most 32")
        if (channel.url_file is None) == (not channel.command):
            raise UserError(
                f"alerts.channels.{name}: give one of url_file (a file with one address) and command (a list)"
            )
        if channel.command and not channel.command[0]:
            raise UserError(f"alerts.channels.{name}.command is empty: give a program and its arguments")
        for key, template in (("title", channel.title), ("text", channel.text)):
            _check_template(f"alerts.channels.{name}.{key}", template)


def quiet_minutes(quiet_hours: str) -> tuple[int, int] | None:
    """Return the minutes of the day at which quiet hours begin and end; None if there are none. Raises UserError."""
    if not quiet_hours:
        return None
    found = _QUIET.fullmatch(quiet_hours)
    if found is None:
        raise UserError(f'alerts.quiet_hours {quiet_hours[:40]!r}: give them like "22:00-07:00", or leave them out')
    begin_h, begin_min, end_h, end_min = (int(part) for part in found.groups())
    begin, end = 60 * begin_h + begin_min, 60 * end_h + end_min
    if begin == end:
        raise UserError(f"alerts.quiet_hours {quiet_hours!r} begin when they end: give another end, or leave them out")
    return begin, end


def zone_of(time_zone: str) -> tzinfo:
    """Return the time zone of that name. Raises UserError if there is none."""
    if time_zone == "UTC":
        return UTC
    try:
        return ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError):
        raise UserError(
            f"alerts.time_zone {time_zone[:60]!r} is no known time zone: give one like 'America/New_York' or 'UTC'"
        ) from None


def _check_template(where: str, template: str) -> None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise UserError(f"{where}: {error}; write a brace of its own as {{{{ or }}}}") from None
    for _, field, form, conversion in parts:
        if field is not None and (field not in TEMPLATE_FIELDS or form or conversion):
            known = ", ".join(f"{{{one}}}" for one in sorted(TEMPLATE_FIELDS))
            raise UserError(f"{where}: {{{field}}} is not known; it takes {known}")
