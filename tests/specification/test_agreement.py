"""The tables beside this file say what the exchange's own specification says. Needs its files (see official.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.specification import bodies as _bodies  # noqa: F401 - makes the shapes known
from tests.specification import frames as _frames  # noqa: F401
from tests.specification import official
from tests.specification.operations import OPERATIONS, Operation
from tests.specification.shapes import NAMED, SHAPES, Shape, bounds_of, words_of

pytestmark = pytest.mark.skipif(official.missing() is not None, reason=str(official.missing()))

STRINGS = {"text", "uuid", "time", "price", "count"}
PRECISE = {"FixedPointDollars": "price", "FixedPointCount": "count", "date-time": "time", "uuid": "uuid"}
RETIRED_CODES = {6, 16, 17}


def resolved(schema: Any, document: str) -> tuple[dict[str, Any], str | None]:  # noqa: ANN401 - a part of a document
    """A schema without its references, and the last name it was called by."""
    name = None
    while True:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = official.schemas(document)[name]
        elif set(schema) & {"allOf", "oneOf"} and len(schema.get("allOf") or schema["oneOf"]) == 1:
            nullable = schema.get("nullable")
            schema = {**(schema.get("allOf") or schema["oneOf"])[0], **({"nullable": True} if nullable else {})}
        else:
            return schema, name


def differences(ours: Shape, theirs: dict[str, Any], document: str) -> Iterator[str]:
    """What one has and the other has not. Fields that we never send need not be in our table."""
    properties = theirs.get("properties", {})
    required = set(theirs.get("required", ()))
    if required != set(ours.need):
        yield f"{ours.name} needs {sorted(required ^ set(ours.need))} in one of both only"
    for name, kind in {**ours.need, **ours.may}.items():
        if name in properties:
            yield from different_types(kind, properties[name], document, f"{ours.name}.{name}")
        else:
            yield f"{ours.name}.{name} is not in the specification"
    yield from (f"{ours.name}.{name} is in the specification" for name in ours.beyond if name in properties)


def different_types(kind: str, schema: Any, document: str, where: str) -> Iterator[str]:  # noqa: ANN401
    nullable = schema.get("nullable", False)
    theirs, name = resolved(schema, document)
    said = theirs.get("type")
    if isinstance(said, list):
        nullable = nullable or "null" in said
        said = next(each for each in said if each != "null")
    nullable = nullable or theirs.get("nullable", False)
    if kind.endswith("?") != bool(nullable):
        yield f"{where}: null is {'' if nullable else 'not '}allowed"
    kind = NAMED.get(kind.removesuffix("?"), kind.removesuffix("?"))
    if kind.startswith("["):
        if said != "array":
            yield f"{where}: {said}, not a list"
        else:
            yield from different_types(kind[1:-1], theirs["items"], document, f"{where}[]")
    elif kind in SHAPES:
        yield from differences(SHAPES[kind], theirs, document)
    elif kind == "Level":
        if said != "array" or theirs.get("minItems") != 2:
            yield f"{where}: {said}, not a level"
    elif (words := words_of(kind)) is not None:
        allowed = theirs.get("enum") or ([theirs["const"]] if "const" in theirs else None)
        if allowed is None or {str(each) for each in allowed if each is not None} != set(words):
            yield f"{where}: {allowed}, not {words}"
    elif where.endswith(".code") and (codes := theirs.get("enum")):
        if set(range(1, 29)) - RETIRED_CODES != set(codes):
            yield f"{where}: {codes}"
    elif (bounds := bounds_of(kind)) is not None:
        low, high = bounds
        # A number that must be at least one is what a subscription's is; elsewhere the bounds are theirs.
        if said != "integer" or (theirs.get("minimum", low), theirs.get("maximum", high)) != bounds:
            yield f"{where}: {said} from {theirs.get('minimum')} to {theirs.get('maximum')}, not {low} to {high}"
    elif said == "string":
        precise = PRECISE.get(name or "") or PRECISE.get(theirs.get("format", ""))
        if kind not in STRINGS or (precise is not None and kind != precise):
            yield f"{where}: {precise or 'text'}, not {kind}"
    elif {"integer": "int", "number": "number", "boolean": "flag", "object": "object"}.get(str(said)) != kind:
        yield f"{where}: {said}, not {kind}"


NAMED_THERE = [
    (document, name)
    for document in ("openapi.yaml", "asyncapi.yaml")
    if official.missing() is None
    for name in SHAPES
    if name in official.schemas(document)
]


@pytest.mark.parametrize(("document", "name"), NAMED_THERE)
def test_a_shape_is_the_specifications(document: str, name: str) -> None:
    """The same fields needed, none that is unknown there, and each of the same type."""
    assert list(differences(SHAPES[name], official.schemas(document)[name], document)) == []


def test_every_shape_is_reached() -> None:
    """Those that have no name there are parts of those that have one."""
    reached: set[str] = {name for _, name in NAMED_THERE}
    waiting = list(reached)
    while waiting:
        for kind in SHAPES[waiting.pop()].fields().values():
            inner = kind.strip("[]?")
            if inner in SHAPES and inner not in reached:
                reached.add(inner)
                waiting.append(inner)
    assert set(SHAPES) - reached == set()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_is_the_specifications(operation: Operation) -> None:
    """Name, path, signature, query with its types, what is sent, the status and body of a success."""
    theirs = official.operation_document(operation)
    assert theirs["operationId"] == operation.name
    assert bool(theirs.get("security")) == operation.own
    parameters = [
        each if "$ref" not in each else official.document("openapi.yaml")["components"]["parameters"][_last(each)]
        for each in theirs.get("parameters", [])
    ]
    query = {each["name"]: each for each in parameters if each["in"] == "query"}
    assert set(query) == set(operation.query)
    assert {name for name, each in query.items() if each.get("required")} == set(operation.required)
    wrong = [
        difference
        for name, kind in operation.query.items()
        for difference in different_types(kind.removeprefix("!"), _plain(query[name]["schema"]), "openapi.yaml", name)
    ]
    assert wrong == []
    sent = theirs.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    assert (None if sent is None else _last(sent)) in (operation.sends, "EmptyResponse")
    answer = theirs["responses"][str(operation.status)]
    content = answer.get("content")
    found = None if content is None else _last(content["application/json"]["schema"])
    assert operation.answer in (found, "object")  # "object": never a success here


def _last(schema: dict[str, str]) -> str:
    return schema["$ref"].rpartition("/")[2]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: what the specification calls so is leaving it out."""
    return {name: value for name, value in schema.items() if name != "nullable"}


def test_what_the_exchange_does_not_serve_is_known() -> None:
    """The specification has more: requests for quotes, combos, margin, transfers, subaccounts, keys, live data."""
    served = {(operation.path, operation.method.lower()) for operation in OPERATIONS}
    words = (
        "/communications",
        "/multivariate_event_collections",
        "/milestones",
        "/structured_targets",
        "/live_data",
        "/search",
        "/fcm",
        "/subaccounts",
        "transfer",
        "/target_balance_allocation",
        "/api_keys",
        "forecast_percentile_history",
    )
    paths = official.document("openapi.yaml")["paths"]
    others = {(path, method) for path, each in paths.items() for method in each if method != "parameters"} - served
    assert [path for path, _ in sorted(others) if not any(word in path for word in words)] == []
