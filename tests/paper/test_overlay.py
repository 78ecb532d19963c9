"""How orders of ours stand in a recorded book: the overlay rules, one by one, on hand-made tapes."""

from __future__ import annotations

import pytest

from fsm_exec.core.market.book import BookError
from fsm_exec.paper.matching_engine.market_book import Match
from tests.paper.support import Floor, count, delta, price, snapshot, trade


@pytest.fixture
def floor() -> Floor:
    floor = Floor()
    floor.play(snapshot([("0.40", "100"), ("0.38", "50")], [("0.55", "80")]))  # YES 0.40 bid, 0.45 asked
    return floor


def test_an_order_joins_behind_what_was_displayed(floor: Floor) -> None:
    """A trade smaller than the queue ahead fills nothing; the trade that goes beyond it fills the rest."""
    ours = floor.bid("0.40", "10")
    floor.play(trade("no", "0.40", "60"), delta("yes", "0.40", "-60"))
    assert floor.filled(ours) == 0
    floor.play(trade("no", "0.40", "44"), delta("yes", "0.40", "-40"))
    assert floor.filled(ours) == count("4")


def test_quantity_that_comes_later_stands_behind(floor: Floor) -> None:
    """A level that grows after we joined does not push us back."""
    ours = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "500"), trade("no", "0.40", "110"))
    assert floor.filled(ours) == count("10")


def test_a_decrease_only_clamps_what_is_ahead(floor: Floor) -> None:
    """Cancels are taken to come from behind us, until the level is smaller than our queue."""
    ours = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "200"), delta("yes", "0.40", "-150"))
    assert floor.exchange.orders[ours.order_id].ahead_e2 == count("100")
    floor.play(delta("yes", "0.40", "-120"))
    assert floor.exchange.orders[ours.order_id].ahead_e2 == count("30")
    floor.play(trade("no", "0.40", "31"))
    assert floor.filled(ours) == count("1")


def test_a_decrease_never_fills(floor: Floor) -> None:
    """A whole level cancelled away leaves us first in line, unfilled."""
    ours = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "-100"))
    assert floor.filled(ours) == 0
    assert floor.shown("yes") == {4_000: count("10"), 3_800: count("50")}


def test_a_taker_fills_better_prices_first_then_the_queue(floor: Floor) -> None:
    """A recorded sell of 120 at 0.40: our 0.42 and 0.41 first, at their prices, then 100 ahead at 0.40, then us."""
    at_42, at_41 = floor.bid("0.42", "4"), floor.bid("0.41", "6")
    at_40 = floor.bid("0.40", "20")
    floor.play(trade("no", "0.40", "120"))
    assert [floor.filled(order) for order in (at_42, at_41, at_40)] == [count("4"), count("6"), count("10")]
    assert [fill.price_e4 for fill in floor.account.fills] == [price("0.42"), price("0.41"), price("0.40")]


def test_a_taker_too_small_for_our_better_price_reaches_no_further(floor: Floor) -> None:
    """What fills us above the recorded price is not there for the recorded level."""
    at_42, at_40 = floor.bid("0.42", "30"), floor.bid("0.40", "10")
    floor.play(trade("no", "0.40", "25"))
    assert floor.filled(at_42) == count("25")
    assert floor.exchange.orders[at_40.order_id].ahead_e2 == count("100")


def test_a_trade_on_the_other_side_does_not_fill_us(floor: Floor) -> None:
    """A recorded buy takes offers, never our bid."""
    ours = floor.bid("0.40", "10")
    floor.play(trade("yes", "0.45", "500"))
    assert floor.filled(ours) == 0


def test_asks_are_the_mirror(floor: Floor) -> None:
    """A recorded buy at 0.45 fills our asks below first, then what is beyond the 80 ahead at 0.45."""
    at_43, at_45 = floor.ask("0.43", "5"), floor.ask("0.45", "10")
    floor.play(trade("yes", "0.45", "88"))
    assert floor.filled(at_43) == count("5")
    assert floor.filled(at_45) == count("3")


def test_public_prints_total_the_recorded_trade(floor: Floor) -> None:
    """Whatever part of it fills us, the prints of a recorded trade add to its quantity."""
    floor.bid("0.41", "7")
    floor.bid("0.40", "10")
    happened = floor.market.book.record_trade("no", price("0.40"), count("112"))
    prints = [each for each in happened if isinstance(each, Match)]
    assert sum(each.count_e2 for each in prints) == count("112")
    assert sum(each.count_e2 for each in prints if each.maker is not None) == count("12")


