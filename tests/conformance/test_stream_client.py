"""A WebSocket client that was not written here sees the market that REST shows."""

from __future__ import annotations

from typing import Any

from tests.conformance.conftest import Run


def test_another_stream_client_builds_the_same_book(run: Run, exchange: dict[str, Any]) -> None:
    """Through its own orders, through a sequence gap, and with a typed message on every channel."""
    found = run("stream_client.py", exchange)
    assert len(found) == 3
    assert found == dict.fromkeys(found, "ok"), "\n\n".join(f"{n}: {r}" for n, r in found.items() if r != "ok")
