"""A journal told again: each row with what it did, and where today's code would decide otherwise."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import Action, Goal, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.consistency import row_differences, snapshot_differences
from fsm_exec.core.journal.replay import find_redecisions, fold_rows, replay_rows
from fsm_exec.core.journal.rows import ExecutionSave, FillRow, JournalRow, SnapshotPart
from fsm_exec.core.journal.snapshot import SNAPSHOT_VERSION, encode_snapshot
from fsm_exec.core.journal.to_rows import child_row, fill_rows
from tests.core.conftest import parts_after
from tests.golden.histories import HISTORIES
from tests.store.histories import saves_of


@pytest.fixture(scope="module", params=sorted(HISTORIES))
def saved(request: pytest.FixtureRequest) -> tuple[list[ExecutionSave], Execution]:
    return saves_of(request.param, "e7")


def journal(saves: list[ExecutionSave]) -> list[JournalRow]:
    return [save.journal for save in saves]


def test_each_row_is_told_with_what_it_did(saved: tuple[list[ExecutionSave], Execution]) -> None:
    """The transitions are those that were journaled, the states follow each other, and the end is the execution."""
    saves, execution = saved
    history = list(replay_rows(journal(saves)))
    assert [one.row.seq for one in history] == list(range(1, len(saves) + 1))
    assert not any(one.steps_differ for one in history)
    for before, after in pairwise(history):
        assert after.before is before.advance.execution
    assert history[-1].advance.execution == execution == fold_rows(journal(saves))


def test_what_was_stored_agrees_with_its_journal(saved: tuple[list[ExecutionSave], Execution]) -> None:
    """The snapshot byte for byte, and every row of orders and fills that the saves have left."""
    saves, execution = saved
    children = {row.client_order_id: row for save in saves for row in save.children}
    fills: dict[tuple[str, str], FillRow] = {}
    for save in saves:
        for gone in save.gone:
            del fills[gone.order_id, gone.fill_id]
        fills |= {(row.order_id, row.fill_id): row for row in (*save.fills, *save.corrected)}
    parts: dict[str, SnapshotPart] = {}
    for save in saves:
        parts = parts_after(parts, save)
    stored = tuple(parts.values())
    assert snapshot_differences(saves[-1].snapshot, execution, SNAPSHOT_VERSION, parts=stored) == []
    assert row_differences(execution, list(children.values()), list(fills.values())) == []


def test_a_row_that_is_missing_or_out_of_place_is_named() -> None:
    """At the beginning, in the middle, twice, or another's: the row's number and the reason, after those before it."""
    rows = journal(saves_of("filled", "e1")[0])
    for broken, says in (
        (rows[1:], "row 1 of the journal is missing; the next one there is 2"),
        ([*rows[:4], *rows[5:]], "row 5 of the journal is missing"),
        ([rows[0], rows[0]], "row 2 of the journal is missing; the next one there is 1"),
        ([rows[0], replace(rows[4], seq=2)], r"row 2 \(.*\) cannot be folded"),
        ([replace(rows[1], seq=1)], r"row 1 \(DecisionDue\) cannot be folded: the first event"),
        ([*rows[:2], replace(rows[2], event=b"{")], r"row 3 \(.*\) cannot be folded: the journal row cannot be read"),
        ([rows[0], replace(rows[1], intents=b"[]")], r"row 2 \(DecisionDue\) changes nothing"),
        ([replace(rows[0], version=SNAPSHOT_VERSION + 1)], "row 1 .* by a newer fsm-exec"),
        ([], "the journal is empty"),
    ):
        with pytest.raises(CorruptSnapshot, match=says):
            fold_rows(broken)
    seen: list[int] = []
    with pytest.raises(CorruptSnapshot):
        seen.extend(one.row.seq for one in replay_rows([*rows[:4], *rows[5:]]))
    assert seen == [1, 2, 3, 4]


def test_where_the_snapshot_differs_is_said() -> None:
    """By the path of each field; and that a snapshot of this version has other bytes, if nothing else differs."""
    execution = saves_of("partial_amending", "e1")[1]
    child = execution.children[0]
    other = replace(execution, walks=9, children=(replace(child, late_cancel_until_us=5, fills=()),))
    assert snapshot_differences(encode_snapshot(other), execution, SNAPSHOT_VERSION) == [
        f"snapshot: children[0].fills[0] is null, the journal says {shortened(encode_snapshot(execution))}",
        "snapshot: children[0].late_cancel_until_us is 5, the journal says 0",
        f"snapshot: walks is 9, the journal says {execution.walks}",
    ]
    with pytest.raises(CorruptSnapshot, match="damaged"):
        snapshot_differences(encode_snapshot(other).replace(b'"walks":9', b'"walks":8'), execution, SNAPSHOT_VERSION)


def shortened(snapshot: bytes) -> str:
    start = snapshot.index(b'{"fill_id"')
    return f"{snapshot[start : start + 60].decode()}..."


def test_what_a_later_version_began_to_keep_is_not_compared_for_an_older_journal() -> None:
    """An execution that began under version 1 counts its writes from the upgrade on; one of version 2 all of them."""
    execution = saves_of("partial_amending", "e1")[1]
    upgraded = replace(
        execution, writes=0, children=tuple(replace(child, moved_at_us=None) for child in execution.children)
    )
    assert snapshot_differences(encode_snapshot(upgraded), execution, 1) == []
    assert len(snapshot_differences(encode_snapshot(upgraded), execution, 2)) == 2
    wrong = replace(upgraded, walks=9)
    assert len(snapshot_differences(encode_snapshot(wrong), execution, 1)) == 1


def test_where_a_row_differs_is_said() -> None:
    """A value, a row too many, a row too few; of orders and of fills."""
    execution = saves_of("cancelled_late", "e1")[1]
    child = execution.children[0]
    rows, fills = [child_row(child)], fill_rows(child)
    name = child.client_order_id
    assert row_differences(execution, [replace(rows[0], state="filled")], fills) == [
        f"split_orders {name}: state is filled, the journal says cancelled"
    ]
    stranger = replace(fills[0], fill_id="x")
    found = row_differences(execution, [], [*fills[1:], stranger])
    assert found == [
        f"split_orders {name}: the row is missing",
        f"fills {fills[0].order_id} f1: the row is missing",
        f"fills {fills[0].order_id} x: the journal knows no such row",
    ]
    many = [replace(stranger, fill_id=f"x{n}") for n in range(30)]
    assert row_differences(execution, rows, [*fills, *many])[-1] == "and 10 more differences"


class Idle:
    """Plans one slice and never wishes for anything."""

    look_every_us: int | None = None
    closing_lead_us: int | None = None
    resting_at_most = 1
    takes_only = False
    signals_read: frozenset[str] | None = None

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        return (Slice(level=1, count_e2=goal.target_e2),)

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        return ()


def test_only_what_an_algorithm_decides_otherwise_is_listed() -> None:
    """The same algorithm decides the same at every row; another one differs where the first had wishes, and what it
    must not do there is said instead of done."""
    driver = HISTORIES["filled"]()
    history = list(replay_rows(journal(saves_of("filled", "e1")[0])))
    found = find_redecisions(history, Idle())
    assert [(one.seq, one.today) for one in found if not isinstance(one.today, str)]
    assert {type(one.event).__name__ for one in history if one.row.seq in {d.seq for d in found}} == {"DecisionDue"}
    driver.script.wishes = None
    first = find_redecisions(history[:2], driver.algorithm)
    assert first == []
    impossible = find_redecisions(history[:2], Broken())
    assert [one.today for one in impossible] == ["IllegalAction: the plan's slices are not 1000 in parts above zero"]


class Broken(Idle):
    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        return ()
