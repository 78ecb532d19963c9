"""What a seed means for the account: limits of risk that bite, events of markets that exclude each other, trades made
by hand, settlements, losses, a midnight.

Even seeds have an account; odd ones are histories of an engine that nobody gave any limits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.lab.simulation.actions import (
    AnyAction,
    CloseOut,
    Crash,
    Deposit,
    HandTrade,
    Jump,
    Resume,
    RiskReduce,
    RiskResume,
    Settle,
    Submit,
    SubmitToLimit,
)

SERIES = "KXSIM"
TOKYO, UTC = "Asia/Tokyo", "UTC"
TAKERS = ("marketable", "close", "deadline_walker")
WORKERS = ("simple_limit", "passive_mid", "deadline_walker", "basic", "join_bid", "adaptive_limit")


class AccountPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`events` names the event of each market; of the markets of those in `exclusive` at most one ends YES. `winners`
    are the numbers of the markets that do. `early_ms` is how long before the day's beginning in Tokyo it all starts."""

    limits: RiskLimits
    events: tuple[str, ...]
    exclusive: tuple[str, ...]
    winners: tuple[int, ...]
    early_ms: int


def draw_account(seed: int, markets: int) -> AccountPlan | None:
    """The account of a seed with so many markets, or None: it has none."""
    if seed % 2:
        return None
    rng = random.Random(f"account:{seed}")
    events, exclusive = _draw_events(rng, markets)
    first = rng.randrange(markets)
    winners = [n for n in range(markets) if rng.randrange(2)]
    for event in exclusive:
        mine = [n for n in range(markets) if events[n] == event]
        winners = [n for n in winners if n not in mine]
        if rng.randrange(3):
            winners.append(mine[first % len(mine)])
    limits = _draw_limits(rng, sorted({event.partition("-")[0] for event in events}))
    at_midnight = limits.time_zone == TOKYO and rng.randrange(3) > 0
    return AccountPlan(
        limits=limits,
        events=events,
        exclusive=exclusive,
        winners=tuple(sorted(winners)),
        early_ms=rng.randint(5_000, 40_000) if at_midnight else 0,
    )


