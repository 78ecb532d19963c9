"""All properties put to one algorithm, each on many cases drawn from a seed; the first case that breaks one is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

from fsm_exec.algorithms import AnyFamily
from fsm_exec.core.text import one_line
from fsm_exec.lab.algorithm_checks.cases import Case, draw_case
from fsm_exec.lab.algorithm_checks.properties import (
    StillBook,
    check_comes_to_rest,
    check_pure,
    check_reads_what_it_declares,
    check_same_answers,
    check_settings,
    play,
)

WHY_CHARS_MAX: Final = 300
ASKED_AGAIN: Final = 20  # cases of which another process is asked, in one go


@dataclass(frozen=True)
class Property:
    """`share`: of a hundred cases asked for, how many it is put to."""

    name: str
    claim: str
    share: int
    check: Callable[[AnyFamily, int], object]


@dataclass(frozen=True)
class Verdict:
    """`seed` makes the case that broke the property, and `why` says how; None: it held on all `cases`."""

    name: str
    claim: str
    cases: int
    seed: int | None
    why: str | None


def still_book(seed: int) -> StillBook:
    dice = Random(f"still:{seed}")
    return StillBook(
        seed=seed,
        bid_c=dice.randint(5, 80),
        spread_c=dice.randint(1, 12),
        target_c=dice.randint(-8, 8),
        room_c=dice.randint(0, 10),
        contracts=dice.choice((1, 3, 7, 20, 100)),
    )


def _cases(family: AnyFamily, seed: int) -> list[Case]:
    return [draw_case(family, seed + n) for n in range(ASKED_AGAIN)]


PROPERTIES: Final = (
    Property("settings", "an unknown setting is refused; stored and read again a configuration is the same", 10,
             check_settings),
    Property("pure", "it reads no clock, throws no dice, opens and prints nothing", 20,
             lambda family, seed: check_pure(family, draw_case(family, seed))),
    Property("signals", "a signal it does not declare that it reads changes none of its answers", 20,
             lambda family, seed: check_reads_what_it_declares(family, draw_case(family, seed))),
    Property("invariants", "on any tape no wish is refused, it ends in time, and resumed at any step it does the same",
             100, lambda family, seed: play(family, draw_case(family, seed))),
    Property("memory", "in another process, asked in another order, it answers the same", 1,
             lambda family, seed: check_same_answers(family, _cases(family, seed))),
    Property("rest", "in a book that stands still it comes to rest", 20,
             lambda family, seed: check_comes_to_rest(family, still_book(seed))),
)  # fmt: skip


def check_algorithm(family: AnyFamily, cases: int, first_seed: int) -> Iterator[Verdict]:
    """A verdict for each property, as it is found. An algorithm for the lab alone need not come to rest."""
    for prop in PROPERTIES:
        if not (family.lab_only and prop.name == "rest"):
            yield _judge(prop, family, max(1, cases * prop.share // 100), first_seed)


def _judge(prop: Property, family: AnyFamily, cases: int, first_seed: int) -> Verdict:
    for n, seed in enumerate(range(first_seed, first_seed + cases), start=1):
        try:
            prop.check(family, seed)
        except (Exception, SystemExit) as error:  # whatever the algorithm's code does is its verdict
            why = one_line(f"{type(error).__name__}: {error}")[:WHY_CHARS_MAX]
            return Verdict(prop.name, prop.claim, n, seed, why)
    return Verdict(prop.name, prop.claim, cases, None, None)
