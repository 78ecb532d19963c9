"""Where the exchange says something else about the account than we do: found at the second look, with its cause."""

from __future__ import annotations

from msgspec.structs import replace

from fsm_exec.core.account.differences import (
    Comparison,
    Held,
    compare_balance,
    compare_positions,
    compare_settlement,
    openings_of,
    standing_after,
    taken_over_by,
)
from fsm_exec.core.account.holding import NOTHING, Holding
from fsm_exec.core.account.rows import AccountLook, Difference
from fsm_exec.core.market.account import Position, Settlement
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

FIVE = NOTHING.bought("yes", PriceE4(4_000), CountE2(500), MoneyE6(0))


def position(count: int, exposure: int | None = None, ticker: str = "T") -> Position:
    return Position(
        ticker=ticker,
        count_e2=CountE2(count),
        traded_e6=None,
        exposure_e6=None if exposure is None else MoneyE6(exposure),
        realized_e6=None,
        fees_e6=None,
        changed_at_us=None,
    )


def look(holding: Holding, theirs: int, seen: Comparison | None = None, at_us: int = 1, **more: object) -> Comparison:
    held = replace(Held(holding=holding), **more)
    positions = [position(theirs, abs(theirs) * 3_000)] if theirs else []
    return compare_positions({"T": held}, positions, {} if seen is None else seen.seen, (), at_us)


def test_a_difference_counts_at_the_second_look() -> None:
    """Seen once it is nothing; seen twice it is unexplained, taken over, and seen no more."""
    first = look(FIVE, 300)
    assert (first.differences, first.adjustments) == ((), ())
    second = look(FIVE, 300, first, at_us=2)
    (found,), (change,) = second.differences, second.adjustments
    assert (found.cause, found.ours, found.theirs, found.found_at_us) == ("unexplained", "5.00", "3.00", 1)
    after = FIVE.taken_over(change.count_e2, change.cost_e6)
    assert (after.count_e2, after.cost_e6, after.realized_e6) == (300, 900_000, 0)
    assert look(after, 300, second, at_us=3) == Comparison()


def test_while_either_side_moves_nothing_is_taken_over() -> None:
    """Frames under way: our count moved, then theirs; the look after that one is the first that may count."""
    first = look(FIVE, 700)
    second = look(FIVE.bought("yes", PriceE4(4_000), CountE2(100), MoneyE6(0)), 700, first, at_us=2)
    third = look(FIVE.bought("yes", PriceE4(4_000), CountE2(100), MoneyE6(0)), 800, second, at_us=3)
    assert (second.adjustments, third.adjustments) == ((), ())
    caught = look(FIVE.bought("yes", PriceE4(4_000), CountE2(300), MoneyE6(0)), 800, third, at_us=4)
    (found,) = caught.differences
    assert (found.cause, found.found_at_us, found.gone_at_us) == ("frames_under_way", 1, 4)
    assert (caught.adjustments, caught.seen) == ((), {})


def test_a_settlement_explains_what_is_gone() -> None:
    """The exchange holds nothing any more; the settlement comes with the next look, and nothing is taken over."""
    first = look(FIVE, 0)
    second = look(NOTHING, 0, first, at_us=2, is_settled=True)
    assert [one.cause for one in second.differences] == ["settlement"]
    late = look(NOTHING, 500, at_us=2, is_settled=True)
    later = look(NOTHING, 500, late, at_us=3, is_settled=True)
    assert (later.differences, later.adjustments) == ((), ())


def test_nothing_is_taken_over_while_a_fill_is_known_that_is_not_booked() -> None:
    """It explains the difference, and comes: what stands when no such fill is known any more is taken over."""
    first = look(FIVE, 700)
    unsettled = compare_positions(
        {"T": Held(holding=FIVE)}, [position(700, 2_100_000)], first.seen, (), 2, unsettled={"T"}
    )
    assert (unsettled.differences, unsettled.adjustments) == ((), ())
    (change,) = look(FIVE, 700, unsettled, at_us=3).adjustments
    assert change.count_e2 == 200


