"""What every store keeps to, whichever lane it runs in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec.structs import replace

from fsm_exec.core.costs.rows import MarkoutRow
from fsm_exec.core.errors import SaveRefused, StoreFailed
from fsm_exec.core.journal.rows import FillGone
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.store_port import Store
from fsm_exec.core.values.units import LINEAR_CENT
from fsm_exec.store.batch import write_batch
from fsm_exec.store.files.locks import LockHeld
from fsm_exec.store.writer import BATCH_JOBS_MAX

if TYPE_CHECKING:
    from tests.store.conftest import OpenStore, Samples

SAVERS = 200


async def test_what_was_saved_is_read_back_byte_for_byte(open_store: OpenStore, samples: Samples) -> None:
    """Snapshots, events and intents come back as the very bytes that were handed in, times as the same microsecond."""
    first = samples.save(seq=1, snapshot=b'{ "spaces": [1 ,2] }', event=b'{"e":"\xc3\xa9\\u0000"}')
    async with open_store() as store:
        port: Store = store  # the protocol is met, as the type checker sees
        await port.save(first)
        (held,) = await port.load_executions()
        assert (held.execution_id, held.state, held.quarantine, held.snapshot) == (
            "e1",
            "walking",
            None,
            first.snapshot,
        )
        assert await port.load_journal("e1") == [first.journal]
        assert await port.load_metrics("e1") is None
        assert await port.load_journal("nobody") == []


async def test_an_execution_moves_one_step_at_a_time(open_store: OpenStore, samples: Samples) -> None:
    """A step that is not the one after the last is refused, and leaves the execution as it was."""
    async with open_store() as store:
        with pytest.raises(SaveRefused):
            await store.save(samples.save(seq=2))
        await store.save(samples.save(seq=1))
        await store.save(samples.save(seq=2, snapshot=b"2"))
        for seq in (1, 2, 4):
            with pytest.raises(SaveRefused):
                await store.save(samples.save(seq=seq, snapshot=b"bad"))
        assert [e.snapshot for e in await store.load_executions()] == [b"2"]
        assert [row.seq for row in await store.load_journal("e1")] == [1, 2]


async def test_parts_of_a_snapshot_go_with_its_head(open_store: OpenStore, samples: Samples) -> None:
    """They come with the save that writes them, change, go and are cleared with it; a save that is refused, also for a
    part that is not there, leaves head and parts as they were; and nobody else's are touched."""
    one, two, other = samples.part("0"), samples.part("1.fills.0"), samples.part("0", "changed")
    async with open_store() as store:
        await store.save(samples.save("e2", parts=(one,)))
        await store.save(samples.save(seq=1, parts=(one, two)))
        for seq, save, expected in (
            (2, samples.save(seq=2, parts=(other,)), {other, two}),
            (3, samples.save(seq=3, gone_parts=("0",)), {two}),
            (4, samples.save(seq=4, parts=(one,), gone_parts=("1.fills.0",)), {one}),
            (4, samples.save(seq=4, parts=(two,)), {one}),
            (4, samples.save(seq=5, snapshot=b"bad", parts=(two,), gone_parts=("1.fills.0",)), {one}),
            (5, samples.save(seq=5, clears_parts=True, parts=(two,)), {two}),
            (6, samples.save(seq=6, clears_parts=True), set()),
        ):
            try:
                await store.save(save)
            except SaveRefused:
                assert len(await store.load_journal("e1")) == seq
            held = await store.load_execution("e1")
            assert held is not None
            assert set(held.parts) == expected
            assert held.snapshot != b"bad"
            assert len(await store.load_journal("e1")) == seq
        (second,) = [held for held in await store.load_executions() if held.execution_id == "e2"]
        assert second.parts == (one,)


