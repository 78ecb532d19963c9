"""A daemon without a process: engine, paper exchange and control API in memory, on trio's clock; asked by httpx."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.routing import Route
from starlette.types import ASGIApp
from structlog.typing import FilteringBoundLogger

from fsm_exec.algorithms import method
from fsm_exec.control.app import ControlApp
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.schema import Accepted, ErrorBody, Failed
from fsm_exec.control.service import Control, DaemonInfo
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.values.units import MoneyE6, parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import open_session
from fsm_exec.store import SqliteStore, open_virtual_store
from tests.control.specified import check_answer

START_US = 1_790_856_000_000_000  # 2026-10-01T12:00:00Z
TICKER, OTHER = "KXTEST-26OCT01-A", "KXTEST-26OCT01-B"
TOKEN = "a-token-of-forty-three-characters-for-tests"


@dataclass
class Desk:
    """`http` holds the token, asks by the right name, and holds every answer to the OpenAPI document. `log` is what was
    logged so far."""

    exchange: Exchange
    engine: Engine
    store: SqliteStore
    watchers: Watchers
    control: Control
    http: httpx.AsyncClient
    wall: WallClock
    log_file: io.StringIO
    app: ASGIApp
    routes: list[Route]

    @property
    def log(self) -> str:
        return self.log_file.getvalue()

    async def submit(self, **changes: object) -> httpx.Response:
        return await self.http.post("/v1/executions", content=msgspec.json.encode(request(**changes)))

    async def accepted(self, **changes: object) -> str:
        answer = await self.submit(**changes)
        assert answer.status_code in (200, 201), answer.text
        return msgspec.json.decode(answer.content, type=Accepted).execution_id

    async def executions(self) -> int:
        return len(await self.store.load_executions())


def request(**changes: object) -> dict[str, object]:
    """A submission that is accepted and rests: 10 YES for 0.30. Change to None to leave a field out."""
    values: dict[str, object] = {
        "key": "k1",
        "ticker": TICKER,
        "outcome": "yes",
        "quantity": "10",
        "method": "simple_limit",
        "target_price": "0.30",
        "horizon_s": 60,
    }
    return {name: value for name, value in (values | changes).items() if value is not None}


def error_of(answer: httpx.Response) -> ErrorBody:
    """Every error has one shape, and one line."""
    assert answer.status_code >= 400
    error = msgspec.json.decode(answer.content, type=Failed, strict=True).error
    assert "\n" not in error.message
    assert TOKEN not in answer.text
    return error


def add_market(exchange: Exchange, ticker: str) -> None:
    exchange.add_market(tape_header(ticker, "linear_cent", category="Testing"))
    sides = [tuple((parse_price(p), parse_count("10")) for p in prices) for prices in (("0.44", "0.45"), ("0.47",))]
    exchange.apply(ticker, BookSnapshot(*sides))


@asynccontextmanager
async def a_desk(
    limits: ControlLimits, risk: RiskLimits | None = None, database: Path | None = None
) -> AsyncIterator[Desk]:
    """`database` is a file's, where something else is to read it too."""
    wall, log_file = WallClock(START_US), io.StringIO()
    paper = PaperExchange.starting_at(START_US, seed=1)
    for ticker in (TICKER, OTHER):
        add_market(paper.exchange, ticker)
    _, credentials = paper.gate.open_account(MoneyE6(1_000_000_000), "ed25519")
    log: FilteringBoundLogger = open_log(log_file, wall)
    watchers = Watchers(wall.now_us)
    async with (
        open_virtual_store(database, draw_instance=lambda: "a" * 10, at_us=START_US) as store,
        paper.in_memory(latency=NO_LATENCY) as host,
        open_session(access_to(host, credentials), store, wall, log, seed=1, risk=risk) as session,
    ):
        engine = session.engine
        store.listen(watchers.notify)
        about = DaemonInfo(version="1", environment="paper", database="memory", since_us=START_US)
        control = Control(engine, store, wall, watchers, limits, about, method, session.client)
        app = ControlApp(control, TOKEN, log)
        transport = httpx.ASGITransport(app.app)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://127.0.0.1:1",
            headers=headers,
            event_hooks={"response": [check_answer]},
        ) as http:
            yield Desk(paper.exchange, engine, store, watchers, control, http, wall, log_file, app.app, app.routes)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with a_desk(ControlLimits()) as made:
        yield made
