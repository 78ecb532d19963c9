"""Neither the key nor a signature reaches a log, an error or a repr, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from fsm_exec.core.errors import VenueError
from fsm_exec.kalshi.signing import SigningKey

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kalshi.conftest import Kit, Listener, Network, StreamServer


async def test_nothing_secret_leaves(
    tmp_path: Path,
    kit: Kit,
    network: Network,
    server: StreamServer,
    listener: Listener,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every failure of REST and stream at once, with all loggers at DEBUG: no text holds the PEM or a signature."""
    caplog.set_level(logging.DEBUG)
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    path.chmod(0o600)
    kit = type(kit)(SigningKey.load(path))
    texts = [repr(kit.key), repr(kit.signer)]
    signatures: list[str] = []

    echo = b'{"error":{"code":"authentication_error","message":"no","details":"INCORRECT_API_KEY_SIGNATURE"}}'
    network.answer(401, echo).answer(500).fail(httpx.ConnectError("x")).fail(httpx.ReadTimeout("x")).answer(201, b"{}")
    rest = kit.rest(network)
    texts += [repr(await kit.write("place", rest)) for _ in range(5)]
    for status in (401, 500):
        other = type(network)().answer(status, echo)
        with pytest.raises(VenueError) as caught:
            await kit.rest(other).fetch_orders()
        texts.append("".join(traceback.format_exception(caught.value)))
        network.requests += other.requests
    signatures += [request.headers["KALSHI-ACCESS-SIGNATURE"] for request in network.requests]
    assert len(signatures) == 7

    server.refuse_with = (401, echo)
    with trio.move_on_after(5):
        await kit.stream(server).run(listener, ())
    server.refuse_with = None
    with trio.move_on_after(40):
        await kit.stream(server).run(listener, ())
    names = {name.lower(): value.decode() for name, value in server.handshakes[0]}
    signatures.append(names[b"kalshi-access-signature"])

    texts += kit.log.lines + [record.getMessage() for record in caplog.records] + [repr(listener.told)]
    body = "".join(pem.decode().splitlines()[1:-1])
    assert kit.log.lines
    for text in texts:
        assert body not in text
        assert not any(signature in text for signature in signatures)
        assert "PRIVATE KEY" not in text
