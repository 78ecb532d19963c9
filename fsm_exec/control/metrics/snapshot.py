"""What is measured at one moment: read once for each scrape, from what the engine and the store hold anyway."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from fsm_exec.control.alert_schema import ALERTS_MAX, AlertList, AlertsQuery
from fsm_exec.control.metrics.counts import Counts
from fsm_exec.control.schema import Status
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.values.times import from_iso
from fsm_exec.kalshi.rate_budget import BudgetStatistics
from fsm_exec.runtime.engine import Engine
from fsm_exec.store import SqliteStore
from fsm_exec.store.writer import WriterStatistics

DATABASE_FILES: Final = ("", "-wal")


@runtime_checkable
class CountsRequests(Protocol):
    """An exchange's client that counts what it asks."""

    def statistics(self) -> BudgetStatistics: ...


class MetricsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """`working` counts executions at work by state, `feeds` the watched books by theirs; `feed_age_us` is how old the
    oldest worked book is. `file_bytes` are by file: the database and its write-ahead log. `standing` are alerts by
    kind. `requests` None: not counted."""

    status: Status
    since_us: int
    counts: Counts
    working: dict[str, int]
    feeds: dict[str, int]
    feed_age_us: int
    feed_changes: dict[str, int]
    stream_losses: int
    oldest_unknown_us: int
    writer: WriterStatistics
    requests: BudgetStatistics | None
    journal_rows: int
    file_bytes: dict[str, int]
    standing: dict[str, int]


class MetricsSource:
    """Counts from now on, and takes a snapshot when asked. `status` and `alerts` are the service's own."""

    def __init__(
        self,
        engine: Engine,
        store: SqliteStore,
        reads: Exchange,
        database: str,
        status: Callable[[], Awaitable[Status]],
        alerts: Callable[[AlertsQuery], Awaitable[AlertList]],
    ) -> None:
        self._engine, self._store, self._reads = engine, store, reads
        self._database, self._status, self._alerts = Path(database), status, alerts
        self._counts = Counts()
        store.listen(self._counts.count)
        store.listen_to_costs(self._counts.add_cost)

    async def take_snapshot(self) -> MetricsSnapshot:
        """Take the snapshot of this moment. Raises StoreFailed."""
        status = await self._status()
        standing = await self._alerts(AlertsQuery(limit=ALERTS_MAX, standing=True))
        engine = self._engine
        worked = [feed for feed in engine.feeds.values() if feed.is_worked]
        return MetricsSnapshot(
            status=status,
            since_us=from_iso(status.since),
            counts=self._counts,
            working=dict(Counter(one.state for one in engine.executions_at_work())),
            feeds=dict(Counter(feed.state for feed in engine.feeds.values())),
            feed_age_us=max((feed.view("yes", depth=1).feed_age_us for feed in worked), default=0),
            feed_changes=dict(engine.feed_changes()),
            stream_losses=engine.stream_losses(),
            oldest_unknown_us=max(0, engine.status().oldest_unknown_us or 0),
            writer=self._store.statistics(),
            requests=self._reads.statistics() if isinstance(self._reads, CountsRequests) else None,
            journal_rows=await self._store.load_newest_position(),
            file_bytes=self._file_bytes(),
            standing=dict(Counter(alert.kind for alert in standing.alerts)),
        )

    def _file_bytes(self) -> dict[str, int]:
        sizes = {}
        for suffix in DATABASE_FILES:
            with suppress(OSError):  # a database in memory, or one without a write-ahead log at the moment
                path = self._database.with_name(self._database.name + suffix)
                sizes[f"database{suffix}"] = path.stat().st_size
        return sizes
