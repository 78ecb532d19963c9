"""The structs of the account's part of the control API: what is held, what it has brought, what may be lost, and how it
is closed.

Prices, quantities and money are decimal strings in contracts and dollars, times ISO 8601 UTC; null is not known."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from fsm_exec.control.market_schema import Ticker
from fsm_exec.control.schema import Accepted, Key, Number
from fsm_exec.core.values.units import Outcome

CLOSE_METHOD = "close"
CLOSE_HORIZON_S = 60
CLOSES_MAX = 200


class CloseWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Close what is held of `ticker`, or of every market of `event`: buy the other outcome, never more than is held at
    any moment. `quantity` goes with a ticker; without it all that is held. `limit` is the least to
    be received per contract that is held, before fees; without it, what the book of now pays for all of it, less two
    ticks. The same `key` with the same request is the same execution, as of a submission."""

    key: Key
    ticker: Ticker | None = None
    event: Ticker | None = None
    quantity: Number | None = None
    limit: Number | None = None
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = CLOSE_METHOD
    horizon_s: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = CLOSE_HORIZON_S


class ClosedMarket(msgspec.Struct, frozen=True, kw_only=True):
    """The execution that closes a market: it buys up to `quantity` of `outcome`, and so brings `limit` or more for each
    contract of `held`, `after_fee` with the fee taken off. One that could not be accepted has null, and the reason in
    `refusal`."""

    ticker: str
    held: Outcome | None = None
    outcome: Outcome | None = None
    quantity: str | None = None
    limit: str | None = None
    after_fee: str | None = None
    accepted: Accepted | None = None
    refusal: str | None = None


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """What a close set to work; empty if nothing of the event is held."""

    markets: list[ClosedMarket]


By: TypeAlias = Literal["market", "event", "series", "method", "execution", "day"]


class PnlQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """By what the profit is divided."""

    by: By = "market"


class PositionSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One market that is held: `quantity` contracts of `outcome`, of them `ours` by executions and `others` by hand, by
    other programs, or before. `average_price` and `cost` are without fees. `value` is what closing now brings, fees
    taken off, `unrealized` that less the cost. `priced_by`: the live `book`, a `quote` of a listing, or null: no price
    is known, and the value is 0."""

    ticker: str
    event: str
    series: str
    outcome: Outcome
    quantity: str
    ours: str
    others: str
    average_price: str
    cost: str
    value: str
    unrealized: str
    unrealized_at_mid: str | None
    realized: str
    fees: str
    priced_by: str | None
    priced_at: str | None


class PositionsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """`read_at`: when the exchange's own list was last compared. `damage` names rows that cannot be read."""

    positions: list[PositionSeen]
    cost: str
    value: str
    unrealized: str
    read_at: str | None
    damage: list[str]


class ProfitSeen(msgspec.Struct, frozen=True, kw_only=True):
    """`traded` contracts were bought for `paid`; `realized` is by average cost and without `fees`; `total` is realised
    less fees plus what closing now would bring or cost. `unpriced` counts markets taken to bring nothing, as no price
    of them is known."""

    key: str
    traded: str
    paid: str
    open_cost: str
    realized: str
    fees: str
    unrealized: str
    unrealized_at_mid: str | None
    total: str
    unpriced: int


class ProfitTable(msgspec.Struct, frozen=True, kw_only=True):
    """Profit by one division. Executions and methods are reckoned each as if it were alone: `by_hand`, `taken_over` and
    `netted`, what the exchange netted between them, make them add up to the total; null in the other divisions. A day
    has what was realised on it in `time_zone`; what is unrealised belongs to none. `damage` names archives that cannot
    be read: what is in them is in the total, and in no line."""

    by: By
    lines: list[ProfitSeen]
    by_hand: ProfitSeen | None
    taken_over: ProfitSeen | None
    netted: str | None
    total: ProfitSeen
    time_zone: str
    damage: list[str] = []


class DifferenceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Where the exchange says `theirs` and we say `ours`; one that nothing explains stays."""

    kind: str
    ticker: str
    found_at: str
    ours: str
    theirs: str
    cause: str


class AccountSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The account at one look. `available` is what new orders may use, `portfolio` the exchange's own value of what is
    held."""

    at: str
    available: str
    portfolio: str | None
    markets_held: int
    profit: ProfitSeen
    read_at: str | None
    differences: list[DifferenceSeen]
    damage: list[str]


class RiskQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many of the newest moves of the brake are told."""

    moves: Annotated[int, msgspec.Meta(ge=0, le=100)] = 5


class RiskResume(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`accept_loss`: day and peak begin anew with the equity of now, so the loss so far does not count any more."""

    accept_loss: bool = False


class RiskLimitSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A limit by its name in the configuration. `allowed` null: it is off. `used` is what is used of it now, by the one
    that uses most where it holds for each; null: it is counted at the request."""

    limit: str
    allowed: str | None
    used: str | None


class RiskMove(msgspec.Struct, frozen=True, kw_only=True):
    at: str
    moved_from: str
    moved_to: str
    moved_by: str
    who: str
    why: str


class RiskSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What may be lost. `state`: `active`; `reducing`: only what raises no worst case is accepted; `halted`: nothing.
    `worst_case` is the most the account can lose whatever happens and whichever order fills, in dollars, `events` the
    same of each event. `daily_loss` and `drawdown` are by the equity of our books."""

    state: str
    why: str
    since: str | None
    worst_case: str
    events: dict[str, str]
    daily_loss: str
    drawdown: str
    day: str | None
    time_zone: str
    limits: list[RiskLimitSeen]
    brakes_off: list[str]
    moves: list[RiskMove]
