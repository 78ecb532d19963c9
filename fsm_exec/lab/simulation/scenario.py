"""What a seed means: markets, flow, faults, and a list of actions in order of time. All of it is drawn here.

Everything is drawn before anything runs, each kind from a generator of its own, so that leaving an action out (as the
shrinker does) changes nothing about the others.
"""

from __future__ import annotations

import random

import msgspec

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.journal.crashpoints import NAMES
from fsm_exec.core.values.units import US_PER_MS, CountE2
from fsm_exec.lab.simulation.account_draws import AccountPlan, draw_account, draw_account_actions
from fsm_exec.lab.simulation.actions import (
    AnyAction,
    Cancel,
    CancelNewest,
    Contradict,
    Crash,
    Detour,
    Drain,
    Halt,
    Hand,
    Hit,
    Jump,
    Orphan,
    Resume,
    Second,
    Submit,
)
from fsm_exec.lab.simulation.failover_draws import draw_failover
from fsm_exec.lab.simulation.fee_draws import FeePlan, draw_fees
from fsm_exec.paper.faults import (
    Episode,
    ExchangeFaults,
    FaultProfile,
    FrameFaults,
    RequestFaults,
    StreamFaults,
    load_fault_profile,
    shipped_profile_names,
)
from fsm_exec.paper.tapes.profiles import PROFILES

START_US = 1_767_625_200_000_000  # Monday 2026-01-05, 15:00 UTC, and a midnight in Tokyo
LEASES_S = (0, 0, 0, 10, 20)  # short ones, so that deaths outlast them
CALM, LYING = "none", "lying"
METHODS = tuple(name for name in SHIPPED if name != "close")  # that one is for what closes a position


class MarketPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A generated tape of `seconds`; the market closes at its end."""

    profile: str
    seed: int
    seconds: int
    event: str = "KXSIM"

    @property
    def ticker(self) -> str:
        return f"{self.event}-{self.seed}"


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """`calm_ms`: from then on nothing goes wrong any more at the exchange, and no action comes. `steps` numbers the
    actions as they were drawn: (number, action). `late_fills_per_mille` of the cancels are followed by a fill that the
    exchange had made before and had not booked. Without an `account` the engine looks at none and has no limits.
    `host_lease_s` is how long its orders may outlive it, 0: until their execution is over. `fees` are changes that are
    announced before it begins."""

    seed: int
    markets: tuple[MarketPlan, ...]
    faults_name: str
    faults: FaultProfile
    late_fills_per_mille: int
    calm_ms: int
    steps: tuple[tuple[int, AnyAction], ...]
    account: AccountPlan | None = None
    host_lease_s: int = 0
    fees: tuple[FeePlan, ...] = ()

    @property
    def start_us(self) -> int:
        """When it all begins."""
        return START_US - (0 if self.account is None else self.account.early_ms) * US_PER_MS


def draw(
    seed: int,
    *,
    profile: str | None = None,
    faults: str | None = None,
    executions: int | None = None,
    account: bool = True,
    failovers: bool = True,
    fees: bool = True,
) -> Scenario:
    """The scenario of a seed; `profile` (of the flow) and `faults` overrule what it draws. Without `account`
    it has none, without `failovers` one machine, without `fees` they stay as they are. Raises UserError."""
    rng = random.Random(f"scenario:{seed}")
    seconds = rng.choice((20, 40, 60, 60, 90))
    calm_ms = seconds * 1_000
    markets = tuple(_market(rng, seed * 10 + n, seconds, profile) for n in range(rng.choice((1, 1, 2, 3))))
    name, plan = _faults(seed, calm_ms) if faults is None else (faults, load_fault_profile(faults))
    actions: list[AnyAction] = []
    count = executions if executions is not None else rng.choice((1, 2, 4, 6, 8, 10, 14))
    submissions = [_submission(seed, n, len(markets), calm_ms) for n in range(count)]
    submissions.sort(key=lambda s: s.at_ms)
    actions += submissions
    actions += _troubles(random.Random(f"troubles:{seed}"), calm_ms, count)
    actions += _contradictions(random.Random(f"contradictions:{seed}"), calm_ms, count)
    actions += _others(random.Random(f"others:{seed}"), len(markets), calm_ms)
    failover = draw_failover(seed, calm_ms)
    if failover is not None and failovers and not plan.lies.any:
        actions.append(failover)
    owned = draw_account(seed, len(markets)) if account and not plan.lies.any else None
    if owned is not None:
        if plan.exchange.settle == "yes":  # all markets, which they could not
            owned = msgspec.structs.replace(owned, exclusive=())
        actions += draw_account_actions(seed, owned, calm_ms)
        named = zip(markets, owned.events, strict=True)
        markets = tuple(msgspec.structs.replace(market, event=event) for market, event in named)
    actions.sort(key=lambda action: action.at_ms)
    late = rng.choice((0, 0, 0, 0, 0, 0, 200, 600))
    keeps_fees = not fees or any(isinstance(each, Jump) for each in actions)  # whose clock is wrong cannot keep times
    return Scenario(
        seed=seed,
        markets=markets,
        faults_name=name,
        faults=plan,
        late_fills_per_mille=0
        if name == CALM
        else max(late, random.Random(f"late:{seed}").choice((0,) * 9 + (1_000,))),
        calm_ms=calm_ms,
        steps=tuple(enumerate(actions)),
        account=owned,
        host_lease_s=random.Random(f"lease:{seed}").choice(LEASES_S),
        fees=() if keeps_fees else draw_fees(seed, len(markets), calm_ms),
    )


def only(scenario: Scenario, steps: int | None, without: frozenset[int]) -> Scenario:
    """The same with the first `steps` actions at most, and without those of these numbers."""
    kept = scenario.steps if steps is None else scenario.steps[:steps]
    return msgspec.structs.replace(scenario, steps=tuple(each for each in kept if each[0] not in without))


def _market(rng: random.Random, seed: int, seconds: int, profile: str | None) -> MarketPlan:
    drawn = rng.choice(tuple(PROFILES))
    long = rng.randrange(4) > 0
    return MarketPlan(
        profile=profile or drawn, seed=seed, seconds=4 * seconds + 240 if long else rng.randint(seconds // 2, seconds)
    )


def _submission(seed: int, n: int, markets: int, calm_ms: int) -> Submit:
    rng, bounds = random.Random(f"submit:{seed}:{n}"), random.Random(f"bound:{seed}:{n}")
    horizon_ms = rng.choice((2_000, 5_000, 10_000, 20_000, 45_000, 90_000))
    return Submit(
        at_ms=rng.randint(500, calm_ms * 3 // 4),
        market=rng.randrange(markets),
        outcome=rng.choice(("yes", "no")),
        count_e2=CountE2(rng.choice((1, 100, 100, 250, 1_000, 2_000, 10_000, 100_000))),
        method=rng.choice(METHODS),  # not of packages too: a seed is one history wherever it is played
        price=rng.choice(("passive", "mid", "mid", "cross")),
        horizon_ms=horizon_ms,
        bound=bounds.choice(("slippage", "slippage", "worst", "cap")),
        room_e4=bounds.choice((0, 100, 300)),
    )


def _troubles(rng: random.Random, calm_ms: int, submissions: int) -> list[AnyAction]:
    """User, machine and fate: cancels, halts, clock jumps, deaths, drains."""
    actions: list[AnyAction] = [
        Cancel(at_ms=rng.randint(1_000, calm_ms), nth=rng.randrange(submissions)) for _ in range(submissions // 4)
    ]
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5))):
        down_ms = rng.choice((0, 100, 1_000, 3_000, 15_000, 60_000))
        at_ms, doors, where = rng.randint(500, calm_ms), 0, ""
        kind = rng.randrange(4)
        if kind == 1:
            doors = rng.choice((1, rng.randint(2, 20), rng.randint(20, 200)))
        elif kind > 1:
            doors, where = rng.randint(1, 3), rng.choice(NAMES)
        actions.append(Crash(at_ms=at_ms, doors=doors, where=where, down_ms=down_ms))
    if rng.randrange(10) == 0:
        where = rng.choice(("lock.before", "lock.after", "migrate.before", "migrate.after", "commit.before", ""))
        actions.append(Crash(at_ms=0, doors=rng.randint(1, 3), where=where, down_ms=100))
    if rng.randrange(5) == 0:
        down_ms, cancels = rng.choice((100, 5_000, 40_000)), rng.randrange(3) > 0
        actions.append(Drain(at_ms=rng.randint(2_000, calm_ms), down_ms=down_ms, cancels_orders=cancels))
    if rng.randrange(8) == 0:
        at_ms = rng.randint(2_000, calm_ms)
        actions += [Halt(at_ms=at_ms), Resume(at_ms=at_ms + rng.choice((100, 3_000, 20_000)))]
    if rng.randrange(4) == 0:
        by_ms = rng.choice((-8_000, -2_000, 1_500, 5_000, 9_000))
        actions.append(Jump(at_ms=rng.randint(1_000, calm_ms), by_ms=by_ms, for_ms=rng.choice((12_000, 30_000))))
    if rng.randrange(4) == 0:
        actions.append(Second(at_ms=rng.randint(1_000, calm_ms), for_ms=rng.choice((5_000, 20_000))))
    return actions


def _contradictions(rng: random.Random, calm_ms: int, submissions: int) -> list[Contradict]:
    count = rng.choice((0, 0, 0, 0, 1, 2))
    return [
        Contradict(
            at_ms=rng.randint(1_000, calm_ms),
            nth=rng.randrange(submissions),
            for_ms=rng.choice((0, 300, 2_000, 8_000, 20_000)),
        )
        for _ in range(count)
    ]


def _others(rng: random.Random, markets: int, calm_ms: int) -> list[AnyAction]:
    """Draw actions of third parties. Each kind has an execution it concerns: one patient enough to be there still when
    what no frame carried must have been learned; one that moves its order after silent trades with it; one that is
    cancelled while its order is on a long way."""
    actions: list[AnyAction] = []
    for _ in range(rng.choice((0, 1, 2, 4))):
        at_ms, nth = rng.randint(1_000, calm_ms), rng.randrange(10)
        actions.append(Hit(at_ms=at_ms, nth=nth, per_mille=rng.choice((50, 300)), silent=rng.randrange(3) == 0))
    if rng.randrange(4) == 0:
        actions.append(Hand(at_ms=rng.randint(1_000, calm_ms), nth=rng.randrange(10), silent=rng.randrange(3) > 0))
    if rng.randrange(6) == 0:
        actions.append(Orphan(at_ms=rng.randint(1_000, calm_ms), market=rng.randrange(markets), number=1))

    def submit(at_ms: int, method: str, horizon_ms: int) -> Submit:
        return Submit(
            at_ms=at_ms,
            market=rng.randrange(markets),
            outcome=rng.choice(("yes", "no")),
            count_e2=CountE2(rng.choice((2_000, 20_000))),
            method=method,
            price="passive",
            horizon_ms=horizon_ms,
        )

    at_ms = rng.randint(500, calm_ms // 2)
    match rng.randrange(8):
        case 0 | 1:
            actions.append(submit(at_ms, "simple_limit", calm_ms - at_ms + rng.randint(50_000, 80_000)))
            late_ms, nth = rng.randint(calm_ms * 3 // 4, calm_ms), rng.randrange(3)
            if rng.randrange(2):
                actions.append(Hit(at_ms=late_ms, nth=nth, per_mille=100, silent=True))
            else:
                actions.append(Hand(at_ms=late_ms, nth=nth, silent=True))
        case 2:
            walker = submit(at_ms, rng.choice(("dynamic_depth_walker", "deadline_walker", "seed_walker")), 45_000)
            actions.append(msgspec.structs.replace(walker, bound="worst", room_e4=500))
            for _ in range(8):
                at_ms += rng.randint(2_000, 5_000)
                actions.append(Hit(at_ms=at_ms, nth=rng.randrange(3), per_mille=100, silent=True))
        case 3:
            actions.append(Detour(at_ms=at_ms, for_ms=rng.randint(14_000, 29_000)))
            actions.append(submit(at_ms, "simple_limit", 60_000))
            actions.append(CancelNewest(at_ms=at_ms + rng.randint(1_000, 9_000)))
        case 4:
            actions += [Halt(at_ms=at_ms), Resume(at_ms=at_ms + 10_000)]
        case _:
            pass
    return actions


def _faults(seed: int, calm_ms: int) -> tuple[str, FaultProfile]:
    """Nothing, a profile of the box, or one of our own."""
    rng = random.Random(f"faults:{seed}")
    kind = rng.randrange(10)
    if kind < 2:
        return CALM, load_fault_profile(CALM)
    if kind < 5:
        name = rng.choice([each for each in shipped_profile_names() if each not in (CALM, LYING)])
        return name, load_fault_profile(name)
    drawn = _drawn_faults(rng, calm_ms)
    exchange = _with_dead_channels(drawn.exchange, random.Random(f"channels:{seed}"))
    return "drawn", msgspec.structs.replace(drawn, exchange=exchange)


def _with_dead_channels(faults: ExchangeFaults, rng: random.Random) -> ExchangeFaults:
    """Whole channels that are dead for long, while the others live."""

    def dead() -> Episode:
        for_ms = rng.choice((5_000, 20_000, 45_000))
        return Episode(every_ms=20_000, for_ms=for_ms) if rng.randrange(6) == 0 else Episode()

    return msgspec.structs.replace(
        faults, dead_reads=dead(), dead_writes=dead(), silent_account=dead(), silent_stream=dead()
    )


def _drawn_faults(rng: random.Random, calm_ms: int) -> FaultProfile:
    def some(most: int) -> int:
        return rng.randint(1, most) if rng.randrange(2) else 0

    def episode(every_ms: int, most_ms: int) -> Episode:
        return Episode(every_ms=every_ms, for_ms=rng.randint(200, most_ms)) if rng.randrange(3) == 0 else Episode()

    def requests(most: int) -> RequestFaults:
        return RequestFaults(
            lost_answer_per_mille=some(most),
            late_per_mille=some(most),
            refused_per_mille=some(most // 2),
            too_many_per_mille=some(most // 2),
            internal_error_per_mille=some(most // 2),
            unavailable_per_mille=some(most // 2),
            slow_per_mille=some(most),
            cut_per_mille=some(most),
            late_min_ms=rng.choice((100, 10_000)),
            slow_max_ms=rng.choice((1_000, 9_000)),
        )

    writes, reads = requests(160), requests(80)
    frames = FrameFaults(
        lost_per_mille=some(300),
        duplicate_per_mille=some(200),
        delayed_per_mille=some(200),
        reordered_per_mille=some(300),
        delay_max_ms=rng.choice((500, 3_000, 8_000)),
    )
    closes = rng.randrange(10) == 0
    return FaultProfile(
        writes=writes,
        reads=msgspec.structs.replace(reads, late_per_mille=0, refused_per_mille=0),
        frames=frames,
        stream=StreamFaults(gap_per_mille=some(20), life_ms=rng.choice((0, 0, 20_000, 60_000))),
        exchange=ExchangeFaults(
            trading_pause=episode(20_000, 6_000),
            exchange_pause=episode(30_000, 4_000),
            lagging_reads=episode(8_000, 3_000),
            clock_skew=episode(30_000, 4_000),
            skew_ms=rng.choice((-60_000, 60_000)),
            close_after_ms=rng.randint(calm_ms // 2, calm_ms) if closes else 0,
            settle=rng.choice(("yes", "no", None)) if closes else None,
            grid_after_ms=rng.randint(calm_ms // 4, calm_ms) if rng.randrange(10) == 0 else 0,
        ),
    )
