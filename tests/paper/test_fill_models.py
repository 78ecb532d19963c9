"""Whether a recorded limit order crosses to us, and what happens to one that does not, on hand-made tapes."""

from __future__ import annotations

from typing import get_args

import pytest

from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.fill_models import FillCause, FillModel, shows_heads
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.wire.rest import AmendOrder, CreateOrderAnswer
from tests.paper.support import START_US, TICKER, Floor, count, delta, header, snapshot, trade

MODELS = get_args(FillModel)
OTHER = "KXTEST-26OCT01-B"


def floor_of(fill_model: FillModel) -> Floor:
    """YES 0.40 bid, 0.45 asked."""
    floor = Floor(fill_model=fill_model)
    floor.play(snapshot([("0.40", "100")], [("0.55", "80")]))
    return floor


def causes(floor: Floor) -> dict[FillCause, int]:
    found: dict[FillCause, int] = {}
    for fill in floor.account.fills:
        found[fill.cause] = found.get(fill.cause, 0) + fill.count_e2
    return found


def amend(floor: Floor, order: CreateOrderAnswer, to: str, contracts: str) -> None:
    request = AmendOrder(ticker=TICKER, side="bid", price=to, count=contracts)
    floor.exchange.amend_order(floor.account, order.order_id, request)


@pytest.mark.parametrize(
    ("fill_model", "found"),
    [
        ("recorded", {"crossing": count("4"), "through": count("6")}),
        ("through", {"through": count("10")}),
        ("trades", {}),
    ],
)
def test_a_recorded_offer_fills_us_as_the_model_says(fill_model: FillModel, found: dict[FillCause, int]) -> None:
    """4 offered at our bid, then 20 beyond it: whoever crosses fills us at our price, and each fill has its cause."""
    floor = floor_of(fill_model)
    floor.bid("0.42", "10", post_only=True)
    floor.play(delta("no", "0.58", "4"), delta("no", "0.59", "20"))
    assert causes(floor) == found
    assert all(fill.price_e4 == 4_200 and not fill.is_taker for fill in floor.account.fills)


@pytest.mark.parametrize("fill_model", MODELS)
def test_a_trade_fills_us_under_every_model(fill_model: FillModel) -> None:
    """A taker at a worse price meets us first; one at our price when those ahead are served."""
    floor = floor_of(fill_model)
    floor.bid("0.42", "10")
    floor.bid("0.40", "10")
    floor.play(trade("no", "0.40", "115"))
    assert causes(floor) == {"trade": count("10"), "queue": count("5")}


@pytest.mark.parametrize("fill_model", MODELS)
def test_what_we_take_is_taken_under_every_model(fill_model: FillModel) -> None:
    """Displayed liquidity is there for an order that crosses it."""
    floor = floor_of(fill_model)
    floor.bid("0.45", "30")
    assert causes(floor) == {"taken": count("30")}
    assert floor.shown("no") == {5_500: count("50")}


def test_a_withheld_offer_is_neither_shown_nor_taken() -> None:
    """As long as our bid would cross it; a second bid of ours finds nothing to take there, nor does a post-only one."""
    floor = floor_of("trades")
    ours = floor.bid("0.42", "10")
    floor.play(delta("no", "0.58", "7"))
    assert floor.shown("no") == {5_500: count("80")}
    floor.bid("0.43", "5", post_only=True)
    with pytest.raises(ApiError, match="fill_or_kill"):
        floor.bid("0.43", "5", time_in_force="fill_or_kill")
    assert not floor.account.fills
    assert floor.shown("yes") == {4_000: count("100"), 4_200: count("10"), 4_300: count("5")}
    assert floor.filled(ours) == 0


def test_a_withheld_offer_is_shown_when_our_order_has_gone() -> None:
    """Cancelled, filled, or amended below it: then it is there like any other, and can be taken."""
    for how in ("cancel", "fill", "amend"):
        floor = floor_of("trades")
        ours = floor.bid("0.42", "10")
        floor.play(delta("no", "0.58", "7"))
        match how:
            case "cancel":
                floor.exchange.cancel_order(floor.account, ours.order_id)
            case "fill":
                floor.play(trade("no", "0.40", "10"))
            case _:
                amend(floor, ours, "0.41", "10")
        assert floor.shown("no") == {5_500: count("80"), 5_800: count("7")}, how
        assert floor.bid("0.42", "3", time_in_force="immediate_or_cancel").fill_count == "3.00", how


