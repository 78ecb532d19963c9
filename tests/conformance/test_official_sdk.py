"""The official Python client cannot tell the paper exchange from the real one."""

from __future__ import annotations

from typing import Any

from tests.conformance.conftest import Run


def test_the_official_client_works_unmodified(run: Run, exchange: dict[str, Any]) -> None:
    """Every call the engine's world has, and a typed exception for every error that can be provoked."""
    found = run("official_sdk.py", exchange)
    assert len(found) == 17
    assert found == dict.fromkeys(found, "ok"), "\n\n".join(f"{n}: {r}" for n, r in found.items() if r != "ok")
