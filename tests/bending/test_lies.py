"""An engine before an exchange of which single messages lie: it ends in time, with the exchange's fills."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.snapshot import decode_entry, decode_stored
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, parse_count, parse_price
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import open_session
from fsm_exec.store import open_virtual_store
from tests.bending import frames, requests
from tests.bending.bends import Bends
from tests.bending.lies import NOBODY, ORDERS
from tests.bending.proxy import bent
from tests.contract.test_under_faults import CASH, INSTANCE, START_US

TICKER = "KXLIES-26DEC31-A"
HORIZON_S = 40
BOUND_S = 5 + 32 + 30 + 15
"""After the deadline: grace, window and lag, a look at all orders, reads."""
LATER_S = 100  # what is told of executions that have ended comes with the looks
TAKES, RESTS = "0.53", "0.30"
TEN = 1_000


class Books:
    """What a run left behind, here and at the exchange. `ended_s`: how long after its submission."""

    def __init__(self, execution: Execution, account: Account, ended_s: float, log: str) -> None:
        self.execution, self.ended_s = execution, ended_s
        self.lines = [json.loads(line) for line in log.splitlines()]
        self.resting = [order for order in account.orders if order.status == "resting"]
        self.theirs = {
            fill.trade_id: (fill.order.order_id, fill.price_e4, fill.count_e2, fill.fee_e6, fill.is_taker)
            for fill in account.fills
        }
        self.ours = {
            fill.trade_id or fill.fill_id: (fill.order_id, fill.price_e4, fill.count_e2, fill.fee_e6, fill.is_taker)
            for fill in execution.fills
        }

    def alarms(self) -> list[str]:
        return [line["what"] for line in self.lines if line["event"] == "alarm"]


def worked(
    install: Callable[[Bends], object], price: str, told: Callable[[Bends, Account], Any] | None = None
) -> Books:
    """Ten contracts by one order, at a price that takes them at once or rests, under what `install` bends."""
    found: list[Books] = []
    log = io.StringIO()

    async def play() -> None:
        wall = WallClock(START_US)
        paper = PaperExchange.starting_at(START_US, seed=1)
        paper.exchange.add_market(tape_header(TICKER, "linear_cent", category="Testing"))
        depth = ((parse_price("0.48"), parse_count("500")),), ((parse_price("0.48"), parse_count("500")),)
        paper.exchange.apply(TICKER, BookSnapshot(*depth))
        account, credentials = paper.gate.open_account(CASH, "ed25519")
        bends, said = Bends(), open_log(log, wall)
        install(bends)
        async with (
            open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=START_US) as store,
            paper.in_memory() as host,
            bent(host, bends) as way,
            open_session(access_to(way, credentials), store, wall, said, tickers=[TICKER], seed=1) as session,
        ):
            engine = session.engine
            while engine.view(TICKER, "yes").trusted_mid_e5 is None:  # noqa: ASYNC110 - nobody announces it
                await trio.sleep(0.5)
            chosen = method("simple_limit")
            name = await engine.submit(
                ExecutionRequest(
                    ticker=TICKER,
                    outcome="yes",
                    target_e2=CountE2(TEN),
                    method=MethodRef(chosen.full_name, chosen),
                    limits=resolve_limits(parse_price(price), LINEAR_CENT, engine.feeds[TICKER].terms.fees),
                    horizon_us=HORIZON_S * 1_000_000,
                )
            )
            began_s = trio.current_time()
            if told is not None:
                await trio.sleep(3)
                await told(bends, account)
            with trio.fail_after(HORIZON_S + BOUND_S):
                await engine.wait_idle()
            ended_s = trio.current_time() - began_s
            await trio.sleep(LATER_S)
            assert engine.status().quarantined == {}
            (stored,) = await store.load_executions()
            execution = decode_stored(stored)
            journal = await store.load_journal(name)
            assert fold(decode_entry(row.event, row.intents, row.version) for row in journal) == execution
            row = await store.load_metrics(name)
            assert row is not None
            assert parse_count(row.filled_quantity) == execution.filled_e2
            found.append(Books(execution, account, ended_s, log.getvalue()))

    run_virtual(play, seed=1)
    return found[0]


def reply_field(path: str, to: object, method_: str = "POST", where: str = ORDERS) -> Callable[[Bends], object]:
    return lambda bends: bends.on_request(requests.changed(path, to), method_, where)


def frame_field(path: str, to: object) -> Callable[[Bends], object]:
    return lambda bends: bends.on_frame(frames.changed(path, to), "fill")


LIES_ABOUT_TEN_THAT_FILL: dict[str, Callable[[Bends], object]] = {
    "nothing": lambda _: None,
    "REST has its own names": reply_field("fills.*.fill_id", lambda old: f"rest-{old}", "GET", "/portfolio/fills"),
    "REST has no trades": lambda b: b.on_request(requests.removed("fills.*.trade_id"), "GET", "/portfolio/fills"),
    "REST has trades only": lambda b: b.on_request(requests.removed("fills.*.fill_id"), "GET", "/portfolio/fills"),
    "a fill of 500": frame_field("msg.count_fp", "500.00"),
    "a fill of 4": frame_field("msg.count_fp", "4.00"),
    "a better price": frame_field("msg.yes_price_dollars", "0.4700"),
    "a price beyond the limit": frame_field("msg.yes_price_dollars", "0.9900"),
    "no fee": frame_field("msg.fee_cost", "0.000000"),
    "a fee of 100": frame_field("msg.fee_cost", "100.000000"),
    "the other role": frame_field("msg.is_taker", lambda old: not old),
    "another trade": frame_field("msg.trade_id", lambda old: f"x{old[1:]}"),
    "another order of this name": frame_field("msg.order_id", NOBODY),
    "the answer has another id": reply_field("order_id", NOBODY),
    "the answer has nothing filled": lambda b: b.on_request(
        requests.rewritten(
            lambda reply: (
                reply._replace(
                    body=msgspec.json.encode(reply.json | {"fill_count": "0.00", "remaining_count": "10.00"})
                )
                if reply.status == 201
                else reply
            )
        ),
        "POST",
        ORDERS,
    ),
    "frames of the order have 5 filled": lambda b: b.on_frame(
        frames.changed("msg.fill_count_fp", "5.00"), "user_order"
    ),
}


HARMLESS = (
    "nothing",
    "REST has its own names",
    "REST has no trades",
    "REST has trades only",
    "the answer has nothing filled",
    "frames of the order have 5 filled",
)
"""What contradicts nothing, or is overtaken before anybody can tell."""


@pytest.mark.parametrize("lie", LIES_ABOUT_TEN_THAT_FILL)
def test_ten_that_are_filled_are_ten_whatever_is_said_of_them(lie: str) -> None:
    """Once each, at their price, fee and role; within the bound, without a person."""
    books = worked(LIES_ABOUT_TEN_THAT_FILL[lie], TAKES)
    assert books.ours == books.theirs
    assert books.execution.filled_e2 == TEN
    assert books.resting == []
    assert books.ended_s < HORIZON_S + BOUND_S
    assert lie in HARMLESS or books.alarms()


def as_filled(reply: Any) -> Any:  # noqa: ANN401 - a reply
    if reply.status != 201:
        return reply
    return reply._replace(body=msgspec.json.encode(reply.json | {"fill_count": "10.00", "remaining_count": "0.00"}))


async def never(bends: Bends, account: Account) -> None:
    """A fill is told of that never was."""
    (order,) = [order for order in account.orders if order.status == "resting"]
    message = {
        "trade_id": "never",
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "market_ticker": TICKER,
        "is_taker": False,
        "outcome_side": "yes",
        "book_side": "bid",
        "yes_price_dollars": "0.3000",
        "count_fp": "4.00",
        "fee_cost": "0.000000",
        "ts_ms": START_US // 1_000 + 5_000,
    }
    await bends.say({"type": "fill", "sid": 1, "msg": message})


@pytest.mark.parametrize("lie", ["the answer has all filled", "a fill that never was", "the answer has another id"])
def test_an_order_that_expires_empty_is_empty_whatever_is_said_of_it(lie: str) -> None:
    """It ends within the bound after its deadline, nothing is filled, nothing rests, nobody is asked."""
    if lie == "the answer has all filled":
        books = worked(lambda b: b.on_request(requests.rewritten(as_filled), "POST", ORDERS), RESTS)
    elif lie == "a fill that never was":
        books = worked(lambda _: None, RESTS, never)
    else:
        books = worked(reply_field("order_id", NOBODY), RESTS)
    assert (books.ours, books.theirs, books.resting) == ({}, {}, [])
    assert (books.execution.state, books.execution.reason) == ("cancelled", "deadline")
    assert books.alarms()


def test_a_no_of_a_code_that_nobody_listed_ends_as_rejected_with_its_words() -> None:
    """Once an order was proven absent after it and it came again."""
    body = {"error": {"code": "order_size_exceeds_limit", "message": "Order size exceeds the limit of 5"}}
    refused = worked(lambda b: b.on_request(requests.answer(400, body), "POST", ORDERS), RESTS)
    assert (refused.execution.state, refused.execution.reason) == ("cancelled", "rejected")
    assert refused.execution.refusal == "order_size_exceeds_limit: Order size exceeds the limit of 5"
    assert any("exceeds the limit of 5" in line["what"] for line in refused.lines if line["event"] == "note")