def _draw_events(rng: random.Random, markets: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    match rng.randrange(4):
        case 0:
            events = tuple(f"{SERIES}-A" for _ in range(markets))
        case 1:
            events = tuple(f"{SERIES}-{'AB'[n % 2]}" for n in range(markets))
        case 2:
            events = tuple(f"{SERIES}{n % 2}-A" for n in range(markets))
        case _:
            return (f"{SERIES}-A",) * markets, (f"{SERIES}-A",)
    exclusive = tuple(event for event in dict.fromkeys(events) if rng.randrange(3) == 0)
    return events, exclusive


def _draw_limits(rng: random.Random, series: Sequence[str]) -> RiskLimits:
    """Half of each, so that every one is the one that bites somewhere."""

    def some(*dollars: int) -> int | None:
        return rng.choice(dollars) if rng.randrange(2) else None

    def brake(*dollars: int) -> tuple[int | None, int | None]:
        first = some(*dollars)
        halt = None if rng.randrange(2) else rng.choice(dollars)
        return first, halt if first is None or halt is None else max(first, halt)

    loss, drawdown = brake(1, 3, 10, 40), brake(1, 3, 10, 40)
    never = rng.choice(series) if len(series) > 1 and rng.randrange(6) == 0 else None
    return RiskLimits(
        max_worst_case_market_dollars=some(3, 10, 40, 150),
        max_worst_case_event_dollars=some(5, 20, 80, 300),
        max_worst_case_series_dollars=some(10, 40, 150),
        max_worst_case_account_dollars=some(10, 50, 200, 600),
        max_contracts_per_market=some(5, 40, 200),
        max_executions=rng.choice((2, 5)) if rng.randrange(4) == 0 else None,
        max_submissions_per_minute=rng.choice((3, 8)) if rng.randrange(5) == 0 else None,
        no_new_within_s_of_close=rng.choice((10, 60)) if rng.randrange(5) == 0 else None,
        never_series=() if never is None else (never,),
        daily_loss_dollars=loss[0],
        daily_loss_halt_dollars=loss[1],
        drawdown_dollars=drawdown[0],
        drawdown_halt_dollars=drawdown[1],
        return_below_percent=rng.choice((50, 90)),
        time_zone=rng.choice((UTC, TOKYO, TOKYO, "America/New_York")),
    )


def draw_account_actions(seed: int, plan: AccountPlan, calm_ms: int) -> list[AnyAction]:
    """What the owner of the account does, and what becomes of its markets."""
    markets = len(plan.events)
    rng = random.Random(f"account actions:{seed}")
    actions: list[AnyAction] = []
    for _ in range(rng.choice((0, 1, 2, 3, 5))):
        actions += _hand_trades(rng, markets, calm_ms)
    for _ in range(rng.choice((0, 1, 2, 4))):
        actions.append(_to_limit(rng, markets, calm_ms))
    for _ in range(rng.choice((0, 1, 2))):
        actions += _closing(rng, markets, calm_ms)
    if rng.randrange(3) == 0:
        actions.append(Deposit(at_ms=rng.randint(1_000, calm_ms), dollars=rng.choice((-50, 10, 500))))
    actions += _settlements(rng, plan, calm_ms)
    actions += _loss(rng, markets, calm_ms)
    actions += _over_a_start(random.Random(f"account starts:{seed}"), markets, calm_ms)
    midnight_ms = plan.early_ms
    if midnight_ms and rng.randrange(2):
        back_ms = rng.choice((-8_000, -2_000))
        actions.append(Jump(at_ms=midnight_ms + rng.randint(500, 5_000), by_ms=back_ms, for_ms=12_000))
    return actions


def _hand_trades(rng: random.Random, markets: int, calm_ms: int) -> list[AnyAction]:
    """One, and sometimes the engine dies about then: what was done meanwhile is learned at the next start."""
    at_ms = rng.randint(200, calm_ms * 3 // 4)
    trade = HandTrade(
        at_ms=at_ms,
        market=rng.randrange(markets),
        outcome=_outcome(rng),
        count_e2=CountE2(rng.choice((100, 350, 1_000, 5_000, 20_000))),
        rests_ms=rng.choice((0, 0, 0, 3_000, 30_000)),
        silent=rng.randrange(3) == 0,
    )
    if rng.randrange(3):
        return [trade]
    return [trade, Crash(at_ms=at_ms + rng.choice((-100, 100, 1_000)), doors=0, where="", down_ms=1_000)]


def _to_limit(rng: random.Random, markets: int, calm_ms: int) -> SubmitToLimit:
    return SubmitToLimit(
        at_ms=rng.randint(1_000, calm_ms * 3 // 4),
        market=rng.randrange(markets),
        outcome=_outcome(rng),
        beyond_e2=rng.choice((0, 0, 1, 10, 50, 100)),
        method=rng.choice((*WORKERS, "marketable")),
        horizon_ms=rng.choice((5_000, 20_000, 60_000)),
    )


def _over_a_start(rng: random.Random, markets: int, calm_ms: int) -> list[AnyAction]:
    """A request a hundredth of a contract beyond a limit, one that uses the limit up and rests, the engine's death, and
    from the next engine more than is left."""
    if rng.randrange(2):
        return []
    market, outcome, at_ms = rng.randrange(markets), _outcome(rng), rng.randint(1_500, calm_ms // 2)

    def ask(when_ms: int, beyond_e2: int) -> SubmitToLimit:
        return SubmitToLimit(
            at_ms=when_ms,
            market=market,
            outcome=outcome,
            beyond_e2=beyond_e2,
            method="passive_mid",
            horizon_ms=60_000,
        )

    crash = Crash(at_ms=at_ms + 1_500, doors=0, where="", down_ms=500)
    return [ask(at_ms - 700, 1), ask(at_ms, 0), crash, ask(at_ms + rng.choice((4_000, 8_000)), 100)]


def _closing(rng: random.Random, markets: int, calm_ms: int) -> list[AnyAction]:
    """A position to close, its closing, and the owner who closes it by hand beside it, in part or beyond."""
    market, at_ms, outcome = rng.randrange(markets), rng.randint(1_000, calm_ms // 2), _outcome(rng)
    other: Outcome = "no" if outcome == "yes" else "yes"
    count, close_ms = rng.choice((500, 3_000)), at_ms + rng.choice((100, 2_000, 8_000))
    actions: list[AnyAction] = []
    if rng.randrange(3):
        actions.append(
            Submit(
                at_ms=at_ms,
                market=market,
                outcome=outcome,
                count_e2=CountE2(count),
                method="marketable",
                price="cross",
                horizon_ms=5_000,
                bound="worst",
                room_e4=300,
            )
        )
    else:
        actions.append(_by_hand(at_ms, market, outcome, count, silent=rng.randrange(4) == 0))
    for _ in range(rng.choice((1, 1, 2))):
        close_ms += rng.choice((0, 50, 400))
        per_mille, horizon_ms = rng.choice((500, 1_000, 1_000, 1_500)), rng.choice((2_000, 15_000))
        actions.append(CloseOut(at_ms=close_ms, market=market, per_mille=per_mille, horizon_ms=horizon_ms))
    for _ in range(rng.choice((0, 1, 3))):
        # Between the decision of an order that closes and its arrival the position is another one.
        hand_ms = close_ms + rng.choice((-20, 20, 60, 110, 150, 210, 260, 320, 700))
        hand_e2 = rng.choice((count // 2, count, count * 2))
        actions.append(_by_hand(hand_ms, market, other, hand_e2, silent=rng.randrange(4) == 0))
    return actions


def _by_hand(at_ms: int, market: int, outcome: Outcome, count: int, *, silent: bool) -> HandTrade:
    return HandTrade(at_ms=at_ms, market=market, outcome=outcome, count_e2=CountE2(count), rests_ms=0, silent=silent)


def _settlements(rng: random.Random, plan: AccountPlan, calm_ms: int) -> list[AnyAction]:
    """Some markets end before the history does; with one of an exclusive event that is won all others of it."""
    if rng.randrange(3):
        return []
    actions: list[AnyAction] = []
    at_ms = rng.randint(calm_ms // 3, calm_ms)
    for market in range(len(plan.events)):
        if rng.randrange(2):
            result: Outcome = "yes" if market in plan.winners else "no"
            after_ms = rng.choice((0, 1_000, 10_000))
            actions.append(
                Settle(at_ms=at_ms + rng.choice((0, 2_000)), market=market, result=result, after_ms=after_ms)
            )
    return actions


def _loss(rng: random.Random, markets: int, calm_ms: int) -> list[AnyAction]:
    """Much is bought by hand at a bad price, which is a loss at once; deaths and the user's returns follow."""
    actions: list[AnyAction] = []
    if rng.randrange(2):
        at_ms = rng.randint(2_000, calm_ms // 2)
        market, outcome = rng.randrange(markets), _outcome(rng)
        for _ in range(rng.choice((1, 3))):
            actions.append(_by_hand(at_ms, market, outcome, rng.choice((5_000, 30_000)), silent=False))
            at_ms += rng.choice((100, 3_000))
        if rng.randrange(2):
            after_ms = at_ms + rng.choice((1_000, 6_000, 35_000))
            actions.append(Crash(at_ms=after_ms, doors=0, where="", down_ms=rng.choice((100, 3_000))))
            at_ms = after_ms
        actions.append(_to_limit(rng, markets, calm_ms))
        actions.append(msgspec.structs.replace(_to_limit(rng, markets, calm_ms), at_ms=at_ms + 8_000))
        if rng.randrange(2):
            at_ms += rng.choice((500, 9_000))
            actions.append(RiskReduce(at_ms=at_ms))
        if rng.randrange(2):
            at_ms += rng.choice((500, 9_000))
            actions.append(RiskResume(at_ms=at_ms, accept_loss=rng.randrange(2) == 0))
            actions.append(Resume(at_ms=at_ms + 500))
    return actions


def _outcome(rng: random.Random) -> Outcome:
    return "yes" if rng.randrange(2) else "no"
