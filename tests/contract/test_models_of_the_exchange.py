"""Two small models stand where thousands of histories of core are drawn and no byte may be spent on a wire: the
truthful exchange of tests/core, which its liar is made of, and the stage on which algorithms are checked. They are held
here to what the real client hears of the paper exchange: the same writes, trades and endings, in drawn order, are done
to both, and each answer, each row of a listing and each fill must be the same.

What they leave out is left out here: fees, times, and the exchange's own ids.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from random import Random
from typing import Protocol

import pytest
from msgspec import structs
from trio.testing import MockClock

from fsm_exec.algorithms import method
from fsm_exec.core.execution.events import AnyEvent, FillReported, OrderReported
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, PlaceOrder, TimeInForce, Write
from fsm_exec.core.recovery.order_lookup import fill_event, order_event
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.lab.algorithm_checks import stage
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.order_sender import send_write
from tests.core.conftest import World
from tests.core.test_truthful_exchange import Exchange
from tests.runtime.bent_exchange import BentExchange, open_bent_exchange
from tests.runtime.paper_account import TICKER

T0_US = 1_700_000_000_000_000
STEPS = 120
BID, ASK, OFFERED_E2 = 4_800, 5_000, 50_000
ENDINGS = ("HaltCancel", "CloseCancel", "SelfTradeCancel")
OURS_ALONE = {"at_us", "traded_at_us", "order_id", "fill_id", "trade_id", "listed_id", "fee_e6", "mid_e5"}
WORDS = {"why", "message", "cause", "outcome", "undated"}


class Model(Protocol):
    """One of them. `has_book`: a price of 0.50 finds somebody."""

    has_book: bool

    def arrive(self, write: Write) -> AnyEvent: ...
    def trade(self, name: str, count_e2: int) -> None: ...
    def end(self, name: str, cause: str) -> None: ...
    def rows(self) -> list[OrderReported]: ...
    def fills(self) -> list[FillReported]: ...


class Truthful:
    """That of tests/core, which draws nothing here by itself."""

    has_book = False

    def __init__(self) -> None:
        self._model = Exchange(World.drive(), lambda bound: 1 if bound == 8 else 0)
        self.arrive = self._model.arrive

    def trade(self, name: str, count_e2: int) -> None:
        self._model.trade(self._model.orders[name], count_e2)

    def end(self, name: str, cause: str) -> None:
        order = self._model.orders[name]
        order.status, order.cause = "canceled", cause

    def rows(self) -> list[OrderReported]:
        return [
            self._model.statement(order, cause=order.cause, looked_up=True) for order in self._model.orders.values()
        ]

    def fills(self) -> list[FillReported]:
        return self._model.fills


class OnStage:
    """That of the algorithms' checks, on one book."""

    has_book = True

    def __init__(self) -> None:
        levels = [((PriceE4(price), CountE2(OFFERED_E2)),) for price in (BID, ASK)]
        frame = stage.Frame(bids=levels[0], asks=levels[1])
        first = stage.submitted(1_000, frame, horizon_us=60_000_000)
        self._model = stage.Stage(
            first=first, frame_at=lambda _: frame, fresh=lambda: method("simple_limit"), dice=Random(1)
        )
        self._model._new_frame(frame)
        self.arrive = self._model._arrive

    def trade(self, name: str, count_e2: int) -> None:
        order = self._model.orders[name]
        self._model._trade(order, order.price_e4, count_e2, maker=True)

    def end(self, name: str, cause: str) -> None:
        order = self._model.orders[name]
        order.status, order.cause = "canceled", cause

    def rows(self) -> list[OrderReported]:
        return [self._model._statement(order, looked_up=True) for order in self._model.orders.values()]

    def fills(self) -> list[FillReported]:
        return self._model.fills


