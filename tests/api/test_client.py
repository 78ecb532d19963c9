"""The client against a real daemon: every method, blocking and on both loops; lost answers; typed errors."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from fsm_exec import (
    AsyncClient,
    Client,
    ControlError,
    DaemonAbsent,
    DaemonFailed,
    ExecError,
    Refused,
    Submission,
    Transition,
    UserError,
)
from tests.api.daemon import END_S, MARKET, Daemon, daemon_on_paper
from tests.api.proxy import losing
from tests.cli.daemons import Ready


def resting(key: str, quantity: str = "5") -> Submission:
    """A submission that rests below every offer until its deadline."""
    return Submission(
        key=key,
        ticker=MARKET,
        outcome="yes",
        quantity=quantity,
        method="simple_limit",
        target_price="0.02",
        horizon_s=300,
    )


def test_a_list_of_fewer_than_none_is_refused(ready: Ready) -> None:
    """A negative limit is the caller's mistake, not an empty list that looks like no executions."""
    with Client(ready.control_url, ready.token_file) as daemon, pytest.raises(UserError, match="limit -1 is below 0"):
        daemon.list(limit=-1)


def test_every_method_of_the_blocking_client(ready: Ready) -> None:
    """Submitted twice it is one execution; listed, shown, followed, cancelled, waited for; halted and resumed."""
    with Client(ready.control_url, ready.token_file) as daemon:
        names = [daemon.submit(resting(f"plain-{n}")).execution_id for n in range(3)]
        again = daemon.submit(resting("plain-0"))
        assert (again.execution_id, again.is_new) == (names[0], False)
        assert [e.execution_id for e in daemon.list(unfinished=True)] == names[::-1]
        assert [e.execution_id for e in daemon.list(limit=2)] == names[:0:-1]
        steps = daemon.follow(names[0])
        first = next(steps)
        assert isinstance(first, Transition)
        assert (first.seq, first.event_type) == (1, "Submitted")
        assert daemon.cancel(names[0]).execution_id == names[0]
        rest = [step.seq for step in steps if isinstance(step, Transition)]
        assert rest == list(range(2, len(rest) + 2))
        assert daemon.show(names[0], 0).execution.state == "cancelled"
        daemon.cancel(names[1])
        assert daemon.wait(names[1]).execution.reason == "user"
        assert daemon.status().unfinished == 1
        assert daemon.health().ok
        assert daemon.halt().state == "halted"
        assert not daemon.health().ok
        assert daemon.wait(names[2]).execution.state == "cancelled"
        until_nothing_is_live(daemon)
        assert daemon.resume().state == "running"
        last = daemon.submit(resting("plain-last")).execution_id
        positions: list[int] = []
        for step in daemon.follow_all(after=0):
            assert isinstance(step, Transition)
            positions.append(step.position)
            if step.execution_id == last:
                break
        assert positions == list(range(1, len(positions) + 1))
        daemon.cancel(last)
        daemon.wait(last)


def until_nothing_is_live(daemon: Client) -> None:
    ends_s = time.monotonic() + END_S
    while not daemon.status().nothing_live:
        assert time.monotonic() < ends_s
        time.sleep(0.05)


def until_ended(daemon: Client, execution_id: str) -> None:
    ends_s = time.monotonic() + END_S
    while daemon.show(execution_id).execution.state != "cancelled":
        assert time.monotonic() < ends_s
        time.sleep(0.05)


async def tour(ready: Ready, key: str) -> None:
    async with AsyncClient(ready.control_url, ready.token_file) as daemon:
        names = [(await daemon.submit(resting(f"{key}-{n}"))).execution_id for n in range(2)]
        assert not (await daemon.submit(resting(f"{key}-0"))).is_new
        assert [e.execution_id for e in await daemon.list(unfinished=True)] == names[::-1]
        seqs: list[int] = []
        async for step in daemon.follow(names[0]):
            assert isinstance(step, Transition)
            seqs.append(step.seq)
            if step.seq == 1:
                assert (await daemon.cancel(names[0])).execution_id == names[0]
        assert seqs == list(range(1, len(seqs) + 1))
        assert (await daemon.show(names[0], 0)).execution.state == "cancelled"
        async for _ in daemon.follow_all(after=0):
            break  # left early: closed with the client
        gc.collect()
        assert (await daemon.halt()).state == "halted"
        assert not (await daemon.health()).ok
        assert (await daemon.wait(names[1])).execution.state == "cancelled"
        while not (await daemon.status()).nothing_live:
            pass
        assert (await daemon.resume()).state == "running"
    gc.collect()  # what was left open would complain now, and warnings are errors


def test_every_method_on_trio(ready: Ready) -> None:
    """The same on trio; a stream that is left early leaves no warning."""
    trio.run(tour, ready, "trio")


def test_every_method_on_asyncio(ready: Ready) -> None:
    """The same on asyncio."""
    asyncio.run(tour(ready, "asyncio"))


