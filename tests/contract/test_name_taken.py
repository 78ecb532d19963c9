"""An id of ours that is taken by another order, wherever and whenever that was placed: a person has to look at it."""

from __future__ import annotations

import io

import msgspec
import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.orders import Placed, PlaceOrder
from fsm_exec.core.values.units import LINEAR_CENT, parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import open_session
from fsm_exec.store import open_virtual_store
from tests.contract.test_under_faults import CASH, INSTANCE, START_US

TICKER, OTHER = "KXTEST-26OCT01-A", "KXTEST-26OCT01-B"
NAME = f"fx{INSTANCE}-e000001-1-1"
PRICE, COUNT = parse_price("0.3000"), parse_count("10")
HORIZON_S = 600
KNOWN_WITHIN_S = 40  # signature window + read lag, and a little


class Outcome(msgspec.Struct):
    """`quarantine` and how long that took; the orders the account has in the end."""

    quarantine: str | None
    seconds: float
    orders: int


def work_while_taken(change: dict[str, object], older_s: int) -> Outcome:
    """An execution whose first order's id is taken by an order that differs by `change`, placed so long before."""
    return run_virtual(lambda: _work(change, older_s), seed=1)


async def _work(change: dict[str, object], older_s: int) -> Outcome:
    wall = WallClock(START_US)
    log = open_log(io.StringIO(), wall)
    paper = PaperExchange.starting_at(START_US, seed=1)
    for ticker in (TICKER, OTHER):
        paper.exchange.add_market(tape_header(ticker, "linear_cent", category="Testing"))
        paper.exchange.apply(ticker, BookSnapshot(((parse_price("0.45"), COUNT),), ((parse_price("0.47"), COUNT),)))
    account, credentials = paper.gate.open_account(CASH, "ed25519")
    async with (
        open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=START_US) as store,
        paper.in_memory() as host,
        open_session(access_to(host, credentials), store, wall, log, tickers=[TICKER, OTHER], seed=1) as session,
    ):
        engine, client = session.engine, session.client
        taken = PlaceOrder(
            effect_id="elsewhere",
            client_order_id=NAME,
            ticker=TICKER,
            outcome="yes",
            price_e4=PRICE,
            count_e2=COUNT,
            time_in_force="good_till_canceled",
            post_only=False,
            expiration_s=START_US // 1_000_000 + 3_600,
        )
        assert isinstance(await client.place(msgspec.structs.replace(taken, **change)), Placed)
        await trio.sleep(older_s)
        chosen = method("simple_limit")
        began_s = trio.current_time()
        name = await engine.submit(
            ExecutionRequest(
                ticker=TICKER,
                outcome="yes",
                target_e2=COUNT,
                method=MethodRef(chosen.full_name, chosen),
                limits=resolve_limits(PRICE, LINEAR_CENT, engine.feeds[TICKER].terms.fees),
                horizon_us=HORIZON_S * 1_000_000,
            )
        )
        await engine.wait_idle()
        return Outcome(engine.ended[name].quarantine, trio.current_time() - began_s, len(account.orders))


@pytest.mark.parametrize(
    ("change", "older_s", "says"),
    [
        ({"ticker": OTHER}, 1, f"in market {OTHER}"),
        ({"ticker": OTHER}, 300, f"in market {OTHER}"),
        ({"price_e4": parse_price("0.2000")}, 1, "stands at 2000"),
        ({"price_e4": parse_price("0.2000")}, 300, "stands at 2000"),
        ({"count_e2": parse_count("3")}, 300, "for 300 at the exchange"),
        ({"outcome": "no"}, 300, "is for no"),
    ],
)
def test_it_is_found_and_the_execution_handed_to_a_person(change: dict[str, object], older_s: int, says: str) -> None:
    """In another market, or placed long before the execution; quarantined soon with what was found, nothing placed."""
    outcome = work_while_taken(change, older_s)
    assert outcome.quarantine is not None
    assert says in outcome.quarantine
    assert outcome.seconds < KNOWN_WITHIN_S
    assert outcome.orders == 1
