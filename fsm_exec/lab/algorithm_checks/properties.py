"""What must hold of every algorithm, as functions that raise; our tests and `algorithms check` call the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Final

import msgspec

from fsm_exec.algorithms import AnyFamily
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, PlaceOrder
from fsm_exec.core.values.units import LINEAR_CENT, US_PER_S, CountE2, MoneyE6, PriceE4
from fsm_exec.lab.algorithm_checks.another_process import Question, ask_again, recording
from fsm_exec.lab.algorithm_checks.cases import Case, Maker, draw_settings, stage_of
from fsm_exec.lab.algorithm_checks.declaration import held_to_its_declaration
from fsm_exec.lab.algorithm_checks.purity import watched
from fsm_exec.lab.algorithm_checks.stage import Frame, Stage, submitted

NO_SETTING: Final = "no_such_setting"
STILL_S: Final = 60
WRITES_MAX: Final = 16  # of a minute in which nothing happens


class StillBook(msgspec.Struct, frozen=True, kw_only=True):
    """A book that does not change; prices in cents, `target_c` from the bid, `room_c` from there to the worst price."""

    seed: int
    bid_c: int
    spread_c: int
    target_c: int
    room_c: int
    contracts: int


class Broken(AssertionError):
    """A property does not hold; the message says how."""


def maker(family: AnyFamily, case: Case) -> Maker:
    return lambda: family.method(family.name, 1, case.settings)


def play(family: AnyFamily, case: Case) -> Stage:
    """Any tape keeps the invariants: no wish is refused, slices add up, it ends in time, and resumed at any step it
    does the same. Raises what the stage and core raise."""
    stage = stage_of(case, maker(family, case))
    stage.run()
    return stage


def check_settings(family: AnyFamily, seed: int) -> None:
    """A misspelt setting is refused by name, and a configuration is the same after being stored: nothing is lost, and
    nothing in it is a float. Raises Broken."""
    try:
        family.method("mine", 1, {NO_SETTING: 1})
    except UserError as error:
        if NO_SETTING not in str(error):
            raise Broken(f"an unknown setting is refused without its name: {error}") from error
    else:
        raise Broken("an unknown setting is taken in silence: give Config forbid_unknown_fields=True")
    for settings in ({}, draw_settings(family, Random(seed))):
        config = family.method("mine", 1, settings).config
        stored = msgspec.json.decode(msgspec.json.encode(config), type=dict[str, object])
        floats = [name for name, value in stored.items() if isinstance(value, float)]
        if floats:
            raise Broken(f"the setting {floats[0]} is a float: give it an int with its unit, or a Decimal")
        if family.method("mine", 1, stored).config != config:
            raise Broken(f"stored and read again its configuration is another: {config}")


def check_pure(family: AnyFamily, case: Case) -> None:
    """It reads no clock, throws no dice, opens and prints nothing. Raises Impure."""
    fresh = maker(family, case)
    stage_of(case, lambda: watched(fresh())).run()


def check_reads_what_it_declares(family: AnyFamily, case: Case) -> None:
    """A signal that it does not declare changes none of its answers. Raises Undeclared."""
    fresh = maker(family, case)
    stage_of(case, lambda: held_to_its_declaration(fresh(), Random(case.seed))).run()


def check_same_answers(family: AnyFamily, cases: Sequence[Case]) -> None:
    """The same questions have the same answers in another process, in any order: all that it remembers is in Progress.
    Raises Broken and NotAsked."""
    questions: list[Question] = []
    answers: list[bytes] = []
    for case in cases:
        stage_of(case, _recorded(family, case, questions, answers)).run()
    for question, here, there in zip(questions, answers, ask_again(family, questions), strict=True):
        if here != there:
            raise Broken(
                "what it remembers must be in Progress, and no order may be that of a set: asked the same in another "
                f"process {question.function} answers {there.decode()}, here {here.decode()}"
            )


def _recorded(family: AnyFamily, case: Case, questions: list[Question], answers: list[bytes]) -> Maker:
    fresh = maker(family, case)
    return lambda: recording(fresh(), case.settings, questions, answers)


def check_comes_to_rest(family: AnyFamily, book: StillBook) -> None:
    """With the market standing still it soon has nothing left to wish for: few writes in a minute; an order's price
    never turns back, and none is cancelled only to come again. Raises Broken."""
    stage = _still(book, lambda: family.method(family.name, 1, {}))
    stage.run()
    taking = sum(isinstance(w, PlaceOrder) and w.time_in_force == "immediate_or_cancel" for w in stage.sent)
    if len(stage.sent) - taking > WRITES_MAX:
        raise Broken(f"{len(stage.sent) - taking} writes in a minute in which nothing happens")
    for level in {part.level for part in stage.execution.slices}:
        prices = [
            write.price_e4
            for write in stage.sent
            if isinstance(write, PlaceOrder | AmendOrder)
            and (isinstance(write, AmendOrder) or write.time_in_force == "good_till_canceled")
            and f"-{level}-" in write.client_order_id
        ]
        if not all(later > earlier for earlier, later in pairwise(prices)):
            raise Broken(f"the prices of slice {level} turn back although nothing happens: {prices}")
    early = [write for write in stage.sent if isinstance(write, CancelOrder)]
    if stage.execution.closing is None and len(early) > len(stage.execution.slices):
        raise Broken(f"{len(early)} cancels although nothing happens")


def _still(book: StillBook, fresh: Maker) -> Stage:
    bid_e4 = book.bid_c * 100
    frame = Frame(
        bids=((PriceE4(bid_e4), CountE2(5_000)), (PriceE4(bid_e4 - 100), CountE2(7_000))),
        asks=((PriceE4(bid_e4 + book.spread_c * 100), CountE2(200)),),
    )
    target_e4 = min(max(book.bid_c + book.target_c, 1), 95) * 100
    first = submitted(
        book.contracts * 100,
        frame,
        horizon_us=STILL_S * US_PER_S,
        target_e4=target_e4,
        worst_e4=min(target_e4 + book.room_c * 100, 9_900),
        grid=LINEAR_CENT,
        edge=Edge(probability_ppm=600_000, expected_value_e6=MoneyE6(200_000)),
    )
    return Stage(first=first, frame_at=lambda step: frame, fresh=fresh, dice=Random(book.seed))
