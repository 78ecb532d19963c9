"""No parameter of a query is swallowed: what it cannot be is refused, and what it asks for is what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fsm_exec.paper.server.rate_limit import TIERS
from tests.paper.support import START_US, TICKER, Stage, header, snapshot, staged
from tests.specification.operations import OPERATIONS, Operation
from tests.specification.shapes import bounds_of, words_of

SETTLED = "KXTEST-26OCT02-A"
START_S = START_US // 1_000_000
NAMES = {
    "ticker": TICKER,
    "event_ticker": "KXTEST-26OCT01",
    "series_ticker": "KXTEST",
    "order_id": "00000000-0000-4000-8000-000000000000",
    "order_group_id": "x",
}
NEEDED = {"start_ts": str(START_S), "end_ts": str(START_S + 60), "period_interval": "1", "market_tickers": TICKER}
ASKED = [
    (operation, name, kind.removeprefix("!")) for operation in OPERATIONS for name, kind in operation.query.items()
]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """An exchange on which every listing has a row."""
    async with staged("memory") as stage:
        stage.gate.rate_limiter.tier = TIERS["prestige"]
        stage.exchange.add_market(header(SETTLED))
        for ticker in (TICKER, SETTLED):
            stage.exchange.apply(ticker, snapshot([("0.45", "10"), ("0.47", "3")], [("0.48", "5")]))
            await stage.create("bid", "0.52", "2", ticker=ticker)
        await stage.create("bid", "0.30", "1")
        stage.exchange.close_market(SETTLED)
        stage.exchange.determine_market(SETTLED, "yes")
        yield stage


async def ask(stage: Stage, operation: Operation, **query: str) -> tuple[int, Any]:
    path = operation.path.format(
        **{**NAMES, **({"ticker": NAMES["event_ticker"]} if "events/{t" in operation.path else {})}
    )
    needed = {name: NEEDED.get(name, TICKER) for name in operation.required}
    body = None if operation.sends is None else {"contracts_limit": 5, "orders": []}
    answer = await stage.call(operation.method, path, body, query={**needed, **query})
    return answer.status_code, answer.json() if answer.content else None


def impossible(kind: str) -> list[str]:
    """What a parameter of this type cannot be."""
    if words_of(kind) is not None:
        return ["neither"]
    if (bounds := bounds_of(kind)) is not None:
        low, high = bounds
        return ["x", "1.5", str(low - 1), *([] if high is None else [str(high + 1)])]
    return {"int": ["x", "1.5", "1e3"], "flag": ["maybe", "2"]}.get(kind, [])


REFUSED = [(operation, name, value) for operation, name, kind in ASKED for value in impossible(kind)]


@pytest.mark.parametrize(
    ("operation", "name", "value"),
    REFUSED,
    ids=[f"{operation.name}-{name}-{value}" for operation, name, value in REFUSED],
)
async def test_what_cannot_be_is_refused(stage: Stage, operation: Operation, name: str, value: str) -> None:
    """400, whatever else is right or wrong with the call; another subaccount and shard are theirs to know."""
    status, body = await ask(stage, operation, **{name: value})
    assert status == 400, body


@pytest.mark.parametrize("operation", [op for op in OPERATIONS if op.required], ids=lambda op: op.name)
async def test_what_is_needed_is_demanded(stage: Stage, operation: Operation) -> None:
    """Each parameter that must be given, left out."""
    for name in operation.required:
        assert (await ask(stage, operation, **{name: ""}))[0] == 400, name


EMPTYING = [
    (operation, name, value)
    for operation, name, kind in ASKED
    if operation.method == "GET" and not operation.name.endswith("Historical") and "{" not in operation.path
    for value in (["NOSUCH"] if kind == "text" else [str(START_S + 10**9)] if name.startswith("min_") else ["1"])
    if (kind == "text" and name not in ("cursor", "count_filter", "status", "incentive_description", "market_tickers"))
    or name.endswith("_ts")
]


@pytest.mark.parametrize(
    ("operation", "name", "value"),
    [each for each in EMPTYING if each[1] not in ("start_ts", "end_ts")],
    ids=lambda value: value.name if isinstance(value, Operation) else str(value),
)
async def test_what_finds_nothing_brings_nothing(stage: Stage, operation: Operation, name: str, value: str) -> None:
    """A name that nobody has, a time after the last or before the first: the lists that had rows are empty."""
    status, body = await ask(stage, operation, **{name: value})
    assert status == 200, body
    assert {key: each for key, each in body.items() if isinstance(each, list) and each} == {}


@pytest.mark.parametrize(
    "name",
    [
        "GetMarkets",
        "GetTrades",
        "GetEvents",
        "GetSeriesList",
        "GetOrders",
        "GetFills",
        "GetPositions",
        "GetSettlements",
    ],
)
async def test_the_lists_have_rows(stage: Stage, name: str) -> None:
    """What the test above empties was not empty."""
    operation = next(each for each in OPERATIONS if each.name == name)
    query = {"settlement_status": "all"} if name == "GetPositions" else {}
    _, body = await ask(stage, operation, **query)
    assert any(isinstance(each, list) and each for each in body.values())
