"""An S3 server for the tests of a pair, and an environment that says nothing of another one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from fsm_exec.standby.places import s3_place, threads
from tests.standby.s3_server import CREDENTIALS, S3Server, s3_server

SET_ELSEWHERE = (
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "LITESTREAM_ACCESS_KEY_ID",
    "LITESTREAM_SECRET_ACCESS_KEY",
)


@pytest.fixture(scope="module")
def store() -> Iterator[S3Server]:
    """An S3 server that all tests of a module use, each with prefixes of its own."""
    with s3_server() as server:
        yield server


@pytest.fixture
def s3_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said about a store in the environment of these tests is theirs alone; a busy machine has a minute."""
    for name in SET_ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(threads, "ANSWER_WITHIN_S", 60.0)
    monkeypatch.setattr(s3_place, "REQUEST_WITHIN", timedelta(seconds=60))
