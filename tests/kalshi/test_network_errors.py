"""What is said of a network that does not answer: the reason, once, in words."""

from __future__ import annotations

import errno
import os

import httpx
import pytest
import trio

from fsm_exec.core.market.orders import NotSent, Refused, Unknown
from fsm_exec.kalshi.network_errors import describe_error
from tests.cli.test_documents_run import free_port


async def test_nobody_listens() -> None:
    """A refused connection is said as such: not how many attempts of which library failed."""
    port = free_port()
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError) as raised:
            await client.get(f"http://127.0.0.1:{port}/")
    said = describe_error(raised.value)
    assert said.endswith(f": {os.strerror(errno.ECONNREFUSED)}")
    assert said.count("all attempts") == 1
    with pytest.raises(OSError, match="all attempts") as direct:
        await trio.open_tcp_stream("127.0.0.1", port)
    assert describe_error(direct.value).endswith(f": {os.strerror(errno.ECONNREFUSED)}")


def test_several_addresses_with_one_reason_say_it_once() -> None:
    """Two addresses that both refuse are one reason; another one stands beside it."""
    refusals = [ConnectionRefusedError(errno.ECONNREFUSED, "refused") for _ in range(2)]
    error = OSError("all failed")
    error.__cause__ = ExceptionGroup("all failed", [*refusals, TimeoutError(errno.ETIMEDOUT, "late")])
    assert describe_error(error) == "OSError: all failed: refused, late"


def test_an_answer_that_is_no_success_is_words() -> None:
    """In logs and reasons an answer says what happened, not how the program holds it."""
    assert str(NotSent(why="no connection")) == "not sent: no connection"
    assert str(Unknown(why="no answer")) == "unknown whether it was done: no answer"
    assert str(Refused(code="not_found", message="gone")) == "refused, not_found: gone"
