"""`fsm-exec serve` as a process, on an exchange that outlives it: killed, stopped, started twice, and steered."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import httpx
import msgspec
import trio

from fsm_exec.control.limits import BODY_BYTES_MAX
from fsm_exec.control.schema import Status, Transition
from tests.cli import daemons
from tests.cli.daemons import command, live_orders, refused, serve, show, states, status, submit, until
from tests.cli.exchange import TICKER, site
from tests.cli.support import assert_rows_agree, folded

TAKER_PRICE = "0.53"  # takes what is offered


async def test_what_was_accepted_survives_sigkill(tmp_path: Path) -> None:
    """Killed with an order resting and one execution filled: the next start takes the order up (one order, not two),
    a submission that is sent again under its key is the same execution, and the work goes on to its end."""
    async with site(tmp_path) as at:
        first = await serve(at)
        resting = await submit(at, "--key", "mine")
        filled = await submit(at, quantity="5", price=TAKER_PRICE)
        await until(lambda: states(tmp_path / "engine.sqlite").get(filled.execution_id) == "filled")
        await until(lambda: len(live_orders(at)) == 1)
        before = live_orders(at)
        first.process.kill()
        await first.process.wait()
        gone = await command(at, "list")
        assert (gone.returncode, gone.stdout, gone.stderr.count("\n")) == (1, "", 1)
        assert "fsm-exec serve" in gone.stderr

        second = await serve(at, name="second")
        assert (second.ready.restored, second.ready.quarantined, second.ready.state) == (1, 0, "running")
        assert second.ready.instance == first.ready.instance
        again = await submit(at, "--key", "mine")
        assert (again.execution_id, again.is_new) == (resting.execution_id, False)
        assert live_orders(at) == before
        assert (await command(at, "cancel", resting.execution_id)).returncode == 0
        await until(lambda: states(tmp_path / "engine.sqlite")[resting.execution_id] == "cancelled")
        assert live_orders(at) == []
        detail = await show(at, resting.execution_id)
        assert [order.client_order_id for order in detail.orders] == before
        assert await second.end() == 0
        executions = folded(tmp_path / "engine.sqlite")
        assert_rows_agree(tmp_path / "engine.sqlite", executions)
        assert [execution.state for execution in executions] == ["cancelled", "filled"]


async def test_sigterm_lets_it_rest_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """Live orders are cancelled, no execution is ended; with --on-stop leave they stay, and are adopted. Exit 0 both
    times, by SIGTERM and by Ctrl-C."""
    database = tmp_path / "engine.sqlite"
    arguments = ("--config", tmp_path / "config.toml", "--db", database, "--on-stop", "leave")
    async with site(tmp_path) as at:
        first = await serve(at)
        accepted = await submit(at)
        await until(lambda: len(live_orders(at)) == 1)
        assert await first.end(signal.SIGTERM) == 0
        assert (live_orders(at), states(database)[accepted.execution_id]) == ([], "walking")
        assert first.err == ""
        assert not (tmp_path / "engine.sqlite.lock").exists()

        second = await serve(at, *arguments, name="second")
        assert second.ready.restored == 1
        await until(lambda: len(live_orders(at)) == 1)
        left = live_orders(at)
        assert await second.end(signal.SIGINT) == 0
        assert live_orders(at) == left

        third = await serve(at, *arguments, name="third")
        assert third.ready.restored == 1
        assert live_orders(at) == left, "adopted, not placed again"
        halted = await command(at, "halt", "--json")
        assert msgspec.json.decode(halted.stdout, type=Status).state == "halted"
        await until(lambda: states(database)[accepted.execution_id] == "cancelled")
        assert live_orders(at) == []
        assert await third.end() == 0

        fourth = await serve(at, *arguments, name="fourth")
        assert fourth.ready.state == "halted", "a restart does not let go of the brake"
        no = await command(at, "submit", TICKER, "yes", "1", "--target-price", "0.30", "--horizon", "9")
        assert (no.returncode, "halted" in no.stderr) == (1, True)
        assert (await command(at, "resume")).returncode == 0
        assert (await submit(at)).is_new
        assert await fourth.end() == 0


async def test_under_nohup_it_outlives_its_terminal(tmp_path: Path) -> None:
    """Started deaf to SIGHUP, it goes on when the terminal is closed; SIGTERM still lets it rest."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with site(tmp_path) as at:
            daemon = await serve(at)
            daemon.process.send_signal(signal.SIGHUP)
            await trio.sleep(1)
            assert daemon.process.poll() is None
            assert (await status(at)).state == "running"
            assert await daemon.end() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_second_signal_stops_it_at_once(tmp_path: Path) -> None:
    """The exchange does not answer the cancels, so it cannot rest; the second signal is exit 130, and the next start
    finds everything."""
    async with site(tmp_path) as at:
        first = await serve(at)
        accepted = await submit(at)
        await until(lambda: len(live_orders(at)) == 1)
        first.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # noqa: ASYNC251 - the exchange lives in this thread: it is deaf meanwhile
        assert first.process.poll() is None
        first.process.send_signal(signal.SIGTERM)
        with trio.fail_after(120):
            assert await first.process.wait() == 130
        second = await serve(at, name="second")
        assert second.ready.restored == 1
        assert list(states(tmp_path / "engine.sqlite")) == [accepted.execution_id]
        assert await second.end() == 0


