"""The programmes that pay members for resting orders or for volume: a snapshot each second, and the payment at the end.

Of a liquidity programme each snapshot in which both sides reach the target is worth two shares, one a side, whatever
their number: what a member gets is its part of all shares. A payment is rounded down to a cent, and nothing below a
dollar is paid. The money comes from outside, like a transfer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from fsm_exec.core.costs.rewards import (
    COUNT_E2,
    SIDES,
    VOLUME_MOST_E4,
    is_eligible_price,
    score_side,
    share_of_snapshot,
)
from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.values.units import US_PER_S, CountE2, MoneyE6, Outcome, PriceE4
from fsm_exec.paper.ids import named_id
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.matching_engine.orders import TradeRecord
from fsm_exec.paper.timing.timeline import Rank, Timeline

OUTCOMES: Final[tuple[Outcome, Outcome]] = ("yes", "no")
SHARE_E18: Final = 10**18
E6_OF_E4: Final = 100
E6_PER_CENT: Final = 10_000
DAY_US: Final = 86_400 * US_PER_S
PAID_MIN_E6: Final = 1_000_000


class DailyRewards(msgspec.Struct, frozen=True, kw_only=True):
    """Programmes that run for a day each, as whoever sets up an exchange states them, in 10^-4 dollars; 0: there is
    none of that kind. `target_e2` and `discount_bps` are those of liquidity."""

    liquidity_e4: int = 0
    target_e2: int = 0
    discount_bps: int = 0
    volume_e4: int = 0

    def programs(self, ticker: str, start_us: int) -> list[IncentiveProgram]:
        """Return the programmes of a market that begin at `start_us`."""
        common = IncentiveProgram(
            program_id=named_id(f"liquidity:{ticker}:{start_us}"),
            ticker=ticker,
            kind="liquidity",
            description="a day of the paper exchange",
            start_us=start_us,
            end_us=start_us + DAY_US,
            reward_e4=self.liquidity_e4,
            paid_out=False,
        )
        found = []
        if self.liquidity_e4:
            found.append(replace(common, target_e2=CountE2(self.target_e2), discount_bps=self.discount_bps))
        if self.volume_e4:
            name = named_id(f"volume:{ticker}:{start_us}")
            found.append(replace(common, program_id=name, kind="volume", reward_e4=self.volume_e4))
        return found


class Incentives:
    """`pay` credits an account with whole cents."""

    def __init__(
        self,
        timeline: Timeline,
        markets: Mapping[str, PaperMarket],
        accounts: Mapping[str, Account],
        trades: Sequence[TradeRecord],
        pay: Callable[[Account, MoneyE6], None],
    ) -> None:
        self.programs: list[IncentiveProgram] = []  # in the order in which they were announced
        self._timeline, self._markets, self._accounts = timeline, markets, accounts
        self._trades, self._pay = trades, pay
        self._shares: dict[str, defaultdict[str, int]] = {}  # by programme and account, in 10^-18 of a side
        self._snapshots: dict[str, int] = {}

    def add(self, program: IncentiveProgram) -> None:
        """Announce a programme of a market that is here. It pays when it ends."""
        assert program.ticker in self._markets, f"{program.ticker} is not here"
        self.programs.append(program)
        self._shares[program.program_id] = defaultdict(int)
        self._snapshots[program.program_id] = 0
        now_us = self._timeline.now_us()
        if program.scores_orders:
            first_us = program.start_us + max(0, -(-(now_us - program.start_us) // US_PER_S)) * US_PER_S
            self._timeline.at(first_us, Rank.EXPIRY, program.program_id, lambda: self._snapshot(program, first_us))
        self._timeline.at(program.end_us, Rank.EXPIRY, program.program_id, lambda: self._end(program))

    def _snapshot(self, program: IncentiveProgram, at_us: int) -> None:
        if not program.is_running(at_us):
            return
        next_us = at_us + US_PER_S
        self._timeline.at(next_us, Rank.EXPIRY, program.program_id, lambda: self._snapshot(program, next_us))
        market = self._markets[program.ticker]
        if market.status != "active" or market.paused_book is not None:
            return
        displayed = {outcome: dict(reversed(market.book.displayed(outcome))) for outcome in OUTCOMES}
        grid = market.header.grid
        yes, no = (score_side(displayed[each].items(), grid.seen_from(each), program) for each in OUTCOMES)
        if yes is None or no is None:
            return
        self._snapshots[program.program_id] += 1
        for account in self._accounts.values():
            for outcome, score in zip(OUTCOMES, (yes, no), strict=True):
                own = _resting(account, program.ticker, outcome)
                if own:
                    share = share_of_snapshot(score, displayed[outcome], own)
                    earned = share.numerator * SHARE_E18 // share.denominator
                    self._shares[program.program_id][account.account_id] += earned

    def _end(self, program: IncentiveProgram) -> None:
        """Pay what was earned, once."""
        traded = sum(
            each.count_e2 for each in self._trades if _counts(program, each.ticker, each.yes_price_e4, each.at_us)
        )
        for account in self._accounts.values():
            if program.kind == "liquidity":
                earned_e6 = self._liquidity_e6(program, account)
            else:
                earned_e6 = _volume_e6(program, account, traded)
            if program.max_reward_e4 is not None:
                earned_e6 = min(earned_e6, program.max_reward_e4 * E6_OF_E4)
            if earned_e6 >= PAID_MIN_E6:
                self._pay(account, MoneyE6(earned_e6 // E6_PER_CENT * E6_PER_CENT))
        self.programs[self.programs.index(program)] = replace(program, paid_out=True)

    def _liquidity_e6(self, program: IncentiveProgram, account: Account) -> int:
        shares = SIDES * self._snapshots[program.program_id] * SHARE_E18
        mine = self._shares[program.program_id][account.account_id]
        return program.reward_e4 * E6_OF_E4 * mine // shares if shares else 0


def _volume_e6(program: IncentiveProgram, account: Account, traded_e2: int) -> int:
    mine = sum(
        fill.count_e2
        for fill in account.fills
        if _counts(program, fill.order.ticker, fill.price_e4, fill.at_us)  # the range is the same from both outcomes
    )
    if not mine:
        return 0
    most_e6 = VOLUME_MOST_E4 * E6_OF_E4 * mine // COUNT_E2
    return min(most_e6, program.reward_e4 * E6_OF_E4 * mine // (SIDES * traded_e2))


def _counts(program: IncentiveProgram, ticker: str, price: PriceE4, at_us: int) -> bool:
    return ticker == program.ticker and program.is_running(at_us) and is_eligible_price(price)


def _resting(account: Account, ticker: str, outcome: Outcome) -> dict[PriceE4, CountE2]:
    levels: dict[PriceE4, CountE2] = {}
    for order in account.resting.get(ticker, {}).values():
        if order.outcome == outcome:
            levels[order.price_e4] = CountE2(levels.get(order.price_e4, 0) + order.remaining_e2)
    return levels
