"""Responses have JSON bodies and errors of one shape; requests are read no further than their limit."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from functools import cache
from typing import Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fsm_exec.control import api_errors
from fsm_exec.control.limits import BODY_BYTES_MAX
from fsm_exec.control.schema import ErrorBody, Failed, Submission, WatchQuery, describe_missing
from fsm_exec.core.values.field_names import suggest_name

JSON = "application/json"
LAST_EVENT_ID = "Last-Event-ID"
NAME_SHOWN = 40
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)
_FLAGS: Final = {"true": True, "false": False}
S = TypeVar("S", bound=msgspec.Struct)


def json_response(body: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type=JSON)


def error_response(refusal: api_errors.Refusal) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else None
    body = Failed(error=ErrorBody(code=refusal.code, message=refusal.message))
    return Response(msgspec.json.encode(body), refusal.status, headers, JSON)


async def read_body(request: Request, kind: type[S]) -> S:
    """Read the request's body; none at all is an empty object. Raises Refusal."""
    raw = b""
    async with aclosing(request.stream()) as chunks:  # what is not read to its end must be closed
        async for chunk in chunks:
            raw += chunk
            if len(raw) > BODY_BYTES_MAX:
                raise api_errors.too_large(BODY_BYTES_MAX)
    try:
        body = msgspec.json.decode(raw or b"{}", type=kind)
        json.loads(raw or b"{}", object_pairs_hook=_refuse_duplicates)  # msgspec lets the last of two win
    except (ValueError, RecursionError) as error:  # of msgspec's and json's own kinds
        if missing := _find_missing(kind, raw):
            raise api_errors.bad_request(f"the body is not what this takes: {missing}") from None
        raise api_errors.bad_request(
            f"the body is not what this takes: {error}{suggest_name(str(error), kind)}"
        ) from None
    return body


def _find_missing(kind: type[msgspec.Struct], raw: bytes) -> str:
    """Name all that a submission lacks, since msgspec names the first only; empty if that is not what is wrong."""
    if not issubclass(kind, Submission):
        return ""
    try:
        given = msgspec.json.decode(raw, type=dict[str, object])
    except (ValueError, RecursionError):
        return ""
    if all(field.name in given for field in msgspec.structs.fields(kind) if field.required):
        return ""
    return describe_missing(Submission.find_missing(given))


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise api_errors.duplicate(f"the field {name[:NAME_SHOWN]!r}")


def parse_query(request: Request, kind: type[S]) -> S:
    """Parse the query's parameters, each at most once, numbers in plain digits. Raises Refusal."""
    pairs = request.query_params.multi_items()
    values = dict(pairs)
    if len(values) != len(pairs):
        twice = next(name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1)
        raise api_errors.duplicate(f"the parameter {twice[:NAME_SHOWN]!r}")
    return _convert(values, kind, "the query")


def _convert(values: dict[str, str], kind: type[S], where: str) -> S:
    """Convert values to the struct. Text is text; of all else only the plainest form counts, for `1e2`, `+5` and a
    full-width digit are mistakes."""
    plain: dict[str, object] = dict(values)
    texts = _text_fields(kind)
    for name, value in values.items():
        if name in texts:
            continue
        if _NUMBER.fullmatch(value):
            plain[name] = int(value)
        elif value in _FLAGS:
            plain[name] = _FLAGS[value]
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        why = f"{error}{suggest_name(str(error), kind)}"
        for name in kind.__struct_fields__:
            if name not in texts and isinstance(found := plain.get(name), str):
                why = f"{name} takes plain digits, or true and false, not {found[:40]!r}"
        raise api_errors.bad_request(f"{where} is not what this takes: {why}") from None


@cache
def _text_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the fields that take any text."""
    found = set()
    for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]  # it is a struct's
        parts = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        if any(isinstance(part, msgspec.inspect.StrType | msgspec.inspect.LiteralType) for part in parts):
            found.add(field.name)
    return frozenset(found)


def parse_after(request: Request) -> int | None:
    """Return the row after which a stream begins. The header wins: a browser that reconnects sends it beside the
    `after` of its first request. Raises Refusal."""
    after = parse_query(request, WatchQuery).after
    header = request.headers.get(LAST_EVENT_ID)
    if not header:  # a browser that has seen no id yet sends it empty
        return after
    return _convert({"after": header}, WatchQuery, f"the header {LAST_EVENT_ID}").after
