"""The programmes by which the exchange pays for resting orders or for trading in a market, as it lists them."""

from __future__ import annotations

import msgspec

from fsm_exec.core.values.units import US_PER_S, CountE2


class IncentiveProgram(msgspec.Struct, frozen=True, kw_only=True):
    """One programme of one market. `kind`: `liquidity`, `volume`, or a word that is not known here. `reward_e4` is what
    it pays all accounts together, in 10^-4 dollars; `max_reward_e4` the most for one of them, None: no limit stated.

    `discount_bps` is the discount factor of one tick in ten-thousandths and `target_e2` the size that is scored, on
    each side; None: not stated.
    """

    program_id: str
    ticker: str
    kind: str
    start_us: int
    end_us: int
    reward_e4: int
    paid_out: bool
    description: str = ""
    discount_bps: int | None = None
    target_e2: CountE2 | None = None
    max_reward_e4: int | None = None

    @property
    def seconds(self) -> int:
        """How long it runs, in whole seconds; at least one."""
        return max(1, (self.end_us - self.start_us) // US_PER_S)

    @property
    def scores_orders(self) -> bool:
        """Whether it pays for resting orders, and states all that it takes to score them."""
        return self.kind == "liquidity" and self.target_e2 is not None and self.discount_bps is not None

    def is_running(self, at_us: int) -> bool:
        return self.start_us <= at_us < self.end_us


class IncentiveListing(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing says of the programmes that run. `unclear`: markets of which a row could not be read, so that what
    they pay is not known."""

    programs: tuple[IncentiveProgram, ...]
    unclear: frozenset[str] = frozenset()
