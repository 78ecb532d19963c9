"""`fsm-exec watch` over daemons that die: it finds the next one and goes on, with every row once."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import msgspec
import trio

from fsm_exec.control.schema import Transition
from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from tests.cli.daemons import END_S, Serve, serve, status, submit, until
from tests.cli.exchange import TICKER, Site, site
from tests.cli.support import COMMAND, environment

BACK_S = 60  # a watch tries again every 5 s at the latest, on however busy a machine


async def watching(at: Site, name: str, *arguments: str) -> trio.Process:
    with (at.directory / f"{name}.out").open("wb") as out, (at.directory / f"{name}.err").open("wb") as err:
        process: trio.Process = await trio.lowlevel.open_process(
            [*COMMAND, "watch", "--json", *arguments],
            cwd=at.directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    at.processes.append(process)
    return process


def steps_in(at: Site, name: str) -> list[Transition]:
    lines = (at.directory / f"{name}.out").read_bytes().splitlines(keepends=True)
    return [msgspec.json.decode(line, type=Transition) for line in lines if line.endswith(b"\n")]


def positions(database: Path) -> list[int]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return [position for (position,) in connection.execute("SELECT position FROM execution_events ORDER BY 1")]


async def begun(at: Site, name: str) -> None:
    """It listens: what was said of an execution's beginning has come."""
    await until(lambda: bool(steps_in(at, name)))


async def test_every_row_once_over_daemons_that_are_killed(tmp_path: Path) -> None:
    """Two watches, of all and of one. Three times the daemon is killed with fills on their way, and started again on
    another port. Both say so in one line each time, and end with what an uninterrupted one has, fills included."""
    async with site(tmp_path) as at:
        database = at.directory / "engine.sqlite"
        daemon = await serve(at)
        first = (await submit(at, quantity="200", price="0.46", horizon="300")).execution_id
        every = await watching(at, "every", "--after", "0")
        one = await watching(at, "one", first, "--after", "0")
        await begun(at, "every")
        await begun(at, "one")
        urls = {daemon.ready.control_url}
        for life in range(3):
            await submit(at, quantity="3")
            asks = tuple((parse_price("0.54"), parse_count(count)) for count in ("4",))  # sells to us at 0.46
            at.exchange.apply(TICKER, BookSnapshot(((parse_price("0.40"), parse_count("10")),), asks))
            await trio.sleep(0.02 * life)
            daemon.process.kill()
            await daemon.process.wait()
            daemon = await serve(at, name=f"serve{life}")
            urls.add(daemon.ready.control_url)
            await caught_up(at, daemon, database)
            await both_are_back(at)
        await submit(at, quantity="5")
        await caught_up(at, daemon, database)
        assert len(urls) == 4, "another port each time"
        assert await cancel(at, first) == 0
        with trio.fail_after(END_S):
            assert await one.wait() == 0
        await caught_up(at, daemon, database)
        every.send_signal(signal.SIGINT)
        with trio.fail_after(END_S):
            assert await every.wait() == 130
        for name in ("every", "one"):
            said = list(filter(None, (at.directory / f"{name}.err").read_text(encoding="utf-8").splitlines()))
            losses = [line for line in said if "is gone; going on after row" in line]
            assert len(losses) == 3, said
            assert said in (losses, [*losses, "fsm-exec: interrupted"])
        whole = steps_in(at, "every")
        assert [step.position for step in whole] == positions(database)
        assert steps_in(at, "one") == [step for step in whole if step.execution_id == first]
        assert sum(len(step.fills) for step in whole) == fills(database) >= 1
        await daemon.end()


async def caught_up(at: Site, daemon: Serve, database: Path) -> None:
    """The watch of all has the newest row there is."""
    assert daemon.process.poll() is None, daemon.err
    await until(lambda: steps_in(at, "every")[-1].position == positions(database)[-1])


async def both_are_back(at: Site) -> None:
    """A watch that had not found the new daemon yet would not notice that it goes."""
    with trio.fail_after(BACK_S):
        while (await status(at)).watchers < 2:  # noqa: ASYNC110 - other processes are waited for
            await trio.sleep(0.1)


async def cancel(at: Site, execution_id: str) -> int:
    done = await trio.run_process(
        [*COMMAND, "cancel", execution_id], cwd=at.directory, env=environment(), capture_stdout=True
    )
    code: int = done.returncode
    return code


def fills(database: Path) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM fills").fetchone()
    return int(count)


async def test_it_does_not_go_on_with_another_database(tmp_path: Path) -> None:
    """Its rows are others. And where no daemon runs at all there is nothing to wait for."""
    async with site(tmp_path) as at:
        alone = await watching(at, "alone")
        with trio.fail_after(END_S):
            assert await alone.wait() == 1
        daemon = await serve(at, "--config", at.config, "--db", at.directory / "one.sqlite", "--port", "0")
        port = daemon.ready.control_url.rpartition(":")[2]
        accepted = await submit(at)
        watch = await watching(at, "watch", "--after", "0", "--url", daemon.ready.control_url)
        await begun(at, "watch")
        assert await daemon.end() == 0
        other = await serve(at, "--config", at.config, "--db", at.directory / "two.sqlite", "--port", port, name="two")
        with trio.fail_after(END_S):
            assert await watch.wait() == 2
        said = (at.directory / "watch.err").read_text(encoding="utf-8").splitlines()
        assert len(said) == 2
        assert "another database" in said[1]
        assert {step.execution_id for step in steps_in(at, "watch")} == {accepted.execution_id}
        await other.end()


async def test_it_can_be_interrupted_while_it_waits(tmp_path: Path) -> None:
    """The daemon has stopped in good order and nobody starts it again: said in one line, once, and Ctrl-C is 130."""
    async with site(tmp_path) as at:
        daemon = await serve(at)
        await submit(at)
        watch = await watching(at, "watch", "--after", "0")
        await begun(at, "watch")
        assert await daemon.end() == 0
        said = at.directory / "watch.err"
        await until(lambda: said.read_text(encoding="utf-8").endswith("as soon as it runs\n"))
        await trio.sleep(1)  # it tries more than once
        watch.send_signal(signal.SIGINT)
        with trio.fail_after(END_S):
            assert await watch.wait() == 130
        lines = [line for line in said.read_text(encoding="utf-8").splitlines() if line]
        assert len(lines) == 2, lines
        assert lines[0].startswith("fsm-exec: the daemon stops; going on after row ")
        assert lines[1] == "fsm-exec: interrupted"
