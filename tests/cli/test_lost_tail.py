"""The write-ahead log lost commits that were acknowledged: the next start says so, and nothing is named twice."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path

import msgspec

from fsm_exec.control.schema import Accepted
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.store.files.copy_mark import ATTRIBUTE
from tests.cli.daemons import command, listed, live_orders, serve, status, submit, until
from tests.cli.exchange import TICKER, Site, site

HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
CUTS = 7


def commits(log: bytes) -> list[int]:
    """Where each transaction ends."""
    (page_bytes,) = struct.unpack(">I", log[8:12])
    frame_bytes = FRAME_HEADER_BYTES + page_bytes
    ends = range(HEADER_BYTES + frame_bytes, len(log) + 1, frame_bytes)
    return [end for end in ends if struct.unpack(">I", log[end - frame_bytes + 4 : end - frame_bytes + 8]) != (0,)]


async def market_order(exchange: Site, key: str) -> Accepted:
    order = ("submit", TICKER, "yes", "5", "--cap", "0.62", "--horizon", "20", "--method", "market", "--key", key)
    done = await command(exchange, *order, "--json")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=Accepted)


def filled(exchange: Site, execution_id: str) -> int:
    return sum(
        order.filled_e2 for order in exchange.exchange.orders.values() if f"-{execution_id}-" in order.client_order_id
    )


async def test_lost_executions_are_said_cancelled_and_never_named_again(tmp_path: Path) -> None:
    """Of three executions two are lost, one of them resting, one filled: both are counted, what rests is cancelled,
    what was bought is said; their key is free again, and gets a new id."""
    async with site(tmp_path) as exchange:
        first = await serve(exchange)
        kept = await submit(exchange)
        await until(lambda: len(live_orders(exchange)) == 1)
        log = tmp_path / "engine.sqlite-wal"
        image = log.read_bytes()
        lost = await submit(exchange)
        bought = await market_order(exchange, "the-key")
        await until(lambda: len(live_orders(exchange)) == 2 and filled(exchange, bought.execution_id) == 500)
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
        log.write_bytes(image[: commits(image)[-1]])
        second = await serve(exchange, name="second")
        by_mark, by_orders = second.err.splitlines()
        assert "older than what it acknowledged: 2 executions and" in by_mark
        assert "2 orders of this database that it does not know" in by_orders
        assert "5.00 contracts of them filled" in by_orders
        assert (await status(exchange)).losses == [line.removeprefix("fsm-exec: ") for line in (by_mark, by_orders)]
        await until(lambda: all(f"-{kept.execution_id}-" in name for name in live_orders(exchange)))
        assert [one.execution_id for one in (await listed(exchange)).executions] == [kept.execution_id]
        again = await market_order(exchange, "the-key")
        assert again.execution_id not in (kept.execution_id, lost.execution_id, bought.execution_id)
        await until(lambda: filled(exchange, again.execution_id) == 500)
        assert await second.end() == 0
        third = await serve(exchange, name="third")  # nothing is missing any more
        assert "older" not in third.err
        assert await third.end() == 0


async def test_a_log_cut_at_any_commit_never_leads_to_a_name_used_twice(tmp_path: Path) -> None:
    """With the mark gone as well. At every cut the daemon runs, an execution whose order the database forgot is
    quarantined with that reason, the others go on, and no order is refused because its name exists."""
    async with site(tmp_path) as exchange:
        first = await serve(exchange)
        for _ in range(2):
            await submit(exchange)
        await until(lambda: len(live_orders(exchange)) == 2)
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
        database = tmp_path / "engine.sqlite"
        log = database.with_name("engine.sqlite-wal")
        kept, image, opened = database.read_bytes(), log.read_bytes(), os.getxattr(database, ATTRIBUTE)
        ends = commits(image)
        quarantined = 0
        for number, end in enumerate(ends[:: -max(1, len(ends) // CUTS)]):
            database.write_bytes(kept)
            log.write_bytes(image[:end])
            os.setxattr(database, ATTRIBUTE, opened)  # the very file of the first daemon
            database.with_name("engine.sqlite.acknowledged").unlink(missing_ok=True)
            daemon = await serve(exchange, name=f"cut-{number}")
            reasons = (await status(exchange)).quarantined
            assert all("which the database does not know" in why for why in reasons.values())
            quarantined += len(reasons)
            before = len(exchange.exchange.orders)
            await submit(exchange)
            await until(lambda before=before: len(exchange.exchange.orders) > before)  # type: ignore[misc]
            assert await daemon.end() == 0
            assert live_orders(exchange) == []
        names = [order.client_order_id for order in exchange.exchange.orders.values()]
        assert len(set(names)) == len(names)
        assert len({named.epoch for name in names if (named := parse_order_name(name)) is not None}) > CUTS, names
        assert quarantined > 0
        told = (tmp_path / "engine.sqlite.log").read_text(encoding="utf-8")
        assert "exists" not in told
