"""What `serve` keeps of the markets it works in, as a process that is killed, and what `fork` makes of it."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

import trio

from fsm_exec.core.values.units import CountE2, parse_count, parse_price
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Trade
from fsm_exec.recordings.kept import KeptTape, find_kept_tapes, tapes_directory
from tests.cli.daemons import command, serve, states, submit, until
from tests.cli.exchange import TICKER, Site, site


def kept(directory: Path) -> list[KeptTape]:
    return find_kept_tapes(tapes_directory(directory / "engine.sqlite"), TICKER)


def move(at: Site, contracts: int) -> None:
    at.exchange.apply(TICKER, BookDelta("yes", parse_price("0.43"), CountE2(contracts * 100)))


async def test_a_kill_leaves_a_tape_that_reads_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """SIGKILL while frames come: what came two seconds before is read, from before the execution on; the next process
    keeps the same market in another file, whole after SIGTERM; all of it is its owner's alone."""
    async with site(tmp_path) as at:
        first = await serve(at)
        await submit(at, "--key", "mine")
        await until(lambda: len(kept(tmp_path)) == 1)
        for contracts in range(1, 6):
            move(at, contracts)
        await trio.sleep(4)
        first.process.kill()
        await first.process.wait()
        (left,) = kept(tmp_path)
        assert not left.is_whole
        events = [change for _, change in read_tape(left.path).events]
        assert isinstance(events[0], BookSnapshot)
        assert [change.delta_e2 for change in events if isinstance(change, BookDelta) and change.delta_e2 < 600] == [
            CountE2(contracts * 100) for contracts in range(1, 6)
        ]
        second = await serve(at, name="second")
        await until(lambda: len(kept(tmp_path)) == 2)
        move(at, 6)
        await trio.sleep(1)
        assert await second.end() == 0
    old, new = kept(tmp_path)
    assert (old.path, old.is_whole, new.is_whole) == (left.path, False, True)
    assert len(read_tape(new.path).events) >= 2
    assert {stat.S_IMODE(tape.path.stat().st_mode) for tape in (old, new)} == {0o600}


async def test_a_live_execution_is_worked_again_by_other_methods(tmp_path: Path) -> None:
    """An order that rested and was hit: fork says that its method does the same again, and what one that takes would
    have cost; where nothing was kept it is one line and exit 2, where it is another market's book exit 1."""
    async with site(tmp_path) as at:
        daemon = await serve(at)
        accepted = await submit(at, "--worst-price", "0.56", quantity="20", price="0.45", horizon="12")
        await trio.sleep(3)
        move(at, 3)
        at.exchange.apply(TICKER, Trade("no", parse_price("0.45"), parse_count("14")))
        at.exchange.apply(TICKER, BookDelta("yes", parse_price("0.45"), CountE2(-1_000)))
        await until(lambda: states(tmp_path / "engine.sqlite").get(accepted.execution_id) in ("filled", "cancelled"))
        assert await daemon.end(signal.SIGTERM) == 0
        arguments = (
            "fork",
            accepted.execution_id,
            "--db",
            tmp_path / "engine.sqlite",
            "--methods",
            "marketable,join_bid",
        )
        done = await command(at, *arguments, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)
        assert found["reproduced"] is True
        really, again, marketable, _ = found["outcomes"]
        assert (really["filled"], again["filled"], marketable["taken"]) == ("4.00", "4.00", "10.00")
        assert again["fills"]["queue"] == "4.00"
        assert float(marketable["cost_cents"]) > float(really["cost_cents"])
        shown = await command(at, *arguments)
        assert shown.returncode == 0
        assert shown.stdout.startswith("reproduced: simple_limit@1 asks for the same")
        assert "queue 4.00" in shown.stdout  # the last column: nothing is cut, however wide
        assert "…" not in shown.stdout
        for tape in kept(tmp_path):
            tape.path.unlink()
        missing = await command(at, *arguments)
        assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (2, "", 1)
        assert "was kept" in missing.stderr
