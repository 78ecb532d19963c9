"""A pair whose record, notes and replica are in a bucket: real processes, real Litestream, a real S3 server."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import pytest
import trio

from tests.cli.daemons import live_orders, until
from tests.cli.exchange import site
from tests.standby.hosts import PAIR, WAIT_S, Host
from tests.standby.s3_server import S3Server


@pytest.mark.usefixtures("s3_environment")
async def test_a_pair_in_a_bucket(tmp_path: Path, store: S3Server) -> None:
    """The standby follows from the bucket, the doctor finds all sound, SIGKILL of the first host with its Litestream
    gives the second its executions by itself, what Litestream had not sent yet is lost by its key, and the old engine
    is refused beside it; with the server gone a start is refused by one line."""
    replica, lease = store.url("replica-a"), store.url("pair")
    async with site(tmp_path) as at:
        at.write_config(standby={**PAIR, "lease": lease, "replica": replica})
        first, second = (Host(tmp_path, name, at.config, at.processes) for name in ("first", "second"))
        engine = await first.serve()
        copier = await first.replicate(replica)
        resting = await engine.submit("rests")
        await until(lambda: len(live_orders(at)) == 1)
        follower = await second.follow(replica)
        await follower.wait_line(b'"executions":1')
        doctor = await second.start("doctor", "doctor", "--standby", "--json", "--config", at.config)
        assert await doctor.wait_end() == 0, doctor.out.read_text()
        checks = {check["name"]: check for check in msgspec.json.decode(doctor.out.read_bytes())["checks"]}
        named = ("lease", "leader", "pair", "clocks", "litestream", "replica")
        assert [checks[name]["verdict"] for name in named] == ["ok"] * 6, checks
        copier.kill()
        await copier.wait()
        await engine.submit("lost")
        await first.die()
        await follower.wait_ready()
        await until(lambda: len(live_orders(at)) == 1)
        again = await follower.submit("rests")
        assert (again.execution_id, again.is_new) == (resting.execution_id, False)
        with trio.fail_after(WAIT_S):
            while not any("key 'lost'" in line for line in (await follower.status()).losses):  # noqa: ASYNC110
                await trio.sleep(0.1)
        alone = ("serve", "--json", "--no-page", "--config", at.config, "--db", first.database)
        old = await first.start("again", *alone)
        assert await old.wait_end() == 1
        assert (old.said.count("\n"), "names another engine" in old.said) == (1, True)
        follower.process.send_signal(signal.SIGTERM)
        assert await follower.wait_end() == 0
        assert live_orders(at) == []
        store.process.kill()
        store.process.wait()
        refused = await first.start("refused", *alone)
        assert await refused.wait_end() == 1
        assert (refused.said.count("\n"), "s3://pair/pair cannot be used: Connection refused" in refused.said) == (
            1,
            True,
        )
