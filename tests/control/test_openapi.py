"""The OpenAPI document: what the daemon serves, no more and no less. Every answer the other tests of this room get is
held to it (`specified`)."""

from __future__ import annotations

import json
import re
from typing import get_args

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError

from fsm_exec.control import calls
from fsm_exec.control.account_schema import CloseWanted, PnlQuery, RiskResume
from fsm_exec.control.api_errors import ErrorCode
from fsm_exec.control.market_schema import BookQuery, EstimateWanted, MarketsQuery
from fsm_exec.control.schema import ListQuery, Submission
from tests.control.conftest import TICKER, Desk, error_of
from tests.control.specified import DOCUMENT, check, operation_of

BELOW_THE_API = {"http_version"}  # answered before there is a request
NO_ENDPOINT = {"wrong_method"}  # answered where there is none


async def test_every_route_is_in_the_document_and_nothing_else_is(desk: Desk) -> None:
    """The routes of the application are the operations that are described; any other method is refused."""
    described = {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    routed = {(method, route.path) for route in desk.routes for method in route.methods or () if method != "HEAD"}
    assert described == routed
    assert len(described) == 26
    for _, path in described:
        for other in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            if (other, path) not in described:
                answer = await desk.http.request(
                    other, path.replace("{execution_id}", "e000001").replace("{ticker}", TICKER)
                )
                assert answer.status_code == 405, f"{other} {path}"


async def test_it_is_served_behind_the_token(desk: Desk) -> None:
    """As the daemon's own version, and its components are schemas by the rules."""
    answer = await desk.http.get("/v1/openapi.json")
    document = json.loads(answer.content)
    assert document["info"]["version"] == "1"
    assert document == DOCUMENT
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    refused = await desk.http.get("/v1/openapi.json", headers={"Authorization": "Bearer no"})
    assert error_of(refused).code == "unauthorized"
    assert error_of(await desk.http.get("/v1/openapi.json", params={"a": "b"})).code == "bad_request"


def test_every_code_is_said_where_it_may_come() -> None:
    """Each code that a refusal can have stands at some operation."""
    text = json.dumps(DOCUMENT["paths"])
    said = {code for code in get_args(ErrorCode) if f'"{code}"' in text}
    assert said == set(get_args(ErrorCode)) - BELOW_THE_API - NO_ENDPOINT


def test_the_client_asks_for_what_is_described() -> None:
    """Every call of the client is an operation, with its parameters, and its answer is what the client decodes."""
    wanted = Submission(key="k", ticker="T", outcome="yes", quantity="1", method="market")
    every = [
        *(calls.STATUS, calls.HEALTH, calls.HALT, calls.RESUME, calls.POSITIONS, calls.ACCOUNT),
        *(calls.RISK, calls.RISK_REDUCE, calls.risk_resume(RiskResume(accept_loss=True))),
        calls.profit(PnlQuery(by="day")),
        calls.submit(wanted),
        calls.page(ListQuery(state="filled", ticker="T", before="e000001")),
        calls.show("e000001", 5),
        calls.cancel("e000001"),
        calls.resume_execution("e000001"),
        calls.markets(MarketsQuery(search="KX", closed=True)),
        calls.book("T", BookQuery(outcome="no")),
        calls.close(CloseWanted(key="k", ticker="T")),
        calls.estimate(EstimateWanted(ticker="T", outcome="yes", quantity="1", horizon_s=60)),
    ]
    for call in every:
        operation = operation_of(call.method, call.path)
        assert operation is not None
        assert set(call.params) <= {each["name"] for each in operation["parameters"] if each["in"] == "query"}
        good = {status: told for status, told in operation["responses"].items() if int(status) in call.good}
        assert good
        for told in good.values():
            (schema,) = (content["schema"] for content in told["content"].values())
            assert schema == {"$ref": f"#/components/schemas/{call.answer.__name__}"} or "allOf" in schema
    for execution_id in (None, "e000001"):
        path, params = calls.stream_request(execution_id, 5)
        operation = operation_of("GET", path)
        assert operation is not None
        assert "text/event-stream" in operation["responses"]["200"]["content"]
        assert set(params) <= {each["name"] for each in operation["parameters"]}


def test_patterns_are_not_only_pythons() -> None:
    r"""Other tools know no \A and no \Z."""
    assert not re.search(r"\\\\[AZ]", json.dumps(DOCUMENT))
    assert DOCUMENT["components"]["schemas"]["Submission"]["properties"]["key"]["pattern"] == "^[A-Za-z0-9._:-]{1,64}$"


async def test_a_wrong_answer_would_be_noticed(desk: Desk) -> None:
    """An unknown field, a missing one, another type, a status and a code that are not told: each fails the check that
    all answers of these tests go through."""
    status = json.loads((await desk.http.get("/v1/status")).content)
    kind = httpx.Headers({"content-type": "application/json"})
    check("GET", "/v1/status", 200, kind, json.dumps(status).encode())
    wrong = [status | {"more": 1}, {**status, "pid": "1"}, {n: v for n, v in status.items() if n != "pid"}]
    for body in wrong:
        with pytest.raises(ValidationError):
            check("GET", "/v1/status", 200, kind, json.dumps(body).encode())
    error = msgspec.json.encode({"error": {"code": "ahead", "message": "m"}})
    check("GET", "/v1/events", 409, kind, error)
    with pytest.raises(ValidationError):
        check("GET", "/v1/status", 409, kind, error)
    with pytest.raises(AssertionError, match="is not in the document"):
        check("GET", "/v1/status", 404, kind, error)
