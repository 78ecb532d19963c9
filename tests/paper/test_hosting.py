"""Serving on loopback sockets: free ports, taken ports, a clean end, silence."""

from __future__ import annotations

import socket

import httpx
import pytest
import trio

from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.hosting import host_on_loopback
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from tests.paper.support import START_US


def parts() -> tuple[Exchange, Clock, Authenticator]:
    clock = Clock.starting_at(START_US)
    exchange = Exchange(Timeline(clock))
    return exchange, clock, Authenticator(exchange, clock)


async def test_it_says_where_it_is_and_ends_cleanly(capfd: pytest.CaptureFixture[str]) -> None:
    """Free ports are known inside the block; afterwards nobody listens; nothing was printed."""
    async with host_on_loopback(*parts()) as host:
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(host.rest_url + "/exchange/status")).status_code == 200
        assert host.ws_url.startswith("ws://127.0.0.1:")
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(host.rest_url + "/exchange/status")
    assert capfd.readouterr() == ("", "")


async def test_an_open_connection_does_not_hold_up_the_end() -> None:
    """A client that stays connected is cut off within the grace time."""
    with trio.fail_after(10):
        async with httpx.AsyncClient(trust_env=False) as client, host_on_loopback(*parts()) as host:
            await client.get(host.rest_url + "/exchange/status")


async def test_a_taken_port_is_an_error() -> None:
    """OSError, from REST's port and from the stream's, and nothing is left listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            async with host_on_loopback(*parts(), port=port):
                pass
        with pytest.raises(OSError, match="in use"):
            async with host_on_loopback(*parts(), ws_port=port):
                pass
