"""Answers as HTTP: JSON bodies, errors all of one shape, and requests read no further than their limit."""

from __future__ import annotations

from contextlib import aclosing
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fsm_exec.control import refusals
from fsm_exec.control.limits import BODY_BYTES_MAX
from fsm_exec.control.messages import ErrorBody, Failed, WatchQuery

JSON = "application/json"
LAST_EVENT_ID = "Last-Event-ID"
S = TypeVar("S", bound=msgspec.Struct)


def answer(body: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)


def failed(refusal: refusals.Refusal) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
    body = Failed(error=ErrorBody(code=refusal.code, message=refusal.message))
    return Response(msgspec.json.encode(body), refusal.status, headers, JSON)


async def body_of(request: Request, kind: type[S]) -> S:
    """The request's body; none at all is an empty object. Raises Refusal."""
    raw = b""
    async with aclosing(request.stream()) as chunks:  # what is not read to its end must be closed
        async for chunk in chunks:
            raw += chunk
            if len(raw) > BODY_BYTES_MAX:
                raise refusals.too_large(BODY_BYTES_MAX)
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refusals.bad_request(f"the body is not what this takes: {error}") from None


def query_of(request: Request, kind: type[S]) -> S:
    """The query's parameters, each at most once. Raises Refusal."""
    told = request.query_params.multi_items()
    values = dict(told)
    if len(values) != len(told):
        raise refusals.bad_request("a parameter stands in the query twice")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise refusals.bad_request(f"the query is not what this takes: {error}") from None


def place_of(request: Request) -> int | None:
    """After which row a stream begins. The header wins: a browser that reconnects sends it beside the `after` of its
    first request. Raises Refusal."""
    after = query_of(request, WatchQuery).after
    told = request.headers.getlist(LAST_EVENT_ID)
    if len(told) > 1:
        raise refusals.bad_request(f"the header {LAST_EVENT_ID} stands there twice")
    if not told or not told[0]:  # a browser that has seen no id yet sends it empty
        return after
    try:
        return msgspec.convert({"after": told[0]}, WatchQuery, strict=False).after
    except msgspec.ValidationError:
        raise refusals.bad_request(f"the header {LAST_EVENT_ID} is not the id of an event") from None