async def test_of_two_writers_of_one_execution_one_is_refused(open_store: OpenStore, samples: Samples) -> None:
    """Two tasks that decided from the same snapshot cannot both be saved, even in one group."""
    refused = []

    async def save(store: Store, snapshot: bytes) -> None:
        try:
            await store.save(samples.save(seq=2, snapshot=snapshot))
        except SaveRefused:
            refused.append(snapshot)

    async with open_store() as store:
        await store.save(samples.save(seq=1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(save, store, b"one")
            nursery.start_soon(save, store, b"two")
        (held,) = await store.load_executions()
        assert {held.snapshot, *refused} == {b"one", b"two"}
        assert len(await store.load_journal("e1")) == 2


async def test_two_engines_on_one_file_are_fenced(open_file_store: OpenStore, samples: Samples, database: Path) -> None:
    """The second cannot even open it; and should somebody write past the lock, the second writer of a step is
    refused."""
    async with open_file_store() as one:
        with pytest.raises(LockHeld):
            async with open_file_store():
                pass
        await one.save(samples.save(seq=1))
        with closing(sqlite3.connect(database, isolation_level=None)) as past_the_lock:
            assert write_batch(past_the_lock, [samples.save(seq=2)]) == [None]
            with pytest.raises(SaveRefused):
                await one.save(samples.save(seq=2))
            await one.save(samples.save(seq=3))
            assert write_batch(past_the_lock, [samples.save(seq=3)]) != [None]


async def test_many_saves_share_a_commit(open_store: OpenStore, samples: Samples) -> None:
    """Two hundred tasks that save at once take a handful of commits, and each row is there when its save returns."""
    async with open_store() as store:

        async def save(number: int) -> None:
            await store.save(samples.save(f"e{number}"))
            assert len(await store.load_journal(f"e{number}")) == 1

        async with trio.open_nursery() as nursery:
            for number in range(SAVERS):
                nursery.start_soon(save, number)
        statistics = store.statistics()
        assert statistics.jobs == SAVERS
        assert statistics.batches <= 5
        assert statistics.largest_batch_jobs > SAVERS // 5
        assert sum(size * times for size, times in statistics.batch_sizes) == SAVERS


async def test_a_wave_is_cut_into_groups(open_store: OpenStore, samples: Samples) -> None:
    """No commit holds more than BATCH_JOBS_MAX jobs, and everybody gets through."""
    async with open_store() as store:
        async with trio.open_nursery() as nursery:
            for number in range(3 * BATCH_JOBS_MAX):
                nursery.start_soon(store.save, samples.save(f"e{number}"))
        assert store.statistics().largest_batch_jobs <= BATCH_JOBS_MAX
        assert len(await store.load_executions()) == 3 * BATCH_JOBS_MAX


@pytest.mark.parametrize(
    "bad",
    [
        {"state": "nonsense"},
        {"state": "filled"},  # an end without a reason
        {"reason": "because"},
        {"snapshot": b"\xff\xfe"},  # no UTF-8
        {"seq": 2},
        {"seq": 10**30},
    ],
    ids=str,
)
async def test_one_bad_row_fails_alone(open_store: OpenStore, samples: Samples, bad: dict[str, Any]) -> None:
    """Of a group with one row the database refuses, all others are stored; the store goes on."""
    refused: list[str] = []
    async with open_store() as store:

        async def save(number: int) -> None:
            try:
                await store.save(samples.save(f"e{number}", **(bad if number == 7 else {})))
            except SaveRefused:
                refused.append(f"e{number}")

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(save, number)
        held = {e.execution_id for e in await store.load_executions()}
        assert refused == ["e7"]
        assert held == {f"e{number}" for number in range(20)} - {"e7"}
        assert await store.load_journal("e7") == []
        await store.save(samples.save("e7"))


async def test_a_refused_save_leaves_none_of_its_rows(open_store: OpenStore, samples: Samples) -> None:
    """A save whose fill is refused stores neither its snapshot nor its journal row nor its child."""
    async with open_store() as store:
        with pytest.raises(SaveRefused):
            await store.save(samples.save(children=(samples.child(),), fills=(samples.fill(client_order_id="other"),)))
        assert await store.load_executions() == []
        assert await store.load_journal("e1") == []


async def test_a_fill_is_counted_once(open_store: OpenStore, samples: Samples) -> None:
    """The same fill of the same order is refused a second time, in the same save or a later one, and so is the same
    trade under another name."""
    async with open_store() as store:
        await store.save(samples.save(seq=1, children=(samples.child(),), fills=(samples.fill("f1"),)))
        with pytest.raises(SaveRefused, match="UNIQUE"):
            await store.save(samples.save(seq=2, fills=(samples.fill("f1"),)))
        with pytest.raises(SaveRefused, match="UNIQUE"):
            await store.save(samples.save(seq=2, fills=(samples.fill("f2"), samples.fill("f2"))))
        await store.save(samples.save(seq=2, fills=(replace(samples.fill("f2"), trade_id="t2"),)))
        with pytest.raises(SaveRefused, match="UNIQUE"):
            await store.save(samples.save(seq=3, fills=(replace(samples.fill("f3"), trade_id="t2"),)))


async def test_a_fill_is_corrected_in_its_place_and_taken_back_whole(open_store: OpenStore, samples: Samples) -> None:
    """With what was measured of it; one that is not there, or another execution's, is refused."""
    async with open_store() as store:
        first = replace(samples.fill("f1"), trade_id="t1")
        await store.save(samples.save(seq=1, children=(samples.child(),), fills=(first,)))
        await store.save(samples.save(seq=2, corrected=(replace(first, quantity="4.00", listed_id="l1"),)))
        await store.save(samples.save("e2", seq=1, children=(samples.child(),)))
        with pytest.raises(SaveRefused):
            await store.save(samples.save("e2", seq=2, corrected=(first,)))
        (owner,) = (await store.load_owners([first.order_id])).values()
        assert [(row.fill_id, row.quantity, row.trade_id, row.listed_id) for row in owner.fills] == [
            ("f1", "4.00", "t1", "l1")
        ]
        await store.save_markouts([MarkoutRow(order_id="o1", fill_id="f1", horizon_s=1, mid="0.5", why=None)], 0)
        await store.save(samples.save(seq=3, gone=(FillGone("o1", "f1"),), fills=(samples.fill("f2"),)))
        (owner,) = (await store.load_owners([first.order_id])).values()
        assert [row.fill_id for row in owner.fills] == ["f2"]
        with pytest.raises(SaveRefused):
            await store.save(samples.save(seq=4, gone=(FillGone("o1", "f1"),)))


async def test_a_child_row_is_replaced_whole(open_file_store: OpenStore, samples: Samples, database: Path) -> None:
    """The last save of a child order is what the table shows, once."""
    async with open_file_store() as store:
        await store.save(samples.save(seq=1, children=(samples.child(state="intended"),)))
        await store.save(samples.save(seq=2, children=(samples.child(state="resting"),)))
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT state, updated_at FROM split_orders").fetchall()
    connection.close()
    assert rows == [("resting", "2023-04-10T18:00:00.000252Z")]


async def test_quarantine_is_a_mark_beside_the_state(open_store: OpenStore, samples: Samples) -> None:
    """A quarantined execution keeps its state and snapshot, stays unfinished, and later saves keep the mark."""
    async with open_store() as store:
        await store.save(samples.save(seq=1))
        await store.quarantine("e1", "three restarts in a minute", samples.at_us)
        await store.save(samples.save(seq=2))
        (held,) = await store.load_unfinished()
        assert (held.state, held.quarantine) == ("walking", "three restarts in a minute")
        with pytest.raises(SaveRefused):
            await store.quarantine("nobody", "why", samples.at_us)


async def test_unfinished_leaves_out_what_has_ended(open_store: OpenStore, samples: Samples) -> None:
    """Only executions in no terminal state are unfinished; all are listed, in the order of their ids."""
    async with open_store() as store:
        await store.save(samples.save("e3"))
        await store.save(samples.save("e1", state="filled", reason="completed"))
        await store.save(samples.save("e2", state="cancelled", reason="deadline"))
        assert [e.execution_id for e in await store.load_unfinished()] == ["e3"]
        assert [e.execution_id for e in await store.load_executions()] == ["e1", "e2", "e3"]


async def test_metrics_are_read_back_and_rewritten(open_store: OpenStore, samples: Samples) -> None:
    """The row comes back as it was saved, unknown values as None; a late fill may rewrite it."""
    async with open_store() as store:
        await store.save(samples.save())
        await store.save_metrics(samples.metrics(), samples.at_us)
        assert await store.load_metrics("e1") == samples.metrics()
        rewritten = samples.metrics(spread_e7=None, shortfall_e7=None)
        await store.save_metrics(rewritten, samples.at_us)
        assert await store.load_metrics("e1") == rewritten


@pytest.mark.parametrize("wrong", [{"shortfall_e7": 17}, {"spread_e7": None}], ids=str)
async def test_a_decomposition_that_does_not_add_up_is_refused(
    open_store: OpenStore, samples: Samples, wrong: dict[str, Any]
) -> None:
    """A shortfall that is not the sum of its parts, or has an unknown part, never reaches the table."""
    async with open_store() as store:
        await store.save(samples.save())
        with pytest.raises(SaveRefused, match="CHECK"):
            await store.save_metrics(samples.metrics(**wrong), samples.at_us)
        assert await store.load_metrics("e1") is None


async def test_markets_and_books_are_readable_with_sqlite3(
    open_file_store: OpenStore, samples: Samples, database: Path
) -> None:
    """A market is one row, updated in place; books add up; everything is text a person can read."""
    terms = MarketTerms(
        ticker="KXTEST-1",
        series="KXTEST",
        event="KXTEST-E",
        category="Sports",
        status="open",
        grid=LINEAR_CENT,
        fees=FeeTerms(taker_e10=700_000_000, maker_e10=0),
    )
    async with open_file_store() as store:
        await store.save_market(terms, samples.at_us)
        await store.save_market(terms, samples.at_us + 1)
        await store.save_book(samples.book())
        await store.save_book(samples.book())
    connection = sqlite3.connect(database)
    market = connection.execute("SELECT price_ranges, taker_fee_rate, updated_at FROM markets").fetchall()
    books = connection.execute("SELECT why, taken_at, yes_depth FROM order_book_snapshots").fetchall()
    connection.close()
    assert market == [
        ('[{"start":"0.0000","end":"1.0000","step":"0.0100"}]', "0.0700000000", "2023-04-10T18:00:00.000251Z")
    ]
    assert books == [("arrival", "2023-04-10T18:00:00.000250Z", '[["0.4900","5.00"]]')] * 2


async def test_what_was_saved_is_there_at_the_next_opening(open_file_store: OpenStore, samples: Samples) -> None:
    """Closing and opening keeps executions and the instance."""
    async with open_file_store() as store:
        await store.save(samples.save())
        instance = store.instance
    async with open_file_store() as store:
        assert store.instance == instance
        assert len(await store.load_unfinished()) == 1


async def test_a_closed_store_takes_nothing(open_store: OpenStore, samples: Samples) -> None:
    """Whoever still holds a closed store is told, and does not wait."""
    async with open_store() as store:
        pass
    with pytest.raises(StoreFailed, match="closed"):
        await store.save(samples.save())
    with pytest.raises(StoreFailed, match="closed"):
        await store.load_executions()


async def test_an_error_in_the_block_comes_out_as_it_was(open_store: OpenStore) -> None:
    """The store's context wraps no exception of its user's in a group."""
    with pytest.raises(KeyError):
        async with open_store():
            raise KeyError("mine")
