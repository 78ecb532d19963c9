"""The daemon dies of SIGKILL, and its account goes on: what is held, reserved, won and lost, and what may be lost.

`fsm-exec serve` is a process of its own; the exchange, which outlives it, is in the test's.
"""

from __future__ import annotations

import random
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from fsm_exec import Accepted, AsyncClient, Refused, Submission
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, format_count, format_price, in_outcome, parse_money
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot
from fsm_exec.wire import rest
from tests.cli.daemons import Serve, command, live_orders, serve, states, status, submit, until
from tests.cli.exchange import TICKER, Site, site

CAP_AT_30 = 314_700  # of a contract at 0.30, taker fee included
REQUESTS, KILLS = 60, 5
VOLATILE = ("read_at", "priced_at", "at", "daily_loss", "drawdown")
"""What of an answer is of the moment it was given."""
LOSSES = ("daily_loss", "drawdown")


def buy_by_hand(at: Site, ticker: str, outcome: Outcome, contracts: int, cents: int) -> None:
    """The owner takes what is offered, without the engine."""
    request = rest.CreateOrder(
        ticker=ticker,
        side="bid" if outcome == "yes" else "ask",
        count=format_count(CountE2(contracts * 100)),
        price=format_price(in_outcome(PriceE4(cents * 100), outcome)),
        time_in_force="immediate_or_cancel",
        self_trade_prevention_type="taker_at_cross",
    )
    at.exchange.create_order(at.account, request)


def bids(at: Site, ticker: str, yes_cents: int, no_cents: int) -> None:
    """Others now bid this for 50 contracts of each outcome, and nothing else."""
    sides = [((PriceE4(cents * 100), CountE2(5_000)),) for cents in (yes_cents, no_cents)]
    at.exchange.apply(ticker, BookSnapshot(*sides))


