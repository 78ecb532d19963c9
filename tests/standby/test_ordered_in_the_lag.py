"""Two hosts, a real Litestream, processes killed: what a person ordered in the lag holds after the takeover."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.cli.daemons import live_orders, until
from tests.cli.exchange import Site, site
from tests.standby.hosts import Started, pair_of


async def test_a_cancel_and_a_halt_that_no_copy_has_hold_after_the_takeover(tmp_path: Path) -> None:
    """Litestream dies, one of two executions is cancelled, the host dies: the standby works the other one alone, and
    says so. Then the same the other way round with a halt, told to the living engine, and with one that is ordered on
    the dead host: the next leader begins halted, and never places anything."""
    async with site(tmp_path) as at:
        first, second = pair_of(at)
        engine = await first.serve()
        copier = await first.replicate()
        kept, ended = await engine.submit("kept"), await engine.submit("ended", "7")
        await until(lambda: len(live_orders(at)) == 2)
        follower = await second.follow(first.replica)
        await follower.wait_line(b'"executions":2')
        copier.kill()
        await copier.wait()
        told = await engine.ask(lambda client: client.cancel(ended.execution_id))
        assert told.not_noted == []
        before = live_orders(at)
        await first.die()
        await follower.wait_ready()
        await until(lambda: len(live_orders(at)) == 1 and live_orders(at) != before)
        assert await state_of(follower, kept.execution_id) == "working"
        assert await state_of(follower, ended.execution_id) == "ended"
        assert ended.execution_id in await losses(follower)
        ordered = orders_so_far(at)

        copier = await second.replicate()
        again = await first.follow(second.replica, name="again")
        await again.wait_line(b'"executions":2')
        copier.kill()
        await copier.wait()
        assert (await follower.ask(lambda client: client.halt())).not_noted == []
        await second.die()
        halt = await second.start("halt", "halt", "--config", at.config)
        assert await halt.wait_end() == 1
        assert (halt.said.count("\n"), "the halt is noted" in halt.said) == (1, True), halt.said
        await again.wait_ready()
        with trio.fail_after(60):
            while (await again.status()).state != "halted":  # noqa: ASYNC110 - another process becomes it
                await trio.sleep(0.1)
        await until(lambda: not live_orders(at))
        assert "halt of" in await losses(again)
        assert orders_so_far(at) == ordered
        assert (await again.ask(lambda client: client.resume())).state == "running"
        assert len(list(first.directory.glob("engine.sqlite.before-term-?"))) == 1
        await first.die()


def orders_so_far(at: Site) -> int:
    return len(at.exchange.orders)


async def losses(of: Started) -> str:
    """What it says that was lost, once it says something."""
    with trio.fail_after(60):
        while not (said := (await of.status()).losses):  # noqa: ASYNC110 - another process says it
            await trio.sleep(0.1)
    return "; ".join(said)


async def state_of(at: Started, execution_id: str) -> str:
    """Whether an execution is at work or over, once it is either."""
    with trio.fail_after(60):
        while True:
            state = (await at.ask(lambda client: client.show(execution_id))).execution.state
            if state == "cancelled":
                return "ended"
            if state == "walking":
                return "working"
            await trio.sleep(0.1)
