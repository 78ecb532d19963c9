"""The structs of the alerts in the control API. Times are ISO 8601 UTC; null is not known, or not yet."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

ALERTS_MAX = 500


class AlertsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`standing`: only those that are not over."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=ALERTS_MAX)] = 50
    standing: bool = False


class DeliverySeen(msgspec.Struct, frozen=True, kw_only=True):
    """How an alert fares with a channel. `next_at` is when it is tried again, `why` what went wrong the last time."""

    channel: str
    attempts: int
    tried_at: str
    next_at: str | None
    delivered_at: str | None
    why: str | None


class AlertSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An alert. `subject` is what it is about: an execution, a market, an order; empty: the engine. It was said `times`
    times, at `last_at` for the last time; `over_at` null: it stands. `recovery`: it says that an earlier one is over.
    `state` `no_channel`: it was not told, no channel was configured for it."""

    alert_id: int
    at: str
    kind: str
    subject: str
    text: str
    urgent: bool
    recovery: bool
    times: int
    last_at: str
    over_at: str | None
    state: Literal["pending", "delivered", "no_channel"]
    deliveries: list[DeliverySeen] = []


class AlertList(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts, newest first. `pending` of all that are stored have not been told through every channel; `channels` are
    those of the configuration."""

    alerts: list[AlertSeen]
    pending: int
    channels: list[str]


class ChannelTested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a test alert: `why` says what went wrong."""

    channel: str
    delivered: bool
    why: str | None


class AlertsTested(msgspec.Struct, frozen=True, kw_only=True):
    """One test alert was sent through each channel, whatever the hour."""

    channels: list[ChannelTested]
