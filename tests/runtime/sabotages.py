"""Ways in which a start could ask the exchange for something else than it should: `pytest -p tests.runtime.sabotages`
with the name of one in FSM_EXEC_SABOTAGE runs any test with it. test_recovery_mutants.py runs the recovery's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from fsm_exec.kalshi import listings
from fsm_exec.paper.venue.paging import Page
from fsm_exec.runtime import exchange_reads, missed_facts

VARIABLE: Final = "FSM_EXEC_SABOTAGE"
YEAR_2096_US: Final = 3_976_214_400_000_000


def _list_from_2096() -> None:
    _replace(missed_facts, "listed_since_us", lambda *_: YEAR_2096_US)


def _list_from_ever() -> None:
    whole: Any = exchange_reads.fetch_listings
    _replace(missed_facts, "fetch_listings", lambda exchange, since_us, *rest: whole(exchange, None, *rest))


def _drop(field: str) -> Callable[[], None]:
    def sabotage() -> None:
        query = listings._query

        def without(ticker: str | None, order_id: str | None = None, since_us: int | None = None) -> dict[str, str]:
            return {name: value for name, value in query(ticker, order_id, since_us).items() if name != field}

        _replace(listings, "_query", without)

    return sabotage


def _ignore(method: str) -> Callable[[], None]:
    return lambda: _replace(Page, method, lambda *_: True)


def _replace(owner: object, name: str, instead: object) -> None:
    assert name in vars(owner), f"{owner} has no {name}: its sabotage would change nothing"
    setattr(owner, name, instead)


SABOTAGES: Final[dict[str, Callable[[], None]]] = {
    "a start lists from the year 2096 on": _list_from_2096,
    "a start lists everything there ever was": _list_from_ever,
    "the client asks for all times": _drop("min_ts"),
    "the client asks for all markets": _drop("ticker"),
    "the exchange ignores since when": _ignore("within"),
    "the exchange ignores the market": _ignore("names"),
}


def pytest_configure() -> None:
    if name := os.environ.get(VARIABLE):
        SABOTAGES[name]()