async def told(at: Site, *arguments: str) -> dict[str, Any]:
    """What a command says as JSON, less what is of the moment."""
    done = await command(at, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = msgspec.json.decode(done.stdout)
    for part in (seen, *seen.get("positions", [])):
        for name in VOLATILE:
            part.pop(name, None)
    return seen


async def account_of(at: Site) -> dict[str, dict[str, Any]]:
    """Positions, profit, and what of each limit is used. What was lost is as of the last look, and not compared."""
    asked = {"positions": ("positions",), "pnl": ("pnl", "--by", "execution"), "risk": ("risk",)}
    found = {name: await told(at, *arguments) for name, arguments in asked.items()}
    limits = found["risk"].pop("limits")
    return {**found, "limits": {one["limit"]: one["used"] for one in limits if not one["limit"].startswith(LOSSES)}}


async def kill(daemon: Serve) -> None:
    daemon.process.kill()
    await daemon.process.wait()


async def test_positions_profit_and_reservations_outlive_sigkill(tmp_path: Path) -> None:
    """Killed with a position made by hand, one of ours, and orders at work: the next start says the same of all of it,
    and its first request is held to the same limit: what was refused is refused, what fits is let in."""
    async with site(tmp_path) as at:
        at.write_config(risk={"max_worst_case_market_dollars": 12, "max_executions": 4})
        buy_by_hand(at, TICKER, "yes", 5, 53)
        first = await serve(at)
        await submit(at, quantity="20")
        bought = await submit(at, "--method", "market", quantity="4", price="0.53")
        await until(lambda: states(first.directory / "engine.sqlite").get(bought.execution_id) == "filled")
        await submit(at, quantity="1", price="0.45")
        await until(lambda: len(live_orders(at)) == 2)
        before = await account_of(at)
        assert [(one["quantity"], one["ours"], one["others"]) for one in before["positions"]["positions"]] == [
            ("9.00", "4.00", "5.00")
        ]
        worst = parse_money(before["limits"]["max_worst_case_market_dollars"])
        assert 9 * 530_000 + 20 * CAP_AT_30 < worst < 12_000_000
        too_much = 1 + (12_000_000 - worst) // CAP_AT_30
        asked = ("submit", TICKER, "yes", str(too_much), "--limit", "0.30", "--horizon", "60")
        refusal = await command(at, *asked)
        assert (refusal.returncode, "max_worst_case_market_dollars" in refusal.stderr) == (2, True)
        await kill(first)

        second = await serve(at, name="second")
        assert second.ready.restored == 2
        again = await command(at, *asked)
        assert (again.returncode, again.stderr) == (2, refusal.stderr), "its first request, in the same words"
        assert await account_of(at) == before
        assert (await submit(at, quantity=str(too_much - 1))).is_new
        assert (await command(at, *asked)).returncode == 2
        standing = (await status(at)).risk
        assert standing is not None
        assert 12_000_000 - CAP_AT_30 < parse_money(standing.worst_case) <= 12_000_000
        assert await second.end() == 0


async def test_a_brake_that_fired_stays_in_force(tmp_path: Path) -> None:
    """A loss is seen by a start after a kill; killed again, and with prices as they were, the next one is reducing from
    its first moment: what adds risk is refused, what sells is let in, until a person accepts the loss."""
    async with site(tmp_path) as at:
        at.write_config(risk={"daily_loss_dollars": 1})
        first = await serve(at)
        bought = await submit(at, "--method", "market", quantity="8", price="0.53")
        await until(lambda: states(tmp_path / "engine.sqlite").get(bought.execution_id) == "filled")
        working = await submit(at, quantity="3")
        await until(lambda: len(live_orders(at)) == 1)
        await kill(first)
        bids(at, TICKER, 32, 60)

        second = await serve(at, name="second")
        await until(lambda: states(tmp_path / "engine.sqlite")[working.execution_id] == "cancelled")
        standing = (await status(at)).risk
        assert standing is not None
        assert (standing.state, standing.why.split(" is ")[0]) == ("reducing", "the daily loss")
        await kill(second)
        bids(at, TICKER, 52, 47)

        third = await serve(at, name="third")
        more = await command(at, "submit", TICKER, "yes", "1", "--limit", "0.30", "--horizon", "60")
        assert (more.returncode, "reducing" in more.stderr) == (2, True)
        shown = " ".join((await command(at, "status")).stdout.split())
        assert f"risk reducing since {(standing.since or '')[:19]}Z: {standing.why}; at most 4." in shown
        sold = await command(at, "submit", TICKER, "no", "2", "--limit", "0.48", "--horizon", "60")
        assert sold.returncode == 0, sold.stderr
        assert (await command(at, "risk", "resume", "--accept-loss")).returncode == 0
        assert (await submit(at, quantity="1")).is_new
        assert await third.end() == 0


async def test_no_kill_lets_more_in_than_one_process_would(tmp_path: Path) -> None:
    """Sixty requests under their keys, the daemon killed five times meanwhile: at each restart and at the end what is
    held and what rests can lose no more than the limit, each request was let in once at most, and when all has ended
    nothing is reserved."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - a randomised test prints its seed
    chance = random.Random(seed)
    limit_e6 = 12_000_000
    async with site(tmp_path) as at:
        at.write_config(risk={"max_worst_case_market_dollars": limit_e6 // 1_000_000})
        buy_by_hand(at, TICKER, "yes", 2, 53)
        before_e6 = sum(fill.fee_e6 for fill in at.account.fills)  # of what is taken over the fee was lost before
        daemon = await serve(at)
        answers: dict[str, Accepted | Refused] = {}
        async with AsyncClient(token_file=daemon.ready.token_file) as client, trio.open_nursery() as nursery:
            nursery.start_soon(ask_for_more, at, client, chance, answers)
            for number in range(KILLS):
                await until(partial(has_more, answers, (number + 1) * REQUESTS // (KILLS + 1) - chance.randint(0, 3)))
                await trio.sleep(chance.random() / 10)
                await kill(daemon)
                assert worst_e6(at) - before_e6 <= limit_e6
                daemon = await serve(at, name=f"after-{number}")
            await until(lambda: len(answers) == REQUESTS)
            accepted = [one.execution_id for one in answers.values() if isinstance(one, Accepted)]
            assert len(set(accepted)) == len(accepted) == len(await client.list())
            assert any(isinstance(one, Refused) and one.code == "risk_limit" for one in answers.values())
            assert worst_e6(at) - before_e6 <= parse_money((await client.risk()).worst_case) <= limit_e6
            for name in accepted:
                with suppress(Refused):  # it has ended
                    await client.cancel(name)
            for name in accepted:
                await client.wait(name)
            assert parse_money((await client.risk()).worst_case) == worst_e6(at) - before_e6
            held = (await client.positions()).positions
            assert sum(parse_money(one.quantity) for one in held) == at.account.position(TICKER).count_e2 * 10_000
        assert await daemon.end() == 0


def has_more(answers: dict[str, Accepted | Refused], number: int) -> bool:
    return len(answers) >= number


async def ask_for_more(
    at: Site, client: AsyncClient, chance: random.Random, answers: dict[str, Accepted | Refused]
) -> None:
    """One request after the other, each under its own key; the client sends it again when the daemon is back."""
    for number in range(REQUESTS):
        at.exchange.apply(TICKER, BookDelta("no", PriceE4(4_700), CountE2(200)))
        wanted = Submission(
            key=f"k{number}",
            ticker=TICKER,
            outcome="yes",
            quantity=str(chance.randint(1, 4)),
            method=chance.choice(("market", "simple_limit")),
            limit=chance.choice(("0.20", "0.30", "0.53")),
            horizon_s=chance.choice((1, 2, 300)),
        )
        try:
            answers[wanted.key] = await client.submit(wanted)
        except Refused as error:
            answers[wanted.key] = error
        await trio.sleep(chance.random() / 10)


def worst_e6(at: Site) -> int:
    """What the exchange's own books say can be lost of the market, if all that rests is bought: only YES ever is."""
    spent = sum(fill.count_e2 * fill.price_e4 + fill.fee_e6 for fill in at.account.fills if fill.order.ticker == TICKER)
    resting = [order for order in at.exchange.orders.values() if order.status == "resting"]
    return spent + sum(order.remaining_e2 * order.price_e4 for order in resting)
