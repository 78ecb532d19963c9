"""A key that is replaced at the exchange: a daemon goes on with the one that its configuration names then."""

from __future__ import annotations

from pathlib import Path

import trio

from fsm_exec.core.values.units import MoneyE6
from tests.cli.daemons import command, serve, show, status, submit, until
from tests.cli.exchange import TICKER, site


async def test_a_daemon_goes_on_with_the_new_key(tmp_path: Path) -> None:
    """While the old one is refused nothing ends; the new one's file and id are found without a restart, said in one
    line, and the execution is filled by it. A key file that cannot be read is said once."""
    async with site(tmp_path) as made:
        daemon = await serve(made)
        first = await submit(made, price="0.30", horizon="600")
        old = made.api_key_id
        made.gate.revoke_key(old)
        await until(lambda: "signature" in (tmp_path / "engine.sqlite.log").read_text(encoding="utf-8"))
        assert (await status(made)).state == "degraded"
        new = made.gate.create_key(made.account, "ed25519")
        made.write_config(api_key_id=new.api_key_id, private_key_path="new.pem")
        await until(lambda: "no other can be used" in daemon.err)
        new.write_private_key(tmp_path / "new.pem")
        await until(lambda: "going on with" in daemon.err)
        while (await status(made)).state != "running":  # noqa: ASYNC110 - another process is waited for
            await trio.sleep(0.1)
        assert daemon.err.count(f"the key {old}: going on with {new.api_key_id}, as configured") == 1
        assert daemon.err.count("no other can be used") == 1
        assert (await show(made, first.execution_id)).execution.state == "walking"
        second = await submit(made, price="0.60", quantity="5")
        await until(lambda: any(order.filled_e2 == 500 for order in made.exchange.orders.values()))
        while (await show(made, second.execution_id)).execution.state != "filled":  # noqa: ASYNC110 - the same
            await trio.sleep(0.1)
        assert await daemon.end() == 0


async def test_a_key_of_another_account_is_not_used(tmp_path: Path) -> None:
    """The exchange does not show it the orders of the database: that is said once, nothing is sent with it, and a key
    of the right account is still taken afterwards."""
    async with site(tmp_path) as made:
        daemon = await serve(made)
        first = await submit(made, price="0.30", horizon="600")
        while (await show(made, first.execution_id)).execution.state != "walking":  # noqa: ASYNC110 - the same
            await trio.sleep(0.1)
        other, foreign = made.gate.open_account(MoneyE6(1_000_000_000), "ed25519")
        foreign.write_private_key(tmp_path / "foreign.pem")
        made.write_config(api_key_id=foreign.api_key_id, private_key_path="foreign.pem")
        made.gate.revoke_key(made.api_key_id)
        # It notices when it next asks; refused or not, by then it has.
        asked = ("--method", "simple_limit", "--target-price", "0.31", "--horizon", "600")
        await command(made, "submit", TICKER, "yes", "5", *asked)
        await until(lambda: "is of another account" in daemon.err)
        await trio.sleep(6)  # it looks again, and says no more
        assert daemon.err.count("is of another account") == 1
        assert "going on with" not in daemon.err
        assert not [order for order in made.exchange.orders.values() if order.account_id == other.account_id]
        new = made.gate.create_key(made.account, "ed25519")
        new.write_private_key(tmp_path / "new.pem")
        made.write_config(api_key_id=new.api_key_id, private_key_path="new.pem")
        await until(lambda: f"going on with {new.api_key_id}" in daemon.err)
        while (await status(made)).state != "running":  # noqa: ASYNC110 - another process is waited for
            await trio.sleep(0.1)
        assert (await show(made, first.execution_id)).execution.state == "walking"
        assert await daemon.end() == 0
