"""What the control API does: each endpoint as a method on plain structs, so it can be driven without HTTP.

Answers come from the database, which holds nothing that did not happen; requests go to the engine.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol, cast, get_args

import msgspec
import trio

from fsm_exec.algorithms import Method
from fsm_exec.control import api_errors
from fsm_exec.control.account_views import AccountViews
from fsm_exec.control.admission import (
    CheckedSubmission,
    canonical_request,
    check_market,
    check_size,
    check_submission,
    deadline_us,
    limits_for,
)
from fsm_exec.control.alert_schema import AlertList, AlertsQuery, AlertsTested
from fsm_exec.control.alert_views import AlertViews
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.closing import Closer
from fsm_exec.control.estimate_table import load_estimate_table
from fsm_exec.control.estimator import Estimator
from fsm_exec.control.journal_stream import JournalStream
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.metrics.snapshot import MetricsSource
from fsm_exec.control.overview_views import OverviewViews
from fsm_exec.control.queue_places import QueuePlaces
from fsm_exec.control.risk_views import RiskViews
from fsm_exec.control.schema import (
    Accepted,
    Acknowledged,
    ExecutionDetail,
    ExecutionSummary,
    Health,
    LeaseStanding,
    ListQuery,
    MarketSeen,
    Page,
    PageLink,
    Quote,
    Status,
    Submission,
)
from fsm_exec.control.sizer import NothingToBuy, Sizer
from fsm_exec.control.user_commands import UserCommands
from fsm_exec.control.watched_markets import WatchedMarkets
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import ExecError, SaveRefused, StoreFailed
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.execution import CHILD_LIVE, EXECUTION_ENDS
from fsm_exec.core.journal.rows import RefusedRow, SubmissionRow
from fsm_exec.core.journal.to_rows import edge_figures
from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.core.values.units import US_PER_S, Outcome, format_count, format_money, format_price, parse_price
from fsm_exec.runtime.alerts.delivery import AlertDelivery
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine, ExecutionRequest, MethodRef
from fsm_exec.runtime.status import reported_state
from fsm_exec.standby.lost_keys import describe_lost
from fsm_exec.store import SqliteStore
from fsm_exec.store.reads.api_queries import Filter


class DaemonInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about the daemon that are fixed at its start."""

    version: str
    environment: str
    database: str
    since_us: int


class PageDoor(Protocol):
    """The page that is served beside the API: where it is, and how a browser gets in."""

    url: str

    def draw_link(self, *, read_only: bool) -> str: ...