def test_errors_carry_the_code_of_the_api(ready: Ready) -> None:
    """Whose fault it is is the type, what it is the code; all are ControlErrors."""
    with Client(ready.control_url, ready.token_file) as daemon:
        name = daemon.submit(resting("errors")).execution_id
        with pytest.raises(Refused) as refused:
            daemon.submit(resting("errors", quantity="6"))
        assert refused.value.code == "conflict"
        with pytest.raises(Refused, match="no execution e999999") as refused:
            daemon.show("e999999")
        assert refused.value.code == "not_found"
        with pytest.raises(Refused) as refused:
            list(daemon.follow("e999999"))
        assert refused.value.code == "not_found"
        with pytest.raises(Refused) as refused:
            list(daemon.follow(name, after=10_000))
        assert refused.value.code == "ahead"
        with pytest.raises(Refused) as refused:
            daemon.resume_execution(name)
        assert refused.value.code == "conflict"
        with pytest.raises(UserError, match="no execution's id"):
            daemon.show("../status")
        daemon.halt()
        with pytest.raises(DaemonFailed, match="halted") as failed:
            daemon.submit(resting("while-halted"))
        assert failed.value.code == "not_running"
        until_nothing_is_live(daemon)
        daemon.resume()
    for kind in (Refused, DaemonFailed, DaemonAbsent):
        assert issubclass(kind, ControlError)
        assert issubclass(kind, ExecError)


def test_where_no_daemon_runs(tmp_path: Path, user_directories: Path) -> None:
    """The first contact is not waited for: absent, in one line that says what to do. An address that is not this
    machine's never gets the token."""
    with pytest.raises(DaemonAbsent, match="start one with: fsm-exec serve") as absent, Client():
        pass
    assert (absent.value.code, absent.value.may_be_done) == ("absent", False)
    with pytest.raises(UserError, match=r"127\.0\.0\.1"):
        Client("http://example.com:80", tmp_path / "token")


def test_what_may_be_sent_twice_is_and_nothing_else(ready: Ready) -> None:
    """Two answers of each request are lost on the way. A submission, a cancel and a halt are asked for again until an
    answer comes, and are done once; a resume is not, for somebody may have halted in between: it may be done, says
    the error."""
    lost: dict[str, int] = {}

    def loses(line: str) -> bool:
        lost[line] = lost.get(line, 0) + 1
        return line.startswith("POST") and lost[line] <= 2

    said: list[str] = []
    with (
        losing(ready.control_url, loses) as proxy,
        Client(proxy.url, ready.token_file, when_gone=said.append) as daemon,
    ):
        accepted = daemon.submit(resting("lost"))
        assert not accepted.is_new, "the first of the three was accepted"
        assert proxy.asked.count("POST /v1/executions") == 3
        (only,) = daemon.list(unfinished=True)
        with suppress(Refused):  # the first of the three ended it, and it may have ended by now
            daemon.cancel(only.execution_id)
        assert proxy.asked.count(f"POST /v1/executions/{only.execution_id}/cancel") == 3
        until_ended(daemon, only.execution_id)
        assert daemon.halt().state == "halted"
        assert proxy.asked.count("POST /v1/halt") == 3
        with pytest.raises(DaemonAbsent, match="it may have done what was asked") as absent:
            daemon.resume()
        assert absent.value.may_be_done
        assert proxy.asked.count("POST /v1/resume") == 1
        assert daemon.status().state == "running", "it had"
    assert len(said) == 3
    assert all(line.endswith("asking again as soon as it runs") for line in said)


def test_a_submission_whose_daemon_died_before_it_answered(tmp_path: Path) -> None:
    """SIGKILL the moment the submission is durable. The client asks the next daemon under the same key, on trio and
    with another key blocking, and is told of the one execution there is."""
    with daemon_on_paper(tmp_path) as daemon:
        daemon.start(dies_once_durable=True)
        answers: list[bool] = []

        def submit() -> None:
            with Client() as client:
                answers.append(client.submit(resting("lost")).is_new)

        async def submit_on_trio() -> None:
            async with AsyncClient() as client:
                answers.append((await client.submit(resting("lost"))).is_new)

        threads = [threading.Thread(target=submit), threading.Thread(target=trio.run, args=(submit_on_trio,))]
        for thread in threads:
            thread.start()
        until_dead(daemon)
        daemon.end(signal.SIGKILL)
        assert list(daemon.executions()) == ["lost"]
        daemon.start()
        for thread in threads:
            thread.join(END_S)
        assert answers == [False, False]
        assert len(daemon.executions()) == 1
        daemon.end(signal.SIGTERM)


def until_dead(daemon: Daemon) -> None:
    ends_s = time.monotonic() + END_S
    while daemon.is_running:
        assert time.monotonic() < ends_s
        time.sleep(0.02)


def test_a_daemon_of_another_database_is_never_asked(tmp_path: Path) -> None:
    """The same key in another database would be a second execution: nothing is submitted there."""
    with daemon_on_paper(tmp_path) as daemon:
        ready = daemon.start()
        port = ready.control_url.rpartition(":")[2]
        with Client(ready.control_url, ready.token_file) as client:
            client.submit(resting("once"))
            daemon.end(signal.SIGTERM)
            other = tmp_path / "other.sqlite"
            daemon.start("--port", port, "--db", str(other))
            with pytest.raises(UserError, match="another database"):
                client.submit(resting("once"))
            with pytest.raises(UserError, match="another database"):
                client.submit(resting("once"))
        daemon.database = other
        assert daemon.executions() == {}
        daemon.end(signal.SIGTERM)
