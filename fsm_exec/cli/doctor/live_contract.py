"""`fsm-exec doctor --live --cents` buys one contract and sells it again, and says what that cost.

Both orders are immediate, at most `BEYOND_E4` worse than the best offer of the book that was just read; selling is
buying the other outcome, with `reduce_only`, so that never more than the contract is sold.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

import msgspec
import trio

from fsm_exec.cli.doctor.check import Check
from fsm_exec.cli.doctor.live_order import POLL_S, poll, poll_through
from fsm_exec.core.errors import VenueError
from fsm_exec.core.market.orders import FillReport, Placed, PlaceOrder, Refused, Unknown
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import (
    ONE_CONTRACT_E2,
    ONE_DOLLAR_E4,
    CountE2,
    MoneyE6,
    Outcome,
    PriceE4,
    format_count,
    format_money,
    format_price,
)
from fsm_exec.kalshi.client import KalshiClient

BEYOND_E4: Final = 200  # two cents
TRIES: Final = 5  # each with a book read anew: what it shows may be gone


class Bought(msgspec.Struct, frozen=True, kw_only=True):
    """What one side came to, and why it is not all where it is not."""

    fills: tuple[FillReport, ...] = ()
    count_e2: CountE2 = CountE2(0)
    why_not: str = ""

    @property
    def price_e4(self) -> PriceE4:
        """What was paid for it, and no less than the one contract: the dearest of its fills."""
        return max((fill.price_e4 for fill in self.fills), default=PriceE4(0))

    @property
    def cost_e6(self) -> MoneyE6:
        """Paid for the contracts, without fees."""
        return MoneyE6(sum(fill.price_e4 * fill.count_e2 for fill in self.fills))

    @property
    def fees_e6(self) -> MoneyE6:
        return MoneyE6(sum(fill.fee_e6 for fill in self.fills))


async def check_live_contract(client: KalshiClient, terms: MarketTerms) -> list[Check]:
    """Buy a contract and sell it. The last line says what is held if it could not be sold. Raises VenueError before
    anything is bought."""
    with trio.CancelScope(shield=True):  # what is bought is sold, whoever is in a hurry
        checks = await _buy_and_sell(client, terms)
    return checks


async def _buy_and_sell(client: KalshiClient, terms: MarketTerms) -> list[Check]:
    bought = await _buy(client, terms, "yes", ONE_CONTRACT_E2, reduce_only=False)
    if not bought.count_e2:
        return [Check("bought", "fail", f"nothing of {terms.ticker}: {bought.why_not}")]
    held = f"{format_count(bought.count_e2)} YES of {terms.ticker}"
    checks = [Check("bought", "ok", f"{held} at {format_price(bought.price_e4)}")]
    sold = await _buy(client, terms, "no", bought.count_e2, reduce_only=True)
    if sold.count_e2 != bought.count_e2:
        left = format_count(CountE2(bought.count_e2 - sold.count_e2))
        text = f"{left} of it could not be sold: {sold.why_not}; sell it by: fsm-exec close {terms.ticker}"
        return [*checks, Check("sold", "fail", text)]
    checks.append(Check("sold", "ok", f"again at {format_price(PriceE4(ONE_DOLLAR_E4 - sold.price_e4))}"))
    for side in (bought, sold):
        if sum(fill.count_e2 for fill in side.fills) != side.count_e2:
            return [*checks, Check("cost", "warn", "its fills are not in the listing yet; see the exchange's own page")]
    # A YES and a NO of one market are a dollar.
    spread_e6 = MoneyE6(bought.cost_e6 + sold.cost_e6 - bought.count_e2 * ONE_DOLLAR_E4)
    fees_e6 = MoneyE6(bought.fees_e6 + sold.fees_e6)
    text = f"{format_money(MoneyE6(spread_e6 + fees_e6))} dollars, {format_money(fees_e6)} of them fees"
    return [*checks, Check("cost", "ok", text)]


async def _buy(
    client: KalshiClient, terms: MarketTerms, outcome: Outcome, wanted_e2: CountE2, *, reduce_only: bool
) -> Bought:
    """Buy so much of an outcome by immediate orders. Raises VenueError if nothing was sent yet."""
    order_ids: list[str] = []
    filled_e2, why = CountE2(0), ""
    for _ in range(TRIES):
        try:
            ask = (await client.fetch_order_book(terms.ticker)).best_ask(outcome)
        except VenueError as error:
            if not (order_ids or reduce_only):
                raise
            ask, why = None, str(error)
        worst = None if ask is None else terms.grid.seen_from(outcome).floor(ask + BEYOND_E4)
        if worst is None:
            why = why or "nothing is offered"
            await trio.sleep(POLL_S)
            continue
        order = PlaceOrder(
            effect_id="doctor",
            client_order_id=f"doctor-{secrets.token_hex(8)}",
            ticker=terms.ticker,
            outcome=outcome,
            price_e4=worst,
            count_e2=CountE2(wanted_e2 - filled_e2),
            time_in_force="immediate_or_cancel",
            post_only=False,
            expiration_s=None,
            reduce_only=reduce_only,
        )
        answer = await client.place(order)
        if isinstance(answer, Placed):
            order_ids.append(answer.order_id)
            filled_e2 = CountE2(filled_e2 + answer.filled_e2)
            why = "what was offered was gone"
        elif isinstance(answer, Unknown):  # it cannot rest: the listing shows what it got
            found = await poll_through(partial(_find, client, order))
            if found is None:  # it may come yet: another one beside it could buy twice
                why = f"whether it came is not known ({answer.why}); look at the exchange's own page"
                break
            order_ids.append(found[0])
            filled_e2 = CountE2(filled_e2 + found[1])
            why = answer.why
        else:
            why = f"{answer.code} {answer.message}".strip() if isinstance(answer, Refused) else answer.why
        if filled_e2 == wanted_e2:
            break
        await trio.sleep(POLL_S)
    fills = await _fetch_fills(client, order_ids, filled_e2) if order_ids else ()
    return Bought(fills=fills, count_e2=filled_e2, why_not=why)


async def _find(client: KalshiClient, order: PlaceOrder) -> tuple[str, CountE2] | None:
    listing = await client.fetch_orders(order.ticker)
    return next(
        ((one.order_id, one.filled_e2) for one in listing.orders if one.client_order_id == order.client_order_id), None
    )


async def _fetch_fills(client: KalshiClient, order_ids: list[str], filled_e2: CountE2) -> tuple[FillReport, ...]:
    """Fetch the fills of these orders once the listing has them all; what it has, if it does not in time."""
    newest: list[FillReport] = []

    async def look() -> bool | None:
        found = [fill for order_id in order_ids for fill in (await client.fetch_fills(order_id=order_id)).fills]
        newest[:] = found
        return True if sum(fill.count_e2 for fill in found) == filled_e2 else None

    try:
        await poll(look)
    except VenueError:
        return tuple(newest)  # what is missing is said
    return tuple(newest)
