"""The desk's board: brought up to date from what the engine holds in memory, only where that has changed.

A row is made again when its execution is another value than the last time: nothing in it depends on the time, and the
prices of its market are texts of their own, one for all rows that show them. What ended and the alerts are read from
the database, by indexes, when something has ended, and every few seconds.
"""

from __future__ import annotations

import sqlite3
from functools import partial
from itertools import count
from typing import Final

import trio
from markupsafe import Markup, escape

from fsm_exec.control.service import Control
from fsm_exec.core.errors import ExecError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S, Outcome
from fsm_exec.runtime.clock import WallClock
from fsm_exec.web.database import DatabaseReader
from fsm_exec.web.desk import figures
from fsm_exec.web.desk.stored import AlertLine, EndedLine, clock_of, load_endings, load_newest_alerts
from fsm_exec.web.live.tickers import Ticker
from fsm_exec.web.templates import Templates

PARTS: Final = "desk_parts.html"
ROWS: Final = "working"
ROWS_AT_ONCE: Final = 32
"""So many are made before others may run: the engine goes on while a page of a thousand is made."""
SLOW_US: Final = US_PER_S
STORED_US: Final = 5 * US_PER_S
EACH_HELD_US: Final = 20_000  # between two looks at what is held, for each market: a look takes some 100 us of each
Market = tuple[str, Outcome]


class DeskTicker(Ticker):
    """The one board of all who see the desk."""

    def __init__(self, control: Control, reader: DatabaseReader, templates: Templates, wall: WallClock) -> None:
        super().__init__()
        self._control, self._engine, self._reader, self._wall = control, control.engine, reader, wall
        macro = partial(templates.macro, PARTS)
        self._row, self._work_head = macro("row"), macro("work_head")
        self._cards = {
            name: macro(name) for name in ("notices", "engine", "exchange", "risk", "quarantine", "positions")
        }
        self._endings, self._alerts = macro("endings"), macro("alerts")
        self._shown: dict[str, Execution] = {}
        self._slots: dict[Market, str] = {}
        self._slow_at_us = self._held_at_us = self._stored_at_us = 0
        self._lock = trio.Lock()

    async def refresh(self) -> None:
        """Bring the board up to date: rows and prices each time, the rest every second or less often."""
        async with self._lock:
            now_us = self._wall.now_us()
            has_ended = await self._refresh_rows(now_us)
            self._refresh_prices()
            if abs(now_us - self._slow_at_us) >= SLOW_US:  # a clock may be put back
                self._slow_at_us = now_us
                self._refresh_cards(now_us)
            if has_ended or abs(now_us - self._stored_at_us) >= STORED_US:
                self._stored_at_us = now_us
                await self._refresh_stored()
            self.board.publish(self._wall.now_us())

    def rows(self) -> Markup:
        """Return the rows of what is at work, newest first, with the prices of now."""
        made = []
        for name, execution in sorted(self._shown.items(), reverse=True):
            slot = self._slots[_market(execution)]
            row = str(self.board.html(f"w-{name}"))
            for side in (f"{slot}b", f"{slot}a"):
                row = row.replace(f">{side}<", f">{escape(self.board.text(side))}<")
            made.append(row)
        return Markup("\n".join(made))  # made by a template

    async def _refresh_rows(self, now_us: int) -> bool:
        """Return whether an execution has gone: it ended, or was quarantined."""
        # One that gave up early stays with the engine until its deadline, at which its cost is measured.
        at_work = [one for one in self._engine.executions_at_work() if not one.is_ended]
        present = {one.execution_id: one for one in at_work}
        gone = self._shown.keys() - present.keys()
        for name in gone:
            del self._shown[name]
            self.board.remove(f"w-{name}")
        made = 0
        for name, execution in sorted(present.items()):
            if self._shown.get(name) is execution:
                continue
            line = figures.work_line(execution, now_us, self._slot(execution))
            self.board.put(f"w-{name}", self._row(line), into=ROWS)
            self._shown[name] = execution
            made += 1
            if made % ROWS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        self._forget_slots()
        self.board.put("work-head", self._work_head(len(self._shown)))
        return bool(gone) or not self._stored_at_us

    def _refresh_prices(self) -> None:
        for (ticker, outcome), slot in self._slots.items():
            bid, ask = figures.quote(self._engine.feeds.get(ticker), outcome)
            self.board.put_text(f"{slot}b", bid)
            self.board.put_text(f"{slot}a", ask)

    def _refresh_cards(self, now_us: int) -> None:
        about = self._control.about
        since = clock_of(to_iso(about.since_us))
        seen = figures.standing(self._engine, now_us, since=since, version=about.version, database=about.database)
        for name in ("notices", "engine", "exchange", "quarantine"):
            self.board.put(name, self._cards[name](seen))
        account = self._engine.account
        self.board.put("risk", self._cards["risk"](None if account is None else figures.risk_seen(account)))
        held = 0 if account is None else len(account.ledger.markets)
        if abs(now_us - self._held_at_us) >= max(SLOW_US, held * EACH_HELD_US):
            self._held_at_us = now_us
            lines = [] if account is None else figures.positions(account, self._engine, now_us)
            self.board.put("positions", self._cards["positions"](lines, has_engine=True))

    async def _refresh_stored(self) -> None:
        """A database that fails takes nothing else off the desk, which is needed most then."""
        trouble, endings, alerts = "", list[EndedLine](), list[AlertLine]()
        try:
            endings, alerts = await self._reader.read(lambda found: (load_endings(found), load_newest_alerts(found)))
        except (sqlite3.Error, ExecError) as error:
            trouble = f"The database cannot be read: {error}"
        self.board.put("endings", self._endings(endings, trouble))
        self.board.put("alerts", self._alerts(alerts, trouble))

    def _slot(self, execution: Execution) -> str:
        market = _market(execution)
        if market not in self._slots:  # the first that is free: a page remembers the text of each it has seen
            taken = set(self._slots.values())
            self._slots[market] = next(slot for number in count(1) if (slot := f"q{number}") not in taken)
        return self._slots[market]

    def _forget_slots(self) -> None:
        """Forget the markets that nothing at work is in any more."""
        for market in self._slots.keys() - {_market(one) for one in self._shown.values()}:
            slot = self._slots.pop(market)
            self.board.remove(f"{slot}b")
            self.board.remove(f"{slot}a")


def _market(execution: Execution) -> Market:
    return execution.terms.ticker, execution.outcome
