"""REST, over memory and over loopback sockets: the same client code, the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.paper.support import TICKER, Stage, snapshot, staged


@pytest.fixture(params=["memory", "loopback"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with staged(request.param) as stage:
        stage.exchange.apply(TICKER, snapshot([("0.45", "10"), ("0.47", "3")], [("0.48", "5")]))
        yield stage


async def test_an_order_rests_is_shown_and_is_cancelled(stage: Stage) -> None:
    """201 with the wire's strings; the order is in the book; cancelling answers what was taken off."""
    created = await stage.create("bid", "0.4600", "2", client_order_id="c-1")
    assert created["fill_count"] == "0.00"
    assert created["remaining_count"] == "2.00"
    assert created["client_order_id"] == "c-1"
    assert "average_fill_price" not in created

    book = (await stage.call("GET", f"/markets/{TICKER}/orderbook")).json()
    assert book == {
        "orderbook_fp": {
            "yes_dollars": [["0.4500", "10.00"], ["0.4600", "2.00"], ["0.4700", "3.00"]],
            "no_dollars": [["0.4800", "5.00"]],
        }
    }

    cancelled = await stage.call("DELETE", f"/portfolio/events/orders/{created['order_id']}")
    assert cancelled.status_code == 200
    assert cancelled.json()["reduced_by"] == "2.00"
    again = await stage.call("DELETE", f"/portfolio/events/orders/{created['order_id']}")
    assert again.status_code == 404
    assert again.json()["error"]["code"] == "not_found"