async def test_one_engine_for_a_database_and_for_an_account(tmp_path: Path) -> None:
    """A second daemon refuses to start in one line: on the same database, by a link to it, or with the same key on
    another database (exit 1, it names who holds it); by a hard link, with a token file others may read, and without
    any configuration that can be used (exit 2)."""
    database, other = tmp_path / "engine.sqlite", tmp_path / "other.sqlite"
    async with site(tmp_path) as at:
        first = await serve(at)
        pid = str(first.process.pid)
        (tmp_path / "link.sqlite").symlink_to(database)
        for path in (database, tmp_path / "link.sqlite"):
            code, said = await refused(at, "--config", at.config, "--db", path)
            assert (code, f"process {pid}" in said, str(database) in said) == (1, True, True), said
        code, said = await refused(at, "--config", at.config, "--db", other)
        assert (code, f"process {pid}" in said, "account" in said) == (1, True, True), said
        assert not other.exists()
        os.link(database, tmp_path / "hard.sqlite")
        code, said = await refused(at, "--config", at.config, "--db", tmp_path / "hard.sqlite")
        assert (code, "hard link" in said) == (2, True), said
        (tmp_path / "hard.sqlite").unlink()
        os.chmod(first.ready.token_file, 0o644)
        code, said = await refused(at, "--config", at.config, "--db", other)
        assert (code, "644" in said, "remove it" in said) == (2, True, True), said
        os.chmod(first.ready.token_file, 0o600)
        for words, says in [
            (("--config", "missing.toml"), "missing.toml"),
            (("--paper", "http://127.0.0.1:1/trade-api/v2"), "fsm-exec paper"),
            (("--paper", "http://127.0.0.1:1", "--config", "config.toml"), "one of them"),
            (("--paper", "nonsense"), "rest_url"),
        ]:
            no = await command(at, "serve", *words)
            assert (no.returncode, no.stdout, no.stderr.count("\n"), says in no.stderr) == (2, "", 1, True), no.stderr
        assert (await status(at)).state == "running", "the first one was not disturbed"
        assert await first.end() == 0


async def test_the_commands(tmp_path: Path) -> None:
    """Tables for people, one JSON document with --json, one line and the right exit code for every mistake."""
    async with site(tmp_path) as at:
        daemon = await serve(at, "--config", at.config, "--db", "engine.sqlite", "--token-file", "own.token")
        accepted = await submit(at)
        page = await daemons.listed(at)
        assert [execution.execution_id for execution in page.executions] == [accepted.execution_id]
        for words in (("list",), ("show", accepted.execution_id), ("status",), ("list", "--unfinished")):
            told = await command(at, *words)
            assert (told.returncode, told.stderr) == (0, ""), told.stderr
            assert accepted.execution_id in told.stdout or words == ("status",)
        async with trio.open_nursery() as nursery:
            watched: list[str] = []

            async def watch() -> None:
                told = await daemons.in_a_process(at, "watch", accepted.execution_id, "--after", "0", "--json")
                assert (told.returncode, told.stderr) == (0, "")
                watched.extend(told.stdout.splitlines())

            nursery.start_soon(watch)
            await until(lambda: '"watchers": 1' in _status_text(daemon))
            assert (await command(at, "cancel", accepted.execution_id)).returncode == 0
        steps = [msgspec.json.decode(line, type=Transition) for line in watched]
        assert [step.seq for step in steps] == list(range(1, len(steps) + 1))
        assert (steps[-1].state, steps[-1].reason) == ("cancelled", "user")

        mistakes: list[tuple[tuple[str, ...], int, str]] = [
            (("show", "e000099"), 2, "e000099"),
            (("show", "../status"), 2, "../status"),
            (("cancel", accepted.execution_id), 2, "has ended"),
            (("resume", accepted.execution_id), 2, "not quarantined"),
            (("resume",), 1, "not halted"),
            (("watch", "--after", "99999"), 2, "has position 99999"),
            (("list", "--limit", "0"), 2, "--limit"),
            (("submit", TICKER, "yes", "1", "--target-price", "0.30"), 2, "horizon"),
            (("submit", TICKER, "yes", "1", "--target-price", "0.305", "--horizon", "9"), 2, "grid"),
            (("submit", "KXNONE-1", "yes", "1", "--cap", "0.3", "--horizon", "9"), 2, "KXNONE-1"),
            (("submit", TICKER, "yes", "1", "--cap", "0.3", "--horizon", "9", "--key", "a b"), 2, "key"),
            (("status", "--url", "http://192.0.2.1:80"), 2, "192.0.2.1"),
            (("status", "--url", "http://127.0.0.1:1", "--token-file", "own.token"), 1, "127.0.0.1:1"),
            (("status", "--token-file", "no.token"), 2, "no.token"),
        ]
        for arguments, code, says in mistakes:
            told = await command(at, *arguments)
            assert (told.returncode, told.stdout, told.stderr.count("\n"), says in told.stderr) == (
                code,
                "",
                1,
                True,
            ), (
                arguments,
                told.stderr,
            )
        (tmp_path / "wrong.token").write_text("x" * 43)
        (tmp_path / "wrong.token").chmod(0o600)
        wrong = await command(at, "status", "--token-file", "wrong.token")
        assert (wrong.returncode, "token" in wrong.stderr, wrong.stderr.count("\n")) == (2, True, 1)
        assert "x" * 43 not in wrong.stderr

        token = (tmp_path / "own.token").read_text().strip()
        async with httpx.AsyncClient(base_url=daemon.ready.control_url, trust_env=False) as http:
            headers = {"Authorization": f"Bearer {token}"}
            large = await http.post("/v1/executions", content=b" " * (BODY_BYTES_MAX + 1), headers=headers)
            assert large.status_code == 413
            assert (await http.get("/v1/health")).json() == {"ok": True, "state": "running"}
        assert await daemon.end() == 0
        assert token not in (tmp_path / "engine.sqlite.log").read_text()
        assert token not in daemon.err


