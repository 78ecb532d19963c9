"""The client of the control API, for strategies, scripts and the commands; blocking, or on any loop.

    with Client() as daemon:
        accepted = daemon.submit(Submission(key="order-17", ...))
        for step in daemon.follow(accepted.execution_id):
            ...

    async with AsyncClient() as daemon:  # trio or asyncio
        accepted = await daemon.submit(Submission(key="order-17", ...))
        async for step in daemon.follow(accepted.execution_id):
            ...

Both find the daemon of this user that runs, or take its `url` and `token_file`. A daemon that goes away is looked for
again for `patience_s`: what may be sent twice is sent again, a stream goes on after the last row it has. A submission
is accepted once under its key, so a caller that lost an answer, or died and does not know, sends it again as it is.

Every method raises Refused, DaemonFailed and DaemonAbsent (ControlError has the API's `code`), and UserError if it is
unclear which daemon is meant or if another database answers now.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from fsm_exec.control import calls
from fsm_exec.control.account_schema import (
    AccountSeen,
    By,
    CloseWanted,
    Closing,
    PnlQuery,
    PositionsSeen,
    ProfitTable,
    RiskResume,
    RiskSeen,
)
from fsm_exec.control.alert_schema import AlertList, AlertsQuery, AlertsTested
from fsm_exec.control.blocking_transport import BlockingTransport, run
from fsm_exec.control.client_errors import ControlError, DaemonAbsent, DaemonFailed, Refused
from fsm_exec.control.discovery import finder
from fsm_exec.control.event_parser import Step
from fsm_exec.control.market_schema import (
    BookQuery,
    Estimate,
    EstimateWanted,
    MarketBook,
    MarketList,
    MarketsQuery,
)
from fsm_exec.control.overview_schema import Overview, OverviewQuery
from fsm_exec.control.remote import JOURNAL_LINES, PATIENCE_S, RemoteDaemon, say_nothing
from fsm_exec.control.schema import (
    Accepted,
    Acknowledged,
    ExecutionDetail,
    ExecutionState,
    ExecutionSummary,
    Health,
    ListQuery,
    Page,
    PageLink,
    Status,
    Submission,
)
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.field_names import suggest_name
from fsm_exec.core.values.units import Outcome


class Client:
    """Blocks its thread; needs no loop. `when_gone` is called with one line when the daemon has gone."""

    def __init__(
        self,
        url: str | None = None,
        token_file: Path | str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        when_gone: Callable[[str], None] = say_nothing,
    ) -> None:
        self._daemon = RemoteDaemon(BlockingTransport(), finder(url, token_file), patience_s, when_gone)

    def __enter__(self) -> Self:
        """Finds the daemon. Raises DaemonAbsent if there is none: the first is not waited for."""
        try:
            run(self._daemon.connect())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        run(self._daemon.close())

    def submit(self, submission: Submission) -> Accepted:
        """Returns once the execution is durable. The same key with the same request is the same execution, however
        often it is sent; with another request it is Refused with the code `conflict`."""
        return run(self._daemon.ask(calls.submit(submission)))

    def follow(self, execution_id: str, after: int | None = 0) -> Iterator[Step]:
        """Yields the steps of an execution to its end, after step `after` (its `seq`; None: the one before its newest),
        as they become durable: each once, over whatever restarts. A QuarantineSeen between them says that the engine
        stops acting for it, or acts again."""
        return self._follow(execution_id, after)

    def follow_all(self, after: int | None = None) -> Iterator[Step]:
        """Yields the steps of all executions for ever, after the one with position `after` (None: from when the first
        is asked for)."""
        return self._follow(None, after)

    def _follow(self, execution_id: str | None, after: int | None) -> Iterator[Step]:
        steps = self._daemon.follow(execution_id, after)
        try:
            while (step := run(_next_or_none(steps))) is not None:
                yield step
        finally:
            run(steps.aclose())

    def wait(self, execution_id: str) -> ExecutionDetail:
        """Returns what came of an execution, once it has ended. Its `metrics` may follow a moment later."""
        return run(self._daemon.wait(execution_id))

    def show(self, execution_id: str, journal_lines: int = JOURNAL_LINES) -> ExecutionDetail:
        """Returns one execution with its orders, fills, cost and the last lines of its journal."""
        return run(self._daemon.ask(calls.show(execution_id, journal_lines)))

    def list(
        self,
        *,
        state: ExecutionState | None = None,
        ticker: str | None = None,
        unfinished: bool = False,
        quarantined: bool = False,
        limit: int | None = None,
    ) -> list[ExecutionSummary]:
        """Returns the newest `limit` executions (None: all) that pass the filters, newest first."""
        query = ListQuery(state=state, ticker=ticker, unfinished=unfinished, quarantined=quarantined)
        return run(self._daemon.executions(query, limit))

    def page(self, query: ListQuery) -> Page:
        """Returns one page of the list, as the API has it."""
        return run(self._daemon.ask(calls.page(query)))

    def cancel(self, execution_id: str) -> Acknowledged:
        """Ends an execution: what is live is cancelled, what is filled is kept. `wait` returns when it has ended. One
        that has ended already is Refused with the code `conflict`."""
        return run(self._daemon.ask(calls.cancel(execution_id)))

    def resume_execution(self, execution_id: str) -> Acknowledged:
        """Takes a quarantined execution up again. It is sent once: DaemonAbsent may mean that it is done."""
        return run(self._daemon.ask(calls.resume_execution(execution_id)))

    def halt(self) -> Status:
        """Ends every execution, and no new one is accepted until `resume`, over restarts too. `nothing_live` of a
        later status says when nothing is at the exchange any more."""
        return run(self._daemon.ask(calls.HALT))

    def resume(self) -> Status:
        """Accepts new executions again. It is sent once, for a halt may have come in between."""
        return run(self._daemon.ask(calls.RESUME))

    def markets(self, search: str = "", *, closed: bool = False, limit: int = 50) -> MarketList:
        """Finds markets: `search` is the beginning of a ticker (a market's, an event's or a series') or words of a
        title."""
        return run(self._daemon.ask(calls.markets(MarketsQuery(search=search, closed=closed, limit=limit))))

    def book(self, ticker: str, outcome: Outcome = "yes", *, levels: int = 10) -> MarketBook:
        """Returns the book of a market in the terms of `outcome`, with what of it is this account's."""
        return run(self._daemon.ask(calls.book(ticker, BookQuery(outcome=outcome, levels=levels))))

    def estimate(self, wanted: EstimateWanted) -> Estimate:
        """Returns what an execution would cost and whether it would be accepted. Nothing is sent or stored."""
        return run(self._daemon.ask(calls.estimate(wanted)))

    def positions(self) -> PositionsSeen:
        """Returns what is held, by hand too, and what closing it now would bring."""
        return run(self._daemon.ask(calls.POSITIONS))

    def profit(self, by: By = "market") -> ProfitTable:
        """Returns what was won and lost, by market, event, series, method, execution or day."""
        return run(self._daemon.ask(calls.profit(PnlQuery(by=by))))

    def account(self) -> AccountSeen:
        """Returns balance, profit, and where the exchange says something else than our books."""
        return run(self._daemon.ask(calls.ACCOUNT))

    def risk(self) -> RiskSeen:
        """Returns what may be lost, what of each limit is used, and how the brake stands."""
        return run(self._daemon.ask(calls.RISK))

    def risk_resume(self, *, accept_loss: bool = False) -> RiskSeen:
        """Accepts what adds risk again after a loss. It is sent once. Refused while the loss is too large, unless it is
        accepted: then it counts from now's equity."""
        return run(self._daemon.ask(calls.risk_resume(RiskResume(accept_loss=accept_loss))))

    def risk_reduce(self) -> RiskSeen:
        """Goes from halted by risk to reducing: what raises no worst case is accepted. It is sent once."""
        return run(self._daemon.ask(calls.RISK_REDUCE))

    def alerts(self, *, standing: bool = False, limit: int = 50) -> AlertList:
        """Returns what somebody is to hear of, newest first; with `standing` only what is not over."""
        return run(self._daemon.ask(calls.alerts(AlertsQuery(limit=limit, standing=standing))))

    def test_alerts(self) -> AlertsTested:
        """Sends a test alert through each channel, whatever the hour; returns what became of it. It is sent once."""
        return run(self._daemon.ask(calls.ALERTS_TEST))

    def close_position(self, wanted: CloseWanted) -> Closing:
        """Closes what is held of a market, or of all markets of an event, by executions that never buy more than is
        held. The same key with the same request is the same execution, however often it is sent."""
        return run(self._daemon.ask(calls.close(wanted)))

    def status(self) -> Status:
        """Returns the state of the engine, of its markets and of what is live."""
        return run(self._daemon.ask(calls.STATUS))

    def draw_page_link(self, *, read_only: bool = False) -> PageLink:
        """Returns a link that opens the daemon's page in one browser, once, within a minute."""
        return run(self._daemon.ask(calls.page_link(read_only=read_only)))

    def overview(self, *, working: int = 50, ended: int = 10) -> Overview:
        """Returns the state of the engine with the executions at work that end first and the newest endings."""
        return run(self._daemon.ask(calls.overview(OverviewQuery(working=working, ended=ended))))

    def metrics(self) -> str:
        """Returns what the daemon measures of itself, in the text format of Prometheus."""
        return run(self._daemon.fetch_metrics())

    def health(self) -> Health:
        """Returns whether the daemon accepts work."""
        return run(self._daemon.ask(calls.HEALTH))


class AsyncClient:
    """Waits on the loop it is used in, trio's or asyncio's; the methods of Client, with the same meaning.

    Leave `follow` early with `contextlib.aclosing`, or it is closed with the client."""

    def __init__(
        self,
        url: str | None = None,
        token_file: Path | str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        when_gone: Callable[[str], None] = say_nothing,
    ) -> None:
        from fsm_exec.control.loop_transport import LoopTransport  # httpx: what only blocks does not wait for it

        self._daemon = RemoteDaemon(LoopTransport(), finder(url, token_file), patience_s, when_gone)

    @classmethod
    def of(cls, daemon: RemoteDaemon) -> Self:
        """Returns a client of a daemon that is found and reached in another way, as in `fsm_exec.testing`."""
        made = cls.__new__(cls)
        made._daemon = daemon
        return made

    async def __aenter__(self) -> Self:
        try:
            await self._daemon.connect()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._daemon.close()

    async def submit(self, submission: Submission) -> Accepted:
        return await self._daemon.ask(calls.submit(submission))

    def follow(self, execution_id: str, after: int | None = 0) -> AsyncGenerator[Step, None]:
        return self._daemon.follow(execution_id, after)

    def follow_all(self, after: int | None = None) -> AsyncGenerator[Step, None]:
        return self._daemon.follow(None, after)

    async def wait(self, execution_id: str) -> ExecutionDetail:
        return await self._daemon.wait(execution_id)

    async def show(self, execution_id: str, journal_lines: int = JOURNAL_LINES) -> ExecutionDetail:
        return await self._daemon.ask(calls.show(execution_id, journal_lines))

    async def list(
        self,
        *,
        state: ExecutionState | None = None,
        ticker: str | None = None,
        unfinished: bool = False,
        quarantined: bool = False,
        limit: int | None = None,
    ) -> list[ExecutionSummary]:
        query = ListQuery(state=state, ticker=ticker, unfinished=unfinished, quarantined=quarantined)
        return await self._daemon.executions(query, limit)

    async def page(self, query: ListQuery) -> Page:
        return await self._daemon.ask(calls.page(query))

    async def cancel(self, execution_id: str) -> Acknowledged:
        return await self._daemon.ask(calls.cancel(execution_id))

    async def resume_execution(self, execution_id: str) -> Acknowledged:
        return await self._daemon.ask(calls.resume_execution(execution_id))

    async def halt(self) -> Status:
        return await self._daemon.ask(calls.HALT)

    async def resume(self) -> Status:
        return await self._daemon.ask(calls.RESUME)

    async def markets(self, search: str = "", *, closed: bool = False, limit: int = 50) -> MarketList:
        return await self._daemon.ask(calls.markets(MarketsQuery(search=search, closed=closed, limit=limit)))

    async def book(self, ticker: str, outcome: Outcome = "yes", *, levels: int = 10) -> MarketBook:
        return await self._daemon.ask(calls.book(ticker, BookQuery(outcome=outcome, levels=levels)))

    async def estimate(self, wanted: EstimateWanted) -> Estimate:
        return await self._daemon.ask(calls.estimate(wanted))

    async def positions(self) -> PositionsSeen:
        return await self._daemon.ask(calls.POSITIONS)

    async def profit(self, by: By = "market") -> ProfitTable:
        return await self._daemon.ask(calls.profit(PnlQuery(by=by)))

    async def account(self) -> AccountSeen:
        return await self._daemon.ask(calls.ACCOUNT)

    async def risk(self) -> RiskSeen:
        return await self._daemon.ask(calls.RISK)

    async def risk_resume(self, *, accept_loss: bool = False) -> RiskSeen:
        return await self._daemon.ask(calls.risk_resume(RiskResume(accept_loss=accept_loss)))

    async def risk_reduce(self) -> RiskSeen:
        return await self._daemon.ask(calls.RISK_REDUCE)

    async def alerts(self, *, standing: bool = False, limit: int = 50) -> AlertList:
        return await self._daemon.ask(calls.alerts(AlertsQuery(limit=limit, standing=standing)))

    async def test_alerts(self) -> AlertsTested:
        return await self._daemon.ask(calls.ALERTS_TEST)

    async def close_position(self, wanted: CloseWanted) -> Closing:
        return await self._daemon.ask(calls.close(wanted))

    async def status(self) -> Status:
        return await self._daemon.ask(calls.STATUS)

    async def draw_page_link(self, *, read_only: bool = False) -> PageLink:
        return await self._daemon.ask(calls.page_link(read_only=read_only))

    async def overview(self, *, working: int = 50, ended: int = 10) -> Overview:
        return await self._daemon.ask(calls.overview(OverviewQuery(working=working, ended=ended)))

    async def metrics(self) -> str:
        return await self._daemon.fetch_metrics()

    async def health(self) -> Health:
        return await self._daemon.ask(calls.HEALTH)


async def _next_or_none(steps: AsyncIterator[Step]) -> Step | None:
    return await anext(steps, None)


def parse_submission(values: Mapping[str, object]) -> Submission:
    """Build a submission from loose values. Raises UserError, as the daemon would."""
    try:
        return msgspec.convert(values, Submission)
    except msgspec.ValidationError as error:
        raise UserError(f"{error}{suggest_name(str(error), Submission)}") from None


def parse_estimate(values: Mapping[str, object]) -> EstimateWanted:
    """Build what is asked of an estimate from loose values. Raises UserError, as the daemon would."""
    try:
        return msgspec.convert(values, EstimateWanted)
    except msgspec.ValidationError as error:
        raise UserError(f"{error}{suggest_name(str(error), EstimateWanted)}") from None


__all__ = [
    "AsyncClient",
    "Client",
    "ControlError",
    "DaemonAbsent",
    "DaemonFailed",
    "Refused",
    "Step",
    "parse_estimate",
    "parse_submission",
]
