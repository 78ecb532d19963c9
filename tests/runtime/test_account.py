"""An engine with an account: its limits hold, whatever is done beside it, and it reads what the exchange says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.errors import LocalError, RiskRefused
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.account import Position
from fsm_exec.core.values.units import parse_money
from fsm_exec.runtime.account.account import Account
from fsm_exec.runtime.engine import Engine
from tests.runtime.support import TICKER, Stage, staged
from tests.runtime.test_closing_a_position import close

LOOK_S = 31
TEN = RiskLimits(max_worst_case_market_dollars=10)


def account_of(stage: Stage) -> Account:
    assert stage.engine.account is not None
    return stage.engine.account


async def stored_reserved_e6(stage: Stage) -> int:
    """What the rows of unfinished executions reserve together."""
    total = 0
    for one in await stage.database.load_unfinished():
        detail = await stage.database.load_execution(one.execution_id)
        assert detail is not None
        total += 0 if (amount := await reserved_of(stage, one.execution_id)) is None else parse_money(amount)
    return total


async def reserved_of(stage: Stage, execution_id: str) -> str | None:
    read = stage.database._writer.read
    rows: list[tuple[str | None]] = await read(
        lambda c: c.execute("SELECT reserved FROM execution_state WHERE execution_id = ?", (execution_id,)).fetchall()
    )
    return rows[0][0]


async def test_a_request_past_a_limit_is_refused_and_uses_nothing(autojump_clock: MockClock) -> None:
    """What is asked, used and allowed is said; what fits beside the reservation of the first is let in."""
    async with staged(risk=TEN) as stage:
        before = account_of(stage).exposure().by_market.get(TICKER, 0)
        await stage.submit(contracts=12, cents=40, horizon_s=300)
        with pytest.raises(RiskRefused) as refused:
            await stage.submit(contracts=12, cents=40)
        assert refused.value.limit == "max_worst_case_market_dollars"
        assert account_of(stage).exposure().by_market[TICKER] - before == -await stored_reserved_e6(stage)
        await stage.submit(contracts=4, cents=40, horizon_s=300)


async def test_two_requests_at_once_do_not_share_the_same_room(autojump_clock: MockClock) -> None:
    """The check and the reservation are one step: of five that come together as many are let in as fit."""
    async with staged(risk=TEN) as stage:
        refused = []

        async def one() -> None:
            try:
                await stage.submit(contracts=7, cents=40, horizon_s=300)
            except RiskRefused as error:
                refused.append(error.limit)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one)
        worst = -account_of(stage).exposure().by_market[TICKER]
        assert (len(stage.engine.actors), len(refused)) == (2, 3)
        assert 10_000_000 - 7 * 420_000 < worst <= 10_000_000  # a third would not have fitted


async def test_a_look_at_the_account_goes_through_the_executions_as_often_for_many_orders(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that asked about each order apart held ten thousand orders' engine up for seconds, every half minute."""
    asked, executions_at_work = 0, Engine.executions_at_work

    def counted(engine: Engine) -> list[Execution]:
        nonlocal asked
        asked += 1
        return executions_at_work(engine)

    monkeypatch.setattr(Engine, "executions_at_work", counted)
    seen = []
    async with staged(risk=RiskLimits()) as stage:
        for more in (1, 11):
            for _ in range(more):
                await stage.submit(contracts=1, cents=40, horizon_s=3_000)
            await trio.sleep(1)
            before = asked
            await account_of(stage)._poller.look()
            seen.append(asked - before)
    assert len(set(seen)) == 1