def test_what_was_made_by_hand_is_said_until_it_is_closed() -> None:
    """Fills of nobody here explain it: a row at once, another when it changes, gone when it is closed."""
    hand = FIVE.bought("yes", PriceE4(3_000), CountE2(200), MoneyE6(0))
    held = {"T": Held(holding=hand, by_hand_e2=CountE2(200))}
    found = compare_positions(held, [position(700)], {}, (), 1).differences
    assert [(one.cause, one.ours, one.theirs) for one in found] == [("by_hand", "5.00", "7.00")]
    standing = standing_after((), found)
    assert compare_positions(held, [position(700)], {}, standing, 2).differences == ()
    more = {"T": Held(holding=hand.bought("yes", PriceE4(1), CountE2(1), MoneyE6(0)), by_hand_e2=CountE2(201))}
    changed = compare_positions(more, [position(701)], {}, standing, 3).differences
    assert [one.gone_at_us for one in changed] == [3, None]
    standing = standing_after(standing, changed)
    assert [one.theirs for one in standing] == ["7.01"]
    (gone,) = compare_positions({"T": Held(holding=NOTHING, is_settled=True)}, [], {}, standing, 4).differences
    assert gone.gone_at_us == 4


def test_the_first_look_opens_the_books() -> None:
    """What the exchange holds beyond our fills, at the cost it states, else at the most it can have cost."""
    (opening,) = openings_of({"T": Held(holding=FIVE)}, [position(-200, 50_000)], 9)
    after = FIVE.taken_over(opening.count_e2, opening.cost_e6)
    assert (after.count_e2, after.cost_e6, opening.at_us) == (-200, 50_000, 9)
    assert openings_of({"T": Held(holding=FIVE)}, [position(500, 1)], 9) == ()
    assert taken_over_by(FIVE, CountE2(700), None) == (200, 2_000_000)
    assert taken_over_by(FIVE, CountE2(200), None) == (-300, -1_200_000)
    assert taken_over_by(FIVE, CountE2(-100), None) == (-600, 1_000_000 - 2_000_000)


def test_a_balance_that_moved_by_what_is_explained_is_right() -> None:
    """A look that agrees is the one the next is held against."""
    first = compare_balance(None, MoneyE6(1_000), MoneyE6(50), MoneyE6(0), 1)
    assert first.look == AccountLook(at_us=1, first_at_us=1, balance_e6=MoneyE6(1_000), explained_e6=MoneyE6(50))
    second = compare_balance(first.look, MoneyE6(970), MoneyE6(20), MoneyE6(0), 2)
    assert (second.difference, second.look.balance_e6, second.look.first_at_us) == (None, 970, 1)


def test_a_deposit_is_said_once_at_the_second_look() -> None:
    """What is beyond fills and settlements is unexplained or a deposit; the fill between the two looks is not."""
    start = compare_balance(None, MoneyE6(1_000), MoneyE6(0), MoneyE6(0), 1).look
    first = compare_balance(start, MoneyE6(1_500), MoneyE6(0), MoneyE6(0), 2)
    assert (first.difference, first.odd_e6, first.look.balance_e6) == (None, 500, 1_000)
    second = compare_balance(first.look, MoneyE6(1_490), MoneyE6(-10), first.odd_e6, 3)
    assert second.difference == Difference(
        kind="balance",
        ticker="",
        found_at_us=3,
        ours="-0.000010",
        theirs="0.000490",
        cause="unexplained_or_deposit",
    )
    assert compare_balance(second.look, MoneyE6(1_490), MoneyE6(-10), second.odd_e6, 4).difference is None


def test_a_fill_whose_frame_is_late_is_no_deposit() -> None:
    """Cash that moved before its fill was known: gone at the next look."""
    start = compare_balance(None, MoneyE6(1_000), MoneyE6(0), MoneyE6(0), 1).look
    first = compare_balance(start, MoneyE6(900), MoneyE6(0), MoneyE6(0), 2)
    second = compare_balance(first.look, MoneyE6(900), MoneyE6(-100), first.odd_e6, 3)
    assert (first.difference, second.difference, second.odd_e6) == (None, None, 0)


def test_a_settlement_of_another_count_is_unexplained() -> None:
    """What the exchange paid for must be what we held."""
    settlement = Settlement(
        ticker="T",
        event="E",
        result="yes",
        value_e4=PriceE4(10_000),
        yes_count_e2=CountE2(500),
        no_count_e2=CountE2(0),
        yes_cost_e6=MoneyE6(0),
        no_cost_e6=MoneyE6(0),
        revenue_e6=MoneyE6(5_000_000),
        fee_e6=MoneyE6(0),
        at_us=3,
    )
    assert compare_settlement(FIVE, settlement, 4) is None
    found = compare_settlement(NOTHING, settlement, 4)
    assert found is not None
    assert (found.kind, found.ours, found.theirs, found.cause) == ("settlement", "0.00", "5.00", "unexplained")
