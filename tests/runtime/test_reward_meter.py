"""What programmes pay is measured while executions work: by the second, through restarts and refusals, and never in
their way. The real client and the paper exchange, in virtual time."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.costs.metrics import rewards_of
from fsm_exec.core.errors import LocalError, VenueRefused
from fsm_exec.core.market.incentives import IncentiveListing, IncentiveProgram
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT, MoneyE6, parse_count, parse_price
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.paper.tapes.tape import BookDelta, Trade
from fsm_exec.paper_session import PaperExchange, PaperSession, access_to, open_paper_session
from fsm_exec.runtime import reward_meter
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import EndedExecution, ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import Session, open_session
from fsm_exec.store import open_virtual_store

T0_US = 1_790_000_000_000_000
TICKER = "KXTEST-A-1"
OTHER = "KXTEST-A-2"
DAY_US = 86_400_000_000
A_CENT_A_SECOND = 864 * 10_000


def program(paper: PaperExchange, kind: str = "liquidity", **more: object) -> IncentiveProgram:
    """A cent a second: half of it for each side."""
    now_us = paper.clock.now_us()
    fields: dict[str, object] = {
        "program_id": f"{kind}-1",
        "ticker": TICKER,
        "kind": kind,
        "start_us": now_us,
        "end_us": now_us + DAY_US,
        "reward_e4": A_CENT_A_SECOND,
        "paid_out": False,
        "discount_bps": 5_000,
        "target_e2": parse_count("100"),
        **more,
    }
    return IncentiveProgram(**fields)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(
    *programs: Callable[[PaperExchange], IncentiveProgram],
    log: io.StringIO | None = None,
) -> AsyncIterator[tuple[PaperExchange, PaperSession]]:
    """An engine in a market at 0.45 to 0.50 whose programmes are announced before it starts."""
    paper = open_market(*programs)
    async with open_paper_session(paper, rewards=True, log_file=log) as session:
        yield paper, session


def open_market(*programs: Callable[[PaperExchange], IncentiveProgram]) -> PaperExchange:
    paper = PaperExchange.starting_at(T0_US)
    paper.open_market(TICKER, yes=[("0.45", "100"), ("0.40", "500")], no=[("0.50", "200")])
    for each in programs:
        paper.exchange.incentives.add(each(paper))
    return paper


async def bid(
    session: Session, *, size: str = "20", horizon_s: int = 30, name: str = "join_bid", ticker: str = TICKER
) -> str:
    """Give an order of YES at 0.45 at most."""
    await trio.sleep(2)
    engine = session.engine
    limit = parse_price("0.45")
    return await engine.submit(
        ExecutionRequest(
            ticker=ticker,
            outcome="yes",
            target_e2=parse_count(size),
            method=MethodRef(name, method(name)),
            limits=resolve_limits(limit, LINEAR_CENT, engine.feeds[ticker].terms.fees, worst=limit),
            horizon_us=horizon_s * 1_000_000,
        )
    )


async def ended(session: Session, name: str) -> EndedExecution:
    await session.engine.wait_idle()
    return session.engine.ended[name]


async def stored(session: Session, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = await session.store._writer.read(lambda c: c.execute(query).fetchall())
    return found


def virtually(work: Callable[[], Awaitable[None]]) -> None:
    run_virtual(work, seed=1)


def test_a_resting_order_earns_by_the_second() -> None:
    """20 of 120 at the best price: a sixth of half a cent each second it rests, rounded down at 10^-12 dollars, and
    as many seconds as the exchange itself counts, but for the latency."""

    async def work() -> None:
        async with opened(program) as (paper, session):
            name = await bid(session)
            one = await ended(session, name)
            ((seconds, earned),) = await stored(session, "SELECT seconds, earned_e12 FROM execution_rewards")
            assert earned == seconds * 833_333_333
            ((account, share),) = paper.exchange.incentives._shares["liquidity-1"].items()
            assert account == session.account.account_id
            assert 25 <= seconds <= 31
            assert abs(seconds - share // (10**18 // 6)) <= 1
            assert one.metrics is not None
            assert one.metrics.liquidity_reward_e7 == -(earned // 10**5)
            assert one.metrics.volume_reward_e7 == 0
            assert one.metrics.rewards_e7 == one.metrics.liquidity_reward_e7
            ((kind, reward, target, discount),) = await stored(
                session, "SELECT kind, period_reward, target_size, discount_factor FROM incentive_programs"
            )
            assert (kind, reward, target, discount) == ("liquidity", "864.0000", "100.00", "0.5000")

    virtually(work)


def test_rewards_are_no_part_of_the_shortfall() -> None:
    """With a programme and without, the same execution costs the same; the account's cash knows nothing of it."""
    costs = []

    async def with_programs(*programs: Callable[[PaperExchange], IncentiveProgram]) -> None:
        async with opened(*programs) as (_, session):
            one = await ended(session, await bid(session))
            assert one.metrics is not None
            costs.append((one.metrics.shortfall_e7, one.metrics.fees_e7, session.account.cash_e6))

    virtually(lambda: with_programs())
    virtually(lambda: with_programs(program))
    assert costs[0] == costs[1]


