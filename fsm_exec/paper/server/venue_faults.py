"""What goes wrong with the exchange as a whole: pauses, listings that lag, a wrong clock, an early close, a new grid.

Each kind comes again and again on the timeline, one episode after the other, at times its plan draws.
"""

from __future__ import annotations

from collections.abc import Callable

from fsm_exec.paper.faults import US_PER_MS, Channel, Episode, FaultPlan
from fsm_exec.paper.server.auth import Gate
from fsm_exec.paper.timing.timeline import Rank
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.stale_listings import Replica


class Troubles:
    def __init__(self, exchange: Exchange, gate: Gate, replica: Replica, plan: FaultPlan) -> None:
        self._exchange, self._gate, self._replica, self._plan = exchange, gate, replica, plan

    def begin(self) -> None:
        """Put the first of everything on the timeline."""
        faults, exchange, now_us = self._plan.profile.exchange, self._exchange, self._exchange.timeline.now_us()
        self._await("trading pause", faults.trading_pause, exchange.pause_trading, exchange.resume_trading)
        self._await("exchange pause", faults.exchange_pause, exchange.pause_exchange, exchange.resume_exchange)
        self._await("lagging reads", faults.lagging_reads, self._replica.stop, self._replica.catch_up)
        self._await_down("dead reads", faults.dead_reads, "reads")
        self._await_down("dead writes", faults.dead_writes, "writes")
        self._await_down("silent account", faults.silent_account, "account frames")
        self._await_down("silent stream", faults.silent_stream, "account frames", "market frames")
        self._await("clock skew", faults.clock_skew, lambda: self._skew(faults.skew_ms), lambda: self._skew(0))
        for after_ms, name, action in (
            (faults.grid_after_ms, "grid", self._change_grids),
            (faults.close_after_ms, "close", self._close),
        ):
            at_us = now_us + after_ms * US_PER_MS
            if after_ms and self._plan.rages(at_us):
                self._exchange.timeline.at(at_us, Rank.TAPE, f"fault:{name}", action)

    def _await_down(self, name: str, episode: Episode, *channels: Channel) -> None:
        self._await(name, episode, lambda: self._plan.take_down(*channels), lambda: self._plan.put_up(*channels))

    def _await(self, name: str, episode: Episode, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """The next episode; its end awaits the one after it."""
        timeline = self._exchange.timeline
        start_us = self._plan.episode_start_us(episode, timeline.now_us())
        if start_us is None:
            return

        began = False

        def started() -> None:
            nonlocal began
            if self._plan.rages(timeline.now_us()):
                self._plan.counts[name] += 1
                began = True
                begin()

        def ended() -> None:
            if began:
                end()
            self._await(name, episode, begin, end)

        timeline.at(start_us, Rank.TAPE, f"fault:{name}", started)
        timeline.at(self._plan.end_us(start_us + episode.for_ms * US_PER_MS), Rank.TAPE, f"fault:{name}", ended)

    def _skew(self, ms: int) -> None:
        self._gate.skew_ms = ms

    def _change_grids(self) -> None:
        if not self._plan.rages(self._exchange.timeline.now_us()):
            return
        for ticker in self._exchange.markets:
            self._exchange.change_grid(ticker, self._plan.profile.exchange.grid)
            self._plan.counts["grid"] += 1

    def _close(self) -> None:
        result = self._plan.profile.exchange.settle
        if not self._plan.rages(self._exchange.timeline.now_us()):
            return
        for ticker, market in self._exchange.markets.items():
            if market.status != "active":
                continue
            self._exchange.close_market(ticker)
            self._plan.counts["close"] += 1
            if result is not None:
                self._exchange.determine_market(ticker, result)
