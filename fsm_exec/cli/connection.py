"""A client for the exchange that the configuration means: live clock, real sockets."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fsm_exec.cli.config import Loaded
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.websocket import Tap
from fsm_exec.kalshi.websocket_dial import dial_url
from fsm_exec.runtime.clock import Wall


@asynccontextmanager
async def connect(
    loaded: Loaded, key: SigningKey, wall: Wall, log: Log | None = None, tap: Tap | None = None
) -> AsyncIterator[KalshiClient]:
    """`tap` sees the stream's frames before anything else does. Raises UserError."""
    async with open_client(
        base_url=loaded.exchange.rest_url,
        api_key_id=loaded.config.api_key_id,
        key=key,
        dial=dial_url(loaded.exchange.ws_url),
        wall_us=wall.now_us,
        rng=random.Random(secrets.randbits(64)),  # spreads reconnections of many clients: must not repeat
        log=log,
        allow_real_money=loaded.config.allow_real_money,
        tap=tap,
        on_expired_signature=wall.doubt,
    ) as client:
        yield client
