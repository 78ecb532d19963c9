"""Under every fill model a client sees a possible book and honest fills, and never learns which model it is."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.market.book import Book
from fsm_exec.core.market.orders import Placed, Refused
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, opposite, parse_count, parse_price
from fsm_exec.paper.matching_engine.fill_models import FILL_MODELS, FillModel, shows_heads
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot

if TYPE_CHECKING:
    from tests.contract.conftest import Stage

OFFER = BookDelta("no", parse_price("0.5400"), parse_count("6.00"))
SEED, TURNS = 20_261_130, 60


@pytest.fixture(params=FILL_MODELS)
def fill_model(request: pytest.FixtureRequest, stage: Stage) -> FillModel:
    """The stage's market, which nobody has traded in yet, under this model."""
    model: FillModel = request.param
    stage.exchange.markets[stage.ticker].book._fill_model = model
    return model


async def test_an_offer_at_our_bid_is_filled_or_withheld(stage: Stage, fill_model: FillModel) -> None:
    """Bid 0.46 for 10, then 6 offered at 0.46: a fill of 6 as a maker on the stream and in the listing, or none and
    nothing shown; when the order has gone, what is left of the offer is shown."""
    book, at_us = stage.exchange.markets[stage.ticker].book, stage.clock.now_us()
    crosses = {
        "recorded": True,
        "coin": shows_heads(book._ticker, at_us, OFFER.outcome, OFFER.price_e4, OFFER.delta_e2),
        "through": False,
        "trades": False,
    }[fill_model]
    async with stage.client() as client, stage.watched(client) as watcher:
        order = stage.order("yes", "0.4600", "10.00", post_only=True)
        answer = await client.place(order)
        assert isinstance(answer, Placed)
        stage.exchange.apply(stage.ticker, OFFER, at_us)
        left = CountE2(400 if crosses else 1_000)
        await watcher.until(lambda: watcher.book.yes.get(order.price_e4) == left)
        assert OFFER.price_e4 not in watcher.book.no
        assert OFFER.price_e4 not in (await stage.rest_book()).no
        listed = (await client.fetch_fills(stage.ticker)).fills
        assert [(f.count_e2, f.price_e4, f.is_taker) for f in listed] == ([(600, 4_600, False)] if crosses else [])
        stage.exchange.cancel_all(stage.account)
        shown = None if crosses else OFFER.delta_e2
        await watcher.until(lambda: order.price_e4 not in watcher.book.yes)
        await watcher.until(lambda: watcher.book.no.get(OFFER.price_e4) == shown)


async def test_no_book_is_crossed_or_negative(stage: Stage, fill_model: FillModel) -> None:
    """Offers, bids and snapshots around two orders of ours that come and go: each change the client hears leaves a
    book that can be, and in the end it is the one REST shows."""
    rng = random.Random(SEED)
    recorded = Book(((parse_price("0.45"), CountE2(1_000)),), ((parse_price("0.48"), CountE2(500)),))
    async with stage.client() as client, stage.watched(client) as watcher:
        change_book = watcher.book_change
        heard: list[CountE2] = []

        def checked(ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
            change_book(ticker, outcome, price, delta, at_us)
            heard.append(delta)
            assert not watcher.book.is_crossed(), f"seed {SEED}"

        watcher.book_change = checked  # type: ignore[method-assign]  # looked up at each frame
        stage.exchange.apply(stage.ticker, BookSnapshot(tuple(recorded.yes.items()), tuple(recorded.no.items())))
        for turn in range(TURNS):
            outcome: Outcome = rng.choice(("yes", "no"))
            price, count = PriceE4(100 * rng.randint(40, 56)), CountE2(rng.randint(1, 900))
            best = max(recorded.side(opposite(outcome)), default=0)
            if price + best < 10_000:
                recorded.change(outcome, price, count)
                stage.exchange.apply(stage.ticker, BookDelta(outcome, price, count))
            if turn % 10 == 9:
                stated = BookSnapshot(tuple(recorded.yes.items()), tuple(recorded.no.items()))
                stage.exchange.apply(stage.ticker, stated)
            if turn % 5 == 0:
                stage.exchange.cancel_all(stage.account)
                for side in ("yes", "no"):
                    limit = f"0.{rng.randint(44, 54)}00"
                    answer = await client.place(stage.order("yes" if side == "yes" else "no", limit, "5.00"))
                    assert isinstance(answer, Placed | Refused)
        rest = await stage.rest_book()
        await watcher.until(lambda: (watcher.book.yes, watcher.book.no) == (rest.yes, rest.no))
        assert watcher.gaps == 0
        assert len(heard) > TURNS // 2
