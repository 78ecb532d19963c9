"""Each limit of the account at, below and above, through a running engine; and what no limit may forget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.rows import MarketBooks
from fsm_exec.core.errors import IllegalEvent, RiskRefused, SaveRefused, UserError
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import MoneyE6
from fsm_exec.runtime.account.account import Account
from fsm_exec.runtime.account.gate import Gate
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.submission import ExecutionRequest
from tests.bending import requests
from tests.runtime.support import INSTANCE, TICKER, Stage, price, staged

LOOK_S = 31
RETRY_S = 25  # a read that is not answered, and the pause after it
LEVELS = ("market", "event", "series", "account")


def account_of(stage: Stage) -> Account:
    assert stage.engine.account is not None
    return stage.engine.account


def worst_e6(stage: Stage, level: str) -> int:
    """What can be lost as it stands, of the market that is worked or what it is part of."""
    exposure = account_of(stage).exposure()
    figures = {
        "market": exposure.by_market.get(TICKER, 0),
        "event": exposure.by_event.get("KXTEST-A", 0),
        "series": exposure.by_series.get("KXTEST", 0),
        "account": exposure.account_e6,
    }
    return -figures[level]


@pytest.mark.parametrize("more_e6", [-1, 0, 1])
@pytest.mark.parametrize("level", LEVELS)
async def test_a_worst_case_may_reach_its_limit_and_not_pass_it(
    autojump_clock: MockClock, level: str, more_e6: int
) -> None:
    """Twenty contracts whose cap just fits are let in, as they are below it; a millionth more for each is refused."""
    limits: dict[str, Any] = {f"max_worst_case_{level}_dollars": 20}
    async with staged(risk=RiskLimits(**limits)) as stage:
        await trio.sleep(LOOK_S)
        room_e6, odd = divmod(20_000_000 - worst_e6(stage, level), 20)
        assert odd == 0
        cap = Limits(price(40), price(40), MoneyE6(room_e6 + more_e6))
        if more_e6 <= 0:
            await stage.submit(contracts=20, limits=cap, horizon_s=300)
            assert worst_e6(stage, level) == 20_000_000 + 20 * more_e6
            return
        with pytest.raises(RiskRefused) as refused:
            await stage.submit(contracts=20, limits=cap, horizon_s=300)
        assert refused.value.limit == f"max_worst_case_{level}_dollars"


@pytest.mark.parametrize(("contracts", "is_let_in"), [(6, True), (7, True), (8, False)])
async def test_contracts_of_a_market_are_limited(autojump_clock: MockClock, contracts: int, is_let_in: bool) -> None:
    """Three are held by hand: seven more make ten, the limit."""
    async with staged(risk=RiskLimits(max_contracts_per_market=10)) as stage:
        await trio.sleep(LOOK_S)
        if is_let_in:
            await stage.submit(contracts=contracts, cents=40)
            return
        with pytest.raises(RiskRefused, match="max_contracts_per_market"):
            await stage.submit(contracts=contracts, cents=40)


async def test_executions_that_wait_to_be_measured_are_not_at_work(autojump_clock: MockClock) -> None:
    """One whose owner ended it by hand leaves its place at once, not at its deadline; one that works keeps it."""
    async with staged(risk=RiskLimits(max_executions=1)) as stage:
        ended = await stage.submit(contracts=1, cents=40, horizon_s=300)
        await trio.sleep(5)
        stage.exchange.end(stage.order_of(ended))
        await trio.sleep(5)
        assert stage.engine.actors[ended].execution.is_ended
        await stage.submit(contracts=1, cents=40, horizon_s=300)
        with pytest.raises(RiskRefused, match="max_executions"):
            await stage.submit(contracts=1, cents=40)


async def test_submissions_of_a_minute_are_counted_whatever_the_clock_says(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """A clock that is put back and a restart give no new minute; a minute later there is room again."""
    path = tmp_path / "d.sqlite"
    limits = RiskLimits(max_submissions_per_minute=2)
    async with staged(risk=limits, path=path) as stage:
        for _ in range(2):
            await stage.submit(contracts=1, cents=30, horizon_s=3_000)
        stage.wall.set_us(stage.wall.now_us() - 3_600_000_000)
        with pytest.raises(RiskRefused, match="max_submissions_per_minute"):
            await stage.submit(contracts=1, cents=30)
        await stage.engine.drain(cancel_orders=False)
    async with staged(risk=limits, path=path) as stage:
        await trio.sleep(1)
        with pytest.raises(RiskRefused, match="max_submissions_per_minute"):
            await stage.submit(contracts=1, cents=30)
        await trio.sleep(61)
        await stage.submit(contracts=1, cents=30)


async def test_writes_of_a_minute_halt_the_engine_before_one_too_many(autojump_clock: MockClock) -> None:
    """The third order never leaves, cancels do, and the halt is durable."""
    async with staged(risk=RiskLimits(max_writes_per_minute=2)) as stage:
        for cents in (30, 31, 32):
            await stage.submit(contracts=1, cents=cents, horizon_s=300)
        await trio.sleep(10)
        assert stage.engine.state == "halted"
        assert "max_writes_per_minute" in (stage.engine.status().why_halted or "")
        mine = [name for name in stage.exchange.held if name.startswith(f"fx{INSTANCE}")]
        assert (len(mine), len(stage.exchange.cancels)) == (2, 2)
        assert await stage.database.load_halted_at() is not None


@pytest.mark.parametrize("limits", [RiskLimits(only_series=("KXOTHER",)), RiskLimits(never_series=("KXTEST",))])
async def test_a_series_that_is_not_allowed_is_refused(autojump_clock: MockClock, limits: RiskLimits) -> None:
    """But what is held of it may be sold."""
    async with staged(risk=limits) as stage:
        await trio.sleep(LOOK_S)
        with pytest.raises(RiskRefused, match="_series"):
            await stage.submit(contracts=1, cents=40)
        await stage.submit(contracts=2, outcome="no", cents=40)


async def test_a_position_larger_than_any_limit_shrinks_and_does_nothing_else(autojump_clock: MockClock) -> None:
    """What was held before the first look is past every limit: to sell of it is let in, to buy more is not."""
    limits = RiskLimits(max_worst_case_market_dollars=1, max_worst_case_account_dollars=1, max_contracts_per_market=1)
    async with staged(risk=limits) as stage:
        with pytest.raises(RiskRefused):
            await stage.submit(contracts=1, cents=40)
        await stage.submit(contracts=3, outcome="no", cents=55)
        with pytest.raises(RiskRefused):
            await stage.submit(contracts=4, outcome="no", cents=55)


async def test_an_order_of_ours_that_nobody_works_counts(autojump_clock: MockClock) -> None:
    """It bears our name, no execution has it, and cancels do not arrive: from the second look on it uses the limit."""
    async with staged(risk=RiskLimits(max_worst_case_market_dollars=10)) as stage:
        stage.exchange.bends.on_request(requests.drop(), "DELETE", "/portfolio/*")
        before_e6 = worst_e6(stage, "market")
        stage.exchange.strange_order(f"fx{INSTANCE}-e000099-0-0", cents=40, contracts=20)
        await trio.sleep(3 * LOOK_S)
        assert worst_e6(stage, "market") - before_e6 >= 20 * 400_000
        with pytest.raises(RiskRefused):
            await stage.submit(contracts=10, cents=40)


async def test_what_is_being_given_up_is_reserved_once(autojump_clock: MockClock) -> None:
    """Its task still waits for an answer while it is quarantined already: what it may buy counts as before."""
    async with staged(risk=RiskLimits(max_worst_case_market_dollars=10)) as stage:
        await trio.sleep(1)
        before_e6 = worst_e6(stage, "market")
        stage.exchange.answer_s = 8
        name = await stage.submit(contracts=10, cents=40, horizon_s=600)
        await trio.sleep(1)
        reserved_e6 = worst_e6(stage, "market") - before_e6
        stage.engine.actors[name].inbox.stop(IllegalEvent("what cannot be"))
        await trio.sleep(1)
        assert name in stage.engine.actors
        assert name in stage.engine.status().quarantined
        await stage.submit(contracts=1, cents=40, horizon_s=600)
        assert worst_e6(stage, "market") - before_e6 == reserved_e6 * 11 // 10


async def test_what_is_being_taken_up_is_reserved_all_the_time(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its market is opened again, which takes its time: until it is at work it is still quarantined."""
    async with staged(risk=RiskLimits(max_worst_case_market_dollars=10)) as stage:
        name = await stage.submit(contracts=10, cents=40, horizon_s=600)
        await trio.sleep(1)
        stage.engine.actors[name].inbox.stop(IllegalEvent("what cannot be"))
        await trio.sleep(3)
        await stage.submit(contracts=1, cents=40, horizon_s=600)
        reserved_e6 = worst_e6(stage, "market")
        open_worked = Markets.open_worked

        async def slowly(markets: Markets, terms: MarketTerms) -> None:
            await trio.sleep(5)
            await open_worked(markets, terms)

        monkeypatch.setattr(Markets, "open_worked", slowly)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.engine.resume_execution, name)
            await trio.sleep(2)
            assert worst_e6(stage, "market") == reserved_e6
            with pytest.raises(UserError, match="not quarantined"):
                await stage.engine.resume_execution(name)
        assert name in stage.engine.actors
        assert worst_e6(stage, "market") == reserved_e6


