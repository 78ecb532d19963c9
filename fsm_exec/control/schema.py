"""The structs of the control API: what it takes and answers. They are its validation and its documentation.

Prices, quantities and money are decimal strings, times ISO 8601 UTC. Unknown fields of a request are refused: a limit
that was misspelt must not be a limit that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

import msgspec

from fsm_exec.control.limits import JOURNAL_LINES_MAX, PAGE_MAX, ROW_MAX, ControlLimits
from fsm_exec.core.values.units import Outcome
from fsm_exec.store.api_rows import ExecutionDetail as StoredDetail
from fsm_exec.store.api_rows import ExecutionSummary, FillSeen, Transition

INSTANCE: Final = "Fsm-Exec-Instance"
"""The header in which a caller names the database it means."""

Number = Annotated[str, msgspec.Meta(min_length=1, max_length=24)]
Key = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._:-]{1,64}\Z")]
DEFAULT_METHOD: Final = "deadline_walker"

NEEDED: Final[tuple[tuple[str, ...], ...]] = (
    ("key",),
    ("ticker",),
    ("outcome",),
    ("quantity",),
    ("limit", "cap", "target_price"),
    ("horizon_s", "deadline"),
)
"""What a submission needs: one field of each."""
QUANTITY_AND_PRICE: Final = slice(3, 5)  # what an edge can give

ExecutionState = Literal["pending", "split", "walking", "partial", "filled", "cancelled"]


class EdgeGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`model_probability` of the own outcome. Beside a quantity it goes with `expected_value`, dollars per contract
    after the taker fee. Without a quantity the submission is sized by it: `shrink` is how far it is trusted (1:
    wholly), `fraction` the part of the bankroll that is played with (0.25), `bankroll` dollars (null: what is
    available, and the cost of what is held of this market), `min_edge` what a contract has to be worth beyond its
    all-in price at least, in dollars (0)."""

    model_probability: Number
    expected_value: Number | None = None
    shrink: Number | None = None
    fraction: Number | None = None
    bankroll: Number | None = None
    min_edge: Number | None = None


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`key` is the caller's own: the same key with the same request is the same execution, however often it is sent.

    Prices are dollars of the execution's own outcome. Give `limit`, the most that is paid per contract before fees, or
    `cap`, the most with them. The reference design's rule is `target_price` alone: orders may go above it by
    `max_slippage`, a fraction of it; beside a limit or cap it says where to begin. `worst_price` is the older name of
    `limit` and means the same. Without a quantity an `edge` gives quantity and cap. The end is `deadline` (a time with
    its zone) or `horizon_s`, not both."""

    key: Key
    ticker: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    outcome: Outcome
    quantity: Number | None = None
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = DEFAULT_METHOD
    limit: Number | None = None
    cap: Number | None = None
    target_price: Number | None = None
    worst_price: Number | None = None
    max_slippage: Number | None = None
    deadline: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    horizon_s: Annotated[int, msgspec.Meta(ge=1, le=10**9)] | None = None
    edge: EdgeGiven | None = None

    @staticmethod
    def find_missing(given: Mapping[str, object]) -> list[str]:
        """Return what a submission with these fields lacks, all of it: names of fields, the leading one first."""
        named = {"limit" if name == "worst_price" else name for name, value in given.items() if value is not None}
        is_sized = "edge" in named and "quantity" not in named
        given_by_edge = NEEDED[QUANTITY_AND_PRICE] if is_sized else ()
        return [" or ".join(names) for names in NEEDED if named.isdisjoint(names) and names not in given_by_edge]


def describe_missing(missing: Sequence[str]) -> str:
    """Return one line that names all that a submission lacks."""
    return f"missing: {', '.join(missing)}"


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The execution is durable. `is_new` False: this very request was accepted earlier. `limit` is the highest price
    that any of its orders may carry, `cap` the most that a contract may cost with its fee: those that came of what was
    given, in dollars; null if no price could be formed. `sized` says how the quantity came to be, where an edge gave
    it."""

    execution_id: str
    key: str
    is_new: bool
    quantity: str | None = None
    limit: str | None = None
    cap: str | None = None
    sized: str | None = None


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    state: ExecutionState | None = None
    ticker: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    unfinished: bool = False
    quarantined: bool = False
    before: Annotated[str, msgspec.Meta(pattern=r"\Ae[0-9]{6,18}\Z")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = 50


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first. `next_before` is the `before` of the next page, null: there is none. `damage` names archives that
    cannot be read: what is in them is left out."""

    executions: list[ExecutionSummary]
    next_before: str | None
    damage: list[str] = []


class ShowQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    journal_lines: Annotated[int, msgspec.Meta(ge=0, le=JOURNAL_LINES_MAX)] = 10


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The best bid and ask of an outcome without this account's own orders, null where there is none. `feed` is the
    state of the book they are from: only `live` is now."""

    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    feed: str


class ExecutionDetail(StoredDetail, frozen=True, kw_only=True):
    """One execution in detail. While it has not ended, `quote` is its market in its own outcome, null if the market is
    not watched, and `seconds_left` the time to its deadline. `metrics` is null until it has ended; `journal` holds its
    last lines, oldest first. `damage` names the rows that cannot be read, and are left out. `queue_ahead`: how many
    contracts the exchange says must be matched before a resting order, by its client order id, at most ten seconds ago;
    an order is missing of which that is not known."""

    quote: Quote | None = None
    seconds_left: int | None = None
    queue_ahead: dict[str, str] = msgspec.field(default_factory=dict)


class WatchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The stream begins after this row: of one execution its number in the journal, of all its position."""

    after: Annotated[int, msgspec.Meta(ge=0, le=ROW_MAX)] | None = None


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No parameter, or no field."""


class QuarantineSeen(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution stands: the engine does not act for it, and why; null: it does again. No row of the journal."""

    execution_id: str
    at: str
    why: str | None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The last event of a stream."""

    why: str


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """The request is on its way; `show` or `watch` say what comes of it. `not_noted`: what a takeover by a standby may
    not know of, one line each: it could not be noted beside the lease record within a second."""

    execution_id: str
    state: str
    not_noted: list[str] = []


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`ok`: the engine runs, can act at the exchange, and accepts work. `why_degraded` as in the status."""

    ok: bool
    state: str
    why_degraded: list[str] = []


class MarketSeen(msgspec.Struct, frozen=True, kw_only=True):
    """`feed` is the state of our book of it, `market` what the exchange says of it."""

    feed: str
    market: str


class RiskStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How the brake of the account stands, since when and why: `active`; `reducing`: only what raises no worst case is
    accepted; `halted`: nothing. `worst_case` is the most that can be lost, in dollars. `account_read` False: this
    process has not read the account yet, and refuses what may add risk while there are limits."""

    state: str
    why: str
    since: str | None
    worst_case: str
    account_read: bool


class LeaseStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How long what rests outlives the daemon's host. `wanted_s` is `host_lease_s` of the configuration, 0: until its
    execution is over; `in_force_s` the one that orders get: longer where the account's write tokens carry no shorter
    one. `outlives_s`: if the host were gone now, the last of what rests would end by itself within so many seconds;
    null: nothing rests."""

    wanted_s: int
    in_force_s: int
    outlives_s: int | None


class PageWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`read_only`: what is opened may look and change nothing."""

    read_only: bool = False


class PageLink(msgspec.Struct, frozen=True, kw_only=True):
    """The address that opens the page in one browser, once, within a minute."""

    url: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is `degraded` while the engine runs and cannot act: the exchange cannot be read, does not accept our
    signature, or its streams are not live; `why_degraded` says it, in whatever state. `halt_within_s`: after a halt
    nothing of ours is live at the exchange any more within this time, if it answers. `quarantined` has the reasons by
    execution. `live_orders` are live or may be: all that the exchange has not said to have ended with its fills counted
    here. Of them `unknown_orders` were sent and not heard of since, `settling_orders` have ended and miss fills here,
    `loose_orders` are those of quarantined executions and of none. `nothing_live`: by the exchange's word, which has
    been asked since the start. `losses`: what the database had acknowledged and did not have when this daemon
    started. `risk` null: the engine keeps no account. `alerts_pending` have not been told through every channel.
    `page_url` is where a browser sees all this (`fsm-exec open`), null: no page is served. `lease`: how long what rests
    outlives the daemon's host; null: a daemon from before there were leases. `not_noted`: what was ordered (a halt, a
    cancel) and a takeover by a standby may not know of, since it could not be noted beside the lease record yet."""

    version: str
    state: str
    why_degraded: list[str]
    why_halted: str | None
    halt_within_s: int
    environment: str
    instance: str
    database: str
    pid: int
    since: str
    unfinished: int
    at_work: int
    quarantined: dict[str, str]
    live_orders: int
    unknown_orders: int
    settling_orders: int
    loose_orders: int
    nothing_live: bool
    stream_connected: bool
    markets: dict[str, MarketSeen]
    watchers: int
    limits: ControlLimits
    losses: list[str] = []
    not_noted: list[str] = []
    risk: RiskStanding | None = None
    alerts_pending: int = 0
    page_url: str | None = None
    lease: LeaseStanding | None = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    error: ErrorBody


__all__ = [
    "INSTANCE",
    "Accepted",
    "Acknowledged",
    "EdgeGiven",
    "Ended",
    "ErrorBody",
    "ExecutionDetail",
    "ExecutionState",
    "ExecutionSummary",
    "Failed",
    "FillSeen",
    "Health",
    "Key",
    "LeaseStanding",
    "ListQuery",
    "MarketSeen",
    "NoQuery",
    "Number",
    "Page",
    "PageLink",
    "PageWanted",
    "QuarantineSeen",
    "Quote",
    "RiskStanding",
    "ShowQuery",
    "Status",
    "Submission",
    "Transition",
    "WatchQuery",
]
