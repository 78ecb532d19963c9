"""When the historical listings are read beside the normal ones, and that nothing is proven by half of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.values.times import to_iso
from fsm_exec.kalshi.history import DAY_US

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Network

PREFIX = "/trade-api/v2"
AS_OF = {"as_of_time": "2026-10-01T12:00:00Z"}


def routed(network: Network) -> Network:
    answers: dict[str, object] = {
        f"{PREFIX}/exchange/user_data_timestamp": AS_OF,
        f"{PREFIX}/portfolio/orders": {"orders": [], "cursor": ""},
        f"{PREFIX}/portfolio/fills": {"fills": [], "cursor": ""},
    }
    return network.route(answers)


def past(network: Network) -> list[str]:
    return [request.url.path.removeprefix(f"{PREFIX}/historical/") for request in network.fee_requests]


async def test_the_cutoff_is_asked_for_only_where_it_may_matter(kit: Kit, network: Network) -> None:
    """Not for the last day; once in an hour for what is older; the historical listing only where it reaches."""
    rest, now_us = kit.rest(routed(network)), kit.now_us
    await rest.fetch_fills(since_us=now_us - DAY_US // 2)
    assert past(network) == []
    cutoff = to_iso(now_us - 90 * DAY_US)
    network.announced[f"{PREFIX}/historical/cutoff"] = {"orders_updated_ts": cutoff, "trades_created_ts": cutoff}
    await rest.fetch_fills(since_us=now_us - 30 * DAY_US)
    await rest.fetch_orders(since_us=now_us - 30 * DAY_US)
    assert past(network) == ["cutoff"]
    await rest.fetch_fills(since_us=now_us - 100 * DAY_US)
    await rest.fetch_orders(since_us=now_us - 100 * DAY_US)
    await rest.fetch_orders(resting=True)
    assert past(network) == ["cutoff", "fills", "orders"]


@pytest.mark.parametrize("path", ["cutoff", "fills"])
async def test_half_a_listing_is_none(kit: Kit, network: Network, path: str) -> None:
    """What is past the cutoff cannot be read: nothing may be taken for absent, so the listing fails as a whole."""
    network.announced[f"{PREFIX}/historical/{path}"] = 503
    with pytest.raises(VenueUnavailable):
        await kit.rest(routed(network)).fetch_fills()


async def test_an_exchange_without_history_has_none(kit: Kit, network: Network) -> None:
    """404 for the cutoff: the normal listing is all there is."""
    network.announced[f"{PREFIX}/historical/cutoff"] = 404
    assert (await kit.rest(routed(network)).fetch_fills()).fills == ()
    assert past(network) == ["cutoff"]