async def test_requests_that_come_together_all_know_their_event(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is judged while the event's shape is still being read for another: a hedge would pass for no risk."""
    known: list[bool] = []
    async with staged(risk=RiskLimits(max_worst_case_event_dollars=100)) as stage:
        ledger, reserve = account_of(stage).ledger, Gate.reserve
        await ledger.was_read.wait()

        def noting(gate: Gate, name: str, request: ExecutionRequest, terms: MarketTerms) -> None:
            known.append(terms.event in ledger.shapes and terms.ticker in ledger.facts)
            reserve(gate, name, request, terms)

        monkeypatch.setattr(Gate, "reserve", noting)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(stage.submit)
    assert known == [True, True, True]


async def test_the_brake_looks_also_while_the_account_cannot_be_read(autojump_clock: MockClock) -> None:
    """A loss on what the engine itself bought is seen by the books there are."""
    async with staged(risk=RiskLimits(daily_loss_dollars=1)) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.silence("/portfolio/settlements")
        await stage.submit(contracts=40, cents=60, horizon_s=300)
        await trio.sleep(2 * RETRY_S + LOOK_S)
        assert account_of(stage).risk.state == "reducing"


async def test_a_row_the_database_refuses_ends_nobody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look fails and is made again; the engine goes on."""
    async with staged(risk=RiskLimits(daily_loss_dollars=1)) as stage:
        await trio.sleep(LOOK_S)

        async def refuse(*_: object) -> None:
            raise SaveRefused("the database does not take it")

        monkeypatch.setattr(stage.database, "save_look", refuse)
        await trio.sleep(2 * LOOK_S)
        assert stage.engine.state == "running"
        assert stage.lines("account_not_read")


async def test_a_fill_while_books_are_read_again_is_booked_once(autojump_clock: MockClock) -> None:
    """It comes after the books were read and before they are put in place: they are read once more."""
    async with staged(risk=RiskLimits()) as stage:
        await trio.sleep(LOOK_S)
        ledger = account_of(stage).ledger
        reads = 0

        class Between:
            """The database, slower than a fill at the first read."""

            def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
                return getattr(stage.database, name)

            async def load_books(self, ticker: str) -> MarketBooks:
                nonlocal reads
                reads += 1
                books = await stage.database.load_books(ticker)
                if reads == 1:
                    await stage.submit(contracts=5, cents=60)
                    await trio.sleep(5)
                return books

        ledger.stale.add(TICKER)
        await ledger.reload_stale(Between())
        assert reads == 2
        assert ledger.markets[TICKER].holding.count_e2 == stage.exchange.account.position(TICKER).count_e2 == 800
