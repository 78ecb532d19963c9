"""The control API as an ASGI application: paths, and what each of them takes and answers.

    GET  /v1/health                       no token needed
    GET  /v1/status
    GET  /v1/overview                     working, ended
    POST /v1/executions                   submit; 201 accepted, 200 accepted earlier, 409 the key is another request's
    GET  /v1/executions                   newest first; state, ticker, unfinished, quarantined, before, limit
    GET  /v1/executions/ID                one in detail; journal_lines
    GET  /v1/executions/ID/events         its steps as server-sent events, until it ends; after, or Last-Event-ID
    GET  /v1/events                       the steps of all, until the caller goes; after, or Last-Event-ID
    POST /v1/executions/ID/cancel         202
    POST /v1/executions/ID/resume         a quarantined one; 202
    POST /v1/halt, POST /v1/resume        202, 200
    GET  /v1/markets                      search, closed, limit
    GET  /v1/markets/TICKER/book          outcome, levels
    POST /v1/estimate                     what an execution would cost; nothing is sent
    GET  /v1/positions, GET /v1/account
    GET  /v1/pnl                          by: market, event, series, method, execution, day
    GET  /v1/risk, POST /v1/risk/resume, /v1/risk/reduce
    POST /v1/close                        by executions that never buy more than is held
    POST /v1/page/codes                   read_only; a link that opens the page once; 201
    GET  /v1/openapi.json                 all of this, for programs
    GET  /metrics                         for Prometheus, with the token as a bearer token

Every error is {"error": {"code", "message"}}. A caller that means the daemon of one database names it in the header
Fsm-Exec-Instance (`instance` of the status); the daemon of another database refuses it with 409 other_database.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp
from structlog.typing import FilteringBoundLogger

from fsm_exec.control import account_schema, alert_schema, api_errors, market_schema, overview_schema, schema
from fsm_exec.control.auth import AuthMiddleware
from fsm_exec.control.endpoints import ENDPOINTS, Endpoint, Name
from fsm_exec.control.events import EventStream
from fsm_exec.control.openapi import openapi_document
from fsm_exec.control.responses import JSON, error_response, json_response, parse_after, parse_query, read_body
from fsm_exec.control.service import Control
from fsm_exec.core.errors import ExecError

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
EXECUTION_ID: Final = re.compile(r"e[0-9]{6,18}", re.ASCII)


class ControlApp:
    """The handlers of the endpoints. `app` is the application of `routes` behind the authentication."""

    def __init__(self, control: Control, token: str, log: FilteringBoundLogger) -> None:
        self._control, self._log = control, log
        handlers: dict[Name, Handler] = {
            "health": self._health,
            "status": self._status,
            "overview": self._overview,
            "submit": self._submit,
            "list": self._list,
            "show": self._show,
            "follow": self._watch_one,
            "follow_all": self._watch_all,
            "cancel": self._cancel,
            "resume_execution": self._resume_one,
            "halt": self._halt,
            "resume": self._resume,
            "markets": self._markets,
            "book": self._book,
            "estimate": self._estimate,
            "close": self._close,
            "positions": self._positions,
            "pnl": self._pnl,
            "account": self._account,
            "risk": self._risk,
            "risk_resume": self._risk_resume,
            "risk_reduce": self._risk_reduce,
            "alerts": self._alerts,
            "page_code": self._page_code,
            "alerts_test": self._alerts_test,
            "openapi": self._openapi,
        }
        self.routes = [self._route(endpoint, handlers[endpoint.name]) for endpoint in ENDPOINTS]
        scraped = Route("/metrics", self._metrics, methods=["GET"])  # no part of the API: its path is Prometheus' own
        inner = Starlette(routes=[*self.routes, scraped], exception_handlers={HTTPException: _respond_to_http_error})
        inner.router.redirect_slashes = False  # who does not follow it would take `/v1/halt/` for a halt
        self.app: ASGIApp = AuthMiddleware(inner, token, control.instance)

    def _route(self, endpoint: Endpoint, handler: Handler) -> Route:
        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except ExecError as error:
                return error_response(api_errors.refusal_of(error))
            except ClientDisconnect:
                # A caller that has gone will not read it; one that let us wait will.
                return error_response(api_errors.incomplete_body())
            except Exception:  # one request's bug must not take the daemon down
                self._log.exception("control_failed", path=endpoint.full_path)
                return error_response(
                    api_errors.Refusal(500, "internal", "the daemon failed at this; its log says more")
                )

        return Route(endpoint.full_path, answered, methods=[endpoint.method])

    async def _health(self, _: Request) -> Response:
        health = self._control.health()
        return json_response(health, 200 if health.ok else 503)

    async def _status(self, request: Request) -> Response:
        parse_query(request, schema.NoQuery)
        return json_response(await self._control.status())

    async def _overview(self, request: Request) -> Response:
        return json_response(await self._control.overview.overview(parse_query(request, overview_schema.OverviewQuery)))

    async def _submit(self, request: Request) -> Response:
        accepted = await self._control.submit(await read_body(request, schema.Submission))
        return json_response(accepted, 201 if accepted.is_new else 200)

    async def _list(self, request: Request) -> Response:
        return json_response(await self._control.page(parse_query(request, schema.ListQuery)))

    async def _show(self, request: Request) -> Response:
        lines = parse_query(request, schema.ShowQuery).journal_lines
        return json_response(await self._control.show(_execution_id(request), lines))

    async def _watch_one(self, request: Request) -> Response:
        execution_id = _execution_id(request)
        after = parse_after(request)
        await self._control.show(execution_id, 0)  # an unknown one is refused before anything streams
        return EventStream(partial(self._control.journal_stream.stream_one, execution_id, after))

    async def _watch_all(self, request: Request) -> Response:
        return EventStream(partial(self._control.journal_stream.stream_all, parse_after(request)))

    async def _cancel(self, request: Request) -> Response:
        await read_body(request, schema.NoQuery)
        return json_response(await self._control.cancel(_execution_id(request)), 202)

    async def _resume_one(self, request: Request) -> Response:
        await read_body(request, schema.NoQuery)
        return json_response(await self._control.resume_execution(_execution_id(request)), 202)

    async def _halt(self, request: Request) -> Response:
        await read_body(request, schema.NoQuery)
        return json_response(await self._control.halt(), 202)

    async def _resume(self, request: Request) -> Response:
        await read_body(request, schema.NoQuery)
        return json_response(await self._control.resume())

    async def _markets(self, request: Request) -> Response:
        return json_response(await self._control.markets.search(parse_query(request, market_schema.MarketsQuery)))

    async def _book(self, request: Request) -> Response:
        query = parse_query(request, market_schema.BookQuery)
        return json_response(await self._control.markets.book(request.path_params["ticker"], query))

    async def _estimate(self, request: Request) -> Response:
        wanted = await read_body(request, market_schema.EstimateWanted)
        return json_response(await self._control.estimator.estimate(wanted))

    async def _close(self, request: Request) -> Response:
        wanted = await read_body(request, account_schema.CloseWanted)
        return json_response(await self._control.closer.close(wanted))

    async def _positions(self, request: Request) -> Response:
        parse_query(request, schema.NoQuery)
        return json_response(await self._control.account.positions())

    async def _pnl(self, request: Request) -> Response:
        return json_response(await self._control.account.profit(parse_query(request, account_schema.PnlQuery).by))

    async def _account(self, request: Request) -> Response:
        parse_query(request, schema.NoQuery)
        return json_response(await self._control.account.account())

    async def _risk(self, request: Request) -> Response:
        return json_response(await self._control.risk.risk(parse_query(request, account_schema.RiskQuery).moves))

    async def _risk_resume(self, request: Request) -> Response:
        wanted = await read_body(request, account_schema.RiskResume)
        return json_response(await self._control.risk.resume(accept_loss=wanted.accept_loss))

    async def _risk_reduce(self, request: Request) -> Response:
        await read_body(request, schema.NoQuery)
        return json_response(await self._control.risk.reduce())

    async def _alerts(self, request: Request) -> Response:
        return json_response(await self._control.alerts(parse_query(request, alert_schema.AlertsQuery)))

    async def _page_code(self, request: Request) -> Response:
        wanted = await read_body(request, schema.PageWanted)
        return json_response(self._control.draw_page_link(read_only=wanted.read_only), 201)

    async def _alerts_test(self, request: Request) -> Response:
        await read_body(request, schema.NoQuery)
        return json_response(await self._control.test_alerts())

    async def _metrics(self, request: Request) -> Response:
        from fsm_exec.control.metrics.exposition import encode_metrics  # 0.2 s, which no start has to wait for

        try:
            parse_query(request, schema.NoQuery)
            snapshot = await self._control.metrics.take_snapshot()
        except ExecError as error:
            return error_response(api_errors.refusal_of(error))
        content, kind = encode_metrics(snapshot, request.headers.get("accept", ""))
        return Response(content, headers={"Content-Type": kind})

    async def _openapi(self, request: Request) -> Response:
        parse_query(request, schema.NoQuery)
        return Response(openapi_document(self._control.version), media_type=JSON)


def _execution_id(request: Request) -> str:
    name: str = request.path_params["execution_id"]
    if not EXECUTION_ID.fullmatch(name):
        raise api_errors.not_found(f"{name[:40]!r} is no execution's id; they look like e000001")
    return name


async def _respond_to_http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status == 405:
        return error_response(api_errors.Refusal(405, "wrong_method", f"{request.method} is not for this path"))
    return error_response(api_errors.Refusal(status, "not_found", "no such path; they begin with /v1/"))
