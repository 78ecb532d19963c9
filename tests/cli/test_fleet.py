"""`fsm-exec fleet`: several daemons in one table, whatever became of one of them; and each works its own subaccount."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fsm_exec.cli.daemon.fleet import FleetSeen
from fsm_exec.core.values.units import MoneyE6
from tests.cli.daemons import command, serve, states, until
from tests.cli.exchange import TICKER, Site, site
from tests.cli.invoking import invoke

TAKER_PRICE = "0.53"  # takes what is offered


def write_config(at: Site, path: Path, subaccount: int) -> Path:
    """A configuration of its own for one subaccount of the key."""
    text = at.config.read_text(encoding="utf-8")
    path.write_text(text.replace("environment", f"subaccount = {subaccount}\nenvironment", 1), encoding="utf-8")
    return path


async def test_one_engine_for_each_subaccount_and_all_in_one_table(tmp_path: Path) -> None:
    """Two daemons of one key run side by side, each on its own subaccount: what one buys the other does not hold, and a
    second engine on the same subaccount, or on a database of another one, does not start. The table has both, and one
    that was killed hides nothing of the other."""
    async with site(tmp_path) as at:
        numbered = at.exchange.open_subaccount(at.account, MoneyE6(1_000_000_000))
        config = write_config(at, tmp_path / "one.toml", 1)
        primary = await serve(at, "--config", at.config, "--db", tmp_path / "primary.sqlite", name="primary")
        first = await serve(at, "--config", config, "--db", tmp_path / "first.sqlite", name="first")

        bought = await command(
            at,
            *("submit", TICKER, "yes", "5", "--method", "simple_limit", "--target-price", TAKER_PRICE),
            *("--horizon", "60", "--url", first.ready.control_url),
        )
        assert bought.returncode == 0, bought.stderr
        await until(lambda: states(tmp_path / "first.sqlite") == {"e000001": "filled"})
        assert numbered.positions[TICKER].count_e2 == 500
        assert TICKER not in at.account.positions
        held = await command(at, "positions", "--json", "--url", primary.ready.control_url)
        assert '"positions": []' in held.stdout.replace("\n", ""), held.stdout

        third = await command(at, "serve", "--config", config, "--db", tmp_path / "third.sqlite")
        assert (third.returncode, "account of this key" in third.stderr) == (1, True), third.stderr

        seen = msgspec.json.decode((await command(at, "fleet", "--json")).stdout, type=FleetSeen)
        assert {one.name: one.status is not None for one in seen.daemons} == {"first": True, "primary": True}
        first.process.kill()
        await first.process.wait()
        other = await command(at, "serve", "--config", at.config, "--db", tmp_path / "first.sqlite")
        assert (other.returncode, other.stderr.count("\n")) == (1, 1), other.stderr
        gone = first.ready.control_url
        table = await command(at, "fleet", gone)
        assert table.returncode == 1
        lines = table.stdout.splitlines()
        assert any("primary" in line and "running" in line for line in lines), table.stdout
        assert any("NO ANSWER" in line and gone in line for line in lines), table.stdout
        assert any(line.startswith(f"{gone}: no daemon answers") for line in lines), table.stdout
        assert await primary.end() == 0


def test_the_configuration_names_daemons_elsewhere(tmp_path: Path) -> None:
    """A tunnel's end that nobody holds: a row under its name that says so, exit code 1."""
    (tmp_path / "token").write_text("t" * 40)
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "c.toml").write_text(
        'environment = "demo"\napi_key_id = "a"\nprivate_key_path = "k"\n'
        '[fleet.daemons.far]\nurl = "http://127.0.0.1:9"\ntoken_file = "token"\n'
    )
    done = invoke(tmp_path, "fleet", "--config", "c.toml", "--json")
    assert done.returncode == 1
    (one,) = msgspec.json.decode(done.stdout, type=FleetSeen).daemons
    assert (one.name, one.status) == ("far", None)
    assert one.why


def test_without_any_daemon_it_says_what_to_do(tmp_path: Path) -> None:
    """One line, exit code 2; an address that is none likewise."""
    for arguments, words in (((), "no daemon of this user runs here"), (("http://example.com",), "is not a daemon's")):
        done = invoke(tmp_path, "fleet", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
