"""Real money needs two statements that agree."""

from __future__ import annotations

import random

import pytest
import trio
from trio_websocket import WebSocketConnection

from fsm_exec.core.errors import UserError
from fsm_exec.kalshi import environment
from fsm_exec.kalshi.client import open_client
from fsm_exec.kalshi.signing import SigningKey

PAPER_REST = "http://127.0.0.1:8080/trade-api/v2"
PAPER_WS = "ws://127.0.0.1:8081/trade-api/ws/v2"


def test_production_needs_the_name_and_the_permission() -> None:
    """Either alone is refused; both together give the production hosts."""
    with pytest.raises(UserError, match="allow_real_money = true"):
        environment.choose_environment("production")
    with pytest.raises(UserError, match="allow_real_money is set"):
        environment.choose_environment("demo", allow_real_money=True)
    with pytest.raises(UserError, match="unknown"):
        environment.choose_environment("prod", allow_real_money=True)
    chosen = environment.choose_environment("production", allow_real_money=True)
    assert chosen.rest_url == "https://external-api.kalshi.com/trade-api/v2"
    assert chosen.ws_url == "wss://external-api-ws.kalshi.com/trade-api/ws/v2"


def test_demo_needs_nothing() -> None:
    """The demo hosts are the default of the careful."""
    assert environment.choose_environment("demo").rest_url == "https://external-api.demo.kalshi.co/trade-api/v2"


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:1", "[::1]:99", "127.8.8.8"])
def test_a_paper_exchange_is_on_this_machine(host: str) -> None:
    """Any loopback address is taken, a trailing slash dropped."""
    chosen = environment.paper_environment(f"http://{host}/trade-api/v2/", f"ws://{host}/trade-api/ws/v2")
    assert chosen.rest_url == f"http://{host}/trade-api/v2"


@pytest.mark.parametrize(
    ("rest_url", "ws_url"),
    [
        ("https://external-api.kalshi.com/trade-api/v2", PAPER_WS),
        (PAPER_REST, "wss://external-api-ws.kalshi.com/trade-api/ws/v2"),
        ("http://127.0.0.1.evil.example/trade-api/v2", PAPER_WS),
        ("http://127.0.0.1@evil.example/trade-api/v2", PAPER_WS),
        ("http://127.0.0.1:8080", PAPER_WS),
        ("http://127.0.0.1:99999/trade-api/v2", PAPER_WS),
        ("ftp://127.0.0.1/trade-api/v2", PAPER_WS),
        ("127.0.0.1:8080", PAPER_WS),
        ("", PAPER_WS),
        ("http://[::1/trade-api/v2", PAPER_WS),
    ],
)
def test_no_other_host_passes_for_paper(rest_url: str, ws_url: str) -> None:
    """An address that only looks like this machine's, or is none, is refused."""
    with pytest.raises(UserError, match=r"exchange address|no address"):
        environment.paper_environment(rest_url, ws_url)


@pytest.mark.parametrize("host", ["external-api.kalshi.com", "api.elections.kalshi.com", "unheard-of.example"])
async def test_the_client_itself_refuses_money_nobody_allowed(host: str) -> None:
    """Whoever passes an address by hand meets the same door: all but demo and loopback need the permission."""

    async def no_dial(_: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
        raise AssertionError(headers)

    with pytest.raises(UserError, match="real money"):
        async with open_client(
            base_url=f"https://{host}/trade-api/v2",
            api_key_id="key-1",
            key=SigningKey.generate(),
            dial=no_dial,
            wall_us=lambda: 0,
            rng=random.Random(1),
        ):
            pass
