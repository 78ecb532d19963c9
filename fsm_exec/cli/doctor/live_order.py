"""`fsm-exec doctor --live` places one order that nobody takes, sees it, cancels it, and sees that it is gone.

The order is one contract at the lowest price there is, post only, and ends by itself within a minute: were everything
to fail from here on, a cent would be at risk for a minute. Its name is none of an engine's, so no engine adopts it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import trio

from fsm_exec.cli.doctor.check import Check
from fsm_exec.cli.doctor.stream_probe import StreamProbe
from fsm_exec.core.errors import UserError, VenueError
from fsm_exec.core.market.account import MarketFacts
from fsm_exec.core.market.orders import CancelAnswer, Cancelled, CancelOrder, OrderReport, Placed, PlaceOrder, Refused
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import ONE_CONTRACT_E2, US_PER_S, format_price
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.runtime.clock import WallClock

LOOKED_AT: Final = 200  # markets of the exchange's listing
FAR_E4: Final = 500  # an offer this high leaves a bid at the lowest price far behind
EXPIRES_S: Final = 60
SEEN_WITHIN_S: Final = 15.0  # listings lag behind by a second or more
POLL_S: Final = 0.2
CANCEL_TRIES: Final = 3

T = TypeVar("T")


async def choose_market(client: KalshiClient, wanted: str | None, *, tight: bool) -> MarketTerms:
    """Choose an open market in which this account has neither position nor order, the busiest that is quoted; with
    `tight` the one whose quotes are nearest to each other. Raises UserError where there is none, and VenueError."""
    if wanted is not None:
        facts = (await client.fetch_market_facts([wanted])).get(wanted)
        if facts is None or facts.status != "open" or facts.yes_ask_e4 is None:
            raise UserError(f"--market {wanted[:60]}: is not open, or nothing is offered there; give another one")
        return await client.fetch_market_terms(wanted)
    ours = {position.ticker for position in await client.fetch_positions() if position.count_e2}
    ours |= {order.ticker for order in (await client.fetch_orders(resting=True)).orders}
    found = (await client.search_markets(limit=LOOKED_AT)).markets
    fit = [facts for facts in found if facts.ticker not in ours and _spread_e4(facts) is not None]
    if not fit:
        raise UserError("no open market is quoted on both sides now; name one with --market TICKER")
    key: Callable[[MarketFacts], tuple[int, int]] = _tightness if tight else _business
    return await client.fetch_market_terms(max(fit, key=key).ticker)


def _spread_e4(facts: MarketFacts) -> int | None:
    """The distance of the quotes; None for a market that has not both, or whose offer is near the lowest price."""
    if facts.status != "open" or facts.yes_bid_e4 is None or facts.yes_ask_e4 is None or facts.yes_ask_e4 < FAR_E4:
        return None
    return facts.yes_ask_e4 - facts.yes_bid_e4


def _business(facts: MarketFacts) -> tuple[int, int]:
    return facts.volume_24h_e2 or 0, -(_spread_e4(facts) or 0)


def _tightness(facts: MarketFacts) -> tuple[int, int]:
    return -(_spread_e4(facts) or 0), facts.volume_24h_e2 or 0


async def check_live_order(client: KalshiClient, wall: WallClock, terms: MarketTerms) -> list[Check]:
    """Place the order, see it and cancel it. Whatever goes wrong, an order that may be live is cancelled as far as the
    exchange answers, and the last line says whether it is gone. Raises VenueError for a read that fails."""
    price = terms.grid.ceil(1)
    assert price is not None, "a grid has a price"
    order = PlaceOrder(
        effect_id="doctor",
        client_order_id=f"doctor-{secrets.token_hex(8)}",
        ticker=terms.ticker,
        outcome="yes",
        price_e4=price,
        count_e2=ONE_CONTRACT_E2,
        time_in_force="good_till_canceled",
        post_only=True,
        expiration_s=wall.now_us() // US_PER_S + EXPIRES_S,
    )
    async with listen(client) as heard:
        began_s = trio.current_time()
        with trio.CancelScope(shield=True):  # whoever leaves now leaves an order that is not known of
            answer = await client.place(order)
        if isinstance(answer, Refused):
            return [Check("order", "fail", f"refused: {answer.code} {answer.message}".strip())]
        took = _ms_since(began_s)
        if not isinstance(answer, Placed):
            with trio.CancelScope(shield=True):
                found = await poll_through(lambda: _find(client, order))
            if found is None:
                text = f"{answer.why}; it was not seen in the listing, and ends by itself within {EXPIRES_S} s"
                return [Check("order", "fail", text)]
            placed = Check("order", "warn", f"placed, though its answer was lost: {answer.why}")
            order_id = found.order_id
        else:
            placed = Check("order", "ok", f"1 YES of {terms.ticker} at {format_price(price)}, post only: {took}")
            order_id = answer.order_id
        seen: list[Check] = []
        try:
            seen = [await _check_listed(client, order), await _check_streamed(heard, order, began_s)]
        finally:
            with trio.CancelScope(shield=True):
                gone = await _cancel(client, order, order_id)
        return [placed, *seen, gone]


@asynccontextmanager
async def listen(client: KalshiClient) -> AsyncIterator[StreamProbe]:
    """Listen to the account's own orders while the block runs, from when the stream answers, if it does."""
    heard = StreamProbe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.stream, heard, ())
        with trio.move_on_after(SEEN_WITHIN_S):
            await heard.anything.wait()
        yield heard
        nursery.cancel_scope.cancel()