def test_a_fill_earns_its_part_of_the_volume() -> None:
    """20 contracts filled of the 1,000 that a day's pool is shared by, on both sides: 20 / 2,000 of 10 dollars."""

    async def work() -> None:
        async with opened(lambda paper: program(paper, "volume", reward_e4=100_000)) as (paper, session):
            market = paper.exchange.markets[TICKER]
            market.volume_e2 = 100_000 - 12_000
            name = await bid(session, horizon_s=120)
            await trio.sleep(1)
            paper.exchange.apply(TICKER, Trade("no", parse_price("0.45"), parse_count("120")))
            await trio.sleep(62)  # the market is read every minute
            one = await ended(session, name)
            assert one.metrics is not None
            assert one.execution.filled_e2 == 2_000
            assert market.volume_e2 == 100_000
            assert one.metrics.volume_reward_e7 == -1_000_000
            assert one.metrics.liquidity_reward_e7 == 0

    virtually(work)


def test_what_is_estimated_again_is_the_same() -> None:
    """A process may die when the rewards are stored and the cost is not: what volume earned is not counted twice."""

    async def work() -> None:
        async with opened(program, lambda paper: program(paper, "volume")) as (paper, session):
            name = await bid(session, horizon_s=20)
            await trio.sleep(10)
            paper.exchange.apply(TICKER, Trade("no", parse_price("0.45"), parse_count("120")))
            await trio.sleep(62)  # the market is read every minute
            one = await ended(session, name)
            assert one.metrics is not None
            first = rewards_of(one.metrics)
            assert first.liquidity_e7
            assert first.volume_e7
            assert await session.engine._services.estimate_rewards(one.execution) == first

    virtually(work)


def test_a_side_that_does_not_reach_the_target_earns_nothing() -> None:
    """NO offers less than the target from the middle on: only the seconds before count."""

    async def work() -> None:
        async with opened(program) as (paper, session):
            name = await bid(session)
            await trio.sleep(10)
            paper.exchange.apply(TICKER, BookDelta("no", parse_price("0.50"), -parse_count("101")))  # type: ignore[arg-type]
            await ended(session, name)
            ((seconds,),) = await stored(session, "SELECT seconds FROM execution_rewards")
            assert 8 <= seconds <= 12

    virtually(work)


