"""What the exchange's programmes pay our executions, measured as they work: an estimate, and part of no books.

The programmes that run are read at the start, soon after a market is opened, and every few minutes, in a task of its
own: nothing waits for it. One that begins in between is counted from the next reading on. Each second every resting
order in a market with a liquidity programme is scored within the book as it is displayed then; a second in which that
is not known counts nothing. What was counted is stored every few seconds, so that a crash costs no more than those.
Volume is reckoned once, from the fills, when an execution has ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.costs.rewards import (
    E12_OF_E7,
    UNKNOWN_REWARDS,
    Rewards,
    capped_e12,
    fill_reward_e12,
    score_side,
    second_reward_e12,
    share_of_snapshot,
    whole_period_volume,
)
from fsm_exec.core.costs.rows import RewardRow
from fsm_exec.core.errors import SaveRefused, StoreFailed, VenueError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.incentives import IncentiveListing, IncentiveProgram
from fsm_exec.core.store_port import RewardStore
from fsm_exec.core.values.units import US_PER_S, CountE2, Outcome, PriceE4
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.own_orders import OwnOrders

READ_EVERY_S: Final = 300.0
OPENED_EVERY_S: Final = 5.0  # how soon a market that was opened has them read again
READ_GOOD_US: Final = 900 * US_PER_S  # a listing that is older says nothing any more
SAVE_EVERY_S: Final = 10
FORGET_US: Final = 86_400 * US_PER_S  # a programme is known so long after its end
OUTCOMES: Final[tuple[Outcome, Outcome]] = ("yes", "no")


class IncentiveSource(Protocol):
    """Where programmes and volumes are read; see `core.exchange_port.Exchange`."""

    async def fetch_incentives(self) -> IncentiveListing: ...
    def volume_24h(self, ticker: str) -> CountE2 | None: ...


class RewardMeter:
    """`feeds` and `own` are those of the engine it measures."""

    def __init__(
        self,
        store: RewardStore,
        source: IncentiveSource,
        feeds: Mapping[str, MarketFeed],
        own: OwnOrders,
        wall: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self._store, self._source, self._feeds, self._own = store, source, feeds, own
        self._wall, self._log = wall, log
        self._programs: dict[str, IncentiveProgram] = {}
        self._by_ticker: dict[str, list[IncentiveProgram]] = {}
        self._unclear: frozenset[str] = frozenset()
        self._read_us: int | None = None
        self._is_failing = False
        self._stored: dict[str, IncentiveProgram] = {}  # as they stand in the database
        self._earned: dict[str, dict[str, RewardRow]] = {}  # by execution and programme
        self._unsaved: set[str] = set()
        self._changed = trio.Event()

    async def run(self) -> None:
        """Read the programmes and count the seconds, forever, or until a bug ends that: then no reward is known any
        more, and all else goes on, for nobody may have to stop over an estimate. Raises StoreFailed."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_fresh)
                nursery.start_soon(self._count_seconds)
        except* Exception as failures:
            if failures.subgroup(StoreFailed) is not None:
                raise
            self._log.exception("rewards_not_measured")
            self._read_us = None

    async def estimate(self, execution: Execution) -> Rewards:
        """Estimate, and store, what an execution that has ended has earned. Raises StoreFailed."""
        name, ticker = execution.execution_id, execution.terms.ticker
        rows = await self._rows_of(name)
        # Rows of no second are volume, stored by a process that died before the cost was.
        liquidity_e12 = sum(self._capped(row) for row in rows.values() if row.seconds)
        del self._earned[name]
        self._unsaved.discard(name)
        if not self._is_known(ticker):
            await self._save(rows.values())
            return UNKNOWN_REWARDS
        volume_e12: int | None = 0
        for program in self._worked(execution, "volume"):
            earned = self._volume_e12(program, execution)
            if earned is None:
                volume_e12 = None
                break
            volume_e12 = (volume_e12 or 0) + earned
            rows[program.program_id] = RewardRow(
                execution_id=name, program_id=program.program_id, seconds=0, earned_e12=earned
            )
        await self._save(rows.values())
        is_scored = all(program.scores_orders for program in self._worked(execution, "liquidity"))
        return Rewards(
            liquidity_e7=liquidity_e12 // E12_OF_E7 if is_scored else None,
            volume_e7=None if volume_e12 is None else volume_e12 // E12_OF_E7,
        )

    # The programmes

    async def _keep_fresh(self) -> None:
        while True:
            read_for = set(self._feeds)
            await self._read()
            for _ in range(round(READ_EVERY_S / OPENED_EVERY_S)):
                await trio.sleep(OPENED_EVERY_S)
                if not self._feeds.keys() <= read_for:
                    break

    async def _read(self) -> None:
        try:
            listing = await self._source.fetch_incentives()
        except VenueError as error:
            if not self._is_failing:  # said once, until they can be read again
                self._log.warning("incentives_unknown", error=str(error))
            self._is_failing = True
            return
        now_us = self._wall.now_us()
        self._is_failing, self._read_us, self._unclear = False, now_us, listing.unclear
        kept = {name: each for name, each in self._programs.items() if each.end_us > now_us - FORGET_US}
        self._programs = kept | {each.program_id: each for each in listing.programs}
        by_ticker: dict[str, list[IncentiveProgram]] = defaultdict(list)
        for program in self._programs.values():
            by_ticker[program.ticker].append(program)
        self._by_ticker = dict(by_ticker)
        self._stored = {name: each for name, each in self._stored.items() if name in self._programs}
        self._changed.set()
        self._changed = trio.Event()
        await self._save((), [each for ticker in self._feeds for each in self._by_ticker.get(ticker, ())])

    def _is_known(self, ticker: str) -> bool:
        if self._read_us is None or self._wall.now_us() - self._read_us > READ_GOOD_US:
            return False
        return ticker not in self._unclear

    def _worked(self, execution: Execution, kind: str) -> Iterator[IncentiveProgram]:
        """Yield the programmes of this kind that ran while the execution worked."""
        ended_us = execution.ended_at_us or self._wall.now_us()
        for program in self._by_ticker.get(execution.terms.ticker, ()):
            overlaps = program.start_us <= ended_us and program.end_us > execution.accepted_at_us
            if program.kind == kind and overlaps:
                yield program

    # Volume

    def _volume_e12(self, program: IncentiveProgram, execution: Execution) -> int | None:
        fills = [fill for fill in execution.fills if program.is_running(fill.traded_at_us)]
        if not fills:
            return 0
        volume = self._source.volume_24h(program.ticker)
        if volume is None:
            return None
        traded = max(whole_period_volume(volume, program), CountE2(sum(fill.count_e2 for fill in fills)))
        return capped_e12(
            program, sum(fill_reward_e12(program, fill.price_e4, fill.count_e2, traded) for fill in fills)
        )

    # Liquidity

    async def _count_seconds(self) -> None:
        second = 0
        while True:
            changed, now_us = self._changed, self._wall.now_us()
            if not any(each.scores_orders and now_us < each.end_us for each in self._programs.values()):
                await changed.wait()
                continue
            await self._wall.sleep_until_us(now_us - now_us % US_PER_S + US_PER_S)
            at_us = self._wall.now_us()
            for ticker in list(self._feeds):
                for program in self._by_ticker.get(ticker, ()):
                    if program.scores_orders and program.is_running(at_us):
                        await self._score(program)
            second += 1
            if second % SAVE_EVERY_S == 0:
                await self._save_unsaved()

    async def _score(self, program: IncentiveProgram) -> None:
        """Count what our orders earn in this second."""
        feed = self._feeds.get(program.ticker)
        if feed is None or feed.state != "live" or feed.status != "open":
            return
        ours = {outcome: self._own.by_execution(program.ticker, outcome) for outcome in OUTCOMES}
        if not any(ours.values()):
            return
        bids = {outcome: feed.book.bids(outcome) for outcome in OUTCOMES}
        grid = feed.terms.grid
        yes, no = (score_side(bids[outcome], grid.seen_from(outcome), program) for outcome in OUTCOMES)
        if yes is None or no is None:
            return
        earned: dict[str, int] = {}
        for outcome, score in zip(OUTCOMES, (yes, no), strict=True):
            left = dict(bids[outcome])
            for name, orders in sorted(ours[outcome].items()):
                own = _take(left, orders)
                earned[name] = second_reward_e12(program, share_of_snapshot(score, own, own))
        for name, earned_e12 in earned.items():
            await self._add(name, program.program_id, earned_e12)

    async def _add(self, name: str, program_id: str, earned_e12: int) -> None:
        rows = await self._rows_of(name)
        before = rows.get(program_id) or RewardRow(execution_id=name, program_id=program_id, seconds=0, earned_e12=0)
        rows[program_id] = RewardRow(
            execution_id=name,
            program_id=program_id,
            seconds=before.seconds + 1,
            earned_e12=before.earned_e12 + earned_e12,
        )
        self._unsaved.add(name)

    async def _rows_of(self, name: str) -> dict[str, RewardRow]:
        """Return what an execution has earned so far; an earlier process may have stored some."""
        if name not in self._earned:
            stored = await self._store.load_rewards(name)
            self._earned.setdefault(name, {row.program_id: row for row in stored})
        return self._earned[name]

    def _capped(self, row: RewardRow) -> int:
        program = self._programs.get(row.program_id)
        return row.earned_e12 if program is None else capped_e12(program, row.earned_e12)

    # The database

    async def _save_unsaved(self) -> None:
        names, self._unsaved = self._unsaved, set()
        await self._save([row for name in sorted(names) for row in self._earned.get(name, {}).values()])

    async def _save(self, rows: Collection[RewardRow], listed: Iterable[IncentiveProgram] = ()) -> None:
        """Store what was earned, with its programmes and those that are listed, as far as they are not there yet."""
        earned = (self._programs.get(row.program_id) for row in rows)
        wanted = {each.program_id: each for each in (*listed, *earned) if each is not None}
        programs = [each for name, each in wanted.items() if self._stored.get(name) != each]
        if not rows and not programs:
            return
        try:
            await self._store.save_rewards(programs, tuple(rows), self._wall.now_us())
        except SaveRefused:
            self._log.exception("rewards_refused", rows=len(rows))
        else:
            self._stored.update((each.program_id, each) for each in programs)


def _take(left: dict[PriceE4, CountE2], orders: Sequence[tuple[PriceE4, CountE2]]) -> dict[PriceE4, CountE2]:
    """Return how much of the orders is displayed, and take it out of what is left for others."""
    own: dict[PriceE4, CountE2] = {}
    for price, count in orders:
        part = min(count, left.get(price, CountE2(0)))
        left[price] = CountE2(left.get(price, 0) - part)
        own[price] = CountE2(own.get(price, 0) + part)
    return own
