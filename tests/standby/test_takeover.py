"""Two hosts, a real Litestream, processes killed: the standby takes over; nothing is doubled, orphaned or lost."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.core.errors import ExecError
from tests.cli.daemons import live_orders, until
from tests.cli.exchange import Site, site
from tests.standby.hosts import PAIR, pair_of

TAKER_PRICE = "0.53"


def filled_e2(at: Site) -> int:
    return sum(order.filled_e2 for order in at.exchange.orders.values())


async def test_a_host_that_dies_is_taken_over_by_itself(tmp_path: Path) -> None:
    """SIGKILL of the engine and its Litestream: once the lease has run out the standby has both executions, the order
    that rested is ended and placed again once, what was bought is not bought again; the old engine refuses to start
    beside it."""
    async with site(tmp_path) as at:
        first, second = pair_of(at)
        engine = await first.serve()
        await first.replicate()
        resting = await engine.submit("rests")
        await engine.submit("takes", "5", TAKER_PRICE)
        await until(lambda: len(live_orders(at)) == 1 and filled_e2(at) == 500)
        (before,) = live_orders(at)
        follower = await second.follow(first.replica)
        await follower.wait_line(b'"executions":2')
        at.write_config(standby={**PAIR, "lease": (tmp_path / "share").as_uri(), "replica": first.replica.as_uri()})
        doctor = await second.start("doctor", "doctor", "--standby", "--json", "--config", at.config)
        assert await doctor.wait_end() == 0, doctor.out.read_text()
        checks = {check["name"]: check for check in msgspec.json.decode(doctor.out.read_bytes())["checks"]}
        named = ("lease", "leader", "pair", "clocks", "litestream", "replica")
        assert [checks[name]["verdict"] for name in named] == ["ok"] * 6, checks
        await first.die()
        ready, was = await follower.wait_ready(), engine.ready()
        assert was is not None
        assert ready.instance != was.instance
        assert ready.restored == 1
        await until(lambda: len(live_orders(at)) == 1 and before not in live_orders(at))
        assert filled_e2(at) == 500
        again = await follower.submit("rests")
        assert (again.execution_id, again.is_new) == (resting.execution_id, False)
        newer = await follower.submit("newer")
        assert newer.execution_id not in ("e000001", "e000002", "e000003")
        assert "lost" not in follower.said
        old = await first.start("again", "serve", "--json", "--no-page", "--config", at.config, "--db", first.database)
        assert await old.wait_end() == 1
        assert (old.said.count("\n"), "names another engine" in old.said) == (1, True)
        follower.process.send_signal(signal.SIGTERM)
        assert await follower.wait_end() == 0
        assert live_orders(at) == []


async def test_a_living_engine_is_replaced_by_command(tmp_path: Path) -> None:
    """--take-over beside a living engine: that one stops by itself, exit code 1 and one line, and of its orders none is
    live; the new one works its executions."""
    async with site(tmp_path) as at:
        first, second = pair_of(at)
        engine = await first.serve()
        await first.replicate()
        await engine.submit("rests")
        await until(lambda: len(live_orders(at)) == 1)
        (before,) = live_orders(at)
        follower = await second.follow(first.replica)
        await follower.wait_line(b'"executions":1')  # the replica has it: nothing is lost in the lag
        follower.process.send_signal(signal.SIGTERM)
        await follower.wait_end()
        taker = await second.follow(first.replica, "--take-over", name="taker")
        await taker.wait_ready()
        assert await engine.wait_end() == 1
        assert "has taken over, in term 2" in engine.said
        await until(lambda: len(live_orders(at)) == 1 and before not in live_orders(at))
        assert (await taker.status()).unfinished == 1
        await first.die()
        await second.die()


async def test_what_the_lag_lost_is_reported_by_key_and_not_worked_twice(tmp_path: Path) -> None:
    """Litestream dies first, then something is bought and something rests, then the host dies: the standby says both
    keys and what they bought, ends what rests, and refuses either key used again; another key is worked."""
    async with site(tmp_path) as at:
        first, second = pair_of(at)
        engine = await first.serve()
        copier = await first.replicate()
        await engine.submit("kept")
        follower = await second.follow(first.replica)
        await follower.wait_line(b'"executions":1')
        copier.kill()
        await copier.wait()
        bought = await engine.submit("bought", "5", TAKER_PRICE)
        await engine.submit("rested", "7")
        await until(lambda: len(live_orders(at)) == 2 and filled_e2(at) == 500)
        await first.die()
        await follower.wait_ready()
        await until(lambda: len(live_orders(at)) == 1)
        status = await follower.status()
        with trio.fail_after(60):
            while len(by_key := {line.split("'")[1]: line for line in status.losses if "key '" in line}) < 2:
                status = await follower.status()
                await trio.sleep(0.1)
        assert "5.00 contracts of it were bought" in by_key["bought"]
        assert "0.00 contracts of it were bought" in by_key["rested"]
        assert bought.execution_id in by_key["bought"]
        for key in ("bought", "rested"):
            with pytest.raises(ExecError, match="lost with the other host"):
                await follower.submit(key)
        newer = await follower.submit("newer", "5")
        assert newer.execution_id != bought.execution_id
        assert filled_e2(at) == 500
        await second.die()


async def test_a_standby_started_again_where_its_engine_led_goes_on_with_its_own_database(tmp_path: Path) -> None:
    """The replica stands still while the engine goes on, then the engine is killed and a supervisor starts the standby
    in its place: no older copy replaces the database, and nothing is lost."""
    async with site(tmp_path) as at:
        host, _ = pair_of(at)
        engine = await host.serve()
        copier = await host.replicate()
        await engine.submit("rests")
        await until(lambda: any(host.replica.rglob("*.ltx")))
        replica = host.replica
        copier.kill()
        await copier.wait()
        await engine.submit("newer", "7")
        await until(lambda: len(live_orders(at)) == 2)
        was, before = engine.ready(), live_orders(at)
        await host.die()
        again = await host.follow(replica)
        ready = await again.wait_ready()
        assert was is not None
        assert (ready.instance, ready.restored) == (was.instance, 2)
        assert (await again.status()).losses == []
        assert live_orders(at) == before
        assert not list(host.directory.glob("*.before-term-*"))
        await host.die()
