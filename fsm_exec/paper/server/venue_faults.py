"""Faults of the exchange as a whole: pauses, listings that lag, a wrong clock, an early close, a new grid.

Each kind comes again and again on the timeline, one episode after the other, at times its plan draws.
"""

from __future__ import annotations

from collections.abc import Callable

from fsm_exec.core.values.units import US_PER_MS
from fsm_exec.paper.faults import Channel, Episode, FaultPlan
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.timing.timeline import Rank
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.stale_listings import StaleListings


class VenueFaults:
    def __init__(self, exchange: Exchange, gate: Authenticator, replica: StaleListings, plan: FaultPlan) -> None:
        self._exchange, self._gate, self._stale_listings, self._plan = exchange, gate, replica, plan

    def start(self) -> None:
        """Schedule the first episode of every kind."""
        faults, exchange, now_us = self._plan.profile.exchange, self._exchange, self._exchange.timeline.now_us()
        self._schedule("trading pause", faults.trading_pause, exchange.pause_trading, exchange.resume_trading)
        self._schedule("exchange pause", faults.exchange_pause, exchange.pause_exchange, exchange.resume_exchange)
        self._schedule(
            "lagging reads", faults.lagging_reads, self._stale_listings.freeze, self._stale_listings.unfreeze
        )
        stale = self._stale_listings
        self._schedule("lagging account", faults.lagging_account, stale.freeze_account, stale.unfreeze_account)
        self._schedule_outage("dead reads", faults.dead_reads, "reads")
        self._schedule_outage("dead writes", faults.dead_writes, "writes")
        self._schedule_outage("silent account", faults.silent_account, "account frames")
        self._schedule_outage("silent stream", faults.silent_stream, "account frames", "market frames")
        self._schedule("maintenance", faults.maintenance, exchange.begin_maintenance, exchange.end_maintenance)
        self._schedule("clock skew", faults.clock_skew, lambda: self._skew(faults.skew_ms), lambda: self._skew(0))
        for after_ms, name, action in (
            (faults.grid_after_ms, "grid", self._change_grids),
            (faults.close_after_ms, "close", self._close),
        ):
            at_us = now_us + after_ms * US_PER_MS
            if after_ms and self._plan.is_active(at_us):
                self._exchange.timeline.at(at_us, Rank.TAPE, f"fault:{name}", action)

    def _schedule_outage(self, name: str, episode: Episode, *channels: Channel) -> None:
        self._schedule(
            name, episode, lambda: self._plan.begin_outage(*channels), lambda: self._plan.end_outage(*channels)
        )

    def _schedule(self, name: str, episode: Episode, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """Schedule the next episode; its end schedules the one after it."""
        timeline = self._exchange.timeline
        start_us = self._plan.episode_start_us(episode, timeline.now_us())
        if start_us is None:
            return

        began = False

        def started() -> None:
            nonlocal began
            if self._plan.is_active(timeline.now_us()):
                self._plan.counts[name] += 1
                began = True
                begin()

        def ended() -> None:
            if began:
                end()
            self._schedule(name, episode, begin, end)

        timeline.at(start_us, Rank.TAPE, f"fault:{name}", started)
        timeline.at(self._plan.end_us(start_us + episode.for_ms * US_PER_MS), Rank.TAPE, f"fault:{name}", ended)

    def _skew(self, ms: int) -> None:
        self._gate.skew_ms = ms

    def _change_grids(self) -> None:
        if not self._plan.is_active(self._exchange.timeline.now_us()):
            return
        for ticker in self._exchange.markets:
            self._exchange.change_grid(ticker, self._plan.profile.exchange.grid)
            self._plan.counts["grid"] += 1

    def _close(self) -> None:
        result = self._plan.profile.exchange.settle
        if not self._plan.is_active(self._exchange.timeline.now_us()):
            return
        for ticker, market in self._exchange.markets.items():
            if market.status != "active":
                continue
            self._exchange.close_market(ticker)
            self._plan.counts["close"] += 1
            if result is not None:
                self._exchange.determine_market(ticker, result)
