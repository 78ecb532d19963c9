"""The spans of executions that have ended, sent to a collector beside the engine and never in its way.

What is sent is read from the database file, by a connection of its own in a thread: what is durable, and no save waits
for it. A collector that is slow or gone costs spans and nothing else: they are dropped, counted, and said once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.control.metrics.spans import Collector
from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.store import SqliteStore
from fsm_exec.store.damaged_rows import decode_damaged_text
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS
from fsm_exec.store.reads.api_queries import load_detail

WAITING_MAX: Final = 1_024
EVENTS_ROWS_MAX: Final = 10_000  # of an execution's journal, its newest
FINISH_WITHIN_S: Final = 2.0


class SpanExport:
    """Sends the span of each execution once its end and its cost are durable, again if a late fill changes it."""

    def __init__(self, collector: Collector, database: Path, instance: str, environment: str) -> None:
        self._collector, self._environment, self._instance = collector, environment, instance
        self._uri = f"{database.absolute().as_uri()}?mode=ro"
        self._send, self._receive = trio.open_memory_channel[str](WAITING_MAX)
        self.added = self.sent = self.lost = 0  # what waits, or is being sent, is neither sent nor lost yet
        self.why_lost: str | None = None

    def add(self, row: MetricsRow) -> None:
        """Queue an execution. Never waits."""
        self.added += 1
        try:
            self._send.send_nowait(row.execution_id)
        except trio.WouldBlock:
            self._lose(f"{WAITING_MAX} wait already")
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            self._lose("the daemon ends")

    async def run(self, log: FilteringBoundLogger) -> None:
        """Send what is queued, until `close`."""
        is_said = False
        async for execution_id in self._receive:
            try:
                if await trio.to_thread.run_sync(self._send_one, execution_id, abandon_on_cancel=True):
                    self.sent += 1
                else:
                    self._lose("the collector did not take it")
            except Exception as failure:  # whatever it is, executions go on without their spans
                self._lose(f"{type(failure).__name__}: {failure}")
            if self.lost and not is_said:
                is_said = True
                log.warning("spans_lost", why=self.why_lost, execution=execution_id)

    def close(self) -> None:
        """Take no more; `run` ends when it has sent what waits."""
        self._send.close()

    def _send_one(self, execution_id: str) -> bool:
        with closing(sqlite3.connect(self._uri, uri=True, isolation_level=None)) as connection:
            decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            detail = load_detail(connection, execution_id, EVENTS_ROWS_MAX)
        return detail is not None and self._collector.send(detail, self._instance, self._environment)

    def _lose(self, why: str) -> None:
        self.lost += 1
        self.why_lost = self.why_lost or why


@asynccontextmanager
async def open_span_export(
    collector: Collector, store: SqliteStore, database: Path, environment: str, log: FilteringBoundLogger
) -> AsyncIterator[SpanExport]:
    """Send spans during the block; at its end wait a moment for those that are queued."""
    export = SpanExport(collector, database, store.instance, environment)
    store.listen_to_costs(export.add)
    finished = trio.Event()

    async def run() -> None:
        await export.run(log)
        finished.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield export
        finally:
            export.close()
            with trio.move_on_after(FINISH_WITHIN_S, shield=True):
                await finished.wait()
            nursery.cancel_scope.cancel()
            with suppress(Exception):
                collector.close()
            log.info("spans", sent=export.sent, lost=export.added - export.sent)
