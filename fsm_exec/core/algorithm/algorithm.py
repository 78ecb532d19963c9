"""What an algorithm is: two pure functions that never see an order id.

`plan` splits the target into slices once; `replan` is asked at every decision and answers with actions. Core turns
actions into orders, holds those the moment forbids (feed not live, our own order in the way) and refuses those that
break an invariant. Both must give the same answer to the same arguments, at any time, in any process: all that an
algorithm remembers is in `Progress`, so it goes on after a restart as if there had been none.

An algorithm is asked when the touch moved, when a fact about its orders came, and every `look_every_us`. It is not
asked any more once its closing leg has begun (core.closing) or its execution is ending. Timers are derived from that;
a wish to be woken would be state, which would have to survive a restart.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.market.orders import TimeInForce
from fsm_exec.core.values.units import CountE2, PriceE4, PriceGrid


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The task, in the execution's own outcome. `arrival` is the book when it was accepted; `edge` the reason to
    trade, if its owner gave one."""

    target_e2: CountE2
    limits: Limits
    accepted_at_us: int
    deadline_us: int
    grid: PriceGrid
    fees: FeeTerms
    arrival: MarketView
    edge: Edge | None = None


class Slice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the target. `level` 1 is nearest the touch. All slices together are the target at all times."""

    level: int
    count_e2: CountE2


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """The slice's order that has not ended. `busy`: an answer is outstanding, so it cannot be changed now.

    `placed_at_us` is when it was decided, `moved_at_us` when the exchange took its present price (when it was decided,
    if it has not moved), `walks` how often that happened."""

    price_e4: PriceE4
    count_e2: CountE2
    filled_e2: CountE2
    busy: bool
    post_only: bool
    placed_at_us: int
    moved_at_us: int
    walks: int


class SliceProgress(msgspec.Struct, frozen=True, kw_only=True):
    """`free_e2` may be placed now: not filled, live or unknown. `sent` counts orders that reached the exchange;
    `last_placed_at_us` is when the newest order, whatever became of it, was decided (None: there was none), and
    `fruitless` how many of the newest orders in a row have ended without any fill."""

    level: int
    count_e2: CountE2
    filled_e2: CountE2
    free_e2: CountE2
    sent: int
    last_placed_at_us: int | None
    working: Working | None
    fruitless: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the execution has come. `walks` are new prices the exchange has taken, `writes` the creates, amends and
    cancels decided, over all orders there have been."""

    goal: Goal
    at_us: int
    walks: int
    writes: int
    slices: tuple[SliceProgress, ...]


class PlaceAction(msgspec.Struct, frozen=True, kw_only=True):
    level: int
    price_e4: PriceE4
    count_e2: CountE2
    time_in_force: TimeInForce = "good_till_canceled"
    post_only: bool = False


class AmendAction(msgspec.Struct, frozen=True, kw_only=True):
    """A new price for the slice's working order; its total stays."""

    level: int
    price_e4: PriceE4


class CancelAction(msgspec.Struct, frozen=True, kw_only=True):
    level: int


class TransferAction(msgspec.Struct, frozen=True, kw_only=True):
    """Move `count_e2` of what is free from one slice to another; the sum stays the target. Of one decision, transfers
    count before the orders wished for after them."""

    from_level: int
    to_level: int
    count_e2: CountE2


GiveUpReason: TypeAlias = Literal["no_liquidity", "cap"]


class GiveUpAction(msgspec.Struct, frozen=True, kw_only=True):
    """End the execution: cancel what is live, keep what is filled."""

    reason: GiveUpReason


class CloseAction(msgspec.Struct, frozen=True, kw_only=True):
    """Begin the closing leg now, before its time: what could still be bought later is drying up."""


Action: TypeAlias = PlaceAction | AmendAction | CancelAction | TransferAction | CloseAction | GiveUpAction


class Algorithm(Protocol):
    """An algorithm with its configuration already bound: what `advance` is handed.

    `look_every_us`: how often time alone may change its actions; None: only the book and facts do. `closing_lead_us`:
    how long before the deadline the closing leg begins; None: there is none. `resting_at_most`: how many orders it may
    have at the exchange at once. `takes_only`: each of its orders is immediate, none ever rests, so it may work what
    only closes a position. `signals_read`: the smoothed signals it reads, the others are None in its views; None: all.
    All are read again at every load."""

    @property
    def look_every_us(self) -> int | None: ...
    @property
    def closing_lead_us(self) -> int | None: ...
    @property
    def resting_at_most(self) -> int: ...
    @property
    def takes_only(self) -> bool: ...
    @property
    def signals_read(self) -> frozenset[str] | None: ...
    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]: ...
    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]: ...


class NoAlgorithm:
    """Stands in for the algorithm of an execution that has ended, or only ends: it is asked nothing any more."""

    look_every_us: int | None = None
    closing_lead_us: int | None = None
    resting_at_most: int = 0
    takes_only: bool = True
    signals_read: frozenset[str] | None = frozenset()

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        return ()

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        return ()
