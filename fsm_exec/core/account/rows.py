"""Rows that the store keeps of the account, and what it gives back of them at a start. Exact integers: the store makes
the decimal strings."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.holding import NOTHING, Holding
from fsm_exec.core.market.account import EventShape, Settlement
from fsm_exec.core.values.units import US_PER_MS, CountE2, MoneyE6, Outcome, PriceE4

DifferenceKind: TypeAlias = Literal["position", "settlement", "balance"]
Cause: TypeAlias = Literal["by_hand", "settlement", "frames_under_way", "unexplained", "unexplained_or_deposit"]


class AccountFill(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A fill of the account that no execution made; one by (order_id, fill_id). The price is of its own outcome."""

    order_id: str
    fill_id: str
    ticker: str
    outcome: Outcome
    price_e4: PriceE4
    count_e2: CountE2
    fee_e6: MoneyE6
    is_taker: bool
    traded_at_us: int


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What was held of a market at the first look beyond what fills explain; `count_e2` is signed, `cost_e6` what it
    counts as its cost. `realized_e6` and `fees_e6` are the exchange's own of then; None: not stated."""

    ticker: str
    count_e2: CountE2
    cost_e6: MoneyE6
    realized_e6: MoneyE6 | None
    fees_e6: MoneyE6 | None
    at_us: int


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """Signed changes of contracts and cost that nobody explains, taken over from the exchange."""

    ticker: str
    at_us: int
    count_e2: CountE2
    cost_e6: MoneyE6
    why: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange says `theirs`, we say `ours`; both are decimal strings. `ticker` is empty for what is of no market.
    `gone_at_us` None: it stands. One by (kind, ticker, found_at_us)."""

    kind: DifferenceKind
    ticker: str
    found_at_us: int
    ours: str
    theirs: str
    cause: Cause
    gone_at_us: int | None = None


class AccountLook(msgspec.Struct, frozen=True, kw_only=True):
    """The last look at the account: the balance it showed, and what our fills and settlements explained of all changes
    of balance by then. `first_at_us` is when the account was first read; None in the others: not known."""

    at_us: int
    first_at_us: int
    balance_e6: MoneyE6 | None
    explained_e6: MoneyE6 | None


class RiskLogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One move of the brake: from state, by trigger, to state; who moved it, why, and the figures of then as JSON."""

    at_us: int
    moved_from: str
    moved_by: str
    moved_to: str
    who: str
    why: str
    figures: bytes


class Bought(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An entry of a market's books: a fill, by an execution of a method, or (both None) by hand or another program."""

    at_us: int
    outcome: Outcome
    price_e4: PriceE4
    count_e2: CountE2
    fee_e6: MoneyE6
    is_taker: bool
    execution_id: str | None = None
    method: str | None = None


class TakenOver(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An entry of a market's books: signed changes of contracts and cost that no fill explains."""

    at_us: int
    count_e2: CountE2
    cost_e6: MoneyE6


def place_in_books(entry: Bought | TakenOver) -> tuple[int, int, int, str, int, int]:
    """The key by which the entries of a market are ordered, whoever told of them first, and by which channel (a frame
    has milliseconds, a listing may have more).

    With a position that turns around, average cost depends on the order of fills. Those of one millisecond are nearly
    always of one match: an order that takes gets the lowest price first, and rests with what is left; of several that
    rest the one at the highest price is hit first. The rest of the key keeps fills apart that are alike in this.
    """
    at_ms = entry.at_us // US_PER_MS
    if isinstance(entry, TakenOver):
        return at_ms, 2, 0, "", entry.count_e2, entry.cost_e6
    price = entry.price_e4 if entry.is_taker else -entry.price_e4
    return at_ms, int(not entry.is_taker), price, entry.outcome, entry.count_e2, entry.fee_e6


class MarketBooks(msgspec.Struct, frozen=True, kw_only=True):
    """All entries of one market in the order of `place_in_books`, and its settlement, which is always the last. `event`
    and `series` are empty where no terms of the market are stored."""

    ticker: str
    event: str
    series: str
    entries: tuple[Bought | TakenOver, ...]
    settlement: Settlement | None = None


class MarketHolding(msgspec.Struct, frozen=True, kw_only=True):
    """What the books of one market come to. `ours_e2` is the signed count of what our executions bought, `by_hand_e2`
    of fills that none of them made, both before any settlement. `has_by_hand`: there are such fills, which may come to
    nothing. `last_at_us` is when the newest entry of its books was made."""

    ticker: str
    event: str
    series: str
    holding: Holding
    ours_e2: CountE2
    by_hand_e2: CountE2
    has_by_hand: bool = False
    last_at_us: int = 0
    settlement: Settlement | None = None


def holding_of(books: MarketBooks) -> MarketHolding:
    """Fold the books of a market."""
    holding, ours, by_hand, has_by_hand = NOTHING, 0, 0, False
    for entry in books.entries:
        if isinstance(entry, TakenOver):
            holding = holding.taken_over(entry.count_e2, entry.cost_e6)
            continue
        holding = holding.bought(entry.outcome, entry.price_e4, entry.count_e2, entry.fee_e6)
        signed = entry.count_e2 if entry.outcome == "yes" else -entry.count_e2
        if entry.execution_id is None:
            by_hand, has_by_hand = by_hand + signed, True
        else:
            ours += signed
    if books.settlement is not None:
        holding = holding.settled(books.settlement)
    return MarketHolding(
        ticker=books.ticker,
        event=books.event,
        series=books.series,
        holding=holding,
        ours_e2=CountE2(ours),
        by_hand_e2=CountE2(by_hand),
        has_by_hand=has_by_hand,
        last_at_us=books.entries[-1].at_us if books.entries else 0,
        settlement=books.settlement,
    )


def counts_about(books: MarketBooks, at_us: int, within_us: int) -> set[int]:
    """The signed counts that may have been held at that time, and the one that all entries come to. Entries at most
    `within_us` from it may have been before or after it; which of an execution's and of others' came first is not
    known."""
    total = before = 0
    ours, others = [0], [0]
    for entry in books.entries:
        signed = entry.count_e2 if isinstance(entry, TakenOver) or entry.outcome == "yes" else -entry.count_e2
        total += signed
        if entry.at_us < at_us - within_us:
            before += signed
        elif entry.at_us <= at_us + within_us:
            side = ours if isinstance(entry, Bought) and entry.execution_id is not None else others
            side.append(side[-1] + signed)
    return {total, *(before + one + other for one in ours for other in others)}


class StoredAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the database knows of the account at a start. `look` None: it was never read. `differences` are those
    that stand; `archived` is what all fills that have moved into archives came to, which are in no market here;
    `damage` names rows that cannot be read, one line each."""

    look: AccountLook | None
    markets: tuple[MarketHolding, ...]
    openings: tuple[Opening, ...]
    differences: tuple[Difference, ...]
    shapes: tuple[EventShape, ...]
    risk: RiskState | None
    archived: Holding = NOTHING
    damage: tuple[str, ...] = ()