def _status_text(daemon: daemons.Serve) -> str:
    token = Path(daemon.ready.token_file).read_text().strip()
    with httpx.Client(trust_env=False) as http:
        answer = http.get(f"{daemon.ready.control_url}/v1/status", headers={"Authorization": f"Bearer {token}"})
    return msgspec.json.format(answer.content, indent=1).decode()


async def test_it_waits_for_an_exchange_that_does_not_answer(tmp_path: Path) -> None:
    """Nobody there at the start: `status` says recovering and nothing is accepted; a signal still ends it cleanly."""
    async with site(tmp_path) as at:
        at.write_config(rest_url="http://127.0.0.1:1/trade-api/v2", ws_url="ws://127.0.0.1:1/trade-api/ws/v2")
        process, _, err = await daemons.start(at, "--config", at.config, "--db", tmp_path / "engine.sqlite")
        with trio.fail_after(120):
            while (told := await command(at, "status", "--json")).returncode:
                assert process.poll() is None, err.read_text()
        assert msgspec.json.decode(told.stdout, type=Status).state == "recovering"
        no = await command(at, "submit", TICKER, "yes", "1", "--target-price", "0.30", "--horizon", "9")
        assert no.returncode == 1, no.stderr
        assert no.stderr.count("\n") == 1
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(120):
            assert await process.wait() == 0, err.read_text()


async def test_a_disk_that_is_full_ends_it_with_nothing_live(tmp_path: Path) -> None:
    """A save fails: what was asked is told that nothing was accepted, the live order is cancelled without a saved
    decision, the daemon ends with exit 1 and one line; with room again the next start knows everything it promised."""
    database = tmp_path / "engine.sqlite"
    async with site(tmp_path) as at:
        first = await serve(at)
        promised = await submit(at)
        await until(lambda: len(live_orders(at)) == 1)
        here = Path(f"{database}-wal").stat().st_size  # noqa: ASYNC240 - a look at a file
        resource.prlimit(first.process.pid, resource.RLIMIT_FSIZE, (here, here))
        no = await command(at, "submit", TICKER, "yes", "1", "--target-price", "0.30", "--horizon", "9")
        assert (no.returncode, no.stderr.count("\n")) == (1, 1), no.stderr
        with trio.fail_after(120):
            assert await first.process.wait() == 1
        assert first.err.count("\n") == 1, first.err
        assert "disk space" in first.err
        assert live_orders(at) == []
        second = await serve(at, name="second")
        assert (second.ready.restored, list(states(database))) == (1, [promised.execution_id])
        assert await second.end() == 0


async def test_live_orders_of_another_database_stop_the_start(tmp_path: Path) -> None:
    """A killed daemon's order lives on; a daemon on another database names that instance and refuses (exit 2), until it
    is told that the engine is gone. Then it works beside the order and leaves it alone."""
    other = ("--config", tmp_path / "config.toml", "--db", tmp_path / "other.sqlite")
    async with site(tmp_path) as at:
        first = await serve(at)
        await submit(at)
        await until(lambda: len(live_orders(at)) == 1)
        first.process.kill()
        await first.process.wait()
        code, said = await refused(at, *other)
        assert (code, first.ready.instance in said, "--other-engine-is-gone" in said) == (2, True, True), said
        second = await serve(at, *other, "--other-engine-is-gone", first.ready.instance)
        assert (second.ready.restored, len(live_orders(at))) == (0, 1)
        assert await second.end() == 0
        assert len(live_orders(at)) == 1
