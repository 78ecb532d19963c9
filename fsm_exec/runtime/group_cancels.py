"""Why orders ended that the exchange took off without a reason: because their order group was triggered, or by hand.

The two are told in frames of two channels, in either order. So the end of an order of ours is kept back for a moment;
when the group's frame comes, it is passed on with that reason, else as it is, and its execution ends as for any cancel
from outside. An exchange without the channel of groups, or a stream that is down at that moment, tells no reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio
from msgspec.structs import replace

from fsm_exec.core.execution.events import GROUP_CANCEL
from fsm_exec.core.market.orders import OrderListing, OrderReport

WAIT_S: Final = 1.0  # both frames are of one moment at the exchange


class GroupCancels:
    """`is_ours` says whether a group is of this database; `start_soon` starts a task that lives as long as the
    engine."""

    def __init__(self, is_ours: Callable[[str], bool], start_soon: Callable[..., object]) -> None:
        self._is_ours, self._start_soon = is_ours, start_soon
        self._triggered: set[str] = set()
        self._waiting: dict[str, list[trio.Event]] = {}  # by group

    def record_trigger(self, group_id: str) -> None:
        """Record that a group was triggered."""
        self._triggered.add(group_id)
        for told in self._waiting.pop(group_id, ()):
            told.set()

    def record_reset(self, group_id: str) -> None:
        """Record that a group takes orders again: who cancels one from now on does it by hand."""
        self._triggered.discard(group_id)

    def explain(self, report: OrderReport) -> OrderReport:
        """Return the report, with the reason if it tells of an end by a triggered group."""
        if _lacks_reason(report) and report.group_id in self._triggered:
            return replace(report, reason=GROUP_CANCEL)
        return report

    def explain_listing(self, listing: OrderListing) -> OrderListing:
        """Return the listing, each report as `explain` does."""
        if not self._triggered:
            return listing
        return replace(listing, orders=tuple(self.explain(report) for report in listing.orders))

    def keep_back(self, report: OrderReport, pass_on: Callable[[OrderReport], None]) -> bool:
        """Keep a report back if its reason may still be told, and pass it on in a moment. Returns False if there is
        nothing to wait for."""
        group_id = report.group_id
        if group_id is None or not _lacks_reason(report) or group_id in self._triggered or not self._is_ours(group_id):
            return False
        told = trio.Event()
        self._waiting.setdefault(group_id, []).append(told)
        self._start_soon(self._pass_on_later, report, told, pass_on)
        return True

    async def _pass_on_later(
        self, report: OrderReport, told: trio.Event, pass_on: Callable[[OrderReport], None]
    ) -> None:
        with trio.move_on_after(WAIT_S):
            await told.wait()
        waiting = self._waiting.get(report.group_id or "", [])
        if told in waiting:
            waiting.remove(told)
        pass_on(self.explain(report))


def _lacks_reason(report: OrderReport) -> bool:
    return report.status == "canceled" and report.reason is None
