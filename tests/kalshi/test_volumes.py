"""What a market traded in 24 hours: the exchange's own figure, from what is read anyway, and never a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fsm_exec.kalshi.log import SilentLog
from fsm_exec.kalshi.rest import KalshiRest
from fsm_exec.kalshi.terms_reader import VOLUME_GOOD_US

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Network

A, B = "KXA-1", "KXA-2"
GRID = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]


def market(ticker: str, **changes: object) -> dict[str, Any]:
    return {"ticker": ticker, "event_ticker": "KXA", "status": "active", "price_ranges": GRID, **changes}


async def test_it_is_that_of_the_last_reading(kit: Kit, network: Network) -> None:
    """Not the volume of the market's whole life. Of a market that was not read, or that nobody watches any more, it is
    unknown; and of a figure that cannot be read nothing changes."""
    terms = kit.rest(network).terms
    assert terms.volume_24h(A) is None
    for told, expected in (("150.00", 15_000), ("99.50", 9_950), ("many", 9_950)):
        network.answer(200, {"markets": [market(A, volume_24h_fp=told, volume_fp="70000.00")], "cursor": ""})
        await terms.fetch_rows([A])
        assert (terms.volume_24h(A), terms.volume_24h(B)) == (expected, None)
    terms.forget(A)
    assert terms.volume_24h(A) is None
    assert len(network.requests) == 3


@pytest.mark.parametrize("told", [{}, {"volume_24h_fp": None}])
async def test_what_the_exchange_does_not_say_is_unknown(kit: Kit, network: Network, told: dict[str, object]) -> None:
    """And the market is read all the same."""
    terms = kit.rest(network.answer(200, {"markets": [market(A, **told)], "cursor": ""})).terms
    assert list(await terms.fetch_rows([A])) == [A]
    assert terms.volume_24h(A) is None


async def test_an_old_figure_is_not_that_of_now(kit: Kit, network: Network) -> None:
    """Five minutes without an answer, where one a minute is due, and it is unknown."""
    now_us = [kit.now_us]
    network.answer(200, {"markets": [market(A, volume_24h_fp="150.00")], "cursor": ""})
    terms = KalshiRest(kit.http(network), lambda: now_us[0], SilentLog()).terms
    await terms.fetch_rows([A])
    now_us[0] += VOLUME_GOOD_US
    assert terms.volume_24h(A) == 15_000
    now_us[0] += 1
    assert terms.volume_24h(A) is None