def test_what_was_earned_survives_a_restart(tmp_path: Path) -> None:
    """An engine that takes the execution up goes on counting where the last save was."""

    async def work() -> None:
        paper = open_market(program)
        _, credentials = paper.gate.open_account(MoneyE6(10**9), "ed25519")

        @asynccontextmanager
        async def life() -> AsyncIterator[Session]:
            wall = WallClock(paper.clock.now_us())
            log = open_log(io.StringIO(), wall)
            async with (
                open_virtual_store(tmp_path / "x.sqlite", draw_instance=lambda: "b" * 10, at_us=wall.now_us()) as store,
                open_session(
                    access_to(host, credentials), store, wall, log, tickers=[TICKER], seed=1, rewards=True
                ) as session,
            ):
                yield session

        async with paper.in_memory() as host:
            async with life() as session:
                name = await bid(session, horizon_s=60)
                await trio.sleep(21)
                ((before,),) = await stored(session, "SELECT seconds FROM execution_rewards")
                assert 10 <= before <= 21
                await session.engine.drain(cancel_orders=False)
            async with life() as session:
                await ended(session, name)
                ((after, earned),) = await stored(session, "SELECT seconds, earned_e12 FROM execution_rewards")
                assert before + 30 < after <= 61
                assert earned == after * 833_333_333

    virtually(work)


@pytest.mark.parametrize("how", ["refused", "unclear", "not stated"])
def test_what_cannot_be_read_is_unknown_and_said_once(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal, a row that cannot be read, a programme without a target: NULL, never 0; the execution ends as ever."""
    fetch = KalshiClient.fetch_incentives

    async def refused(client: KalshiClient) -> IncentiveListing:
        listing = await fetch(client)
        if how == "refused":
            raise VenueRefused(403, "forbidden", "not for you")
        if how == "unclear":
            return IncentiveListing(programs=(), unclear=frozenset({TICKER}))
        return listing

    monkeypatch.setattr(KalshiClient, "fetch_incentives", refused)
    monkeypatch.setattr(reward_meter, "READ_EVERY_S", 5.0)
    log = io.StringIO()

    async def work() -> None:
        announced = (lambda paper: program(paper, target_e2=None)) if how == "not stated" else program
        async with opened(announced, log=log) as (_, session):
            one = await ended(session, await bid(session))
            assert one.metrics is not None
            assert one.metrics.liquidity_reward_e7 is None
            assert one.metrics.shortfall_e7 is not None
            assert one.execution.reason == "deadline"
            assert session.engine.health.why_degraded() == ()

    virtually(work)
    assert log.getvalue().count("incentives_unknown") == (how == "refused")


def test_a_bug_of_the_measuring_ends_the_measuring_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine goes on, the execution is worked to its end and its cost known; what it earned is not."""
    log = io.StringIO()

    def failing(*_: object) -> int:
        raise LocalError("a bug")

    monkeypatch.setattr(reward_meter, "second_reward_e12", failing)

    async def work() -> None:
        async with opened(program, log=log) as (_, session):
            one = await ended(session, await bid(session))
            assert (one.execution.reason, session.engine.failure) == ("deadline", None)
            assert one.metrics is not None
            assert one.metrics.shortfall_e7 is not None
            assert (one.metrics.liquidity_reward_e7, one.metrics.volume_reward_e7) == (None, None)

    virtually(work)
    assert log.getvalue().count("rewards_not_measured") == 1


def test_a_market_that_is_opened_has_its_programmes_within_seconds() -> None:
    """They began after the last reading, and the next is minutes away."""

    async def work() -> None:
        async with opened() as (paper, session):
            await trio.sleep(20)
            paper.open_market(OTHER, yes=[("0.45", "100")], no=[("0.50", "200")])
            paper.exchange.incentives.add(program(paper, ticker=OTHER))
            await session.engine.open_market(OTHER)
            await ended(session, await bid(session, ticker=OTHER))
            ((seconds,),) = await stored(session, "SELECT seconds FROM execution_rewards")
            assert 20 <= seconds <= 31

    virtually(work)


def test_without_programmes_nothing_is_counted() -> None:
    """Where none runs the rewards are known, and nothing."""

    async def work() -> None:
        async with opened() as (_, session):
            one = await ended(session, await bid(session))
            assert one.metrics is not None
            assert (one.metrics.liquidity_reward_e7, one.metrics.volume_reward_e7) == (0, 0)

    virtually(work)
