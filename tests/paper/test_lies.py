"""An exchange that lies: every kind of lie, how long listings may tell them, and whole channels that are dead."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.market.orders import Placed, Unknown
from fsm_exec.core.values.units import CountE2
from fsm_exec.paper.faults import Episode, ExchangeFaults, FaultPlan, FaultProfile
from fsm_exec.paper.lies import ACCOUNT, ANSWERS, FILL, FRAMES, ORDER, PAGES, LieFaults, Lies
from fsm_exec.paper.rfc3339 import rfc3339
from tests.paper.support import START_US, TICKER, count, price
from tests.paper.test_faults import scene, until_seen

ALWAYS = 1_000
ORDER_ID = "11111111-1111-4111-8111-111111111111"


def lies(seed: int = 1, **faults: int) -> Lies:
    return Lies(LieFaults(**faults), seed, Counter())


def row(changed_us: int, **fields: object) -> dict[str, Any]:
    """What a listing shows of an order or a fill."""
    return {
        "order_id": ORDER_ID,
        "trade_id": "t1",
        "fill_id": "t1",
        "outcome_side": "yes",
        "book_side": "bid",
        "status": "resting",
        "yes_price_dollars": "0.4000",
        "no_price_dollars": "0.6000",
        "initial_count_fp": "10.00",
        "fill_count_fp": "2.00",
        "remaining_count_fp": "8.00",
        "count_fp": "2.00",
        "fee_cost": "0.010000",
        "is_taker": False,
        "created_time": rfc3339(changed_us),
        **fields,
    }


def test_every_lie_is_told_and_changes_something() -> None:
    """Each kind of answer and frame, with every lie there is about it; whose order it is about is known."""
    answers = {
        "place": {"order_id": ORDER_ID, "client_order_id": "c", "fill_count": "2.00", "remaining_count": "8.00"},
        "change": {"order_id": ORDER_ID, "client_order_id": "c", "fill_count": "2.00", "remaining_count": "8.00"},
        "cancel": {"order_id": ORDER_ID, "reduced_by": "8.00"},
    }
    liar = lies(answers_per_mille=ALWAYS, frames_per_mille=ALWAYS)
    for kind, lies_of in ANSWERS.items():
        told = [liar.answer(kind, dict(answers[kind])) for _ in range(100)]
        assert all(each != answers[kind] for each in told)
        assert len({msgspec.json.encode(each) for each in told}) >= len(lies_of) - 1
    for kind, lies_of in FRAMES.items():
        frame = msgspec.json.encode({"type": kind, "msg": row(START_US, ts_ms=START_US // 1_000)})
        frames = [liar.frames(kind, frame) for _ in range(200)]
        assert len({each for each in frames if len(each) == 1}) >= len(lies_of)
        assert {len(each) for each in frames} == ({1, 2} if kind == "fill" else {1})
        assert sum(each == (frame,) for each in frames) < 50  # a price that was at its limit, an end that is so
    assert liar.about == {ORDER_ID}


@pytest.mark.parametrize(("what", "altered"), [("orders", ORDER), ("fills", FILL)])
def test_listings_lie_about_what_is_young(what: str, altered: tuple[object, ...]) -> None:
    """Rows missing, stale, altered or there twice, pages cut short; rows of longer ago are as they are."""
    liar = lies(listings_per_mille=ALWAYS, listing_ms=20_000)
    now_us = START_US + 60_000_000
    old, young = row(now_us - 20_000_000), row(now_us - 19_000_000, trade_id="t2", fill_id="t2")
    seen = set()
    for _ in range(300):
        page: dict[str, Any] = {what: [dict(young), dict(old)], "cursor": ""}
        told = liar.page(what, page, now_us)
        assert isinstance(told, dict)
        assert old in told[what]
        seen.add(msgspec.json.encode(told))
    assert len(seen) > len(altered)
    assert sum(liar._counts[f"lie: {what} {kind}"] for kind in PAGES if kind != "altered") > 100
    only_old = {what: [old], "cursor": ""}
    assert liar.page(what, only_old, now_us) == only_old


def test_one_seed_one_lie() -> None:
    """The same seed tells the same lies, another one others."""
    answer = {"order_id": ORDER_ID, "fill_count": "2.00", "remaining_count": "8.00"}

    def told(seed: int) -> list[object]:
        liar = lies(seed, answers_per_mille=300)
        return [liar.answer("place", dict(answer)) for _ in range(50)]

    assert told(3) == told(3)
    assert told(3) != told(4)


def test_every_lie_about_the_account_is_told() -> None:
    """Positions, settlements and the balance: each lie there is changes the body, a row goes missing, an empty page
    stays so."""
    liar = lies(account_per_mille=ALWAYS)
    bodies: dict[str, dict[str, Any]] = {
        "positions": {
            "market_positions": [{"ticker": "A", "position_fp": "-3.00", "market_exposure_dollars": "1.0000"}]
        },
        "settlements": {"settlements": [{"ticker": "A", "market_result": "yes", "revenue": 900}]},
        "balance": {"balance": 100_000, "balance_dollars": "1000.0000"},
    }
    for what, body in bodies.items():
        told = [msgspec.json.encode(liar.account(what, body)) for _ in range(200)]
        assert msgspec.json.encode(body) not in told
        gone = 0 if what == "balance" else 1
        assert len(set(told)) >= len(ACCOUNT[what]) + gone
    assert liar.account("positions", {"market_positions": []}) == {"market_positions": []}


def test_nothing_is_said_wrong_once_it_is_calm() -> None:
    """From `until_us` on all of it is true."""
    always = dict.fromkeys(("answers", "frames", "listings", "account"), ALWAYS)
    profile = FaultProfile(lies=LieFaults(**{f"{name}_per_mille": chance for name, chance in always.items()}))
    plan = FaultPlan(profile, 1, until_us=START_US)
    answer, page = {"order_id": ORDER_ID, "reduced_by": "8.00"}, {"orders": [row(START_US)]}
    assert plan.falsify_answer("cancel", answer, START_US) == answer
    assert plan.falsify_listing("orders", page, START_US) == page
    assert plan.falsify_account("balance", {"balance": 1}, START_US) == {"balance": 1}
    assert plan.falsify_frame("fill", b"{}", START_US) == (b"{}",)
    assert plan.falsified_orders == set()


async def test_a_client_is_lied_to_and_hears_the_truth_later(autojump_clock: MockClock) -> None:
    """What is said of an order may be wrong in every answer and listing; 20 s after its last change listings are as the
    exchange's own books are."""
    faults = LieFaults(answers_per_mille=ALWAYS, listings_per_mille=ALWAYS)
    async with scene(FaultProfile(lies=faults)) as s:
        order = s.order(count_e2=700)
        answer = await s.client.place(order)
        (there,) = s.account.orders
        if isinstance(answer, Placed):
            assert (answer.order_id, answer.filled_e2, answer.remaining_e2) != (there.order_id, 0, 700)
        else:
            assert isinstance(answer, Unknown)
        assert s.plan.falsified_orders == {there.order_id}
        await trio.sleep(20)
        (listed,) = (await s.client.fetch_orders()).orders
        assert (listed.order_id, listed.status, listed.price_e4) == (there.order_id, "resting", price("0.40"))
        assert (listed.count_e2, listed.filled_e2) == (CountE2(700), count("0"))


