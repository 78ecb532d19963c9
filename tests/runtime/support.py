"""An engine on an exchange of its own (bent_exchange) and a database in memory: what happens when, in virtual time."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio

from fsm_exec.algorithms import method
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.snapshot import decode_entry, encode_snapshot
from fsm_exec.core.market.fees import fee_terms
from fsm_exec.core.market.limits import Limits, resolve_limits
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.store_port import Store
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, Outcome, PriceE4
from fsm_exec.runtime.account.account import AccountSetup
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.submission import ExecutionRequest, MethodRef
from fsm_exec.store import SqliteStore, open_virtual_store
from tests.runtime.bent_exchange import BentExchange, open_bent_exchange
from tests.runtime.paper_account import TICKER as TICKER

T0_US = 1_700_000_000_000_000
INSTANCE = "abcdefghij"
FEES = fee_terms("quadratic", Decimal(1))
TERMS = MarketTerms(
    ticker=TICKER, series="KXTEST", event="KXTEST-A", category="Test", status="open", grid=LINEAR_CENT, fees=FEES
)
PATIENCE_S = 600.0  # of virtual time: an execution that has not ended by then never will


def price(cents: int) -> PriceE4:
    return PriceE4(cents * 100)


def count(contracts: int) -> CountE2:
    return CountE2(contracts * 100)


@dataclass
class Stage:
    """`lines()` are the log's, decoded."""

    engine: Engine
    exchange: BentExchange
    store: Store
    database: SqliteStore
    wall: WallClock
    log: io.StringIO

    def lines(self, event: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [entry for entry in entries if entry["event"] == event]

    async def submit(
        self,
        *,
        contracts: int = 10,
        horizon_s: int = 30,
        outcome: Outcome = "yes",
        cents: int = 48,
        limits: Limits | None = None,
        method_name: str | None = None,
    ) -> str:
        """Work a simple_limit, within `limits` or those of `cents`, stored under `method_name` where it is given;
        returns the execution's id."""
        chosen = method("simple_limit")
        return await self.engine.submit(
            ExecutionRequest(
                ticker=TICKER,
                outcome=outcome,
                target_e2=count(contracts),
                method=MethodRef(method_name or chosen.full_name, chosen),
                limits=limits or resolve_limits(price(cents), LINEAR_CENT, FEES),
                horizon_us=horizon_s * 1_000_000,
            )
        )

    def order_of(self, execution_id: str) -> str:
        """Its one order that rests."""
        (order,) = [name for name in self.exchange.resting if f"-{execution_id}-" in name]
        return order

    async def ended(self, execution_id: str) -> Execution:
        """The execution once nobody works; its snapshot in the database is it, and the fold of its journal."""
        with trio.fail_after(PATIENCE_S):
            await self.engine.wait_idle()
        execution = self.engine.ended[execution_id].execution
        (stored,) = [e for e in await self.database.load_executions() if e.execution_id == execution_id]
        assert stored.snapshot == encode_snapshot(execution)
        journal = await self.database.load_journal(execution_id)
        assert fold(decode_entry(row.event, row.intents) for row in journal) == execution
        return execution

    async def history(self, execution_id: str) -> list[str]:
        """The states of its first order, as the journal tells them."""
        steps = "; ".join(row.steps for row in await self.database.load_journal(execution_id))
        moves = [step.split(": ")[1] for step in steps.split("; ") if step.startswith("child_order ")]
        return [moves[0].split(" ")[0], *(move.split(" ")[2] for move in moves)] if moves else []


class StoreBetween:
    """A store that passes everything on; tests override what they are about."""

    def __init__(self, inner: SqliteStore) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self.inner, name)


@asynccontextmanager
async def staged(
    between: type[StoreBetween] = StoreBetween, *, risk: RiskLimits | None = None, path: Path | None = None
) -> AsyncIterator[Stage]:
    """A running engine on a small exchange and a database in memory (or at `path`); needs a virtual clock. With `risk`
    it keeps the account's books and these limits."""
    wall = WallClock(T0_US)
    log = io.StringIO()
    async with open_virtual_store(path, draw_instance=lambda: INSTANCE, at_us=T0_US) as database:
        store = between(database)
        account = None if risk is None else AccountSetup(database, risk)
        async with (
            open_bent_exchange(wall) as exchange,
            open_engine(store, exchange, wall, open_log(log, wall), [TICKER], method, account=account) as engine,
        ):
            await trio.sleep(1)  # the stream has delivered its snapshot
            yield Stage(engine, exchange, store, database, wall, log)
