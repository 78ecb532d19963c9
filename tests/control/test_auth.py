"""Who gets in: the token, the name the daemon is asked by, and requests that are no requests."""

from __future__ import annotations

import msgspec
import pytest

from tests.control.conftest import TOKEN, Desk, error_of

PATHS = [
    ("GET", "/v1/status"),
    ("GET", "/v1/executions"),
    ("POST", "/v1/executions"),
    ("GET", "/v1/executions/e000001"),
    ("GET", "/v1/executions/e000001/events"),
    ("GET", "/v1/events"),
    ("POST", "/v1/executions/e000001/cancel"),
    ("POST", "/v1/executions/e000001/resume"),
    ("POST", "/v1/halt"),
    ("POST", "/v1/resume"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/no-such-path"),
]
NO_TOKENS = [
    "",
    TOKEN,
    f"Basic {TOKEN}",
    "Bearer",
    "Bearer ",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    "Bearer \xff",
]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nothing_is_told_or_done_without_the_token(desk: Desk, method: str, path: str) -> None:
    """401 whatever is asked, a path that does not exist too, and the log does not keep what was tried."""
    for told in NO_TOKENS:
        answer = await desk.http.request(method, path, headers=[(b"Authorization", told.encode("latin-1"))])
        assert (answer.status_code, error_of(answer).code) == (401, "unauthorized"), told
    assert desk.engine.state == "running"
    assert TOKEN not in desk.log


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "[::2]:1", "localhost:x"]
)
async def test_another_name_is_refused(desk: Desk, host: str) -> None:
    """A page that made a browser ask 127.0.0.1 under its own name gets nothing, not even health."""
    for path in ("/v1/health", "/v1/status"):
        answer = await desk.http.get(path, headers={"Host": host})
        assert (answer.status_code, error_of(answer).code) == (403, "wrong_host")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]", "[::1]:80"])
async def test_our_own_names_are_let_in(desk: Desk, host: str) -> None:
    """With and without a port."""
    assert (await desk.http.get("/v1/status", headers={"Host": host})).status_code == 200


async def test_health_needs_no_token(desk: Desk) -> None:
    """And says no more than whether work is accepted: 200, or 503 when halted."""
    plain = {"Authorization": ""}
    answer = await desk.http.get("/v1/health", headers=plain)
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "state": "running"})
    await desk.http.post("/v1/halt")
    answer = await desk.http.get("/v1/health", headers=plain)
    assert (answer.status_code, answer.json()) == (503, {"ok": False, "state": "halted"})


async def test_a_body_that_is_no_request(desk: Desk) -> None:
    """What is no JSON, nested without end or no object is 400."""
    for content in (b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 60_000, b'{"key": NaN}'):
        answer = await desk.http.post("/v1/executions", content=content)
        assert (answer.status_code, error_of(answer).code) == (400, "bad_request"), content[:20]


async def test_a_field_is_given_once(desk: Desk) -> None:
    """At any depth, whatever the values: elsewhere the last one wins, and a limit that was sent is none."""
    edge = '{"model_probability": "0.5", "model_probability": "0.6", "expected_value": "0.1"}'
    plain = '"ticker": "T", "outcome": "yes", "method": "market", "key": "k", "horizon_s": 9'
    for content in (
        f'{{{plain}, "quantity": "1", "cap": "0.30", "cap": "0.99"}}',
        f'{{{plain}, "quantity": "1", "cap": "0.30", "cap": "0.30"}}',
        f'{{{plain}, "quantity": "1", "cap": "0.30", "quantit\\u0079": "1000"}}',
        f'{{{plain}, "quantity": "1", "cap": "0.30", "edge": {edge}}}',
    ):
        answer = await desk.http.post("/v1/executions", content=content.encode())
        assert (answer.status_code, error_of(answer).code) == (400, "duplicate"), content
    assert await desk.executions() == 0


@pytest.mark.parametrize(
    "number",
    ["1e2", "+5", "-0", "05", "5.0", "%205", "5%20", "%EF%BC%95", "%D9%A5", "1_0", "0x5", "", "true", "9" * 40, "5%00"],
)
async def test_numbers_are_plain_digits(desk: Desk, number: str) -> None:
    """In every query, and in the header that takes one; a flag is `true` or `false`."""
    name = await desk.accepted()
    for path in (
        f"/v1/executions?limit={number}",
        f"/v1/executions/{name}?journal_lines={number}",
        f"/v1/executions/{name}/events?after={number}",
        f"/v1/events?after={number}",
        f"/v1/executions?before={number}",
    ):
        answer = await desk.http.get(path)
        assert (answer.status_code, error_of(answer).code) == (400, "bad_request"), path
        assert "got str" not in error_of(answer).message, "whoever gave a number is not told that it is text"
    for flag in ("1", "TRUE", "yes", number if number != "true" else "2"):
        answer = await desk.http.get(f"/v1/executions?unfinished={flag}")
        assert (answer.status_code, error_of(answer).code) == (400, "bad_request"), flag
    for fine in ("limit=100", "unfinished=true&quarantined=false", "before=e000002&state=walking"):
        assert (await desk.http.get(f"/v1/executions?{fine}")).status_code == 200


async def test_a_parameter_is_given_once(desk: Desk) -> None:
    """With the same value too, and however its name is written."""
    for query in ("limit=1&limit=2", "limit=1&limit=1", "limit=1&%6Cimit=2", "ticker=&ticker="):
        answer = await desk.http.get(f"/v1/executions?{query}")
        assert (answer.status_code, error_of(answer).code) == (400, "duplicate"), query


async def test_unknown_paths_methods_and_parameters(desk: Desk) -> None:
    """404, 405 and 400 in the one shape of errors."""
    for method, path, status in [
        ("GET", "/", 404),
        ("GET", "/v2/status", 404),
        ("GET", "/v1/executions/e000001", 404),
        ("POST", "/v1/halt/", 404),
        ("GET", "/v1/executions/nonsense", 404),
        ("GET", "/v1/executions/e000001/events", 404),
        ("POST", "/v1/executions/e000001/cancel", 404),
        ("DELETE", "/v1/executions", 405),
        ("GET", "/v1/halt", 405),
        ("GET", "/v1/executions?limit=0", 400),
        ("GET", "/v1/executions?limit=501", 400),
        ("GET", "/v1/executions?state=happy", 400),
        ("GET", "/v1/executions?stat=filled", 400),
        ("GET", "/v1/executions?limit=1&limit=2", 400),
        ("GET", "/v1/status?verbose=1", 400),
    ]:
        answer = await desk.http.request(method, path)
        assert answer.status_code == status, (method, path)
        error_of(answer)
    answer = await desk.http.post("/v1/halt", content=msgspec.json.encode({"now": True}))
    assert answer.status_code == 400
    assert desk.engine.state == "running", "a misunderstood request did something"


async def test_who_means_another_database_gets_nothing_of_this_one(desk: Desk) -> None:
    """409 whatever is asked, and nothing is done; by its own name it answers as without one."""
    theirs, ours = {"Fsm-Exec-Instance": "b" * 10}, {"Fsm-Exec-Instance": desk.store.instance}
    for method, path in PATHS:
        answer = await desk.http.request(method, path, headers=theirs)
        assert (answer.status_code, error_of(answer).code) == (409, "other_database")
    assert desk.engine.state == "running"
    assert (await desk.http.get("/v1/status", headers=ours)).status_code == 200
    twice = [("Fsm-Exec-Instance", desk.store.instance), ("Fsm-Exec-Instance", "b" * 10)]
    assert error_of(await desk.http.get("/v1/status", headers=twice)).code == "duplicate"