async def test_a_reservation_outlives_the_process(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The engine that takes the execution up refuses what the first one would have refused."""
    path = tmp_path / "d.sqlite"
    async with staged(risk=TEN, path=path) as stage:
        await stage.submit(contracts=20, cents=40, horizon_s=3_000)
        await stage.engine.drain(cancel_orders=False)
    async with staged(risk=TEN, path=path) as stage:
        assert len(stage.engine.actors) == 1
        await trio.sleep(LOOK_S)
        with pytest.raises(RiskRefused):
            await stage.submit(contracts=12, cents=40)


@pytest.mark.parametrize(
    ("damage", "more_e6"),
    [("snapshot = '{'", 0), ("snapshot = '{', reserved = NULL", 20 * (1_000_000 - 416_800))],
)
async def test_what_cannot_be_read_keeps_its_reservation(
    autojump_clock: MockClock, tmp_path: Path, damage: str, more_e6: int
) -> None:
    """A snapshot that is damaged is in quarantine, and what its row reserves still uses the limit, from the start on;
    where that cannot be read either, a dollar for each contract."""
    path, limits = tmp_path / "d.sqlite", RiskLimits(max_worst_case_market_dollars=25)
    async with staged(risk=limits, path=path) as stage:
        await trio.sleep(LOOK_S)
        name = await stage.submit(contracts=20, cents=40, horizon_s=3_000)
        before_e6 = account_of(stage).exposure().by_market[TICKER]
        await stage.engine.drain(cancel_orders=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE execution_state SET {damage} WHERE execution_id = ?", (name,))
    async with staged(risk=limits, path=path) as stage:
        await trio.sleep(LOOK_S)
        assert list(stage.engine.status().quarantined) == [name]
        used_e6 = account_of(stage).exposure().by_market[TICKER]
        assert used_e6 == before_e6 - more_e6, "known without a request"
        room = (25_000_000 + used_e6) // 416_800
        with pytest.raises(RiskRefused):
            await stage.submit(contracts=room + 1, cents=40)
        if room:
            await stage.submit(contracts=room, cents=40)


async def test_nothing_adds_risk_beside_what_has_no_bound(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Of a row that says neither quantity nor reservation nobody knows what it may cost: what may add risk is refused
    by its name, what sells is let in."""
    path = tmp_path / "d.sqlite"
    async with staged(risk=TEN, path=path) as stage:
        await trio.sleep(LOOK_S)
        name = await stage.submit(contracts=5, cents=40, horizon_s=3_000)
        await stage.engine.drain(cancel_orders=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE execution_state SET snapshot = '{', reserved = 'x', target_quantity = 'y'")
    async with staged(risk=TEN, path=path) as stage:
        with pytest.raises(RiskRefused, match=f"of {name} nothing can be read"):
            await stage.submit(contracts=1, cents=40)
        await stage.submit(contracts=2, outcome="no", cents=40)


async def test_what_is_held_by_hand_counts_and_may_shrink(autojump_clock: MockClock) -> None:
    """Contracts bought behind the engine's back use the limit once they are listed; to sell them is never refused."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.take_by_hand("yes", 18, 50)
        await trio.sleep(2 * LOOK_S)
        (one,) = [one for one in (await stage.database.load_account()).markets if one.ticker == TICKER]
        held = stage.exchange.account.position(TICKER)
        assert (one.holding.count_e2, one.by_hand_e2) == (held.count_e2, 1_800)
        assert [found.cause for found in account_of(stage).ledger.differences] == ["by_hand"]
        with pytest.raises(RiskRefused):
            await stage.submit(contracts=10, cents=40)
        await stage.submit(contracts=10, outcome="no", cents=40)


async def test_our_fills_and_the_exchanges_positions_agree(autojump_clock: MockClock) -> None:
    """Books, position, fees and balance: nothing differs after fills of ours, however often it is looked."""
    async with staged(risk=RiskLimits()) as stage:
        await trio.sleep(LOOK_S)
        await stage.submit(contracts=5, cents=60)
        await trio.sleep(3 * LOOK_S)
        ledger, theirs = account_of(stage).ledger, stage.exchange.account.position(TICKER)
        holding = ledger.markets[TICKER].holding
        assert (holding.count_e2, holding.cost_e6) == (theirs.count_e2, theirs.cost_e6)
        assert ledger.differences == ()
        assert (await stage.database.load_account()).differences == ()


async def test_an_order_placed_between_two_reads_of_a_look_is_no_deposit(autojump_clock: MockClock) -> None:
    """What it reserves is missing from the balance, though the listing before showed that nothing rests: look after
    look, nothing differs."""
    async with staged(risk=RiskLimits()) as stage:
        exchange = stage.exchange
        for order in [order for resting in exchange.account.resting.values() for order in resting.values()]:
            exchange.paper.cancel(order, None)  # somebody else's, which would hide the balance
        await trio.sleep(2 * LOOK_S)
        fetch_positions, looks = stage.exchange.fetch_positions, 0

        async def place_meanwhile() -> tuple[Position, ...]:
            nonlocal looks
            looks += 1
            await stage.submit(contracts=5, cents=30, horizon_s=15)
            await trio.sleep(2)
            return await fetch_positions()

        stage.exchange.fetch_positions = place_meanwhile  # type: ignore[method-assign]
        await trio.sleep(5 * LOOK_S)
        assert looks >= 4
        assert (await stage.database.load_account()).differences == ()


async def test_a_daily_loss_ends_what_adds_risk_and_a_person_returns(autojump_clock: MockClock, tmp_path: Path) -> None:
    """In `reducing` only what adds no risk is let in, also after a restart, until somebody accepts the loss."""
    limits, path = RiskLimits(daily_loss_dollars=1), tmp_path / "d.sqlite"
    async with staged(risk=limits, path=path) as stage:
        await trio.sleep(LOOK_S)
        working = await stage.submit(contracts=5, cents=30, horizon_s=3_000)
        stage.exchange.take_by_hand("yes", 30, 60)
        await trio.sleep(2 * LOOK_S)
        risk = account_of(stage).risk
        assert (risk.state, risk.why.split(" is ")[0]) == ("reducing", "the daily loss")
        assert (await stage.ended(working)).reason == "risk"
        await stage.engine.drain(cancel_orders=True)
    async with staged(risk=limits, path=path) as stage:
        await trio.sleep(1)
        assert account_of(stage).risk.state == "reducing"
        with pytest.raises(RiskRefused) as refused:
            await stage.submit(contracts=1, cents=30)
        assert refused.value.limit == "state"
        await account_of(stage).resume(accept_loss=True)
        await stage.submit(contracts=1, cents=30)
        log = await stage.database.load_risk_log(9)
        assert [(row.moved_by, row.who) for row in log] == [("returned", "user"), ("loss_passed", "engine")]


async def test_what_has_no_price_because_nobody_answers_is_no_loss(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A start at which prices cannot be read leaves the brake as it is; when they can, a loss counts again."""
    limits, path = RiskLimits(daily_loss_dollars=1), tmp_path / "d.sqlite"
    async with staged(risk=limits, path=path):
        await trio.sleep(LOOK_S)
    async with staged(risk=limits, path=path) as stage:
        silence = stage.exchange.silence("/markets")
        await trio.sleep(4 * LOOK_S)
        assert account_of(stage).ledger.markets[TICKER].holding.cost_e6 > parse_money("1")
        assert account_of(stage).risk.state == "active"
        silence.end()
        stage.exchange.take_by_hand("yes", 30, 60)
        await trio.sleep(3 * LOOK_S)
        assert account_of(stage).risk.state == "reducing"


async def test_a_second_loss_halts_and_a_restart_finds_it_halted(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The engine ends everything, and is not resumed before the brake is."""
    limits, path = RiskLimits(drawdown_halt_dollars=1), tmp_path / "d.sqlite"
    async with staged(risk=limits, path=path) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.take_by_hand("yes", 30, 60)
        await trio.sleep(2 * LOOK_S)
        assert (stage.engine.state, account_of(stage).risk.state) == ("halted", "halted")
        with pytest.raises(LocalError, match="risk is halted"):
            stage.engine.resume()
    async with staged(risk=limits, path=path) as stage:
        await trio.sleep(1)
        assert stage.engine.state == "halted"
        await account_of(stage).reduce()
        stage.engine.resume()
        await stage.submit(contracts=5, outcome="no", cents=40)


async def test_a_request_just_after_the_start_waits_for_the_account(autojump_clock: MockClock) -> None:
    """It is judged by what is held; while nothing of that can be read only what closes is let in, as the exchange
    itself closes no more than is held: our books are of before the start."""
    async with staged(risk=TEN) as stage:
        ledger = account_of(stage).ledger
        await trio.sleep(1)
        stage.exchange.silence("/portfolio/settlements")
        ledger.was_read = trio.Event()
        with pytest.raises(RiskRefused, match="has not been read yet"):
            await stage.submit(contracts=1, cents=40)
        with pytest.raises(RiskRefused, match="has not been read yet"):
            await stage.submit(contracts=2, outcome="no", cents=40)  # three YES were held when we last looked
        await close(stage, 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.submit)
            await trio.sleep(1)
            ledger.was_read.set()
