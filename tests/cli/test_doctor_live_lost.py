"""`fsm-exec doctor --live` where an answer is lost and the listing does not answer either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import httpx
import pytest
from trio.testing import MockClock

from fsm_exec.cli.doctor.live_contract import check_live_contract
from fsm_exec.cli.doctor.live_order import check_live_order
from fsm_exec.kalshi.direct_wire import DirectTransport
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper_session import PLAY_CASH_E6, PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.session import connect
from fsm_exec.wire.answer import Answer

START_US = 1_767_625_200_000_000
TICKER = "KXA-B-C"
ORDERS = "/portfolio/orders"


class LosesAnswers:
    """An order's answer is lost, and so are the next `unread` listings of orders."""

    def __init__(self, inner: DirectTransport, unread: int) -> None:
        self._inner, self._unread, self._is_sent = inner, unread, False

    async def call(
        self, api_key_id: str, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None
    ) -> Answer:
        answer = await self._inner.call(api_key_id, method, path, query, body)
        if method == "POST":
            self._is_sent = True
            raise httpx.ReadError("lost")
        if self._is_sent and path == ORDERS and self._unread:
            self._unread -= 1
            raise httpx.ReadError("lost")
        return answer


@pytest.mark.parametrize(("unread", "is_seen"), [(20, True), (10_000, False)])
async def test_an_order_whose_answer_is_lost_is_found_or_said(
    autojump_clock: MockClock, unread: int, is_seen: bool
) -> None:
    """A listing that fails is read again: the order is found and cancelled, or the line says that it ends by itself."""
    paper = PaperExchange.starting_at(START_US)
    paper.open_market(TICKER, yes=[("0.40", "10")], no=[("0.50", "10")])
    _, credentials = paper.gate.open_account(PLAY_CASH_E6, "ed25519")
    async with paper.directly(NO_LATENCY) as host:
        access = replace(access_to(host, credentials), transport=LosesAnswers(host.transport, unread))
        wall = WallClock(START_US)
        async with connect(access, wall, seed=1) as client:
            checks = await check_live_order(client, wall, await client.fetch_market_terms(TICKER))
    (order,) = paper.exchange.orders.values()
    if is_seen:
        assert (checks[0].verdict, checks[-1].name, checks[-1].verdict) == ("warn", "cancel", "ok")
        assert order.status == "canceled"
    else:
        assert [(check.name, check.verdict) for check in checks] == [("order", "fail")]
        assert "ends by itself within 60 s" in checks[0].text


async def test_a_contract_that_may_have_been_bought_is_said(autojump_clock: MockClock) -> None:
    """Neither its answer nor the listing comes: nothing more is sent, and the line says that it is not known."""
    paper = PaperExchange.starting_at(START_US)
    paper.open_market(TICKER, yes=[("0.40", "10")], no=[("0.50", "10")])
    _, credentials = paper.gate.open_account(PLAY_CASH_E6, "ed25519")
    async with paper.directly(NO_LATENCY) as host:
        access = replace(access_to(host, credentials), transport=LosesAnswers(host.transport, 10_000))
        async with connect(access, WallClock(START_US), seed=1) as client:
            checks = await check_live_contract(client, await client.fetch_market_terms(TICKER))
    assert len(paper.exchange.orders) == 1
    assert [(check.name, check.verdict) for check in checks] == [("bought", "fail")]
    assert "whether it came is not known" in checks[0].text
