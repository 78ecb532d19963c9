"""Implements `core.store_port.Store` over a writer, and the context that opens and closes it."""

from __future__ import annotations

import functools
import math
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeAlias, TypeVar

import trio
from msgspec.structs import replace

from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.holding import Holding
from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.profit import Profit, profit_of
from fsm_exec.core.account.rows import (
    AccountFill,
    AccountLook,
    Adjustment,
    Difference,
    MarketBooks,
    Opening,
    RiskLogRow,
    StoredAccount,
)
from fsm_exec.core.account.stored_reservation import StoredReservation
from fsm_exec.core.alerts.alerts import AlertChange, AlertState, Delivery, StoredAlert
from fsm_exec.core.costs.rows import (
    BookRow,
    ChildMetricsRow,
    MarkoutDue,
    MarkoutRow,
    MetricsRow,
    OpenForecast,
    RewardRow,
)
from fsm_exec.core.epochs import EpochGroup, StoredEpochs
from fsm_exec.core.errors import DatabaseLost, UserError
from fsm_exec.core.journal.rows import (
    ExecutionSave,
    JournalRow,
    LostSubmission,
    MethodRow,
    OrderOwner,
    RefusedRow,
    StartPoint,
    StoredExecution,
)
from fsm_exec.core.market.account import EventShape, Settlement
from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.signals.forecasts import Forecast
from fsm_exec.core.values.times import to_iso
from fsm_exec.store import journal_steps
from fsm_exec.store.account_jobs import AccountFillsSave, LookSave, RiskSave, SettlementsSave, ShapeSave
from fsm_exec.store.alert_rows import (
    CAUSES,
    AlertsSave,
    AlertsSettled,
    DeleteAlerts,
    DeliveriesSave,
    Halt,
    Quarantine,
)
from fsm_exec.store.api_rows import ExecutionDetail, ExecutionSummary, Transition
from fsm_exec.store.archive import archive_reads, archived_books, archived_lists
from fsm_exec.store.archive.live_mover import LiveMover
from fsm_exec.store.epoch_jobs import FencingBegun, FencingEnded, GroupsSave
from fsm_exec.store.files.open_database import OpenDatabase
from fsm_exec.store.jobs import (
    Binding,
    CompletedForecasts,
    DeleteBooks,
    ForecastsSave,
    MarketSave,
    MarkoutsSave,
    MethodsSave,
    MetricsSave,
    Note,
    RewardsSave,
)
from fsm_exec.store.read_threads import ReadThreads, begin_log_anew
from fsm_exec.store.reads import (
    account_reads,
    alert_reads,
    api_queries,
    epoch_reads,
    execution_reads,
    observations,
    profit_queries,
    recovery,
    reservation_reads,
    standby_reads,
)
from fsm_exec.store.standby_jobs import BeatSave, LostSave
from fsm_exec.store.writer import Lane, Writer, WriterStatistics

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Listener: TypeAlias = Callable[[ExecutionSave | Quarantine], None]
FILE_CHECK_INTERVAL_S = 2.0  # so long at most an engine works on a database that is gone
EMBEDDED = "embedded"  # the exchange inside of `demo`


class LoadOne(Protocol[T_co]):
    """Loads something of one execution."""

    def __call__(self, connection: sqlite3.Connection, /, *, execution_id: str) -> T_co: ...


