"""The port `core.ports.Store` over a writer, and the context in which it lives."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fsm_exec.core.market import MarketTerms
from fsm_exec.core.ports import BookRow, ExecutionSave, JournalRow, MetricsRow, StoredExecution
from fsm_exec.store import reading
from fsm_exec.store.jobs import MarketSave, MetricsSave, Quarantine
from fsm_exec.store.writer import Lane, Writer, WriterStatistics


class SqliteStore:
    """Every save returns when it is durable. Raises SaveRefused for a row the database does not take (nothing of that
    save is stored, the store goes on) and StoreFailed when the store cannot go on."""

    def __init__(self, writer: Writer, instance: str) -> None:
        self._writer = writer
        self._instance = instance

    @property
    def instance(self) -> str:
        return self._instance

    async def save(self, save: ExecutionSave) -> None:
        await self._writer.save(save)

    async def save_market(self, terms: MarketTerms, at_us: int) -> None:
        await self._writer.save(MarketSave(terms, at_us))

    async def save_book(self, row: BookRow) -> None:
        await self._writer.save(row)

    async def save_metrics(self, row: MetricsRow, at_us: int) -> None:
        await self._writer.save(MetricsSave(row, at_us))

    async def quarantine(self, execution_id: str, why: str) -> None:
        await self._writer.save(Quarantine(execution_id, why))

    async def unfinished(self) -> list[StoredExecution]:
        return await self._writer.read(reading.unfinished)

    async def executions(self) -> list[StoredExecution]:
        return await self._writer.read(reading.executions)

    async def journal(self, execution_id: str) -> list[JournalRow]:
        return await self._writer.read(functools.partial(reading.journal, execution_id=execution_id))

    async def metrics(self, execution_id: str) -> MetricsRow | None:
        return await self._writer.read(functools.partial(reading.metrics, execution_id=execution_id))

    def statistics(self) -> WriterStatistics:
        return self._writer.statistics()


@asynccontextmanager
async def running(lane: Lane) -> AsyncIterator[SqliteStore]:
    """The store while the block runs; what is queued at its end is still stored. Raises UserError at the start."""
    writer = Writer(lane)
    instance = await writer.start()
    try:
        yield SqliteStore(writer, instance)
    finally:
        await writer.aclose()
