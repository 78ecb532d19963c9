"""Frames of the stream decoded and applied to the book: ours, a dict fed by `json.loads`, and pydantic models.

All three read the same frames of a generated tape and must end with the same book. Ours does more than the others:
numbers are checked against the sequence, text becomes exact integers, and a listener is told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest

from fsm_exec.core.market.book import Book, Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.market.terms import FeeChange, MarketStatus
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid, format_count, format_price
from fsm_exec.kalshi.conversation import Conversation
from fsm_exec.kalshi.log import SilentLog
from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot
from fsm_exec.wire import ws

pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed; it is in the extra 'test'")

TAPE_S, SEED = 3_600, 5
MARKET_ID = "5f0c9b8e-0000-4000-8000-000000000001"
ROUNDS = 5
AIM = 5  # times the pydantic way


class SnapshotModel(pydantic.BaseModel):  # type: ignore[misc,name-defined]  # a module that may be missing is Any
    market_ticker: str
    market_id: str
    yes_dollars_fp: list[tuple[Decimal, Decimal]] | None = None
    no_dollars_fp: list[tuple[Decimal, Decimal]] | None = None


class DeltaModel(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    market_ticker: str
    market_id: str
    price_dollars: Decimal
    delta_fp: Decimal
    side: Literal["yes", "no"]
    client_order_id: str | None = None
    subaccount: int | None = None
    ts: datetime | None = None
    ts_ms: int


class SnapshotFrame(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    type: Literal["orderbook_snapshot"]
    sid: int
    seq: int
    msg: SnapshotModel


class DeltaFrame(pydantic.BaseModel):  # type: ignore[misc,name-defined]
    type: Literal["orderbook_delta"]
    sid: int
    seq: int
    msg: DeltaModel


FRAME = pydantic.TypeAdapter(Annotated[SnapshotFrame | DeltaFrame, pydantic.Field(discriminator="type")])


class BookKeeper:
    """The listener that keeps the book."""

    def __init__(self) -> None:
        self.book = Book()

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        self.book = Book(yes, no)

    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
        self.book.change(outcome, price, delta)

    def connected(self) -> None: ...
    def disconnected(self, why: str) -> None: ...
    def book_gap(self, tickers: Sequence[str]) -> None: ...
    def book_broken(self, ticker: str) -> None: ...
    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None: ...
    def market_status(self, ticker: str, status: MarketStatus) -> None: ...
    def market_grid(self, ticker: str, grid: PriceGrid) -> None: ...
    def market_fees(self, ticker: str, fees: FeeTerms, later: Sequence[FeeChange]) -> None: ...
    def fill(self, report: FillReport) -> None: ...
    def order(self, report: OrderReport) -> None: ...
    def order_group(self, group_id: str, change: str) -> None: ...
    def heard(self) -> None: ...


def frames_of_a_tape() -> tuple[str, list[str]]:
    """The market and its frames, as the stream would send them."""
    tape = generate(SEED, TAPE_S, profile="liquid", start_us=1_767_625_200_000_000)
    ticker = tape.header.ticker
    frames: list[str] = []
    for at_us, change in tape.events:
        kind, message = "orderbook_delta", None
        if isinstance(change, BookSnapshot):
            kind = "orderbook_snapshot"
            yes, no = ([(format_price(p), format_count(c)) for p, c in side] for side in (change.yes, change.no))
            message = msgspec.json.encode(
                ws.BookSnapshot(market_ticker=ticker, market_id=MARKET_ID, yes_dollars_fp=yes, no_dollars_fp=no)
            )
        elif isinstance(change, BookDelta):
            message = msgspec.json.encode(
                ws.BookDelta(
                    market_ticker=ticker,
                    market_id=MARKET_ID,
                    price_dollars=format_price(change.price_e4),
                    delta_fp=format_count(change.delta_e2),
                    side=change.outcome,
                    ts=rfc3339(at_us),
                    ts_ms=at_us // 1_000,
                )
            )
        if message is not None:
            envelope = ws.Envelope(type=kind, sid=3, seq=len(frames) + 1, msg=msgspec.Raw(message))
            frames.append(msgspec.json.encode(envelope).decode())
    return ticker, frames


def ours(ticker: str, frames: list[str]) -> dict[str, dict[int, int]]:
    keeper = BookKeeper()
    conversation = Conversation(keeper, {ticker: None}, lambda: 0, SilentLog())
    conversation.subscribe_all(0)
    for frame in frames:
        assert not conversation.receive(frame, 0)
    return {"yes": dict(keeper.book.yes.items()), "no": dict(keeper.book.no.items())}


def by_dict(ticker: str, frames: list[str]) -> dict[str, dict[int, int]]:
    """Without any check, and exact only as far as floats go."""
    book: dict[str, dict[str, float]] = {"yes": {}, "no": {}}
    for frame in frames:
        decoded = json.loads(frame)
        message = decoded["msg"]
        if decoded["type"] == "orderbook_snapshot":
            for side in ("yes", "no"):
                book[side] = {price: float(count) for price, count in message.get(f"{side}_dollars_fp") or ()}
            continue
        levels, price = book[message["side"]], message["price_dollars"]
        count = levels.get(price, 0) + float(message["delta_fp"])
        if count:
            levels[price] = count
        else:
            del levels[price]
    return {s: {round(float(p) * 10_000): round(c * 100) for p, c in book[s].items() if round(c * 100)} for s in book}


def by_models(ticker: str, frames: list[str]) -> dict[str, dict[int, int]]:
    """A union of models told apart by `type`, straight from the text: the fastest way pydantic has."""
    return _applied(frames, FRAME.validate_json)


def by_loads_and_models(ticker: str, frames: list[str]) -> dict[str, dict[int, int]]:
    """`json.loads`, a look at the type, and the model of that type: the way clients are usually written."""
    models: dict[str, Any] = {"orderbook_snapshot": SnapshotFrame, "orderbook_delta": DeltaFrame}

    def read(text: str) -> Any:  # noqa: ANN401 - pydantic's models are Any where it is not installed
        decoded = json.loads(text)
        return models[decoded["type"]].model_validate(decoded)

    return _applied(frames, read)


def _applied(frames: list[str], read: Callable[[str], Any]) -> dict[str, dict[int, int]]:
    book: dict[str, dict[Decimal, Decimal]] = {"yes": {}, "no": {}}
    for text in frames:
        frame = read(text)
        message = frame.msg
        if frame.type == "orderbook_snapshot":
            book = {"yes": dict(message.yes_dollars_fp or ()), "no": dict(message.no_dollars_fp or ())}
            continue
        levels = book[message.side]
        count = levels.get(message.price_dollars, Decimal(0)) + message.delta_fp
        if count:
            levels[message.price_dollars] = count
        else:
            del levels[message.price_dollars]
    return {side: {int(p * 10_000): int(c * 100) for p, c in levels.items()} for side, levels in book.items()}


def test_frames_reach_the_book_several_times_faster_than_by_models(figures: list[str]) -> None:
    """The three agree on the last book; the best of some rounds counts, taken in turns."""
    ticker, frames = frames_of_a_tape()
    ways: list[Callable[[str, list[str]], dict[str, dict[int, int]]]] = [ours, by_dict, by_models, by_loads_and_models]
    best = {way: float("inf") for way in ways}
    books = []
    for _ in range(ROUNDS):
        for way in ways:
            began = time.perf_counter()
            books.append(way(ticker, frames))
            best[way] = min(best[way], time.perf_counter() - began)
    assert all(book == books[0] for book in books)
    assert books[0]["yes"]
    assert books[0]["no"]
    our, plain, models, usual = (len(frames) / best[way] for way in ways)
    figures.append(
        f"book frames: ours {our:,.0f}/s; json.loads and a dict {plain:,.0f}/s (ratio {our / plain:.2f}); pydantic "
        f"after json.loads {usual:,.0f}/s (ratio {our / usual:.2f}, aim {AIM}), its fastest way {models:,.0f}/s "
        f"(ratio {our / models:.2f})"
    )