class SqliteStore:
    """Every save returns when it is durable. Raises SaveRefused for a row the database does not take (nothing of that
    save is stored, the store goes on) and StoreFailed when the store cannot go on."""

    def __init__(self, writer: Writer, opened: OpenDatabase, readers: ReadThreads | None = None) -> None:
        self._writer = writer
        self._opened = opened
        self._readers = readers
        self._listeners: list[Listener] = []
        self._cost_listeners: list[Callable[[MetricsRow], None]] = []
        self._alert_listeners: list[Callable[[], None]] = []
        self._move_listeners: list[Callable[[str, Holding], None]] = []
        self._mover: LiveMover | None = None

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Read what the engine itself waits for: where there are threads for reading, never behind what somebody looks
        at."""
        if self._readers is None:
            return await self._writer.read(function)
        found = await self._readers.read(function)
        await self._writer.wait_for_callers()
        return found

    async def _look(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Read what somebody looks at. Raises StoreFailed if it takes too long."""
        if self._readers is None:
            return await self._writer.read(function)
        found = await self._readers.read_long(function)
        await self._writer.wait_for_callers()
        return found

    @property
    def instance(self) -> str:
        return self._opened.instance

    @property
    def epoch(self) -> str:
        return self._opened.epoch

    @property
    def lost(self) -> str | None:
        return None if self._opened.lost is None else str(self._opened.lost)

    @property
    def epoch_number(self) -> int:
        return self._opened.epoch_number

    async def load_epochs(self) -> StoredEpochs:
        return await self._read(epoch_reads.load_epochs)

    async def save_groups(self, groups: Sequence[EpochGroup]) -> None:
        await self._writer.save(GroupsSave(tuple(groups)))

    async def begin_fencing(self) -> None:
        await self._writer.save(FencingBegun(self.epoch_number))

    async def end_fencing(self) -> None:
        await self._writer.save(FencingEnded(self.epoch_number))

    async def save(self, save: ExecutionSave) -> None:
        await self._writer.save(save)
        self._notify(save)

    async def save_refused(self, row: RefusedRow) -> None:
        """Raises SaveRefused for a key under which something was accepted."""
        await self._writer.save(row)

    def listen(self, listener: Listener) -> None:
        """Have `listener` called with every step and quarantine once it is durable. It must not raise, nor take
        long."""
        self._listeners.append(listener)

    def listen_to_costs(self, listener: Callable[[MetricsRow], None]) -> None:
        """Have `listener` called with what an execution cost once that is durable, again if it changes. It must not
        raise, nor take long."""
        self._cost_listeners.append(listener)

    def _notify(self, saved: ExecutionSave | Quarantine) -> None:
        for listener in self._listeners:
            listener(saved)

    async def save_market(self, terms: MarketTerms, at_us: int) -> None:
        await self._writer.save(MarketSave(terms, at_us))

    async def save_book(self, row: BookRow) -> None:
        await self._writer.save(row)

    async def save_metrics(self, row: MetricsRow, at_us: int, children: Sequence[ChildMetricsRow] = ()) -> None:
        await self._writer.save(MetricsSave(row, at_us, tuple(children)))
        for listener in self._cost_listeners:
            listener(row)

    async def save_markouts(self, rows: Sequence[MarkoutRow], at_us: int) -> None:
        await self._writer.save(MarkoutsSave(tuple(rows), at_us))

    async def save_rewards(self, programs: Sequence[IncentiveProgram], rows: Sequence[RewardRow], at_us: int) -> None:
        await self._writer.save(RewardsSave(tuple(programs), tuple(rows), at_us))

    async def load_rewards(self, execution_id: str) -> list[RewardRow]:
        return await self._read(functools.partial(observations.load_rewards, execution_id=execution_id))

    async def save_forecasts(self, execution_id: str, ticker: str, forecasts: Sequence[Forecast]) -> None:
        await self._writer.save(ForecastsSave(execution_id, ticker, tuple(forecasts)))

    async def complete_forecasts(self, happened: Sequence[tuple[int, int | None]], at_us: int) -> None:
        await self._writer.save(CompletedForecasts(tuple(happened), at_us))

    async def load_open_forecasts(self, due_by_us: int | None) -> list[OpenForecast]:
        return await self._read(functools.partial(observations.load_open_forecasts, due_by_us=due_by_us))

    async def load_due_markouts(self, since_us: int) -> list[MarkoutDue]:
        return await self._read(functools.partial(observations.load_due_markouts, since_us=since_us))

    async def load_unsettled_markets(self) -> list[str]:
        return await self._read(observations.load_unsettled_markets)

    async def load_unsettled_fills(self, ticker: str) -> list[MarkoutDue]:
        return await self._read(functools.partial(observations.load_unsettled_fills, ticker=ticker))

    async def load_recent_books(self, ticker: str, since_us: int) -> list[BookRow]:
        return await self._read(functools.partial(observations.load_recent_books, ticker=ticker, since_us=since_us))

    async def forget_books(self, before_us: int, at_most: int) -> int:
        """Delete books taken at an interval or a decision before then, the oldest first; how many were."""
        old = functools.partial(observations.load_old_books, before_us=before_us, at_most=at_most)
        numbers = await self._read(old)
        if numbers:
            await self._writer.save(DeleteBooks(numbers))
        return len(numbers)

    def on_saved(self, listener: Callable[[ExecutionSave], None]) -> None:
        """Have `listener` called with every step once it is durable. It must not raise, nor take long."""
        self.listen(lambda saved: listener(saved) if isinstance(saved, ExecutionSave) else None)

    async def load_methods(self) -> list[MethodRow]:
        """All, by name and version."""
        return await self._read(observations.load_methods)

    async def save_methods(self, rows: Sequence[MethodRow], at_us: int) -> None:
        """All or none. Raises SaveRefused for a name and version that are there: methods never change."""
        await self._writer.save(MethodsSave(tuple(rows), at_us))

    async def quarantine(self, execution_id: str, why: str | None, at_us: int) -> None:
        quarantine = Quarantine(execution_id, why, at_us)
        await self._save_alerting(quarantine)
        self._notify(quarantine)

    async def save_note(self, execution_id: str, note: str) -> None:
        await self._writer.save(Note(execution_id, note))

    async def save_account_fills(self, fills: Sequence[AccountFill]) -> None:
        await self._writer.save(AccountFillsSave(tuple(fills)))

    async def save_settlements(self, settlements: Sequence[Settlement]) -> None:
        await self._writer.save(SettlementsSave(tuple(settlements)))

    async def save_look(
        self,
        look: AccountLook,
        openings: Sequence[Opening] = (),
        adjustments: Sequence[Adjustment] = (),
        differences: Sequence[Difference] = (),
    ) -> None:
        await self._save_alerting(LookSave(look, tuple(openings), tuple(adjustments), tuple(differences)))

    async def save_risk(self, state: RiskState, log: RiskLogRow | None) -> None:
        await self._save_alerting(RiskSave(state, log))

    async def save_event_shape(self, shape: EventShape, at_us: int) -> None:
        await self._writer.save(ShapeSave(shape, at_us))

    async def load_account(self) -> StoredAccount:
        """One market after another, so that no save waits for the reading of all; again from the beginning if
        something has moved into an archive meanwhile."""
        while True:
            found = await self._load_account()
            if found.archived == await self._look(account_reads.load_archived_holding):
                return found

    async def _load_account(self) -> StoredAccount:
        found = await self._look(account_reads.load_all_but_books)
        markets, damage = [], list(found.damage)
        for ticker in await self.load_traded_tickers():
            load = functools.partial(profit_queries.load_holding, ticker=ticker, damage=damage)
            market = await self._look(load)
            if market is not None:
                markets.append(market)
        return replace(found, markets=tuple(markets), damage=tuple(damage))

    async def load_profit(
        self, tickers: Sequence[str], marks: Mapping[str, Mark], time_zone: str, damage: list[str]
    ) -> Profit:
        """Load what these markets have brought, and everything that has moved, by all divisions; archives that cannot
        be read are named in `damage`. One market is read at a time, and the archives in a thread of their own."""
        books = [await self.load_books(ticker) for ticker in tickers]
        archives = await self._look(archive_reads.load_archives)
        if self._opened.path is None or not archives:
            return profit_of(books, marks, time_zone)
        load, path = archived_books.load_profit, self._opened.path
        return await trio.to_thread.run_sync(load, books, path, archives, marks, time_zone, damage)

    async def load_books(self, ticker: str) -> MarketBooks:
        return await self._look(functools.partial(account_reads.load_books, ticker=ticker))

    async def load_traded_tickers(self) -> list[str]:
        """Those of all markets that may have books. One market at a time is read (`load_books`), so that no save waits
        for the reading of all."""
        return await self._look(profit_queries.load_traded_tickers)

    async def load_stored_marks(self, tickers: Sequence[str]) -> dict[str, Mark]:
        """The last stored book of each of these markets, where there is one."""
        return await self._look(functools.partial(profit_queries.load_stored_marks, tickers=tuple(tickers)))

    async def load_reservation(self, execution_id: str) -> StoredReservation:
        load = functools.partial(reservation_reads.load_reservation, execution_id=execution_id)
        return await self._read(load)

    async def load_differences(self) -> list[Difference]:
        """All that were ever found, the oldest first."""
        return await self._look(account_reads.load_differences)

    async def load_risk_log(self, at_most: int) -> list[RiskLogRow]:
        return await self._look(functools.partial(account_reads.load_risk_log, at_most=at_most))

    async def load_unfinished(self) -> list[StoredExecution]:
        return await self._read(execution_reads.load_unfinished)

    async def load_start(self) -> StartPoint:
        found = await self._read(recovery.load_start)
        return replace(found, number=max(found.number, self._opened.number))

    async def find_unknown_orders(self, names: Sequence[str]) -> list[str]:
        return await self._read(functools.partial(recovery.find_unknown_orders, names=names))

    async def load_unscored(self) -> list[StoredExecution]:
        return await self._read(execution_reads.load_unscored)

    async def load_lately_filled(self) -> list[StoredExecution]:
        return await self._read(execution_reads.load_lately_filled)

    def _where_it_is(self, execution_id: str, load: LoadOne[T]) -> Callable[[sqlite3.Connection], T]:
        """Return the reading of an execution where it is, in the database or in an archive."""
        return functools.partial(
            archive_reads.read_one,
            database=self._opened.path,
            execution_id=execution_id,
            read=functools.partial(load, execution_id=execution_id),
        )

    async def load_execution(self, execution_id: str) -> StoredExecution | None:
        return await self._read(self._where_it_is(execution_id, execution_reads.load_execution))

    async def load_owners(self, order_ids: Sequence[str]) -> dict[str, OrderOwner]:
        return await self._read(functools.partial(recovery.load_owners, order_ids=order_ids))

    async def load_deadline_book(self, execution_id: str) -> BookRow | None:
        return await self._read(functools.partial(recovery.load_deadline_book, execution_id=execution_id))

    async def load_executions(self) -> list[StoredExecution]:
        return await self._look(execution_reads.load_executions)

    async def load_journal(self, execution_id: str) -> list[JournalRow]:
        return await self._read(self._where_it_is(execution_id, execution_reads.load_journal))

    async def load_metrics(self, execution_id: str) -> MetricsRow | None:
        return await self._read(self._where_it_is(execution_id, execution_reads.load_metrics))

    async def load_listing(self, wanted: api_queries.Filter, damage: list[str] | None = None) -> list[ExecutionSummary]:
        """Load executions newest first, those in archives too; archives that cannot be read are named in `damage`."""
        load, lines = archived_lists.load_listing, [] if damage is None else damage
        return await self._look(functools.partial(load, database=self._opened.path, wanted=wanted, damage=lines))

    async def load_detail(self, execution_id: str, journal_lines: int) -> ExecutionDetail | None:
        """Load what is shown of an execution. Raises UserError for one in an archive that cannot be read."""
        load = functools.partial(api_queries.load_detail, journal_lines=journal_lines)
        return await self._look(self._where_it_is(execution_id, load))

    async def load_steps_of_all(self, position: int, at_most: int) -> list[Transition]:
        """Load the steps after `position`. Raises UserError if some of them are in an archive that cannot be read."""
        load, path = archived_lists.load_steps_of_all, self._opened.path
        return await self._look(functools.partial(load, database=path, position=position, at_most=at_most))

    async def load_steps_of_one(self, execution_id: str, seq: int, at_most: int) -> list[Transition]:
        load = functools.partial(journal_steps.load_steps_of_one, seq=seq, at_most=at_most)
        return await self._look(self._where_it_is(execution_id, load))

    async def load_newest_position(self) -> int:
        return await self._read(journal_steps.load_newest_position)

    async def load_submission(self, key: str) -> api_queries.EarlierSubmission | None:
        """Load what was accepted under a key. Raises UserError if it is in an archive that cannot be read."""
        load, path = archived_lists.load_submission, self._opened.path
        return await self._read(functools.partial(load, database=path, key=key))

    async def save_beat(self, at: str) -> None:
        """Leave a sign of life: a copy of this database shows by it how old it is."""
        await self._writer.save(BeatSave(at))

    async def load_beat(self) -> str | None:
        """Load the newest sign of life; None: there is none."""
        return await self._read(standby_reads.load_beat)

    async def load_acceptance(self, execution_id: str) -> str | None:
        """Load when an execution was accepted, ISO 8601 UTC; None: there is none of that name, or it is archived."""
        return await self._read(functools.partial(standby_reads.load_acceptance, execution_id=execution_id))

    async def knows_key(self, key: str) -> bool:
        """Whether something was accepted under a key, or was reported as lost with another host."""
        return await self._read(functools.partial(standby_reads.knows_key, key=key))

    async def save_lost(self, rows: Sequence[LostSubmission]) -> None:
        await self._writer.save(LostSave(tuple(rows)))

    async def load_lost(self, key: str) -> LostSubmission | None:
        """Load what was lost with another host under a key, if something was."""
        return await self._read(functools.partial(standby_reads.load_lost, key=key))

    async def load_all_lost(self) -> list[LostSubmission]:
        """Load all that was lost with other hosts, the newest first."""
        return await self._look(standby_reads.load_all_lost)

    async def count_unfinished(self) -> int:
        return await self._read(api_queries.count_unfinished)

    async def load_halted_at(self) -> str | None:
        return await self._read(api_queries.load_halted_at)

    async def save_halt(self, at_us: int, why: str | None) -> None:
        """Keep that the engine is halted, or (None) that it is not any more."""
        await self._save_alerting(Halt(at_us, why))

    async def save_alerts(self, changes: Sequence[AlertChange]) -> None:
        await self._save_alerting(AlertsSave(tuple(changes)))

    async def save_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        await self._writer.save(DeliveriesSave(tuple(deliveries)))

    async def settle_alerts(self, alert_ids: Sequence[int], state: AlertState, at_us: int) -> None:
        await self._writer.save(AlertsSettled(tuple(alert_ids), state, at_us))

    async def forget_alerts(self, before_us: int, at_most: int) -> int:
        old = functools.partial(alert_reads.load_settled_alerts, before=to_iso(before_us), at_most=at_most)
        alert_ids = await self._read(old)
        if alert_ids:
            await self._writer.save(DeleteAlerts(alert_ids))
        return len(alert_ids)

    async def load_alerts(self, at_most: int, *, standing: bool = False) -> list[StoredAlert]:
        """Load the newest alerts, with `standing` only those that stand, newest first. Damaged ones are left out."""
        load = functools.partial(alert_reads.load_alerts, at_most=at_most, damage=[], standing=standing)
        return await self._look(load)

    async def load_pending_alerts(
        self, after_id: int, at_most: int, *, is_urgent: bool | None = None
    ) -> list[StoredAlert]:
        load = functools.partial(
            alert_reads.load_pending_alerts, after_id=after_id, at_most=at_most, damage=[], is_urgent=is_urgent
        )
        return await self._read(load)

    async def load_deliveries(self, alert_ids: Sequence[int]) -> list[Delivery]:
        load = functools.partial(alert_reads.load_deliveries, alert_ids=tuple(alert_ids), damage=[])
        return await self._read(load)

    async def load_last_step_us(self) -> int | None:
        """Return when the last step of any execution was saved; None: none ever was."""
        return await self._read(journal_steps.load_newest_at)

    async def count_pending_alerts(self) -> int:
        return await self._read(alert_reads.count_pending_alerts)

    def on_moved(self, listener: Callable[[str, Holding], None]) -> None:
        """Have `listener` called with every execution that has moved into an archive, once that is durable: its market,
        and what its fills came to. It must not raise, nor take long."""
        self._move_listeners.append(listener)

    async def move_ended(self, before_us: int, at_us: int) -> tuple[int, dict[str, str]]:
        """Move every execution that ended before then and may move into the archives, a little at a time; return how
        many have, and why others that should could not. Raises UserError for an archive that cannot be written, and
        StoreFailed."""
        if self._opened.path is None:  # a database in memory has no archives
            return 0, {}
        if self._mover is None:
            self._mover = LiveMover(self._writer.change, self._look, self._opened.path, self.instance, self._tell_move)
        done = await self._mover.move_ended(before_us, at_us)
        return sum(done.moved.values()), done.refused

    def _tell_move(self, ticker: str, brought: Holding) -> None:
        for listener in self._move_listeners:
            listener(ticker, brought)

    def on_alerts(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when something that may have caused an alert is durable. It must not raise, nor take
        long."""
        self._alert_listeners.append(listener)

    async def _save_alerting(self, job: Quarantine | Halt | AlertsSave | RiskSave | LookSave) -> None:
        assert isinstance(job, CAUSES)
        await self._writer.save(job)
        for listener in self._alert_listeners:
            listener()

    async def bind(self, environment: str) -> None:
        """Bind the database to this exchange for good. Raises UserError if its executions are of another one: resuming
        them here could spend money the user never meant to spend."""
        bound = await self._read(api_queries.load_environment)
        if bound is None:
            if environment != EMBEDDED and await self.load_listing(api_queries.Filter(limit=1)):
                bound = EMBEDDED  # only the demo ever wrote without saying so
            else:
                await self._writer.save(Binding(environment))
                return
        if bound != environment:
            raise UserError(
                f"the database holds executions of the exchange {bound!r}, not of {environment!r}; "
                "give another path with --db"
            )

    async def wait_for_turn(self) -> None:
        """Wait until the thread that saves has come round once: a disk that does not answer never lets it. Raises
        StoreFailed once the store is closed."""
        await self._writer.read(_look_at_nothing)

    async def watch(self) -> None:
        """Watch the store as long as it is open. Raises StoreFailed once a save has failed, whoever's it was, and
        DatabaseLost when the database is not where it was opened; from then on nothing is saved any more."""
        held = self._opened.held
        while True:
            with trio.move_on_after(FILE_CHECK_INTERVAL_S if held is not None else math.inf):
                raise await self._writer.wait_failure()
            await self._cut_long_log()
            trouble = None if held is None else held.trouble()  # one in memory cannot be lost
            if trouble is not None:
                lost = DatabaseLost(trouble)
                self._writer.fail(lost)
                raise lost

    async def _cut_long_log(self) -> None:
        """Begin a log anew that grew while somebody always read; if a long read runs, at a later look."""
        if self._readers is None:
            return
        if not self._readers.is_log_long():
            self._readers.release()  # another process may have cut it since it was too long
        elif self._readers.hold():
            try:
                self._readers.note_log(await self._writer.read(begin_log_anew))
            finally:
                self._readers.release()

    def statistics(self) -> WriterStatistics:
        return self._writer.statistics()


def _look_at_nothing(connection: sqlite3.Connection) -> None:
    """Ask the database for its least: that it answers."""
    connection.execute("SELECT 1").fetchone()


@asynccontextmanager
async def run_store(lane: Lane, *, reads_apart: bool = False) -> AsyncIterator[SqliteStore]:
    """Run the store for the block; what is queued at its end is still stored. `reads_apart`: reads have threads of
    their own; otherwise they are the writer's, which is for lanes with one thread. Raises UserError at the start."""
    writer = Writer(lane)
    opened = await writer.start()
    readers = None
    try:
        if reads_apart and opened.path is not None:
            readers = ReadThreads(opened.path)
        yield SqliteStore(writer, opened, readers)
    finally:
        if readers is not None:
            await readers.aclose()
        await writer.aclose()
