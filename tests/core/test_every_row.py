"""Every row of the execution's and the order's table, driven by real events through `advance`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.errors import IllegalEvent, IllegalTrigger
from fsm_exec.core.execution.events import (
    AmendAnswered,
    CancelAnswered,
    OrderNotFound,
    OrderNotSent,
    OrderRefused,
    PlaceUnconfirmed,
    WriteUnconfirmed,
)
from fsm_exec.core.values.units import CountE2
from states import TABLES

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

TO: dict[str, Callable[[Driver], object]] = {
    "intended": lambda d: None,
    "unknown": lambda d: d.fact(PlaceUnconfirmed, why=""),
    "resting": lambda d: d.accept(),
    "partial": lambda d: (d.accept(), d.fill("f1", 100)),
    "cancelling": lambda d: (d.accept(), d.stop()),
    "settling": lambda d: (d.accept(filled=500), d.stop(), d.fact(CancelAnswered, reduced_by_e2=CountE2(500))),
}
BEFORE = ("intended", "unknown", "resting", "partial")
LIVE = ("resting", "partial")
ENDABLE = (*BEFORE, "cancelling")


def counted(driver: Driver) -> int:
    return driver.child.counted_e2


def absent(driver: Driver) -> object:
    return driver.fact(OrderNotFound, as_of_us=driver.now_us + 1)


def lost(driver: Driver) -> object:
    driver.fact(WriteUnconfirmed, effect_id=driver.last_effect(), why="")
    return driver.report("resting", counted(driver), looked_up=True)


def longer(driver: Driver) -> object:
    """A fill that is counted is listed with more."""
    driver.frame("T", 10)
    return driver.listed("T", 20)


def ended(driver: Driver, final: int) -> object:
    return driver.fact(CancelAnswered, reduced_by_e2=CountE2(1_000 - final))


WHOLE = ("settling", "fill_counted", "filled")  # only an order that ended whole can be filled after its end

# (source, trigger, dest): what is told in the source state so that the order makes the transition.
CHILD: dict[tuple[str, str, str], Callable[[Driver], object]] = {
    ("intended", "accepted", "resting"): lambda d: d.accept(),
    ("intended", "doubted", "unknown"): lambda d: d.fact(PlaceUnconfirmed, why=""),
    ("intended", "refused", "rejected"): lambda d: d.fact(OrderRefused, code="invalid_price", message=""),
    ("intended", "withdrawn", "cancelled"): lambda d: d.fact(OrderNotSent, why=""),
    ("unknown", "accepted", "resting"): lambda d: d.report("resting", looked_up=True),
    ("unknown", "absent", "intended"): absent,
    ("unknown", "absent", "rejected"): lambda d: (d.stop(), absent(d)),
    **{(s, "fill_counted", "filled"): lambda d: d.fill("all", 1_000 - counted(d)) for s in (*BEFORE, "cancelling")},
    **{(s, "fill_counted", "partial"): lambda d: d.fill("some", 1) for s in BEFORE},
    **{(s, "cancel_sent", "cancelling"): lambda d: d.stop() for s in LIVE},
    ("cancelling", "still_live", "partial"): lambda d: (d.fill("f2", 1), lost(d)),
    ("cancelling", "still_live", "resting"): lost,
    **{(s, "ended", "settling"): lambda d: ended(d, counted(d) + 1) for s in ENDABLE},
    **{(s, "ended", "cancelled"): lambda d: ended(d, counted(d)) for s in ENDABLE},
    ("cancelling", "fill_counted", "cancelling"): lambda d: d.fill("some", 1),
    ("settling", "fill_counted", "settling"): lambda d: d.fill("some", 1),
    ("settling", "fill_counted", "cancelled"): lambda d: d.fill("rest", 500),
    WHOLE: lambda d: d.fill("all", 1_000),
    **{(s, "corrected", "filled"): lambda d: d.prove("executed", ("T", 1_000)) for s in (*ENDABLE, "settling")},
    ("settling", "corrected", "cancelled"): lambda d: d.prove("canceled", ("T", 400)),
    ("resting", "corrected", "partial"): lambda d: d.prove("resting", ("T", 40)),
    ("partial", "corrected", "resting"): lambda d: d.prove("resting"),
    **{(s, "corrected", s): longer for s in ("partial", "cancelling", "settling")},
    ("settling", "still_live", "partial"): lambda d: d.prove("resting", ("T", 40)),
    ("settling", "still_live", "resting"): lambda d: d.prove("resting"),
    **{
        (s, "given_up", "filled"): lambda d: d.prove("resting", ("T", 1_000), given_up=True)
        for s in (*ENDABLE, "settling")
    },
    **{(s, "given_up", "cancelled"): lambda d: d.prove("resting", given_up=True) for s in (*ENDABLE, "settling")},
}

EXECUTION: dict[tuple[str, str, str], Callable[[Driver], object]] = {
    ("pending", "planned", "split"): lambda d: d.look(feed="stale"),
    ("split", "working", "walking"): lambda d: (d.place(), d.accept()),
    ("split", "filled_some", "partial"): lambda d: (d.place(), d.fill("f1", 100)),
    ("walking", "filled_some", "partial"): lambda d: (d.place(), d.accept(), d.fill("f1", 100)),
    ("partial", "filled_some", "partial"): lambda d: (d.place(), d.fill("f1", 100), d.fill("f2", 100)),
    ("walking", "walked", "walking"): lambda d: (d.place(), d.accept(), walk(d)),
    ("partial", "walked", "partial"): lambda d: (d.place(), d.accept(), d.fill("f1", 100), walk(d)),
    ("partial", "filled_all", "filled"): lambda d: (d.place(), d.accept(), d.fill("f1", 1_000)),
    ("pending", "gave_up", "cancelled"): lambda d: d.stop(),
    ("split", "gave_up", "cancelled"): lambda d: (d.look(feed="stale"), d.stop()),
    ("walking", "gave_up", "cancelled"): lambda d: (d.place(), d.accept(), d.stop(), ended(d, 0)),
    ("partial", "gave_up", "cancelled"): lambda d: (d.place(), d.accept(), d.fill("f1", 1), d.stop(), ended(d, 1)),
}

# A fill is always told to the execution before it can end, so it ends from `partial`. These rows are the table's
# promise that an execution could end at its target from any working state; `step` drives them in tests/machines.
BY_STEP_ONLY = {("split", "filled_all", "filled"), ("walking", "filled_all", "filled")}


def walk(driver: Driver) -> object:
    driver.reprice(5_100)
    return driver.fact(AmendAnswered, filled_e2=None, remaining_e2=None)


def driven(driver: Driver, machine: str, seen: int = 0) -> list[tuple[str, str, str]]:
    return [(c.source, c.trigger, c.dest) for c in driver.changes[seen:] if c.machine == machine]


@pytest.mark.parametrize("row", CHILD, ids=" ".join)
def test_an_order_moves_along_every_row(world: World, row: tuple[str, str, str]) -> None:
    """The last fact makes the transition, first of all and from the state the row names."""
    driver = world.drive(world.scripted())
    driver.place()
    if row == WHOLE:
        driver.accept(filled=1_000, remaining=0)
    else:
        TO[row[0]](driver)
    assert driver.child.state == row[0]
    seen = len(driver.changes)
    CHILD[row](driver)
    assert row in driven(driver, "child_order", seen)


@pytest.mark.parametrize("row", EXECUTION, ids=" ".join)
def test_an_execution_moves_along_every_row(world: World, row: tuple[str, str, str]) -> None:
    """What happens to it makes the transition."""
    driver = world.drive(world.scripted())
    EXECUTION[row](driver)
    assert row in driven(driver, "execution")


def test_no_row_of_the_two_tables_is_left_out() -> None:
    """A new row needs a test that drives it."""
    for name, rows, elsewhere in (("child_order", CHILD, set()), ("execution", EXECUTION, BY_STEP_ONLY)):
        in_table = {(row.source, row.trigger, row.dest) for row in TABLES[name].rows}
        assert set(rows) | elsewhere == in_table
        assert not set(rows) & elsewhere


@pytest.mark.parametrize("state", [*TO, "filled", "cancelled", "rejected"])
def test_a_fact_without_a_row_raises_and_changes_nothing(world: World, state: str) -> None:
    """What moves the order only from other states is a contradiction here, or changes nothing; it never moves it."""
    driver = world.drive(world.scripted())
    driver.place()
    if state in TO:
        TO[state](driver)
    elif state == "filled":
        driver.fill("f1", 1_000)
    elif state == "cancelled":
        driver.fact(OrderNotSent, why="")
    else:
        driver.fact(OrderRefused, code="invalid_price", message="")
    facts: dict[str, Callable[[], object]] = {
        "withdrawn": lambda: driver.fact(OrderNotSent, why=""),
        "absent": lambda: absent(driver),
    }
    if state not in TO:
        facts["refused"] = lambda: driver.fact(OrderRefused, code="invalid_price", message="")
    before = driver.execution
    for trigger, tell in facts.items():
        if not any((row.source, row.trigger) == (state, trigger) for row in TABLES["child_order"].rows):
            with pytest.raises((IllegalTrigger, IllegalEvent)):
                tell()
            assert driver.execution is before


@pytest.mark.parametrize("state", [state for state in TO if state != "intended"])
def test_a_refusal_of_an_order_that_is_there_is_not_believed(world: World, state: str) -> None:
    """It may be wrong itself: the order stays what it is, and is asked about."""
    driver = world.drive(world.scripted())
    driver.place()
    TO[state](driver)
    driver.fact(OrderRefused, code="invalid_price", message="")
    assert (driver.child.state, driver.child.suspicion is not None) == (state, True)
