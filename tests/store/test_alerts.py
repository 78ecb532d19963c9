"""Alerts are stored with the facts that cause them, each once while it stands, and are there until they are told."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.rows import AccountLook, Difference, RiskLogRow
from fsm_exec.core.alerts.alerts import Alert, AlertOver, Delivery
from fsm_exec.core.errors import SaveRefused
from fsm_exec.core.journal.crashpoints import install
from fsm_exec.store.alert_rows import Quarantine
from fsm_exec.store.batch import write_batch
from fsm_exec.store.maintenance.integrity import check_database
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads import alert_reads
from tests.store.conftest import T0_US, OpenStore, Samples

LOOK = AccountLook(at_us=T0_US, first_at_us=T0_US, balance_e6=None, explained_e6=None)
STREAM = Alert(kind="stream", subject="", text="the stream is silent", at_us=T0_US)


def moved(to: str, before: str = "active") -> RiskLogRow:
    return RiskLogRow(
        at_us=T0_US,
        moved_from=before,
        moved_by="lost",
        moved_to=to,
        who="engine",
        why="120 dollars were lost today",
        figures=b"{}",
    )


async def test_a_fact_and_its_alert_are_one_transaction(open_store: OpenStore, samples: Samples) -> None:
    """A quarantine, a halt, a move of the brake, an unexplained difference: each is stored with its alert; a fact that
    the database refuses leaves none."""
    async with open_store() as store:
        await store.save(samples.save())
        await store.quarantine("e1", "three restarts in a minute", T0_US)
        await store.save_halt(T0_US, "asked to")
        state = RiskState(state="reducing", why="120 dollars were lost today", since_us=T0_US)
        await store.save_risk(state, moved("reducing"))
        await store.save_risk(state, None)
        odd = Difference(
            kind="position", ticker="KXTEST-1", found_at_us=T0_US, ours="1.00", theirs="3.00", cause="unexplained"
        )
        by_hand = Difference(
            kind="position", ticker="KXTEST-2", found_at_us=T0_US, ours="1.00", theirs="3.00", cause="by_hand"
        )
        await store.save_look(LOOK, (), (), (odd, by_hand))
        with pytest.raises(SaveRefused):
            await store.quarantine("nobody", "why", T0_US)
        found = {one.kind: one for one in await store.load_alerts(99)}
        assert sorted(found) == ["difference", "halt", "quarantine", "risk"]
        assert (found["quarantine"].subject, found["quarantine"].is_urgent) == ("e1", True)
        assert "three restarts in a minute" in found["quarantine"].text
        assert "120 dollars were lost today" in found["risk"].text
        assert found["difference"].text == (
            "the exchange says the position in KXTEST-1 is 3.00, our books say 1.00: unexplained"
        )
        assert await store.count_pending_alerts() == 4


async def test_an_alert_stands_once_and_that_it_is_over_is_told(open_store: OpenStore) -> None:
    """What is said again is counted; its end is an alert of its own, only if it stood; then it may come again."""
    async with open_store() as store:
        over = AlertOver(kind="stream", subject="", text="the stream is live again", at_us=T0_US + 2)
        await store.save_alerts([over])
        assert await store.load_alerts(99) == []
        await store.save_alerts([STREAM])
        await store.save_alerts([Alert(kind="stream", subject="", text="still", at_us=T0_US + 1), over, STREAM])
        third, second, first = await store.load_alerts(99)
        assert (first.text, first.times, first.last_at_us, first.over_at_us) == (
            "the stream is silent",
            2,
            T0_US + 1,
            T0_US + 2,
        )
        assert (second.text, second.is_recovery, second.is_urgent) == ("the stream is live again", True, False)
        assert (third.times, third.over_at_us) == (1, None)
        assert [one.alert_id for one in await store.load_alerts(99, standing=True)] == [third.alert_id]


async def test_the_brake_tells_of_each_step_and_of_the_way_back(open_store: OpenStore) -> None:
    """Reducing, then halted, are two alerts, of which one stands; back to active is told once."""
    async with open_store() as store:
        for to, before in (("reducing", "active"), ("halted", "reducing"), ("active", "halted")):
            await store.save_risk(RiskState(state="active", why="", since_us=T0_US), moved(to, before))
        told = [(one.subject, one.is_recovery) for one in reversed(await store.load_alerts(99))]
        assert told == [("reducing", False), ("reducing", True), ("halted", False), ("halted", True)]
        assert await store.load_alerts(99, standing=True) == []


async def test_a_pending_alert_outlives_the_process(open_file_store: OpenStore) -> None:
    """It is pending until it is settled, with what became of it by channel; settled ones are forgotten by age."""
    tried = Delivery(
        alert_id=1, channel="phone", attempts=2, tried_at_us=T0_US, next_at_us=T0_US + 9, delivered_at_us=None, why="no"
    )
    async with open_file_store() as store:
        await store.save_alerts([STREAM, Alert(kind="disk", subject="", text="little is left", at_us=T0_US)])
        await store.save_deliveries([tried])
    async with open_file_store() as store:
        assert [one.text for one in await store.load_pending_alerts(0, 99)] == [
            "the stream is silent",
            "little is left",
        ]
        assert [one.text for one in await store.load_pending_alerts(1, 99)] == ["little is left"]
        assert await store.load_deliveries([1, 2]) == [tried]
        await store.settle_alerts([1], "delivered", T0_US + 10)
        assert await store.count_pending_alerts() == 1
        assert await store.forget_alerts(T0_US + 10, 99) == 0
        assert await store.forget_alerts(T0_US + 11, 99) == 1
        assert await store.load_deliveries([1]) == []
        with pytest.raises(SaveRefused):
            await store.settle_alerts([1], "delivered", T0_US)


async def test_a_listener_hears_that_there_may_be_an_alert(open_store: OpenStore, samples: Samples) -> None:
    """Once it is durable; not of saves that cause none."""
    heard: list[int] = []
    async with open_store() as store:
        store.on_alerts(lambda: heard.append(1))
        await store.save(samples.save())
        assert heard == []
        await store.quarantine("e1", "why", T0_US)
        await store.save_alerts([STREAM])
        assert heard == [1, 1]


async def test_what_is_read_of_alerts_goes_by_an_index(open_file_store: OpenStore, database: Path) -> None:
    """However many were ever said, none of these reads the whole table."""
    async with open_file_store():
        pass
    with open_read_only(database) as looked:
        for query, values in (
            (alert_reads.NEWEST, (9,)),
            (alert_reads.STANDING, (9,)),
            (alert_reads.PENDING, (0, 9)),
            (alert_reads.PENDING_OF, (0, True, 9)),
            (alert_reads.SETTLED, ("2023", 9)),
            (alert_reads.COUNT, ()),
        ):
            plan = [line for *_, line in looked.connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
            assert query == alert_reads.NEWEST or "USING" in plan[0], plan


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        ("alerts", "UPDATE alerts SET over_at = 'once'"),
        ("alerts", "UPDATE alerts SET last_at = 'x'"),
        ("alerts", "UPDATE alerts SET kind = 'strean'"),
        ("alerts", "UPDATE alerts SET state = 'qending', settled_at = at"),
        ("alerts", "UPDATE alerts SET urgent = 3"),
        ("alert_deliveries", "UPDATE alert_deliveries SET next_at = 'x'"),
    ],
)
async def test_a_damaged_alert_is_named(open_file_store: OpenStore, database: Path, table: str, damage: str) -> None:
    """By `db check`, with table and column."""
    async with open_file_store() as store:
        await store.save_alerts([STREAM])
        await store.save_deliveries(
            [
                Delivery(
                    alert_id=1,
                    channel="phone",
                    attempts=1,
                    tried_at_us=T0_US,
                    next_at_us=T0_US,
                    delivered_at_us=None,
                    why="no",
                )
            ]
        )
    assert check_database(database, every=True).findings == []
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        assert connection.execute(damage).rowcount == 1
    findings = check_database(database, every=True).findings
    assert [one for one in findings if f"of {table} is damaged" in one.what], findings


def quarantine_and_die(database: Path, at: str) -> int:
    """The exit code of a process that kills itself at a point of the save."""
    child = os.fork()
    if child == 0:
        install(lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == at else None)
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            write_batch(connection, [Quarantine("e1", "three restarts in a minute", T0_US)])
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("at", "is_there"), [("commit.before", False), ("commit.after", True)])
async def test_a_kill_around_a_commit_leaves_fact_and_alert_or_neither(
    open_file_store: OpenStore, samples: Samples, database: Path, at: str, is_there: bool
) -> None:
    """The process dies of SIGKILL just before or just after the commit: no quarantine is without its alert."""
    async with open_file_store() as store:
        await store.save(samples.save())
    assert quarantine_and_die(database, at) == -signal.SIGKILL
    async with open_file_store() as store:
        (execution,) = await store.load_unfinished()
        alerts = await store.load_alerts(9)
    assert (execution.quarantine is not None, len(alerts) == 1) == (is_there, is_there)
