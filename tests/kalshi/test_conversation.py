"""The conversation without a connection: arbitrary frames, and a session recorded on the real demo exchange."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsm_exec.core.market.book import Book
from fsm_exec.kalshi.conversation import Conversation
from fsm_exec.kalshi.listener_guard import StreamLost
from fsm_exec.wire import ws

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Listener

RECORDINGS = Path(os.environ.get("FSM_EXEC_RECORDINGS") or Path(__file__).parents[3] / "shared" / "recordings")
SESSION = RECORDINGS / "wire-session.jsonl.gz"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**15, 10**60) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "market_ticker": st.sampled_from(["KXA-1", "KXB-1"]) | JSON,
        "ticker": st.just("KXA-1"),
        "channel": st.sampled_from(["orderbook_delta", "fill"]) | JSON,
        "sid": st.integers(1, 4) | JSON,
        "code": st.integers(1, 30) | JSON,
        "msg": st.text(max_size=5) | JSON,
        "price_dollars": st.sampled_from(["0.48", "9", "-1", "", "1e-2"]) | JSON,
        "delta_fp": st.sampled_from(["1.00", "-1.00", "x", "9" * 30]) | JSON,
        "side": st.sampled_from(["yes", "no"]) | JSON,
        "ts_ms": st.integers(0, 10**14) | JSON,
        "yes_dollars_fp": st.just([["0.4600", "10.00"]]) | JSON,
        "no_dollars_fp": st.just([["0.4600"]]) | JSON,
        "trade_id": st.text(max_size=3),
        "order_id": st.just("o-1") | st.text(max_size=3),
        "is_taker": st.booleans() | JSON,
        "outcome_side": st.sampled_from(["yes", "no"]),
        "book_side": st.sampled_from(["bid", "ask"]),
        "taker_outcome_side": st.sampled_from(["yes", "no"]),
        "taker_book_side": st.sampled_from(["bid", "ask"]),
        "yes_price_dollars": st.sampled_from(["0.48", "1.01"]),
        "no_price_dollars": st.just("0.52"),
        "count_fp": st.sampled_from(["1.00", "-3"]),
        "fee_cost": st.sampled_from(["0.0175", "free"]),
        "post_position_fp": st.just("1.00"),
    },
)
TYPES = ["orderbook_snapshot", "orderbook_delta", "trade", "fill", "user_order", "subscribed", "error", "ok", "ticker"]
FRAMES = (
    st.binary(max_size=30)
    | st.text(max_size=30)
    | st.fixed_dictionaries(
        {"type": st.sampled_from(TYPES)},
        optional={
            "id": st.integers(0, 5) | JSON,
            "sid": st.integers(1, 4) | JSON,
            "seq": st.integers(0, 9) | JSON,
            "msg": MESSAGES | JSON,
        },
    ).map(msgspec.json.encode)
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(FRAMES, max_size=12))
def test_no_frames_break_the_reader(kit: Kit, listener: Listener, frames: list[Any]) -> None:
    """Any frames at all: facts of the right types, sound commands, or the end of the connection; nothing else."""
    fresh = type(listener)()
    conversation = Conversation(fresh, {"KXA-1": None}, lambda: kit.now_us, kit.log)
    conversation.subscribe_all(0)
    for number, frame in enumerate(frames):
        try:
            for command in conversation.receive(frame, number):
                assert msgspec.json.decode(command, type=ws.Command).cmd == "update_subscription"
        except StreamLost:
            break
    for entry in fresh.told:
        if entry[0] == "change":
            assert entry[1] == "KXA-1"
            assert 0 <= entry[3] <= 10_000
            assert all(isinstance(value, int) for value in entry[3:])


CHANGES = st.fixed_dictionaries(
    {
        "sid": st.sampled_from([3, 3, 3, 3, 4]),
        "step": st.sampled_from([1, 1, 1, 1, 0, 2]),
        "market_ticker": st.sampled_from(["KXA-1", "KXA-1", "KXB-1", "KXC-1"]),
        "price_dollars": st.sampled_from(["0.48", "0.4800", "1.0000", "1.01", "x"]),
        "delta_fp": st.sampled_from(["1.00", "-1.00", "0.5", "1.005"]),
        "side": st.sampled_from(["yes", "no", "maybe"]),
        "ts_ms": st.sampled_from([5, 6, -1, 10**15, None]),
    }
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, max_size=12))
def test_the_short_way_is_the_long_way(kit: Kit, listener: Listener, changes: list[dict[str, Any]]) -> None:
    """Changes of books have a way of their own; whatever comes, it tells and asks what the general way does."""
    told = []
    for start in ("", " "):  # a blank in front is not how the exchange writes, so it takes the general way
        fresh = type(listener)()
        conversation = Conversation(fresh, {"KXA-1": None, "KXB-1": None}, lambda: kit.now_us, kit.log)
        conversation.subscribe_all(0)
        subscribed = {"type": "subscribed", "id": 2, "msg": {"channel": "orderbook_delta", "sid": 3}}
        frames = [subscribed]
        seq = 0
        for ticker in ("KXA-1", "KXB-1"):
            seq += 1
            frames.append({"type": "orderbook_snapshot", "sid": 3, "seq": seq, "msg": {"market_ticker": ticker}})
        for change in changes:
            seq += change["step"]
            message = {name: value for name, value in change.items() if name not in ("sid", "step")}
            frames.append({"type": "orderbook_delta", "sid": change["sid"], "seq": seq, "msg": message})
        commands: list[bytes] = []
        for frame in frames:
            commands += conversation.receive(start + msgspec.json.encode(frame).decode(), 0)
        told.append((fresh.told, commands))
    assert told[0] == told[1]


@pytest.mark.skipif(not SESSION.exists(), reason=f"no recording at {SESSION}; set FSM_EXEC_RECORDINGS to its folder")
def test_a_session_of_the_real_exchange_is_understood_to_its_last_frame(kit: Kit, listener: Listener) -> None:
    """Every frame of the recorded session decodes, no number is missing, no book breaks, and both fills arrive."""
    with gzip.open(SESSION, "rb") as file:
        frames = [line for line in file if line.strip()]
    tickers = sorted(
        {
            msgspec.json.decode(frame)["msg"]["market_ticker"]
            for frame in frames
            if b'"orderbook_snapshot"' in frame[:60] or b'"type":"orderbook_snapshot"' in frame
        }
    )
    assert len(tickers) == 5
    conversation = Conversation(listener, dict.fromkeys(tickers), lambda: kit.now_us, kit.log)
    conversation.subscribe_all(0)
    commands = [command for number, frame in enumerate(frames) for command in conversation.receive(frame, number)]
    assert commands == []
    assert kit.log.lines == []
    counts = {kind: listener.kinds().count(kind) for kind in set(listener.kinds())}
    assert counts == {"snapshot": 5, "change": 2_885, "fill": 2}
    books: dict[str, Book] = {}
    for entry in listener.told:
        if entry[0] == "snapshot":
            books[entry[1]] = Book(entry[2], entry[3])
        elif entry[0] == "change":
            books[entry[1]].change(*entry[2:5])  # raises if a level fell below zero
    assert not any(book.is_crossed() for book in books.values())
    bought = [(e[1].outcome, e[1].price_e4, e[1].count_e2) for e in listener.told if e[0] == "fill"]
    assert bought == [("yes", 1_700, 552), ("no", 8_400, 116)]
