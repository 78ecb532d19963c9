"""Chooses the exchange: demo, production, or one on this machine (hosts: wire/README.md 1).

Real money needs two statements that agree: environment "production" and `allow_real_money`. Either alone is refused,
and so is any host that is neither Kalshi's demo nor this machine.
"""

from __future__ import annotations

import ipaddress
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.wire.rest import API_PREFIX, WS_PATH

EnvironmentName: TypeAlias = Literal["demo", "production", "paper"]


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The addresses of one exchange. `rest_url` ends with the API's prefix, `ws_url` with the stream's path."""

    name: EnvironmentName
    rest_url: str
    ws_url: str


PRODUCTION = Environment(
    name="production",
    rest_url="https://external-api.kalshi.com" + API_PREFIX,
    ws_url="wss://external-api-ws.kalshi.com" + WS_PATH,
)
DEMO = Environment(
    name="demo",
    rest_url="https://external-api.demo.kalshi.co" + API_PREFIX,
    ws_url="wss://external-api-ws.demo.kalshi.co" + WS_PATH,
)
DEMO_HOSTS = frozenset(
    {"external-api.demo.kalshi.co", "external-api-ws.demo.kalshi.co", "demo-api.kalshi.co"}  # the last: older, works
)


def choose_environment(name: str, *, allow_real_money: bool = False) -> Environment:
    """Return Kalshi's production or demo exchange. Raises UserError unless name and permission agree."""
    if name == "production":
        if not allow_real_money:
            raise UserError(
                'environment "production" trades with real money: set allow_real_money = true too, or use "demo"'
            )
        return PRODUCTION
    if name != "demo":
        raise UserError(f'environment {name!r} is unknown; give "demo" or "production"')
    if allow_real_money:
        raise UserError('allow_real_money is set but the environment is "demo": remove it, or say "production"')
    return DEMO


def paper_environment(rest_url: str, ws_url: str) -> Environment:
    """Return an exchange on this machine. Raises UserError for any other host, or an invalid URL."""
    for url, schemes, path in ((rest_url, ("http", "https"), API_PREFIX), (ws_url, ("ws", "wss"), WS_PATH)):
        parts = _split(url)
        if parts.scheme not in schemes or parts.path.rstrip("/") != path:
            raise UserError(f"exchange address {url!r}: expected {schemes[0]}://127.0.0.1:PORT{path}")
        if not _is_loopback(parts.hostname):
            raise UserError(f"exchange address {url!r} is not on this machine; use 127.0.0.1, or environment demo")
    return Environment(name="paper", rest_url=rest_url.rstrip("/"), ws_url=ws_url.rstrip("/"))


def refuse_real_money(url: str, *, allow_real_money: bool) -> None:
    """Raise UserError for an address that is not known to be a demo, unless real money is allowed. This is the last
    check before a connection."""
    host = _split(url).hostname
    if not (allow_real_money or host in DEMO_HOSTS or _is_loopback(host)):
        raise UserError(f"{url!r} may trade with real money: set environment and allow_real_money, or use the demo")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise UserError(f"{url!r} is no address; expected http://127.0.0.1:PORT{API_PREFIX}") from None
    return parts


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