class Control:
    """The service behind the API. `watchers.notify` must be listening to the store. `page_door` is set once a page is
    served."""

    def __init__(
        self,
        engine: Engine,
        store: SqliteStore,
        wall: WallClock,
        watchers: Watchers,
        limits: ControlLimits,
        info: DaemonInfo,
        find_method: Callable[[str], Method],
        reads: Exchange,
        delivery: AlertDelivery | None = None,
    ) -> None:
        self._engine, self._store, self._wall = engine, store, wall
        self.page_door: PageDoor | None = None
        self.journal_stream = JournalStream(store, watchers, lambda: engine.status().quarantined, wall.now_us)
        self._find_method = find_method
        self._watchers, self._limits, self._info = watchers, limits, info
        self._keys: dict[str, _KeyLock] = {}  # submissions under way
        self._accepting = 0
        self.markets = WatchedMarkets(engine, reads, wall)
        self.queue = QueuePlaces(reads, wall.now_us)
        self._sizer = Sizer(engine, reads, self.markets, find_method)
        self.estimator = Estimator(
            engine, self.markets, wall, limits, find_method, self._check_running, load_estimate_table(), self._sizer
        )
        self.closer = Closer(reads, self.markets, find_method, self._accept_once)
        self._commands = UserCommands(engine, store, wall)
        self.risk = RiskViews(engine, store)
        self.account = AccountViews(engine, store, reads, wall)
        self._alerts = AlertViews(store, delivery)
        self.overview = OverviewViews(engine, store, wall, self._alerts, self.status)
        self.metrics = MetricsSource(engine, store, reads, info.database, self.status, self.alerts)
        self._is_closed = False
        self._saving = 0
        self._saved = trio.lowlevel.ParkingLot()

    @property
    def instance(self) -> str:
        """The database's own name."""
        return self._store.instance

    @property
    def engine(self) -> Engine:
        """The engine, to look at: who changes something does it by the methods here."""
        return self._engine

    @property
    def watchers(self) -> Watchers:
        """Those who are woken when something was saved."""
        return self._watchers

    @property
    def about(self) -> DaemonInfo:
        """What is fixed about the daemon."""
        return self._info

    @property
    def version(self) -> str:
        """The daemon's."""
        return self._info.version

    async def submit(self, given: Submission) -> Accepted:
        """Accept an execution; return once it is durable. Raises Refusal, UserError and what the engine raises."""

        async def build() -> CheckedSubmission:
            if given.quantity is not None or given.edge is None:
                return check_submission(given, self._find_method)
            self._check_running()
            try:
                return await self._sizer.build(given)
            except NothingToBuy as refused:
                await self._save_refusal(refused.request, refused)
                raise

        return await self._accept_once(given.key, canonical_request(given), build)

    async def _accept_once(
        self, key: str, wanted: bytes, build: Callable[[], Awaitable[CheckedSubmission]]
    ) -> Accepted:
        """Accept what `build` makes of a request, unless this very request was accepted under its key already."""
        async with self._lock_key(key):
            earlier = await self._store.load_submission(key)
            if earlier is not None:
                if earlier.request != wanted:
                    raise api_errors.conflict(
                        f"key {key!r} was used at {earlier.submitted_at} for another request "
                        f"({earlier.execution_id}); use a new key"
                    )
                return await self._accepted_earlier(key, earlier.execution_id)
            lost = await self._store.load_lost(key)
            if lost is not None:
                raise api_errors.conflict(describe_lost(lost))
            request = await build()
            try:
                return await self._accept(request)
            except ExecError as refused:
                if not request.reduce_only:  # to close is no opportunity
                    await self._save_refusal(request, refused)
                raise

    async def find_submitted(self, key: str) -> str | None:
        """Return the execution that was accepted under a key, if one was."""
        earlier = await self._store.load_submission(key)
        return None if earlier is None else earlier.execution_id

    async def _accepted_earlier(self, key: str, execution_id: str) -> Accepted:
        detail = await self._store.load_detail(execution_id, 0)
        execution = None if detail is None else detail.execution
        return Accepted(
            execution_id=execution_id,
            key=key,
            is_new=False,
            quantity=None if execution is None else execution.target_quantity,
            limit=None if execution is None else execution.limit,
            cap=None if execution is None else execution.cap,
        )

    async def _save_refusal(self, request: CheckedSubmission, refused: ExecError) -> None:
        """Save an opportunity that was refused. A submission that could not be read at all is none, and never comes
        here."""
        given = request.given
        row = RefusedRow(
            at_us=self._wall.now_us(),
            key=given.key,
            ticker=given.ticker,
            outcome=given.outcome,
            method=request.method.full_name,
            quantity=format_count(request.target_e2),
            target_price=None if given.target_price is None else format_price(parse_price(given.target_price)),
            edge=edge_figures(request.edge, self._engine.volume_24h(given.ticker)),
            refusal=api_errors.refusal_of(refused).code,
        )
        with suppress(SaveRefused, StoreFailed):  # the caller is to hear why it was refused, not what became of a note
            await self._store.save_refused(row)

    async def _accept(self, request: CheckedSubmission) -> Accepted:
        given = request.given
        self._check_running()  # what can be refused at once is refused before anything is asked of the exchange
        self._reserve_capacity(request)
        self._accepting += 1
        try:
            if not request.reduce_only and await self._is_full():
                raise api_errors.over_limit(
                    f"max_unfinished_executions = {self._limits.max_unfinished_executions} are at work; "
                    "wait for some to end"
                )
            with self.markets.hold(given.ticker):
                return await self._accept_on_market(request)
        finally:
            self._engine.release_capacity(given.key)
            self._accepting -= 1

    async def _is_full(self) -> bool:
        return await self._store.count_unfinished() + self._accepting > self._limits.max_unfinished_executions

    async def _accept_on_market(self, request: CheckedSubmission) -> Accepted:
        """Without a book the execution is accepted all the same, and its arrival is unknown."""
        given = request.given
        feed = await self.markets.open(given.ticker)
        check_market(feed.terms, feed.status)
        now_us = self._wall.now_us()
        limits = limits_for(request, feed.terms, now_us, deadline_us(request, now_us, self._limits))
        check_size(request, limits, self._limits)
        ends_us = self._reserve_capacity(request)
        execution_id = await self._hand_over(
            ExecutionRequest(
                ticker=given.ticker,
                outcome=given.outcome,
                target_e2=request.target_e2,
                method=MethodRef(request.method.full_name, request.method),
                limits=limits,
                deadline_us=ends_us,
                edge=request.edge,
                reduce_only=request.reduce_only,
                submission=SubmissionRow(given.key, request.canonical),
            )
        )
        return Accepted(
            execution_id=execution_id,
            key=given.key,
            is_new=True,
            quantity=format_count(request.target_e2),
            sized=request.sized,
            limit=format_price(limits.worst_e4),
            cap=format_money(limits.cap_e6),
        )

    def _reserve_capacity(self, request: CheckedSubmission) -> int:
        """Reserve capacity, and return the deadline as it is now: that of a horizon is later after every wait."""
        ends_us = deadline_us(request, self._wall.now_us(), self._limits)
        self._engine.reserve_capacity(request.given.key, ends_us, request.method)
        return ends_us

    async def _hand_over(self, request: ExecutionRequest) -> str:
        self._check_running()  # a halt, or the end, may have come while a book was waited for
        self._saving += 1
        try:
            return await self._engine.submit(request)
        finally:
            self._saving -= 1
            self._saved.unpark_all()

    def _check_running(self) -> None:
        if self._engine.failure is not None:
            raise self._engine.failure  # it will not run again: say why, not only that
        state = "stopping" if self._is_closed else self._engine.state
        if state == "halted":
            raise api_errors.not_running(
                f"the engine is halted ({self._engine.status().why_halted}) and accepts no work until: fsm-exec resume"
            )
        if state != "running":
            raise api_errors.not_running(f"the engine is {state} and accepts no work")
        if why := self._engine.health.why_degraded():
            raise api_errors.degraded(f"nothing can be done at the exchange now: {'; '.join(why)}")

    async def close(self) -> None:
        """Accept nothing from now on, and wait until what is being saved is: after that the engine has every execution
        there is."""
        self._is_closed = True
        while self._saving:
            await self._saved.park()

    @asynccontextmanager
    async def _lock_key(self, key: str) -> AsyncIterator[None]:
        """Hold the lock of a key: of two requests with one key the second waits, and then finds what the first did."""
        lock = self._keys.setdefault(key, _KeyLock())
        lock.users += 1
        try:
            async with lock.lock:
                yield
        finally:
            lock.users -= 1
            if not lock.users:
                del self._keys[key]

    async def page(self, query: ListQuery) -> Page:
        filters = msgspec.structs.asdict(query)
        damage: list[str] = []
        found = await self._store.load_listing(Filter(**{**filters, "limit": query.limit + 1}), damage)
        shown = found[: query.limit]
        before = shown[-1].execution_id if len(found) > len(shown) else None
        return Page(executions=shown, next_before=before, damage=damage)

    async def show(self, execution_id: str, journal_lines: int) -> ExecutionDetail:
        detail = await self._store.load_detail(execution_id, journal_lines)
        if detail is None:
            raise api_errors.unknown_execution(execution_id)
        shown = ExecutionDetail(**{name: getattr(detail, name) for name in detail.__struct_fields__})
        execution = detail.execution
        if execution.state in EXECUTION_ENDS:
            return shown
        ahead = await self._load_queue_ahead(shown)
        return msgspec.structs.replace(
            shown,
            quote=self._quote(execution),
            seconds_left=seconds_until(execution.deadline, self._wall.now_us()),
            queue_ahead=ahead,
        )

    async def _load_queue_ahead(self, shown: ExecutionDetail) -> dict[str, str]:
        resting = {o.order_id: o.client_order_id for o in shown.orders if o.state in CHILD_LIVE and o.order_id}
        if not resting:
            return {}
        places = await self.queue.load(shown.execution.ticker)
        return {name: format_count(places[order_id]) for order_id, name in resting.items() if order_id in places}

    def _quote(self, execution: ExecutionSummary) -> Quote | None:
        feed = self._engine.feeds.get(execution.ticker)
        if feed is None or execution.outcome not in get_args(Outcome):  # a damaged row may say anything
            return None
        return quote_of(feed.view(cast("Outcome", execution.outcome)))

    async def cancel(self, execution_id: str) -> Acknowledged:
        return await self._commands.cancel((await self.show(execution_id, 0)).execution)

    async def resume_execution(self, execution_id: str) -> Acknowledged:
        return await self._commands.resume_execution((await self.show(execution_id, 0)).execution)

    async def halt(self) -> Status:
        await self._commands.halt()
        return await self.status()

    async def resume(self) -> Status:
        await self._commands.resume()
        return await self.status()

    async def alerts(self, query: AlertsQuery | None = None) -> AlertList:
        """Return what somebody is to hear of, newest first, and how it fares with the channels."""
        return await self._alerts.alerts(AlertsQuery() if query is None else query)

    def draw_page_link(self, *, read_only: bool) -> PageLink:
        """Draw a link that opens the page once. Raises Refusal if no page is served."""
        if self.page_door is None:
            raise api_errors.not_found("this daemon serves no page; start it without --no-page")
        return PageLink(url=self.page_door.draw_link(read_only=read_only))

    async def test_alerts(self) -> AlertsTested:
        """Send a test alert through each channel; return what became of it."""
        return await self._alerts.test()

    def health(self) -> Health:
        why = self._engine.health.why_degraded()
        state = reported_state(self._engine.state, why)
        return Health(ok=state == "running", state=state, why_degraded=list(why))

    async def status(self) -> Status:
        engine = self._engine.status()
        return Status(
            version=self._info.version,
            state=engine.state,
            why_degraded=list(engine.why_degraded),
            why_halted=engine.why_halted,
            halt_within_s=engine.halt_within_s,
            environment=self._info.environment,
            instance=self._store.instance,
            database=self._info.database,
            pid=os.getpid(),
            since=to_iso(self._info.since_us),
            unfinished=await self._store.count_unfinished(),
            at_work=engine.at_work,
            quarantined=engine.quarantined,
            live_orders=engine.live_orders,
            unknown_orders=engine.unknown_orders,
            settling_orders=engine.settling_orders,
            loose_orders=engine.loose_orders,
            nothing_live=engine.nothing_live,
            stream_connected=engine.stream_connected,
            markets={ticker: MarketSeen(feed=seen.state, market=seen.market) for ticker, seen in engine.feeds.items()},
            watchers=len(self._watchers),
            limits=self._limits,
            losses=self._engine.losses,
            not_noted=self._commands.not_noted(),
            risk=self.risk.standing(),
            alerts_pending=await self._store.count_pending_alerts(),
            page_url=None if self.page_door is None else self.page_door.url,
            lease=msgspec.convert(engine.lease, LeaseStanding, from_attributes=True),
        )


def quote_of(view: MarketView) -> Quote:
    """Return the best bid and ask of a view."""
    bid, ask = (levels[0] if levels else None for levels in (view.bids, view.asks))
    return Quote(
        bid=None if bid is None else format_price(bid[0]),
        bid_size=None if bid is None else format_count(bid[1]),
        ask=None if ask is None else format_price(ask[0]),
        ask_size=None if ask is None else format_count(ask[1]),
        feed=view.feed,
    )


def seconds_until(deadline: str, now_us: int) -> int | None:
    """Return the seconds to a time, 0 once it has passed; None for a text that is no time."""
    with suppress(ValueError):
        return max(0, (from_iso(deadline) - now_us) // US_PER_S)
    return None


class _KeyLock:
    def __init__(self) -> None:
        self.lock, self.users = trio.Lock(), 0