class Both:
    """The model and the exchange, to which the same is done."""

    def __init__(self, model: Model, exchange: BentExchange, wall: WallClock, dice: Random) -> None:
        self.model, self.exchange, self.wall, self.dice = model, exchange, wall, dice
        self.met: set[str] = set()  # kinds of answers
        self._placed: list[PlaceOrder] = []
        self._sent = 0

    async def step(self) -> None:
        """One thing happens, and is compared with all that can be asked afterwards."""
        resting = self.exchange.resting
        match self.dice.randrange(9):
            case 0 | 1:
                await self.send(self.new_order())
            case 2 if self._placed:
                await self.send(self.dice.choice(self._placed))
            case 3 | 4 if self._placed:
                await self.send(self.amend(self.dice.choice(self._placed[-3:])))
            case 5 if self._placed:
                await self.send(self.cancel(self.dice.choice(self._placed[-3:])))
            case 6 | 7 if resting:
                name = self.dice.choice(resting)
                contracts = self.dice.randint(1, self.exchange.held[name].remaining_e2 // 100)
                self.model.trade(name, contracts * 100)
                self.exchange.fill(contracts, name)
            case 8 if resting:
                name, cause = self.dice.choice(resting), self.dice.choice(ENDINGS)
                self.model.end(name, cause)
                self.exchange.end(name, cause)
            case _:
                await self.send(self.new_order())
        await self.compare()

    def new_order(self) -> PlaceOrder:
        crosses = self.model.has_book and self.dice.randrange(3) == 0
        kinds: tuple[TimeInForce, ...] = ("good_till_canceled", "good_till_canceled", "immediate_or_cancel")
        time_in_force = self.dice.choice(kinds)
        rests = time_in_force == "good_till_canceled"
        order = PlaceOrder(
            effect_id=self.effect(),
            client_order_id=f"fxabcdefghij-e000001-1-{len(self._placed) + 1}",
            ticker=TICKER,
            outcome="yes",
            price_e4=PriceE4(ASK if crosses else self.dice.randrange(40, 48) * 100),
            count_e2=CountE2(self.dice.randint(1, 20) * 100),
            time_in_force=time_in_force,
            post_only=rests and self.model.has_book and self.dice.randrange(2) == 0,
            expiration_s=T0_US // 1_000_000 + 3_600 if rests else None,
        )
        self._placed.append(order)
        return order

    def amend(self, order: PlaceOrder) -> Write:
        known = self.exchange.held.get(order.client_order_id)
        if known is None:
            return order
        return AmendOrder(
            effect_id=self.effect(),
            client_order_id=order.client_order_id,
            order_id=known.order_id,
            ticker=TICKER,
            outcome="yes",
            price_e4=PriceE4(self.dice.randrange(40, 48) * 100),
            total_e2=order.count_e2,
        )

    def cancel(self, order: PlaceOrder) -> Write:
        known = self.exchange.held.get(order.client_order_id)
        if known is None:
            return order
        return CancelOrder(
            effect_id=self.effect(), client_order_id=order.client_order_id, order_id=known.order_id, ticker=TICKER
        )

    def effect(self) -> str:
        self._sent += 1
        return f"e000001:{self._sent}:0"

    async def send(self, write: Write) -> None:
        """The model's answer is what the execution would learn of the real one."""
        expected = await send_write(self.exchange, write, self.wall)
        answer = self.model.arrive(write)
        assert told(answer) == told(expected), write
        self.met.add(type(answer).__name__)

    async def compare(self) -> None:
        """Rows and fills, as listings have them; and why the exchange ended an order, which only frames say."""
        listing = await self.exchange.fetch_orders(TICKER, since_us=T0_US)
        truth = {row.client_order_id: told(order_event(row, row.at_us, looked_up=True)) for row in listing.orders}
        assert {row.client_order_id: told(row) for row in self.model.rows()} == truth
        causes = {name: row.reason for name, row in self.exchange.held.items() if row.reason in ENDINGS}
        assert {row.client_order_id: row.cause for row in self.model.rows() if row.cause is not None} == causes
        fills = (await self.exchange.fetch_fills(TICKER, since_us=T0_US)).fills
        names = {row.order_id: row.client_order_id for row in listing.orders}
        true_fills = [told(fill_event(fill, names[fill.order_id], None, fill.at_us)) for fill in fills]
        assert sorted(map(repr, (told(fill) for fill in self.model.fills()))) == sorted(map(repr, true_fills))


def told(event: AnyEvent) -> tuple[str, dict[str, object]]:
    """What an event says that a model and the exchange can agree about."""
    said = structs.asdict(event)
    return type(event).__name__, {name: value for name, value in said.items() if name not in OURS_ALONE | WORDS}


@pytest.mark.parametrize("make", [Truthful, OnStage])
@pytest.mark.parametrize("seed", range(3))
async def test_a_model_says_what_the_exchange_says(
    autojump_clock: MockClock, make: Callable[[], Model], seed: int
) -> None:
    """A hundred and twenty things in drawn order, each followed by a look at everything."""
    wall = WallClock(T0_US)
    async with open_bent_exchange(wall) as exchange:
        both = Both(make(), exchange, wall, random.Random(f"models:{seed}"))
        for _ in range(STEPS):
            await both.step()
        assert {"OrderAccepted", "PlaceUnconfirmed", "AmendAnswered", "CancelAnswered", "WriteUnconfirmed"} <= both.met