def test_a_new_ask_at_our_bid_fills_us_at_our_price(floor: Floor) -> None:
    """A recorded offer at 0.41 meets our bid at 0.42: we pay 0.42, and what we took of it is not displayed."""
    ours = floor.bid("0.42", "10")
    floor.play(delta("no", "0.59", "15"))
    assert floor.filled(ours) == count("10")
    assert floor.account.fills[0].price_e4 == price("0.42")
    assert not floor.account.fills[0].is_taker
    assert floor.shown("no") == {5_900: count("5"), 5_500: count("80")}


def test_a_larger_ask_fills_with_its_growth_alone(floor: Floor) -> None:
    """Only what is new of a level trades with us; an ask that was already consumed does not come back."""
    floor.bid("0.42", "30")
    floor.play(delta("no", "0.59", "20"))
    assert floor.shown("yes")[4_200] == count("10")
    assert 5_900 not in floor.shown("no")
    floor.play(delta("no", "0.59", "4"))
    assert floor.shown("yes")[4_200] == count("6")
    assert 5_900 not in floor.shown("no")


def test_a_new_bid_at_our_ask_is_the_mirror(floor: Floor) -> None:
    """A recorded bid at 0.44 lifts our ask at 0.43, at 0.43."""
    ours = floor.ask("0.43", "5")
    floor.play(delta("yes", "0.44", "12"))
    assert floor.filled(ours) == count("5")
    assert floor.account.fills[0].yes_price_e4 == price("0.43")
    assert floor.shown("yes")[4_400] == count("7")


def test_what_we_took_is_gone_until_the_tape_replaces_it(floor: Floor) -> None:
    """Taking 30 of 80 leaves 50; a recorded decrease of 20 was ours already; growth adds to what is left."""
    taken = floor.bid("0.45", "30", time_in_force="immediate_or_cancel")
    assert taken.fill_count == "30.00"
    assert floor.shown("no")[5_500] == count("50")
    floor.play(delta("no", "0.55", "-20"))
    assert floor.shown("no")[5_500] == count("50")
    floor.play(delta("no", "0.55", "-20"))
    assert floor.shown("no")[5_500] == count("40")
    floor.play(delta("no", "0.55", "5"))
    assert floor.shown("no")[5_500] == count("45")


def test_a_snapshot_forgets_what_we_took(floor: Floor) -> None:
    """After a snapshot the level is what the tape says, plus our orders."""
    floor.bid("0.45", "30", time_in_force="immediate_or_cancel")
    floor.bid("0.40", "5")
    floor.play(snapshot([("0.40", "70")], [("0.55", "80")]))
    assert floor.shown("no") == {5_500: count("80")}
    assert floor.shown("yes") == {4_000: count("75")}
    assert next(iter(floor.account.resting_in(floor.market.ticker).values())).ahead_e2 == count("70")


def test_a_snapshot_through_our_order_fills_it(floor: Floor) -> None:
    """A stated offer below our bid cannot stand beside it: it trades at our price."""
    ours = floor.bid("0.42", "10")
    floor.play(snapshot([("0.35", "5")], [("0.60", "6")]))
    assert floor.filled(ours) == count("6")
    assert floor.shown("yes") == {3_500: count("5"), 4_200: count("4")}
    assert floor.shown("no") == {}


def test_our_own_orders_queue_in_time_order(floor: Floor) -> None:
    """Two orders on one level, background between them: first order, the background, second order."""
    first = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "20"))
    second = floor.bid("0.40", "10")
    floor.play(trade("no", "0.40", "105"))
    assert (floor.filled(first), floor.filled(second)) == (count("5"), 0)
    floor.play(trade("no", "0.40", "25"))
    assert (floor.filled(first), floor.filled(second)) == (count("10"), 0)
    floor.play(trade("no", "0.40", "5"))
    assert floor.filled(second) == count("5")


def test_a_second_order_waits_for_the_first(floor: Floor) -> None:
    """What remains of our earlier order trades before a later one of ours, with no background between."""
    floor.play(delta("yes", "0.40", "-100"))
    first, second = floor.bid("0.40", "10"), floor.bid("0.40", "10")
    floor.play(trade("no", "0.40", "12"))
    assert (floor.filled(first), floor.filled(second)) == (count("10"), count("2"))


def test_a_level_below_zero_is_an_error(floor: Floor) -> None:
    """A tape that takes more than it showed cannot be played."""
    with pytest.raises(BookError):
        floor.play(delta("yes", "0.40", "-101"))
