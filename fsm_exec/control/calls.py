"""The requests of the control API as values: what is sent, what the answer is, and whether it may be sent again.

A call whose answer got lost may be sent again if a second time changes nothing: a submission is accepted once under its
key, an execution can be ended twice. A resume is sent once, for a halt may have come in between.
"""

from __future__ import annotations

import re
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from fsm_exec.control.account_schema import (
    AccountSeen,
    CloseWanted,
    Closing,
    PnlQuery,
    PositionsSeen,
    ProfitTable,
    RiskQuery,
    RiskResume,
    RiskSeen,
)
from fsm_exec.control.alert_schema import AlertList, AlertsQuery, AlertsTested
from fsm_exec.control.client_errors import UNREADABLE, DaemonFailed
from fsm_exec.control.market_schema import (
    BookQuery,
    Estimate,
    EstimateWanted,
    MarketBook,
    MarketList,
    MarketsQuery,
)
from fsm_exec.control.overview_schema import Overview, OverviewQuery
from fsm_exec.control.schema import (
    Accepted,
    Acknowledged,
    ExecutionDetail,
    Health,
    ListQuery,
    NoQuery,
    Page,
    PageLink,
    PageWanted,
    ShowQuery,
    Status,
    Submission,
    WatchQuery,
)
from fsm_exec.core.errors import UserError

S = TypeVar("S", bound=msgspec.Struct)
S_co = TypeVar("S_co", bound=msgspec.Struct, covariant=True)


class Call(NamedTuple, Generic[S_co]):
    """A request. `answer` is the struct of a good answer, which has one of the statuses `good`. `is_repeatable`: it may
    be sent again when its answer got lost."""

    method: str
    path: str
    answer: type[S_co]
    query: msgspec.Struct = NoQuery()
    body: msgspec.Struct | None = None
    is_repeatable: bool = True
    good: frozenset[int] = frozenset({200, 201, 202})

    @property
    def params(self) -> dict[str, str]:
        return {name: _text(value) for name, value in _without_none(self.query).items()}

    @property
    def content(self) -> bytes | None:
        return None if self.body is None else msgspec.json.encode(_without_none(self.body))


TICKER: Final = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
STATUS: Final = Call("GET", "/v1/status", Status)
HEALTH: Final = Call("GET", "/v1/health", Health, good=frozenset({200, 503}))
HALT: Final = Call("POST", "/v1/halt", Status)
POSITIONS: Final = Call("GET", "/v1/positions", PositionsSeen)
RISK: Final = Call("GET", "/v1/risk", RiskSeen, RiskQuery())
RISK_REDUCE: Final = Call("POST", "/v1/risk/reduce", RiskSeen, is_repeatable=False)
ALERTS_TEST: Final = Call("POST", "/v1/alerts/test", AlertsTested, is_repeatable=False)
ACCOUNT: Final = Call("GET", "/v1/account", AccountSeen)
RESUME: Final = Call("POST", "/v1/resume", Status, is_repeatable=False)


def overview(query: OverviewQuery) -> Call[Overview]:
    return Call("GET", "/v1/overview", Overview, query)


def submit(submission: Submission) -> Call[Accepted]:
    return Call("POST", "/v1/executions", Accepted, body=submission)


def page(query: ListQuery) -> Call[Page]:
    return Call("GET", "/v1/executions", Page, query)


def show(execution_id: str, journal_lines: int) -> Call[ExecutionDetail]:
    return Call("GET", _path(execution_id), ExecutionDetail, ShowQuery(journal_lines=journal_lines))


def cancel(execution_id: str) -> Call[Acknowledged]:
    return Call("POST", _path(execution_id, "/cancel"), Acknowledged)


def resume_execution(execution_id: str) -> Call[Acknowledged]:
    return Call("POST", _path(execution_id, "/resume"), Acknowledged, is_repeatable=False)


def markets(query: MarketsQuery) -> Call[MarketList]:
    return Call("GET", "/v1/markets", MarketList, query)


def book(ticker: str, query: BookQuery) -> Call[MarketBook]:
    if not TICKER.fullmatch(ticker):
        raise UserError(f"{ticker[:40]!r} is no market's ticker; find one with: fsm-exec markets")
    return Call("GET", f"/v1/markets/{ticker}/book", MarketBook, query)


def estimate(wanted: EstimateWanted) -> Call[Estimate]:
    return Call("POST", "/v1/estimate", Estimate, body=wanted)


def close(wanted: CloseWanted) -> Call[Closing]:
    return Call("POST", "/v1/close", Closing, body=wanted)


def profit(query: PnlQuery) -> Call[ProfitTable]:
    return Call("GET", "/v1/pnl", ProfitTable, query)


def risk_resume(wanted: RiskResume) -> Call[RiskSeen]:
    return Call("POST", "/v1/risk/resume", RiskSeen, body=wanted, is_repeatable=False)


def alerts(query: AlertsQuery) -> Call[AlertList]:
    return Call("GET", "/v1/alerts", AlertList, query)


def page_link(*, read_only: bool) -> Call[PageLink]:
    return Call("POST", "/v1/page/codes", PageLink, body=PageWanted(read_only=read_only))


def stream_request(execution_id: str | None, after: int | None) -> tuple[str, dict[str, str]]:
    """Return path and parameters of the stream of one execution, or of all."""
    path = "/v1/events" if execution_id is None else _path(execution_id, "/events")
    return path, {name: _text(value) for name, value in _without_none(WatchQuery(after=after)).items()}


def decode(content: bytes, kind: type[S]) -> S:
    """Decode an answer. Raises DaemonFailed for what no daemon of this version says."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DaemonFailed(UNREADABLE, f"what answers there is no fsm-exec daemon of this version: {error}") from error


def _path(execution_id: str, rest: str = "") -> str:
    if not (execution_id.isascii() and execution_id.isalnum()):
        raise UserError(f"{execution_id[:40]!r} is no execution's id; they look like e000001")
    return f"/v1/executions/{execution_id}{rest}"


def _without_none(struct: msgspec.Struct) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(struct).items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
