"""The tables as an OpenAPI document of our own, for tools that make requests out of one."""

from __future__ import annotations

import re
from typing import Any, Final

from fsm_exec.wire.rest import API_PREFIX
from tests.specification import bodies as _bodies  # noqa: F401 - makes the shapes known
from tests.specification.operations import OPERATIONS, Operation
from tests.specification.shapes import NAMED, SHAPES, Shape, bounds_of, words_of

Schema = dict[str, Any]
REFUSALS: Final = (400, 401, 403, 404, 409, 429)
_PLAIN: Final[dict[str, Schema]] = {
    "text": {"type": "string"},
    "uuid": {"type": "string", "format": "uuid"},
    "time": {"type": "string", "format": "date-time"},
    "price": {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)\.[0-9]{4}([0-9]{2})?$"},
    "count": {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)\.[0-9]{2}$"},
    "int": {"type": "integer"},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "object": {"type": "object"},
    "Level": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
}


def document(known: dict[str, list[str]]) -> Schema:
    """`known` has values that mean something here, by the name of a parameter of a path or of a field that is sent:
    they are tried beside any others."""
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(API_PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation, known)
    shapes = {name: _shape(each, known if name.endswith("Request") else {}) for name, each in SHAPES.items()}
    return {
        "openapi": "3.0.3",
        "info": {"title": "What the paper exchange serves", "version": "1"},
        "paths": paths,
        "components": {"schemas": shapes},
    }


def _operation(operation: Operation, known: dict[str, list[str]]) -> Schema:
    success: Schema = {"description": "done"}
    if operation.answer is not None:
        success["content"] = {"application/json": {"schema": _schema(operation.answer)}}
    refusals = {"description": "refused", "content": {"application/json": {}, "text/plain": {}}}
    made: Schema = {
        "operationId": operation.name,
        "parameters": [*_path_parameters(operation, known), *_query_parameters(operation)],
        "responses": {str(operation.status): success, **{str(status): refusals for status in REFUSALS}},
    }
    if operation.sends is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(operation.sends)}}}
    return made


def _path_parameters(operation: Operation, known: dict[str, list[str]]) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _either(known[name], {"type": "string", "minLength": 1}),
        }
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]


def _query_parameters(operation: Operation) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "query",
            "required": kind.startswith("!"),
            "schema": _schema(kind.removeprefix("!")),
            "style": "form",
            "explode": True,
        }
        for name, kind in operation.query.items()
    ]


def _shape(wanted: Shape, known: dict[str, list[str]]) -> Schema:
    properties = {name: _either(known.get(name), _schema(kind)) for name, kind in wanted.fields().items()}
    made: Schema = {"type": "object", "properties": properties}
    return {**made, "required": sorted(wanted.need)} if wanted.need else made


def _either(known: list[str] | None, schema: Schema) -> Schema:
    return schema if known is None else {"anyOf": [{"enum": known}, schema]}


def _schema(kind: str) -> Schema:
    kind = NAMED.get(kind, kind)
    if kind.endswith("?"):
        return {"nullable": True, "allOf": [_schema(kind[:-1])]}
    if kind.startswith("["):
        return {"type": "array", "items": _schema(kind[1:-1])}
    if kind in SHAPES:
        return {"$ref": f"#/components/schemas/{kind}"}
    if (words := words_of(kind)) is not None:
        return {"type": "integer", "enum": [int(w) for w in words]} if words[0].isdigit() else {"enum": list(words)}
    if (bounds := bounds_of(kind)) is not None:
        low, high = bounds
        return {"type": "integer", "minimum": low, **({} if high is None else {"maximum": high})}
    return _PLAIN[kind]
