"""Clients nobody here had used: they cannot tell the paper exchange from the real one either."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import Run


def all_ok(found: dict[str, str], checks: int) -> None:
    assert found == dict.fromkeys(found, "ok"), "\n\n".join(f"{n}: {r}" for n, r in found.items() if r != "ok")
    assert len(found) == checks


@pytest.mark.parametrize(("script", "checks"), [("async_sdk.py", 7), ("pykalshi_client.py", 8)])
def test_another_python_client_works_unmodified(run: Run, exchange: dict[str, Any], script: str, checks: int) -> None:
    """The official asynchronous one, and one by others with a stream of its own."""
    all_ok(run(script, exchange), checks)


def test_the_official_typescript_client_works_unmodified(run_node: Run, exchange: dict[str, Any]) -> None:
    """Reads, orders, batches, groups, refusals."""
    all_ok(run_node("typescript_client.cjs", exchange), 5)