def test_an_order_that_is_amended_upwards_meets_nobody_who_did_not_cross_to_it() -> None:
    """The amend is one step: what our bid withheld stays so when it moves beyond it."""
    floor = floor_of("trades")
    ours = floor.bid("0.42", "10", post_only=True)
    floor.play(delta("no", "0.58", "7"))
    amend(floor, ours, "0.43", "10")
    assert floor.filled(ours) == 0
    assert floor.shown("no") == {5_500: count("80")}


def test_a_decrease_lowers_what_is_withheld() -> None:
    """Five of seven leave unseen: two are there when our order has gone."""
    floor = floor_of("trades")
    ours = floor.bid("0.42", "10")
    floor.play(delta("no", "0.58", "7"), delta("no", "0.58", "-5"))
    floor.exchange.cancel_order(floor.account, ours.order_id)
    assert floor.shown("no") == {5_500: count("80"), 5_800: count("2")}


def test_a_smaller_order_passed_through_shows_the_rest() -> None:
    """4 withheld at our bid; 20 beyond it fill our 10, and all that is left is shown."""
    floor = floor_of("through")
    floor.bid("0.42", "10")
    floor.play(delta("no", "0.58", "4"), delta("no", "0.59", "20"))
    assert floor.shown("no") == {5_500: count("80"), 5_800: count("4"), 5_900: count("10")}


def test_a_snapshot_states_withheld_offers_again() -> None:
    """Those stay withheld and fill nobody; what is new of a level is a recorded order like any other."""
    floor = floor_of("through")
    ours = floor.bid("0.42", "10")
    floor.play(delta("no", "0.58", "4"))
    floor.bid("0.43", "1")  # now the offer lies beyond a bid of ours, but it came before that
    floor.play(snapshot([("0.40", "100")], [("0.55", "80"), ("0.58", "4")]))
    assert not floor.account.fills
    floor.play(snapshot([("0.40", "100")], [("0.55", "80"), ("0.58", "6")]))
    assert causes(floor) == {"through": count("1")}
    assert floor.filled(ours) == 0


def test_the_coin_falls_for_the_event_and_not_for_us() -> None:
    """Of two hundred offers at our bid about half cross, and the same ones to another order at another price."""

    def crossed(at: str) -> list[int]:
        """The sizes of those that crossed to a bid at `at`."""
        floor = floor_of("coin")
        ours = floor.bid(at, "20000")
        sizes = []
        for size in range(1, 201):
            before = floor.filled(ours)
            floor.play(delta("no", "0.58", str(size)), delta("no", "0.58", f"-{size}"))
            if floor.filled(ours) > before:
                sizes.append(size)
        return sizes

    heads = [n for n in range(1, 201) if shows_heads(TICKER, START_US, "no", PriceE4(5_800), CountE2(n * 100))]
    assert crossed("0.42") == crossed("0.44") == heads
    assert 70 < len(heads) < 130


def test_the_coin_is_of_the_tapes_own_time() -> None:
    """A tape that is played at another hour meets the same makers."""
    opening = snapshot([("0.40", "100")], [("0.55", "80")])
    offers = ((START_US + turn * 1_000_000, delta("no", "0.58", "5")) for turn in range(1, 51))
    tape = Tape(header(OTHER), ((START_US, opening), *offers))
    found = []
    for shift_us in (0, 86_400_000_001):
        floor = floor_of("coin")
        floor.clock.at_us += shift_us
        TapePlayer(floor.exchange, tape, "coin").start(floor.clock.now_us())
        floor.later(0)
        floor.bid("0.42", "9000", ticker=OTHER)
        floor.later(50)
        assert len(floor.exchange.trades) == len(floor.account.fills)
        found.append([(fill.at_us - shift_us, fill.count_e2) for fill in floor.account.fills])
    assert found[0] == found[1]
    assert 10 < len(found[0]) < 40
