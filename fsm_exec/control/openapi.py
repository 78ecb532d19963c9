"""The control API as an OpenAPI 3.1 document, made of its endpoints and of the structs that validate what it takes."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import msgspec

from fsm_exec.control.api_errors import ErrorCode
from fsm_exec.control.endpoints import ENDPOINTS, Endpoint, EventStream
from fsm_exec.control.responses import JSON, LAST_EVENT_ID
from fsm_exec.control.schema import INSTANCE, Ended, Failed, NoQuery, QuarantineSeen, Transition

Schema = dict[str, Any]
EXECUTION_ID_PATTERN: Final = "^e[0-9]{6,18}$"
TICKER_MAX: Final = 100
_EVENTS: Final[dict[str, type[msgspec.Struct]]] = {"step": Transition, "quarantine": QuarantineSeen, "end": Ended}
_REF: Final = "#/components/schemas/{name}"


@cache
def openapi_document(version: str) -> bytes:
    """Build the document of the daemon of this version."""
    kinds = {kind for endpoint in ENDPOINTS for kind in _structs_of(endpoint)} | {Failed, *_EVENTS.values()}
    ordered = sorted(kinds, key=str)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    paths: Schema = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.full_path, {})[endpoint.method.lower()] = _operation(endpoint)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "fsm-exec",
            "version": version,
            "description": "The control API of the daemon. It answers on loopback only. Prices, quantities and money "
            "are decimal strings, times ISO 8601 UTC. An unknown field or parameter is refused.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: _portable(schema) for name, schema in sorted(components.items())},
        },
    }
    return msgspec.json.encode(document)


def _structs_of(endpoint: Endpoint) -> set[type[msgspec.Struct]]:
    structs = {kind for kind in endpoint.answers.values() if not isinstance(kind, str)}
    return structs if endpoint.body is None else structs | {endpoint.body}


def _operation(endpoint: Endpoint) -> Schema:
    parameters = _parameters(endpoint)
    answers = {str(status): _success_response(kind) for status, kind in endpoint.answers.items()}
    refusals = {
        str(status): _error_response(codes) for status, codes in endpoint.refusals.items() if str(status) not in answers
    }
    made: Schema = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": dict(sorted((answers | refusals).items())),
    }
    if endpoint.body is not None:
        content = {JSON: {"schema": _ref(endpoint.body)}}
        made["requestBody"] = {"required": endpoint.body is not NoQuery, "content": content}
    if not endpoint.needs_token:
        made["security"] = []
    return made


def _parameters(endpoint: Endpoint) -> list[Schema]:
    found: list[Schema] = []
    schema: object
    if "{execution_id}" in endpoint.path:
        schema = {"type": "string", "pattern": EXECUTION_ID_PATTERN}
        found.append({"name": "execution_id", "in": "path", "required": True, "schema": schema})
    if "{ticker}" in endpoint.path:
        schema = {"type": "string", "maxLength": TICKER_MAX}
        found.append({"name": "ticker", "in": "path", "required": True, "schema": schema})
    _, components = msgspec.json.schema_components([endpoint.query], ref_template=_REF)
    (described,) = components.values()
    for name, field in described["properties"].items():
        found.append({"name": name, "in": "query", "required": False, "schema": _portable(_without_null(field))})
    if EventStream in endpoint.answers.values():
        schema = _portable(_without_null(described["properties"]["after"]))
        found.append({"name": LAST_EVENT_ID, "in": "header", "required": False, "schema": schema})
    if endpoint.needs_token:
        what = "`instance` of the status: a daemon of another database refuses the request"
        schema = {"type": "string"}
        found.append({"name": INSTANCE, "in": "header", "required": False, "description": what, "schema": schema})
    return found


def _success_response(kind: type[msgspec.Struct] | str) -> Schema:
    if not isinstance(kind, str):
        return {"description": kind.__name__, "content": {JSON: {"schema": _ref(kind)}}}
    if kind == EventStream:
        events = {name: _ref(event) for name, event in _EVENTS.items()}
        content = {EventStream: {"schema": {"type": "string"}, "x-event-data": events}}
        return {"description": "Server-sent events; the `id` of a step is its row.", "content": content}
    return {"description": "An OpenAPI document", "content": {JSON: {"schema": {"type": "object"}}}}


def _error_response(codes: tuple[ErrorCode, ...]) -> Schema:
    """Describe an error, with the codes that this status can have here."""
    code = {"properties": {"error": {"properties": {"code": {"enum": sorted(codes)}}}}}
    return {"description": ", ".join(sorted(codes)), "content": {JSON: {"schema": {"allOf": [_ref(Failed), code]}}}}


def _ref(kind: type[msgspec.Struct]) -> Schema:
    return {"$ref": _REF.format(name=kind.__name__)}


def _without_null(field: Schema) -> Schema:
    """Remove null from a field's types: a parameter is left out, never null."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else field


def _portable(schema: object) -> object:
    """Rewrite patterns so that every tool reads them, not only Python."""
    match schema:
        case {"pattern": str(pattern), **rest}:
            return {name: _portable(part) for name, part in rest.items()} | {"pattern": _anchor(pattern)}
        case dict():
            return {name: _portable(part) for name, part in schema.items()}
        case list():
            return [_portable(part) for part in schema]
        case _:
            return schema


def _anchor(pattern: str) -> str:
    return re.sub(r"^\\A(.*)\\Z$", r"^\1$", pattern)
