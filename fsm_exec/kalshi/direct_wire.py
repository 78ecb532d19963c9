"""Requests to an exchange in this process as calls: without a socket, without HTTP, and unsigned.

Nothing above knows of it: tokens, time-outs and what an answer proves are the same. That the same bytes come over
sockets, signed, the contract tests and the simulation show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fsm_exec.kalshi.signing import Signer
from fsm_exec.wire.answer import Answer


class DirectTransport(Protocol):
    """An exchange that takes requests as calls."""

    async def call(
        self, api_key_id: str, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None
    ) -> Answer:
        """Serve one request of the member with that key; `path` has no prefix. Raises httpx errors."""


class DirectWire:
    """Carries the requests of one member. Implements `signed_http.Wire`."""

    def __init__(self, transport: DirectTransport, signer: Signer) -> None:
        self._transport, self._signer = transport, signer

    async def carry(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None, signed_us: int
    ) -> Answer:
        """Call the exchange. Raises httpx errors."""
        del signed_us  # nothing is signed
        return await self._transport.call(self._signer.key_id, method, path, query, body)
