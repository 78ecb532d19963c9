"""Whatever is sent, the control API answers in its one shape, never fails at it, and accepts only what is whole."""

from __future__ import annotations

import msgspec
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.schema import Submission
from tests.control.conftest import TICKER, a_desk, error_of, request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*Submission.__struct_fields__, "worst_prize"])
NUMBERS = st.sampled_from(
    [
        "0",
        "0.01",
        "0.30",
        "0.305",
        "1",
        "1.0",
        "10",
        "-1",
        "1e3",
        "nan",
        " 1",
        "0x1",
        "٣",
        "9" * 23,
        "",
        "0." + "0" * 20,
    ]
)
TIMES = st.sampled_from(
    [
        "2026-10-01T12:01:00Z",
        "2026-10-01",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "20261001T120100Z",
        "now",
    ]
)
WORDS = st.sampled_from(["yes", "no", TICKER, "market", "simple_limit@1", "@", "simple_limit@", "k\u0000"])
CHANGES = st.dictionaries(FIELDS, JSON | NUMBERS | TIMES | WORDS, max_size=3)
PATHS = st.sampled_from(
    [
        "/v1/executions",
        "/v1/executions/e000001",
        "/v1/executions/e999999999999999999999/cancel",
        "/v1/executions/%00",
        "/v1/executions?before=%FF",
        "/v1/executions?limit=1e9",
        "/v1//executions",
        "/v1/halt?x=1",
        "/v1/status",
    ]
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "get", "TRACE"])
FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZ
@given(changes=st.lists(CHANGES, min_size=1, max_size=6))
def test_submissions_of_all_shapes(changes: list[dict[str, object]]) -> None:
    """Either an execution with an id, or an error that is the caller's; the database holds just the accepted ones."""

    async def main() -> None:
        async with a_desk(ControlLimits()) as desk:
            accepted = 0
            for number, change in enumerate(changes):
                told = {**request(key=f"k{number}", quantity="1"), **change}
                content = msgspec.json.encode(told)
                answer = await desk.http.post("/v1/executions", content=content)
                if answer.status_code == 201:
                    accepted += 1
                elif answer.status_code != 200:
                    assert 400 <= answer.status_code < 500, (told, answer.text)
                    error_of(answer)
            assert await desk.executions() == accepted
            assert "control_failed" not in desk.log

    trio.run(main)


@FUZZ
@given(
    asked=st.lists(
        st.tuples(METHODS, PATHS, st.binary(max_size=40), st.binary(max_size=20).filter(lambda b: b"\n" not in b)),
        min_size=1,
        max_size=8,
    )
)
def test_requests_of_all_shapes(asked: list[tuple[str, str, bytes, bytes]]) -> None:
    """Nothing makes it fail (5xx), and nothing gets in with a token that is not the token."""

    async def main() -> None:
        async with a_desk(ControlLimits()) as desk:
            for method, path, content, token in asked:
                answer = await desk.http.request(method, path, content=content)
                assert answer.status_code < 500, (method, path, content, answer.text)
                headers = [(b"authorization", b"Bearer " + token.replace(b"\r", b"").replace(b"\0", b""))]
                assert (await desk.http.request(method, path, content=content, headers=headers)).status_code == 401
            assert "control_failed" not in desk.log
            assert await desk.executions() == 0

    trio.run(main)
