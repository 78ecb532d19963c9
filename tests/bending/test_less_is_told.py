"""A whole daemon whose exchange tells less than ours: what nobody needs is left out everywhere at once, and one row of
ours cannot be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bending import frames, requests
from tests.bending.bends import Bends
from tests.bending.proxy import bending_proxy
from tests.cli.daemons import command, live_orders, serve, show, states, status, submit, until
from tests.cli.exchange import site


@pytest.fixture(autouse=True)
def user_directories(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands' own directories, for the test alone."""
    directory = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("XDG_STATE_HOME", str(directory / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(directory / "data"))


COSTS = ("taker_fill_cost_dollars", "maker_fill_cost_dollars", "taker_fees_dollars", "maker_fees_dollars")
LESS_OF_BODIES: dict[str, tuple[str, ...]] = {
    "/portfolio/orders": tuple(
        f"orders.*.{name}" for name in ("user_id", "type", "no_price_dollars", "outcome_side", "created_time", *COSTS)
    ),
    "/portfolio/fills": tuple(f"fills.*.{name}" for name in ("exchange_index", "ticker", "book_side", "created_time")),
    "/portfolio/events/orders": ("remaining_count", "ts_ms", "client_order_id"),
    "/portfolio/events/orders/*": ("ts_ms", "client_order_id"),
    "/markets*": ("markets.*.close_time", "markets.*.title", "market.open_time", "market.close_time"),
    "/events/*": ("event.event_ticker", "event.title", "event.mutually_exclusive", "markets"),
    "/series/*": ("series.ticker", "series.category", "series.title"),
    "/account/limits": ("usage_tier", "read", "grants"),
}
LESS_OF_FRAMES: dict[str, tuple[str, ...]] = {
    "fill": ("msg.post_position_fp", "msg.ts", "msg.ts_ms", "msg.exchange_index", "msg.outcome_side"),
    "user_order": (
        "msg.user_id",
        "msg.created_time",
        "msg.last_updated_ts_ms",
        "msg.book_side",
    ),
    "orderbook_delta": ("msg.ts", "msg.ts_ms", "msg.market_id"),
    "orderbook_snapshot": ("msg.market_id",),
    "trade": ("msg.trade_id", "msg.ts", "msg.no_price_dollars", "msg.taker_book_side", "msg.is_block_trade"),
}


def tell_less(bends: Bends) -> None:
    for path, places in LESS_OF_BODIES.items():
        for place in places:
            bends.on_request(requests.removed(place), "*", path)
    for kind, places in LESS_OF_FRAMES.items():
        for place in places:
            bends.on_frame(frames.removed(place), kind)


def log_of(database: Path) -> Iterator[dict[str, Any]]:
    for line in database.with_name(database.name + ".log").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


async def test_an_exchange_that_tells_less_is_traded_with(tmp_path: Path) -> None:
    """Placed, filled, killed, recovered, cancelled, with everything left out that nobody needs; nothing is unread."""
    database = tmp_path / "engine.sqlite"
    async with site(tmp_path) as at, bending_proxy(at.host.rest_url, at.host.ws_url) as proxy:
        at.write_config(rest_url=proxy.rest_url, ws_url=proxy.ws_url)
        tell_less(proxy.bends)
        first = await serve(at)
        filled = await submit(at, quantity="5", price="0.53")
        resting = await submit(at)
        await until(lambda: states(database).get(filled.execution_id) == "filled" and len(live_orders(at)) == 1)
        first.process.kill()
        await first.process.wait()
        second = await serve(at, name="second")
        assert (second.ready.state, second.ready.quarantined) == ("running", 0)
        assert (await command(at, "cancel", resting.execution_id)).returncode == 0
        await until(lambda: states(database)[resting.execution_id] == "cancelled")
        assert (await show(at, filled.execution_id)).execution.filled_quantity == "5.00"
        assert await second.end() == 0
        assert proxy.bends.requests_made("GET", "/portfolio/orders")
    odd = {
        "row_unread",
        "row_left_out",
        "message_unreadable",
        "frame_unreadable",
        "answer_unreadable",
        "market_unreadable",
    }
    assert [line for line in log_of(database) if line["event"] in odd] == []


async def test_a_row_of_ours_that_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    """Two orders rest; after a kill the listing's row of one has no status. The engine runs, the other is worked and
    cancelled as asked, and the log says which row and which field. When the row is whole again, so is everything."""
    database = tmp_path / "engine.sqlite"
    async with site(tmp_path) as at, bending_proxy(at.host.rest_url, at.host.ws_url) as proxy:
        at.write_config(rest_url=proxy.rest_url, ws_url=proxy.ws_url)
        first = await serve(at)
        one, other = await submit(at), await submit(at, price="0.31")
        await until(lambda: len(live_orders(at)) == 2)
        (name,) = [order.client_order_id for order in (await show(at, one.execution_id)).orders]
        first.process.kill()
        await first.process.wait()

        def without_status(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [{k: v for k, v in row.items() if k != "status" or row["client_order_id"] != name} for row in rows]

        broken = proxy.bends.on_request(requests.changed("orders", without_status), "GET", "/portfolio/orders")
        second = await serve(at, name="second")
        assert second.ready.state == "running"
        assert len(live_orders(at)) == 2, "nothing is doubled, nothing taken for gone"
        assert (await command(at, "cancel", other.execution_id)).returncode == 0
        await until(lambda: states(database)[other.execution_id] == "cancelled")
        assert live_orders(at) == [name]
        lines = [line for line in log_of(database) if line["event"] == "row_unread"]
        assert {line["order"] for line in lines} == {name}
        assert all("status is missing" in line["why"] for line in lines)
        broken.end()
        assert (await command(at, "cancel", one.execution_id)).returncode == 0
        await until(lambda: states(database)[one.execution_id] == "cancelled")
        assert live_orders(at) == []
        assert (await status(at)).state == "running"
        assert await second.end() == 0