async def test_a_client_is_told_of_positions_that_are_not_held(autojump_clock: MockClock) -> None:
    """What is read of the account is false while the exchange lies, and its own books stay true."""
    async with scene(FaultProfile(lies=LieFaults(account_per_mille=ALWAYS))) as s:
        await s.client.place(s.order("0.50"))
        held = s.account.positions[TICKER].count_e2
        assert [each.count_e2 for each in await s.client.fetch_positions()] != [held]
        assert (await s.client.fetch_balance()).available_e6 != s.account.cash_e6
        s.plan.stop(s.clock.now_us())
        assert [each.count_e2 for each in await s.client.fetch_positions()] == [held] == [300]


async def test_reads_or_writes_are_dead_for_long(autojump_clock: MockClock) -> None:
    """Each is answered 503 and nothing is done, while the other lives."""
    for channel in ("dead reads", "dead writes"):
        episode = Episode(every_ms=20_000, for_ms=60_000)
        reads = channel == "dead reads"
        faults = ExchangeFaults(dead_reads=episode) if reads else ExchangeFaults(dead_writes=episode)
        async with scene(FaultProfile(exchange=faults)) as s:
            await until_seen(s, channel)
            assert isinstance(await s.client.place(s.order()), Placed if reads else Unknown)
            assert len(s.known) == reads
            if reads:
                with pytest.raises(VenueUnavailable):
                    await s.client.fetch_orders()
            else:
                assert (await s.client.fetch_orders()).orders == ()


@pytest.mark.parametrize("fault", ["silent account", "silent stream"])
async def test_the_stream_is_silent_for_long(autojump_clock: MockClock, fault: str) -> None:
    """The connection lives; of the account's own orders no frame comes, of the market none only if all is silent."""
    episode = Episode(every_ms=20_000, for_ms=60_000)
    silent = fault == "silent account"
    faults = ExchangeFaults(silent_account=episode) if silent else ExchangeFaults(silent_stream=episode)
    async with scene(FaultProfile(exchange=faults)) as s, s.watched() as watcher:
        await until_seen(s, fault)
        assert isinstance(await s.client.place(s.order()), Placed)
        await trio.sleep(5)
        assert watcher.orders == []
        assert (price("0.40") in watcher.book.yes) == silent
