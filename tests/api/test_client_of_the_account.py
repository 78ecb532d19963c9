"""The client's methods for markets and the account against a real daemon: blocking, on trio and on asyncio.

One walk is made with each of the three; the blocking client never suspends, so its walk is done at once.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import trio

from fsm_exec import AsyncClient, Client, CloseWanted, EdgeGiven, EstimateWanted, Refused, Submission
from tests.api.daemon import MARKET
from tests.cli.daemons import Ready

EVENT, SERIES = "KXPAPER-DEMO", "KXPAPER"


class Awaited:
    """A blocking client whose methods are awaited like those of the other."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._client, name)

        @functools.wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the method takes and returns
            return method(*args, **kwargs)

        return call


def run_at_once(walk: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        walk.send(None)


async def walk(daemon: Any, key: str) -> None:  # noqa: ANN401 - either client
    """Find a market, look at its book, ask what it costs, buy, see it in every answer, and close it again."""
    found = await daemon.markets(SERIES, limit=10)
    assert MARKET in [market.ticker for market in found.markets]
    assert (await daemon.markets("no such market at all", closed=True)).markets == []
    book = await daemon.book(MARKET, "no", levels=2)
    assert (book.ticker, book.outcome, len(book.bids) <= 2) == (MARKET, "no", True)
    wanted: dict[str, Any] = {"ticker": MARKET, "outcome": "yes", "horizon_s": 20}
    told = await daemon.estimate(EstimateWanted(**wanted, quantity="3", methods=["market", "deadline_walker"]))
    assert (told.quantity, told.refusals, [one.method for one in told.methods]) == (
        ("3.00", [], ["market@1", "deadline_walker@1"])
    )
    sized = await daemon.estimate(
        EstimateWanted(**wanted, edge=EdgeGiven(model_probability="0.99", fraction="0.01", bankroll="1000"))
    )
    assert (sized.limit_from, sized.sized is not None) == ("edge", True)

    held_before = {one.ticker: one.quantity for one in (await daemon.positions()).positions}
    buying = Submission(**wanted, key=f"{key}-buy", quantity="3", method="market", limit="0.99")
    bought = await daemon.submit(buying)
    assert (await daemon.wait(bought.execution_id)).execution.filled_quantity == "3.00"
    (one,) = [one for one in (await daemon.positions()).positions if one.ticker == MARKET]
    assert (one.outcome, one.quantity, one.event) == ("yes", "3.00", EVENT), held_before
    for by in ("market", "event", "series", "method", "execution", "day"):
        table = await daemon.profit(by)
        assert (table.by, table.lines != []) == (by, True)
    account = await daemon.account()
    assert (account.markets_held, account.damage) == (1, [])
    risk = await daemon.risk()
    standing = (await daemon.status()).risk
    assert (risk.state, standing.state, standing.worst_case) == ("active", "active", risk.worst_case)
    assert risk.events == {EVENT: risk.worst_case}
    for way_back in (daemon.risk_resume, daemon.risk_reduce):
        with pytest.raises(Refused) as refused:
            await way_back()
        assert refused.value.code == "invalid"
    with pytest.raises(Refused, match="nothing to return from"):
        await daemon.risk_resume(accept_loss=True)

    closing = CloseWanted(key=f"{key}-close", ticker=MARKET, method="market", horizon_s=20)
    (closed,) = (await daemon.close_position(closing)).markets
    assert (closed.held, closed.outcome, closed.quantity) == ("yes", "no", "3.00")
    assert (await daemon.wait(closed.accepted.execution_id)).execution.filled_quantity == "3.00"
    (again,) = (await daemon.close_position(closing)).markets
    assert again.accepted.execution_id == closed.accepted.execution_id
    assert (await daemon.positions()).positions == []


def test_the_blocking_client(ready: Ready) -> None:
    """Each method's answer is that of the daemon, and each fits the others."""
    with Client(ready.control_url, ready.token_file) as daemon:
        run_at_once(walk(Awaited(daemon), "plain"))


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_the_client_on_both_loops(ready: Ready, loop: str) -> None:
    """The same."""

    async def with_client() -> None:
        async with AsyncClient(ready.control_url, ready.token_file) as daemon:
            await walk(daemon, loop)

    if loop == "trio":
        trio.run(with_client)
    else:
        asyncio.run(with_client())


def test_every_method_is_the_same_on_both_clients() -> None:
    """What one has the other has; so whatever is walked with one is there on the other."""
    names = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    assert names == {name for name in vars(AsyncClient) if not name.startswith("_")} - {"aclose", "of"}
