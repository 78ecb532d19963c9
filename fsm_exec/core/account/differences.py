"""Where the exchange says something else about the account than we do, and why.

What is seen once may be frames under way, so a difference counts when a second look shows the same one while neither
side has moved. Fills of nobody here explain it: made by hand. What nothing explains is taken over from the exchange,
since the risk is that of what is held, and stays on the list as unexplained for ever. Nothing is smoothed.

A position that our books explain only with fills made by hand is a difference too: between the account and what our
executions did. It goes when that is closed or has settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec
from msgspec.structs import replace

from fsm_exec.core.account.holding import Holding
from fsm_exec.core.account.rows import AccountLook, Adjustment, Difference, MarketHolding, Opening
from fsm_exec.core.market.account import Position, Settlement
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, MoneyE6, format_count, format_money


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What our books say of a market: all of it, and the signed count of it that was made by hand."""

    holding: Holding
    by_hand_e2: CountE2 = CountE2(0)
    is_settled: bool = False


def held_of(market: MarketHolding) -> Held:
    """What the books of a market say, for comparing."""
    return Held(holding=market.holding, by_hand_e2=market.by_hand_e2, is_settled=market.settlement is not None)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A market about which the last look showed two counts, signed. `shown_at_us` is when these two were shown first,
    `found_at_us` when there first were two."""

    ours_e2: CountE2
    theirs_e2: CountE2
    found_at_us: int
    shown_at_us: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at the positions came to: rows to be kept, and what the next look must know."""

    differences: tuple[Difference, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    seen: dict[str, Seen] = msgspec.field(default_factory=dict)


def openings_of(held: Mapping[str, Held], positions: Iterable[Position], at_us: int) -> tuple[Opening, ...]:
    """What the exchange holds at the first look beyond what our books explain."""
    found = []
    for one in positions:
        ours = held[one.ticker].holding if one.ticker in held else Holding()
        if one.count_e2 != ours.count_e2:
            count, cost = taken_over_by(ours, one.count_e2, one.exposure_e6)
            found.append(
                Opening(
                    ticker=one.ticker,
                    count_e2=count,
                    cost_e6=cost,
                    realized_e6=one.realized_e6,
                    fees_e6=one.fees_e6,
                    at_us=at_us,
                )
            )
    return tuple(found)


def taken_over_by(ours: Holding, theirs_e2: CountE2, exposure_e6: MoneyE6 | None) -> tuple[CountE2, MoneyE6]:
    """The signed changes of contracts and cost that make our holding the exchange's. Where it does not state what the
    contracts cost, ours keep their average and the others cost a dollar each: the most they can have."""
    if exposure_e6 is None:
        same = ours.count_e2 * theirs_e2 > 0
        kept = min(abs(ours.count_e2), abs(theirs_e2)) if same else 0
        known = ours.cost_e6 * kept // abs(ours.count_e2) if kept else 0
        exposure_e6 = MoneyE6(known + (abs(theirs_e2) - kept) * ONE_DOLLAR_E4)
    return CountE2(theirs_e2 - ours.count_e2), MoneyE6(exposure_e6 - ours.cost_e6)


def compare_positions(
    held: Mapping[str, Held],
    positions: Iterable[Position],
    seen: Mapping[str, Seen],
    standing: Iterable[Difference],
    at_us: int,
    unsettled: AbstractSet[str] = frozenset(),
    apart_us: int = 0,
) -> Comparison:
    """Compare our books with all positions of one look. `seen` is what the look before came to, `standing` the stored
    differences that are not gone; nothing is taken over in `unsettled` markets, of which fills are known that our books
    do not have yet, and none that was not shown `apart_us` ago: listings lag."""
    theirs = {one.ticker: one for one in positions}
    differences: list[Difference] = []
    adjustments: list[Adjustment] = []
    now_seen: dict[str, Seen] = {}
    for ticker in sorted(held.keys() | theirs.keys()):
        ours = held.get(ticker, Held(holding=Holding()))
        stated = theirs.get(ticker)
        count = CountE2(0) if stated is None else stated.count_e2
        before = seen.get(ticker)
        if count == ours.holding.count_e2:
            if before is not None:
                differences.append(_ended(ticker, before, ours, at_us))
            continue
        if before is None or (before.ours_e2, before.theirs_e2) != (ours.holding.count_e2, count):
            found_at = at_us if before is None else before.found_at_us
            now_seen[ticker] = Seen(
                ours_e2=ours.holding.count_e2, theirs_e2=count, found_at_us=found_at, shown_at_us=at_us
            )
            continue
        # The exchange has not cleared it away yet, a fill explains it, or it may be frames under way.
        if ours.is_settled or ticker in unsettled or at_us - before.shown_at_us < apart_us:
            now_seen[ticker] = before
            continue
        change = taken_over_by(ours.holding, count, None if stated is None else stated.exposure_e6)
        adjustments.append(
            Adjustment(ticker=ticker, at_us=at_us, count_e2=change[0], cost_e6=change[1], why="unexplained")
        )
        differences.append(
            Difference(
                kind="position",
                ticker=ticker,
                found_at_us=before.found_at_us,
                ours=format_count(ours.holding.count_e2),
                theirs=format_count(count),
                cause="unexplained",
            )
        )
    differences += _made_by_hand(held, standing, at_us)
    return Comparison(differences=tuple(differences), adjustments=tuple(adjustments), seen=now_seen)


def _ended(ticker: str, seen: Seen, ours: Held, at_us: int) -> Difference:
    """A difference of the look before that is gone, with what took it away."""
    return Difference(
        kind="position",
        ticker=ticker,
        found_at_us=seen.found_at_us,
        ours=format_count(seen.ours_e2),
        theirs=format_count(seen.theirs_e2),
        cause="settlement" if ours.is_settled else "frames_under_way",
        gone_at_us=at_us,
    )


def _made_by_hand(held: Mapping[str, Held], standing: Iterable[Difference], at_us: int) -> list[Difference]:
    """Rows for what was made by hand and is new, has changed, or is closed."""
    known = {one.ticker: one for one in standing if (one.kind, one.cause) == ("position", "by_hand")}
    found = []
    for ticker in sorted(held.keys() | known.keys()):
        one = held.get(ticker)
        was = known.get(ticker)
        said: tuple[str, str] | None = None
        if one is not None and one.by_hand_e2 and not one.is_settled:
            total = one.holding.count_e2
            said = format_count(CountE2(total - one.by_hand_e2)), format_count(total)
        if was is not None and said != (was.ours, was.theirs):
            found.append(replace(was, gone_at_us=at_us))
        if said is not None and (was is None or said != (was.ours, was.theirs)):
            found.append(
                Difference(
                    kind="position", ticker=ticker, found_at_us=at_us, ours=said[0], theirs=said[1], cause="by_hand"
                )
            )
    return found


def compare_settlement(before: Holding, settlement: Settlement, at_us: int) -> Difference | None:
    """Compare what we held of a market with what the exchange paid for; None: they agree. `before`: our holding without
    this settlement."""
    theirs = CountE2(settlement.yes_count_e2 - settlement.no_count_e2)
    if theirs == before.count_e2:
        return None
    return Difference(
        kind="settlement",
        ticker=settlement.ticker,
        found_at_us=at_us,
        ours=format_count(before.count_e2),
        theirs=format_count(theirs),
        cause="unexplained",
    )


class BalanceCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at the balance came to. `look` is to be kept; `odd_e6` is what it moved by beyond what is
    explained, for the next look, which must see the same."""

    look: AccountLook
    difference: Difference | None = None
    odd_e6: MoneyE6 = MoneyE6(0)


def compare_balance(
    before: AccountLook | None, balance_e6: MoneyE6, explained_e6: MoneyE6, odd_e6: MoneyE6, at_us: int
) -> BalanceCheck:
    """Compare how the balance moved since the last look that agreed with what fills and settlements explain.

    `balance_e6` must be one while nothing of the account rested, since resting orders hold some of it back.
    `explained_e6` is the sum of `Holding.balance_change_e6` over all markets, `odd_e6` what the look before came to.
    """
    first_at = at_us if before is None else before.first_at_us
    now = AccountLook(at_us=at_us, first_at_us=first_at, balance_e6=balance_e6, explained_e6=explained_e6)
    if before is None or before.balance_e6 is None or before.explained_e6 is None:
        return BalanceCheck(look=now)
    expected = explained_e6 - before.explained_e6
    odd = MoneyE6(balance_e6 - before.balance_e6 - expected)
    if odd == 0:
        return BalanceCheck(look=now)
    if odd != odd_e6:
        return BalanceCheck(look=replace(before, at_us=at_us), odd_e6=odd)
    found = Difference(
        kind="balance",
        ticker="",
        found_at_us=at_us,
        ours=format_money(MoneyE6(expected)),
        theirs=format_money(MoneyE6(expected + odd)),
        cause="unexplained_or_deposit",
    )
    return BalanceCheck(look=now, difference=found)


def standing_after(standing: Sequence[Difference], changed: Iterable[Difference]) -> tuple[Difference, ...]:
    """The differences that stand once these rows are kept too."""
    by_key = {(one.kind, one.ticker, one.found_at_us): one for one in (*standing, *changed)}
    return tuple(one for one in by_key.values() if one.gone_at_us is None)
