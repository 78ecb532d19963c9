"""The endpoints of the control API as data: what each takes and answers. The application and its OpenAPI document are
both made of this list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

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
from fsm_exec.control.api_errors import ErrorCode
from fsm_exec.control.market_schema import BookQuery, Estimate, EstimateWanted, MarketBook, MarketList, MarketsQuery
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

VERSION_PREFIX: Final = "/v1"
Name: TypeAlias = Literal[
    "health",
    "status",
    "overview",
    "submit",
    "list",
    "show",
    "follow",
    "follow_all",
    "cancel",
    "resume_execution",
    "halt",
    "resume",
    "markets",
    "book",
    "estimate",
    "close",
    "positions",
    "pnl",
    "account",
    "risk",
    "risk_resume",
    "risk_reduce",
    "alerts",
    "page_code",
    "alerts_test",
    "openapi",
]
Codes: TypeAlias = Mapping[int, tuple[ErrorCode, ...]]
EventStream: Final = "text/event-stream"


class Endpoint(NamedTuple):
    """An endpoint. `answers` has the struct of each good status, or what else it is; `refusals` the codes of each other
    status."""

    name: Name
    method: Literal["GET", "POST"]
    path: str
    summary: str
    answers: Mapping[int, type[msgspec.Struct] | Literal["text/event-stream", "openapi"]]
    refusals: Codes
    query: type[msgspec.Struct] = NoQuery
    body: type[msgspec.Struct] | None = None
    needs_token: bool = True

    @property
    def full_path(self) -> str:
        return VERSION_PREFIX + self.path


def _codes(*more: Codes) -> Codes:
    """Return the codes that any endpoint can answer, and `more`."""
    found: dict[int, tuple[ErrorCode, ...]] = {}
    for codes in (_ANYWHERE, *more):
        for status, names in codes.items():
            found[status] = found.get(status, ()) + names
    return dict(sorted(found.items()))


_ANYWHERE: Final[Codes] = {
    400: ("bad_request", "duplicate"),
    401: ("unauthorized",),
    403: ("wrong_host",),
    409: ("other_database",),
    500: ("failed", "internal", "store_failed"),
    503: ("busy", "not_running"),
}
_BODY: Final[Codes] = {413: ("too_large",)}
_UNKNOWN: Final[Codes] = {404: ("not_found",)}
_CONFLICT: Final[Codes] = {409: ("conflict",)}
_STREAM: Final[Codes] = {409: ("ahead",), 429: ("too_many_watchers",)}
_SUBMISSION: Final[Codes] = {
    422: ("invalid", "no_edge", "over_limit", "risk_limit"),
    429: ("capacity",),
    500: ("not_saved",),
    502: ("exchange",),
    503: ("degraded",),
}
_NOTED: Final[Codes] = {503: ("degraded",)}
_READ: Final[Codes] = {502: ("exchange",)}
_MARKET: Final[Codes] = {422: ("invalid",)}
_ONE: Final = "/executions/{execution_id}"

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        "health",
        "GET",
        "/health",
        "Whether work is accepted: 200, else 503. Needs no token.",
        {200: Health, 503: Health},
        {400: ("duplicate",), 403: ("wrong_host",), 500: ("internal",)},
        needs_token=False,
    ),
    Endpoint("status", "GET", "/status", "The state of the engine, and what is live.", {200: Status}, _codes()),
    Endpoint(
        "overview",
        "GET",
        "/overview",
        "The state of the engine, what is at work against its market, and what ended last.",
        {200: Overview},
        _codes(),
        query=OverviewQuery,
    ),
    Endpoint(
        "submit",
        "POST",
        "/executions",
        "Accept an execution: 201; 200 if this very request was accepted earlier under its key.",
        {200: Accepted, 201: Accepted},
        _codes(_BODY, _CONFLICT, _SUBMISSION),
        body=Submission,
    ),
    Endpoint("list", "GET", "/executions", "Executions, newest first.", {200: Page}, _codes(), query=ListQuery),
    Endpoint(
        "show", "GET", _ONE, "One execution in detail.", {200: ExecutionDetail}, _codes(_UNKNOWN), query=ShowQuery
    ),
    Endpoint(
        "follow",
        "GET",
        f"{_ONE}/events",
        "The steps of an execution until it ends, after the row `after`, or that of the header Last-Event-ID.",
        {200: EventStream},
        _codes(_UNKNOWN, _STREAM),
        query=WatchQuery,
    ),
    Endpoint(
        "follow_all",
        "GET",
        "/events",
        "The steps of all executions, until the caller goes.",
        {200: EventStream},
        _codes(_STREAM),
        query=WatchQuery,
    ),
    Endpoint(
        "cancel",
        "POST",
        f"{_ONE}/cancel",
        "End an execution: cancel what is live, keep what is filled.",
        {202: Acknowledged},
        _codes(_BODY, _UNKNOWN, _CONFLICT),
        body=NoQuery,
    ),
    Endpoint(
        "resume_execution",
        "POST",
        f"{_ONE}/resume",
        "Take a quarantined execution up again.",
        {202: Acknowledged},
        _codes(_BODY, _UNKNOWN, _CONFLICT, _NOTED),
        body=NoQuery,
    ),
    Endpoint(
        "halt",
        "POST",
        "/halt",
        "End every execution, and accept none until it is resumed.",
        {202: Status},
        _codes(_BODY),
        body=NoQuery,
    ),
    Endpoint(
        "resume",
        "POST",
        "/resume",
        "Accept executions again.",
        {200: Status},
        _codes(_BODY, _CONFLICT, _NOTED),
        body=NoQuery,
    ),
    Endpoint("markets", "GET", "/markets", "Find markets.", {200: MarketList}, _codes(_READ), query=MarketsQuery),
    Endpoint(
        "book",
        "GET",
        "/markets/{ticker}/book",
        "The book of a market, in the terms of one outcome, with what of it is this account's.",
        {200: MarketBook},
        _codes(_READ, _MARKET),
        query=BookQuery,
    ),
    Endpoint(
        "estimate",
        "POST",
        "/estimate",
        "What an execution would cost, and whether it would be accepted. Nothing is sent or stored.",
        {200: Estimate},
        _codes(_BODY, _READ, {422: ("invalid", "no_edge", "over_limit")}),
        body=EstimateWanted,
    ),
    Endpoint(
        "close",
        "POST",
        "/close",
        "Close what is held of a market or of an event's markets, by executions that never buy more than is held.",
        {200: Closing},
        _codes(_BODY, _CONFLICT, _SUBMISSION),
        body=CloseWanted,
    ),
    Endpoint(
        "positions",
        "GET",
        "/positions",
        "What is held, and what closing it now would bring.",
        {200: PositionsSeen},
        _codes(),
    ),
    Endpoint("pnl", "GET", "/pnl", "What was won and lost, divided.", {200: ProfitTable}, _codes(), query=PnlQuery),
    Endpoint(
        "account",
        "GET",
        "/account",
        "Balance, profit, and where the exchange says something else than our books.",
        {200: AccountSeen},
        _codes(_READ),
    ),
    Endpoint(
        "risk",
        "GET",
        "/risk",
        "What may be lost, what of each limit is used, and how the brake stands.",
        {200: RiskSeen},
        _codes(_CONFLICT),
        query=RiskQuery,
    ),
    Endpoint(
        "risk_resume",
        "POST",
        "/risk/resume",
        "Accept what adds risk again, after a loss that led to less.",
        {200: RiskSeen},
        _codes(_BODY, _CONFLICT, _MARKET),
        body=RiskResume,
    ),
    Endpoint(
        "risk_reduce",
        "POST",
        "/risk/reduce",
        "From halted to reducing: what raises no worst case is accepted.",
        {200: RiskSeen},
        _codes(_BODY, _CONFLICT, _MARKET),
        body=NoQuery,
    ),
    Endpoint(
        "alerts",
        "GET",
        "/alerts",
        "What somebody is to hear of, newest first, and how it fares with each channel.",
        {200: AlertList},
        _codes(),
        query=AlertsQuery,
    ),
    Endpoint(
        "page_code",
        "POST",
        "/page/codes",
        "Draw a link that opens the page in one browser, once, within a minute.",
        {201: PageLink},
        _codes(_BODY, _UNKNOWN),
        body=PageWanted,
    ),
    Endpoint(
        "alerts_test",
        "POST",
        "/alerts/test",
        "Send a test alert through each channel, whatever the hour.",
        {200: AlertsTested},
        _codes(_BODY),
        body=NoQuery,
    ),
    Endpoint("openapi", "GET", "/openapi.json", "This document.", {200: "openapi"}, _codes()),
)
