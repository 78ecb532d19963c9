"""What is done in a history, each with its time: by the user, the machine, fate, and other people."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.values.units import CountE2, Outcome

Price: TypeAlias = Literal["passive", "mid", "cross"]
Bound: TypeAlias = Literal["slippage", "worst", "cap"]


class Action(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Something the user, the machine or fate does, `at_ms` after the start."""

    at_ms: int


class Submit(Action, frozen=True, kw_only=True):
    """`bound` is what the user says beside the target price: nothing, a worst price or a cap, `room_e4` beyond it."""

    market: int
    outcome: Outcome
    count_e2: CountE2
    method: str
    price: Price
    horizon_ms: int
    bound: Bound = "slippage"
    room_e4: int = 0


class Cancel(Action, frozen=True, kw_only=True):
    """Cancel the execution of the `nth` submission, if it is there."""

    nth: int


class Halt(Action, frozen=True, kw_only=True):
    """End everything; lifted again by Resume."""


class Resume(Action, frozen=True, kw_only=True):
    pass


class Jump(Action, frozen=True, kw_only=True):
    """The machine's clock is found to be off by `by_ms`, and is set right `for_ms` later."""

    by_ms: int
    for_ms: int


class Crash(Action, frozen=True, kw_only=True):
    """SIGKILL: at once (`doors` 0), or at the `doors`-th door from now (of those called `where`), be it of the next
    life. Started again `down_ms` later. At 0 ms it is for the very first start."""

    doors: int
    where: str
    down_ms: int


class Drain(Action, frozen=True, kw_only=True):
    """SIGTERM, and a new start `down_ms` after it has ended. `cancels_orders` or leaves them live."""

    down_ms: int
    cancels_orders: bool


class Second(Action, frozen=True, kw_only=True):
    """Somebody starts another engine on the same database, and stops it `for_ms` later if it is still there."""

    for_ms: int


class Contradict(Action, frozen=True, kw_only=True):
    """The `nth` of the executions at work, counted on from the first again, receives a contradictory fact and is
    quarantined; from `for_ms` later on its user wants it resumed."""

    nth: int
    for_ms: int


class Hit(Action, frozen=True, kw_only=True):
    """Another member trades twice with the `nth` of our orders, each time with so many per mille of what is left of it.
    `silent`: no frame carries it."""

    nth: int
    per_mille: int
    silent: bool


class Hand(Action, frozen=True, kw_only=True):
    """The account's owner cancels the `nth` of our orders. `silent`: no frame carries it."""

    nth: int
    silent: bool


class Orphan(Action, frozen=True, kw_only=True):
    """An order under a name of ours that no execution has; `number` makes the name."""

    market: int
    number: int


class Detour(Action, frozen=True, kw_only=True):
    """The next order that is sent goes astray: it arrives `for_ms` late, and is never answered."""

    for_ms: int


Mishap: TypeAlias = Literal["death", "freeze", "record", "exchange", "none"]


class Failover(Action, frozen=True, kw_only=True):
    """From the first step on a second machine stands by, whose copy is `lag_ms` behind, and a record of who leads is
    kept, for `lease_s`. Then the first dies for good (at the `doors`-th door from now, of those called `where`, 0: at
    once), freezes for `for_ms`, or does not reach the record or the exchange for so long. `is_commanded`: a person has
    the second take over `after_ms` later, whatever the record says. The second dies at the `second_doors`-th door of
    its start (0: not) and starts again. `sockets_die`: of who is frozen."""

    mishap: Mishap
    lag_ms: int
    lease_s: int
    for_ms: int = 0
    doors: int = 0
    where: str = ""
    sockets_die: bool = False
    is_commanded: bool = False
    after_ms: int = 0
    second_doors: int = 0


class CancelNewest(Action, frozen=True, kw_only=True):
    """Cancel the execution that was submitted last."""


class SubmitToLimit(Action, frozen=True, kw_only=True):
    """Ask for the most that the limits of risk leave at the book's prices, by the exchange's own books, and for
    `beyond_e2` more: one that must be let in, or must not."""

    market: int
    outcome: Outcome
    beyond_e2: int
    method: str
    horizon_ms: int


class CloseOut(Action, frozen=True, kw_only=True):
    """Close so many per mille of what is held of a market, if anything is. Beyond a thousand: more than is held."""

    market: int
    per_mille: int
    horizon_ms: int


class HandTrade(Action, frozen=True, kw_only=True):
    """The account's owner buys by hand: at once at what is offered, or with an order that rests at the best bid for
    `rests_ms`. `silent`: no frame carries what happens when it is placed."""

    market: int
    outcome: Outcome
    count_e2: CountE2
    rests_ms: int
    silent: bool


class Deposit(Action, frozen=True, kw_only=True):
    """Pay in so many dollars, or out."""

    dollars: int


class Settle(Action, frozen=True, kw_only=True):
    """Close a market, if it is still open, and settle it `after_ms` later."""

    market: int
    result: Outcome
    after_ms: int


class RiskResume(Action, frozen=True, kw_only=True):
    """The user returns the brake to `active`, as it allows or with the loss accepted."""

    accept_loss: bool


class RiskReduce(Action, frozen=True, kw_only=True):
    """The user leads the brake from `halted` to `reducing`."""


AnyAction: TypeAlias = (
    Submit
    | Cancel
    | Halt
    | Resume
    | Jump
    | Crash
    | Drain
    | Second
    | Contradict
    | Hit
    | Hand
    | Orphan
    | Detour
    | CancelNewest
    | Failover
    | SubmitToLimit
    | CloseOut
    | HandTrade
    | Deposit
    | Settle
    | RiskResume
    | RiskReduce
)
