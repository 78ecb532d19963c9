"""The shards of the exchange: which one has a market, and what a call about it names (wire/README.md 4.3, 6.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from fsm_exec.core.market.account import GroupChanged, GroupCreated
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2
from fsm_exec.kalshi.endpoints import Endpoints
from fsm_exec.kalshi.order_groups import KalshiGroups
from fsm_exec.kalshi.translate import Malformed
from tests.kalshi.test_endpoints import sent
from tests.kalshi.test_reads import EVENT, MARKET, PREFIX, SERIES, answers_for

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Network


async def terms_with(kit: Kit, network: Network, market: dict[str, Any], event: dict[str, Any]) -> MarketTerms:
    network.answer(200, {"market": MARKET | market}).answer(200, {"event": EVENT | event})
    network.answer(200, {"series": SERIES})
    return await kit.rest(network).fetch_market_terms("KXA-1")


@pytest.mark.parametrize(
    ("market", "event", "index"),
    [({}, {}, 0), ({"exchange_index": 2}, {}, 2), ({}, {"exchange_index": 3}, 3), ({"exchange_index": 0}, {}, 0)],
)
async def test_a_market_s_shard_comes_with_its_terms(
    kit: Kit, network: Network, market: dict[str, Any], event: dict[str, Any], index: int
) -> None:
    """The market's own word, else its event's, else the first shard."""
    assert (await terms_with(kit, network, market, event)).exchange_index == index


@pytest.mark.parametrize("index", [-1, 1_001, "2", 1.5])
async def test_what_is_no_shard_is_not_traded(kit: Kit, network: Network, index: object) -> None:
    """A number that cannot be a shard makes the terms unreadable: an order must not go anywhere by chance."""
    with pytest.raises(Malformed):
        await terms_with(kit, network, {"exchange_index": index}, {})


async def test_terms_of_the_first_shard_are_stored_as_ever(kit: Kit, network: Network) -> None:
    """Their bytes name no shard, so that what older versions stored folds to the same bytes; those of another do."""
    first = await terms_with(kit, network, {"exchange_index": 0}, {})
    assert b"exchange_index" not in msgspec.json.encode(first)
    other = msgspec.structs.replace(first, exchange_index=2)
    assert msgspec.json.decode(msgspec.json.encode(other), type=MarketTerms) == other


async def test_a_group_of_another_shard_is_made_and_changed_there(kit: Kit, network: Network) -> None:
    """In the body when it is made, in the query afterwards: without it the exchange looks on the first shard."""
    network.answer(201, {"order_group_id": "g-1", "subaccount": 0, "exchange_index": 2})
    for _ in range(4):
        network.answer(200, {})
    network.answer(200, {"is_auto_cancel_enabled": True, "orders": [], "exchange_index": 2})
    groups = KalshiGroups(Endpoints(kit.http(network)))
    assert await groups.create(CountE2(1_250), exchange_index=2) == GroupCreated("g-1")
    changes = [
        await groups.set_limit("g-1", CountE2(300), exchange_index=2),
        await groups.reset("g-1", exchange_index=2),
        await groups.trigger("g-1", exchange_index=2),
        await groups.delete("g-1", exchange_index=2),
    ]
    assert changes == [GroupChanged("g-1")] * 4
    assert (await groups.fetch("g-1")).exchange_index == 2
    made, *changed, looked = [sent(request) for request in network.requests]
    assert made[3] == {"contracts_limit_fp": "12.50", "exchange_index": 2}
    assert [query for _, _, query, _ in changed] == [[("exchange_index", "2")]] * 4
    assert looked[2] == []


@pytest.mark.parametrize("how", ["one", "many"])
async def test_a_write_names_the_shard_that_the_terms_named(kit: Kit, network: Network, how: str) -> None:
    """However the terms were read: one market's, or many in one call."""
    shard = {"exchange_index": 2}
    answers = answers_for(shard) | {PREFIX + "/markets": {"markets": [MARKET | shard], "cursor": ""}}
    network.route(answers)
    rest = kit.rest(network)
    await (rest.fetch_market_terms("KXA-1") if how == "one" else rest.fetch_markets(["KXA-1"]))
    network.requests.clear()
    with pytest.raises(KeyError):  # nothing answers a placement here
        await rest.place(kit.place(ticker="KXA-1"))
    assert sent(network.requests[0])[3]["exchange_index"] == 2
