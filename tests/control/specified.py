"""An answer of the control API, held to its OpenAPI document: is its status there, its type, its body, its code?"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from fsm_exec.control.openapi import openapi_document

Schema = dict[str, Any]
DOCUMENT: Schema = json.loads(openapi_document("1"))
NOWHERE = (404, 405)  # what a path, or a method, that does not exist may be answered with


async def check_answer(answer: httpx.Response) -> None:
    await answer.aread()
    check(answer.request.method, answer.request.url.path, answer.status_code, answer.headers, answer.content)


def check(method: str, path: str, status: int, headers: httpx.Headers, content: bytes) -> None:
    """Asserts that the document allows this answer."""
    kind = headers["content-type"]
    operation = operation_of("GET" if method == "HEAD" else method, path)
    if operation is None:
        before_the_path = operation_of("GET", "/v1/status")
        assert before_the_path is not None
        assert status in (*NOWHERE, 400, 401, 403, 409), f"{method} {path}: {status}"
        schema = before_the_path["responses"]["401"] if status in NOWHERE else before_the_path["responses"][str(status)]
        assert kind in schema["content"]
        if method != "HEAD":
            validator({"$ref": "#/components/schemas/Failed"}).validate(json.loads(content))
        return
    told = operation["responses"].get(str(status))
    assert told is not None, f"{method} {path}: {status} is not in the document: {content[:200]!r}"
    described = told["content"][kind]
    if method == "HEAD":
        assert content == b""
    elif kind == "text/event-stream":
        check_events(content, described["x-event-data"])
    else:
        validator(described["schema"]).validate(json.loads(content))


def check_events(content: bytes, kinds: dict[str, Schema]) -> None:
    for event in content.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
        if "event" in lines:
            validator(kinds[lines["event"]]).validate(json.loads(lines["data"]))
        else:
            assert set(lines) <= {"id"}


def operation_of(method: str, path: str) -> Schema | None:
    """What the document says of this request; None: nothing, so there must be no such endpoint."""
    for template, operations in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
            found: Schema = operations[method.lower()]
            return found
    return None


@cache
def _strict() -> Schema:
    """The document with every struct closed: an answer has no field that is not described."""
    document: Schema = json.loads(openapi_document("1"))
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


def validator(schema: Schema) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": _strict()["components"]})
