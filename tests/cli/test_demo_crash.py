"""`demo --crash` as a person, a script and a supervisor meet it: two real kills, and books that agree."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fsm_exec.cli.demo.crash_audit import disagreements, load_saved
from fsm_exec.core.market.client_order_id import INSTANCE_CHARS
from fsm_exec.core.market.orders import FillListing, FillReport, OrderListing, OrderReport
from fsm_exec.core.values.units import CountE2
from fsm_exec.runtime.engine import EndedExecution
from tests.cli.invoking import invoke
from tests.cli.mirror import mirrored
from tests.cli.support import COMMAND, assert_rows_agree, environment, folded, run

CRASH = ("demo", "--crash", "--executions", "6", "--horizon", "15")
PATIENCE_S = 150


def child_is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_two_kills_and_the_exchange_agrees(tmp_path: Path) -> None:
    """One document, exit 0: both kills found orders at work, every execution was taken up, nothing was lost, doubled
    or left, and the database is the fold of its journal."""
    done = run(tmp_path, *CRASH, "--json", "--db", "c.sqlite")
    assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert list(document) == ["db", "tape", "kills", "executions", "compared"]
    assert document["compared"]["differences"] == []
    executions = folded(tmp_path / "c.sqlite")
    assert_rows_agree(tmp_path / "c.sqlite", executions)
    assert len(executions) == len(document["executions"]) == 6
    assert all(execution.is_ended for execution in executions)
    fills = sum(len(execution.fills) for execution in executions)
    assert (document["compared"]["fills"], fills > 0) == (fills, True)
    accepted = [child for execution in executions for child in execution.children if child.order_id is not None]
    assert document["compared"]["orders"] == len(accepted)
    assert len(document["kills"]) == 2
    for kill in document["kills"]:
        assert 0 < kill["restored"] <= kill["executions"]
        assert sum(kill["orders"].values()) == kill["adopted"] + kill["ended"] + kill["asking"] > 0
        assert child_is_gone(kill["pid"])
    assert not (tmp_path / "c.sqlite.lock").exists()
    assert_every_disagreement_is_seen(tmp_path / "c.sqlite")


def assert_every_disagreement_is_seen(database: Path) -> None:
    """What would be exit 1: a fill lost, invented or told otherwise, an order doubled, orphaned, lost or at rest, an
    execution that bought too much or did not end."""
    found = load_saved(database)
    instance = found[0].execution.instance[:INSTANCE_CHARS]  # without the epoch of its last start
    orders, fills = mirrored(found)

    def told(
        orders: tuple[OrderReport, ...], fills: tuple[FillReport, ...], found: list[EndedExecution] = found
    ) -> str:
        listed = OrderListing(as_of_us=0, orders=orders), FillListing(as_of_us=0, fills=fills)
        return "; ".join(disagreements(found, *listed, instance))

    replace = msgspec.structs.replace
    filled = next(order for order in orders if order.filled_e2)
    rest = tuple(order for order in orders if order is not filled)
    assert told(orders, fills) == ""
    assert "is ours alone" in told(orders, fills[1:])
    assert "None here" in told(orders, (*fills, replace(fills[0], fill_id="another")))
    assert " there and " in told(orders, (replace(fills[0], count_e2=CountE2(1)), *fills[1:]))
    assert "2 orders at the exchange are called" in told((*orders, replace(filled, order_id="another")), fills)
    assert "not in the database" in told((*rest, replace(filled, client_order_id=f"fx{instance}-e9-1-1")), fills)
    assert "is another, filled" in told((*rest, replace(filled, order_id="another")), fills)
    assert "still rests" in told((*rest, replace(filled, status="resting")), fills)
    much = replace(fills[0], fill_id="more", count_e2=CountE2(10**9))
    assert "bought 1000" in told(orders, (*fills, much))
    unended = [replace(found[0], execution=replace(found[0].execution, state="walking")), *found[1:]]
    assert "has not ended" in told(orders, fills, unended)
    stopped = [replace(found[0], quarantine="why"), *found[1:]]
    assert "was quarantined: why" in told(orders, fills, stopped)


def test_the_story_on_a_terminal_and_ctrl_c(tmp_path: Path) -> None:
    """A live table while it runs. Ctrl-C after the first kill cancels what is live, stops the engine, prints what has
    been reached, and is exit 130; no process and no lock is left, and nothing unended but what waits for a proof."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *CRASH, "--horizon", "60", "--db", "c.sqlite"],
        cwd=tmp_path,
        env={**environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        said = b""
        enough = time.monotonic() + PATIENCE_S
        interrupted = False
        while time.monotonic() < enough:
            try:
                said += os.read(controller, 65_536)
            except OSError:  # nobody has the other end any more
                break
            if b"works again" in said and not interrupted:
                interrupted = True
                process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE_S)
    os.close(controller)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode())
    assert code == 130, text
    assert "killed" in text
    assert "interrupted" in text
    assert "Results" in text
    assert "Traceback" not in text
    for pid in map(int, re.findall(r"process (\d+)", text)):
        assert child_is_gone(pid)
    executions = folded(tmp_path / "c.sqlite")
    for execution in executions:
        doubts = [child.client_order_id for child in execution.children if child.state in ("intended", "unknown")]
        assert execution.reason in ("user", "completed") or doubts, (execution.execution_id, execution.state)
    assert not (tmp_path / "c.sqlite.lock").exists()


def test_what_is_submitted_while_ctrl_c_arrives_is_cancelled_too(tmp_path: Path) -> None:
    """The engine stands still when the second half is submitted and Ctrl-C arrives; then it goes on, and accepts.
    Everything before has ended, so that only the answer can tell the demo that there is something to cancel."""
    arguments = ("--executions", "4", "--algorithm", "market", "--horizon", "60", "--db", "c.sqlite")
    with subprocess.Popen(
        [*COMMAND, "demo", "--crash", *arguments],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        while "works again" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        engine = int(re.findall(r"process (\d+) works again", said)[0])
        os.kill(engine, signal.SIGSTOP)
        time.sleep(1)  # the demo submits at once
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        os.kill(engine, signal.SIGCONT)
        said += process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 130, said
    ended = {execution.execution_id: execution.is_ended for execution in folded(tmp_path / "c.sqlite")}
    assert ended == {f"e00000{number}": True for number in (1, 2, 3)}, said


def test_an_engine_that_cannot_start_is_one_line(tmp_path: Path) -> None:
    """What the engine's process said about the database, with its exit code; the story so far is plain lines."""
    done = run(tmp_path, *CRASH, "--db", "no/such/directory.sqlite")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "no/such" in done.stderr
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--speed", "max"), "--speed max and --crash"),
        (("--speed", "2"), "--speed 2 and --crash"),
        (("--horizon", "14"), "--horizon 14 and --crash"),
        (("--horizon", "9999"), "too short"),
        (("--db", "there.sqlite"), "there.sqlite exists"),
        (("--faults", "nonsense"), "nonsense"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """One line that names option and remedy, exit 2, and nothing is touched."""
    (tmp_path / "there.sqlite").write_bytes(b"mine")
    done = invoke(tmp_path, "demo", "--crash", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.sqlite"]
    assert (tmp_path / "there.sqlite").read_bytes() == b"mine"