async def _check_listed(client: KalshiClient, order: PlaceOrder) -> Check:
    began_s = trio.current_time()
    try:
        found = await poll(lambda: _find(client, order))
    except VenueError as error:
        return Check("listing", "fail", f"could not be read: {error}")
    if found is None:
        return Check("listing", "fail", f"the order is not in it after {SEEN_WITHIN_S:.0f} s")
    return Check("listing", "ok", f"the order is in it: {_ms_since(began_s)}")


async def _check_streamed(heard: StreamProbe, order: PlaceOrder, began_s: float) -> Check:
    async def look() -> float | None:
        return heard.orders.get(order.client_order_id)

    at_s = await poll(look)
    if at_s is None:
        why = heard.why or f"nothing of it in {SEEN_WITHIN_S:.0f} s"
        return Check("order stream", "fail", f"does not show the order: {why}")
    return Check("order stream", "ok", f"showed the order: {max(0, round((at_s - began_s) * 1_000))} ms")


async def _cancel(client: KalshiClient, order: PlaceOrder, order_id: str) -> Check:
    """Cancel, and look until it is gone."""
    cancel = CancelOrder(
        effect_id="doctor", client_order_id=order.client_order_id, order_id=order_id, ticker=order.ticker
    )
    began_s, answer = trio.current_time(), await client.cancel(cancel)
    for _ in range(CANCEL_TRIES - 1):
        if isinstance(answer, Cancelled | Refused):
            break
        await trio.sleep(POLL_S)
        answer = await client.cancel(cancel)
    took = _ms_since(began_s)
    try:
        is_gone = await poll(lambda: _is_gone(client, order))
    except VenueError as error:
        return Check("cancel", "fail", f"{_said(answer)}; whether it is gone could not be read: {error}")
    if is_gone:
        return Check("cancel", "ok", f"the order is gone: {took}")
    return Check("cancel", "fail", f"{_said(answer)}, and it rests; it ends by itself within {EXPIRES_S} s")


def _said(answer: CancelAnswer) -> str:
    if isinstance(answer, Cancelled):
        return "cancelled"
    return f"{answer.code} {answer.message}".strip() if isinstance(answer, Refused) else answer.why


async def _find(client: KalshiClient, order: PlaceOrder) -> OrderReport | None:
    listing = await client.fetch_orders(order.ticker)
    return next((each for each in listing.orders if each.client_order_id == order.client_order_id), None)


async def _is_gone(client: KalshiClient, order: PlaceOrder) -> bool | None:
    found = await _find(client, order)
    return None if found is None or found.status == "resting" else True


async def poll(look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Look until something is found; None: not in time."""
    with trio.move_on_after(SEEN_WITHIN_S):
        while (found := await look()) is None:  # noqa: ASYNC110 - it is the exchange that is waited for
            await trio.sleep(POLL_S)
        return found
    return None


async def poll_through(look: Callable[[], Awaitable[T | None]]) -> T | None:
    """As `poll`, but a read that fails has only found nothing: what was sent must be found, or said not to be."""

    async def read() -> T | None:
        with suppress(VenueError):
            return await look()
        return None

    return await poll(read)


def _ms_since(began_s: float) -> str:
    return f"{round((trio.current_time() - began_s) * 1_000)} ms"
