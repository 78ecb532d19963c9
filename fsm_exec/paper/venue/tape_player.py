"""Plays a tape: puts its events on the timeline, re-based to the exchange's clock, and closes the market at its end."""

from __future__ import annotations

import trio

from fsm_exec.paper.matching_engine.fill_models import FillModel
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper.timing.timeline import Rank
from fsm_exec.paper.venue.exchange import Exchange


class TapePlayer:
    """One market's tape. Only the next event waits on the timeline; each puts the one after it there."""

    def __init__(
        self, exchange: Exchange, tape: Tape, fill_model: FillModel = "recorded", exchange_index: int = 0
    ) -> None:
        self._exchange = exchange
        self._tape = tape
        self._fill_model: FillModel = fill_model
        self._exchange_index = exchange_index
        self._next = 0
        self._shift_us = 0
        self.ended = trio.Event()

    @property
    def ticker(self) -> str:
        return self._tape.header.ticker

    def start(self, start_us: int) -> None:
        """Open the market now and play its first event at `start_us`; every later one keeps its distance from it."""
        market = self._exchange.add_market(
            self._tape.header, fill_model=self._fill_model, exchange_index=self._exchange_index
        )
        market.close_us = start_us + self._tape.length_us
        self._shift_us = start_us - self._tape.first_us
        self._schedule_next()

    def _schedule_next(self) -> None:
        due_us = self._tape.events[self._next][0] + self._shift_us
        self._exchange.timeline.at(due_us, Rank.TAPE, self.ticker, self._play_next)

    def _play_next(self) -> None:
        if self._exchange.markets[self.ticker].status not in ("active", "inactive"):
            self.ended.set()  # closed before its time: nothing more happens in it
            return
        recorded_us, change = self._tape.events[self._next]
        self._exchange.apply(self.ticker, change, recorded_us)
        self._next += 1
        if self._next < len(self._tape.events):
            self._schedule_next()
        else:
            self._exchange.close_market(self.ticker)
            self.ended.set()
