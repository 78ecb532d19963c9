"""The listing of programmes is read to its end by a cursor of its own; what cannot be read is unknown, not nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fsm_exec.core.errors import VenueError, VenueRefused
from fsm_exec.core.market.incentives import IncentiveListing
from fsm_exec.kalshi import incentives
from fsm_exec.kalshi.endpoints import Endpoints
from fsm_exec.kalshi.markets import KalshiMarkets
from fsm_exec.kalshi.translate import Malformed

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Network

ROW: dict[str, Any] = {
    "id": "p-1",
    "market_id": "m-1",
    "market_ticker": "KXA-1",
    "incentive_type": "liquidity",
    "incentive_description": "daily",
    "start_date": "2026-10-01T00:00:00Z",
    "end_date": "2026-10-02T00:00:00Z",
    "period_reward": 1_000_000,
    "paid_out": False,
    "discount_factor_bps": 5_000,
    "target_size_fp": "300.00",
}


async def fetch(kit: Kit, network: Network) -> IncentiveListing:
    return await KalshiMarkets(Endpoints(kit.http(network)), kit.log).fetch_incentives()


def page(*rows: object, cursor: str | None = "") -> dict[str, object]:
    return {"incentive_programs": list(rows), **({} if cursor is None else {"next_cursor": cursor})}


async def test_it_is_read_to_its_end(kit: Kit, network: Network) -> None:
    """All pages, only what runs, each field in our own units; a cursor that is left out ends it too."""
    network.answer(200, page(ROW, cursor="more"))
    network.answer(
        200, page({**ROW, "id": "p-2", "incentive_type": "volume", "discount_factor_bps": None}, cursor=None)
    )
    listing = await fetch(kit, network)
    first, second = listing.programs
    assert (first.kind, first.reward_e4, first.discount_bps, first.target_e2) == ("liquidity", 1_000_000, 5_000, 30_000)
    assert (first.seconds, second.kind, second.discount_bps) == (86_400, "volume", None)
    assert [dict(request.url.params) for request in network.requests] == [
        {"status": "active", "limit": "10000"},
        {"status": "active", "limit": "10000", "cursor": "more"},
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"period_reward": "a lot"},
        {"period_reward": -1},
        {"discount_factor_bps": 10_001},
        {"target_size_fp": "many"},
        {"start_date": "yesterday"},
        {"end_date": "2026-10-01T00:00:00Z"},
    ],
)
async def test_a_row_that_cannot_be_read_makes_its_market_unclear(
    kit: Kit, network: Network, broken: dict[str, object]
) -> None:
    """The other rows are read; of its market nothing is known, which the log says once."""
    network.answer(200, page({**ROW, **broken}, {**ROW, "market_ticker": "KXB-1", "id": "p-2"}))
    listing = await fetch(kit, network)
    assert listing.unclear == {"KXA-1"}
    assert [(each.program_id, each.ticker) for each in listing.programs] == [("p-2", "KXB-1")]
    assert len([line for line in kit.log.lines if line.startswith("row_left_out")]) == 1


@pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b'{"incentive_programs":[{"id":"p"}]}'])
async def test_a_page_that_cannot_be_read_is_no_listing(kit: Kit, network: Network, body: bytes) -> None:
    """Nor is one with a row that names no market: it might be about any."""
    with pytest.raises(Malformed):
        await fetch(kit, network.answer(200, body))


async def test_a_refusal_is_an_error(kit: Kit, network: Network) -> None:
    """It is raised, and never read as an empty listing."""
    with pytest.raises(VenueRefused):
        await fetch(kit, network.answer(403, {"error": {"code": "forbidden"}}))


async def test_a_listing_that_may_be_cut_is_no_listing(
    kit: Kit, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full page without a cursor has been seen where there was more."""
    monkeypatch.setattr(incentives, "PAGE_ROWS", 2)
    with pytest.raises(VenueError, match="may be more"):
        await fetch(kit, network.answer(200, page(ROW, {**ROW, "id": "p-2"}, cursor=None)))
