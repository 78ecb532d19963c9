"""The configuration gives the access to its exchange, over real sockets."""

from __future__ import annotations

from dataclasses import replace

from fsm_exec.cli.config import LoadedConfig
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.session import Access


def access_of(loaded: LoadedConfig, key: SigningKey) -> Access:
    """Build the access. Raises UserError for an address that is none."""
    access = Access.by_urls(
        loaded.exchange.rest_url,
        loaded.exchange.ws_url,
        loaded.config.api_key_id,
        key,
        allow_real_money=loaded.config.allow_real_money,
    )
    return replace(access, subaccount=loaded.config.subaccount)
