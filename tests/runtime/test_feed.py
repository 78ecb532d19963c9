"""A market's feed: when its book can be trusted, what an execution sees of it, and the mids behind a fill."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.execution.execution import ChildOrder, Execution
from fsm_exec.core.market.orders import FillReport
from fsm_exec.core.signals.forecasts import forecasts_of
from fsm_exec.core.signals.signals import keep_read
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.own_orders import OwnOrders
from tests.runtime.support import INSTANCE, T0_US, TERMS, TICKER, count, price


class Watched(NamedTuple):
    feed: MarketFeed
    own: OwnOrders
    moves: list[str]
    wall: WallClock


@pytest.fixture
async def watched(autojump_clock: MockClock) -> Watched:
    moves: list[str] = []
    wall, own = WallClock(T0_US), OwnOrders()
    feed = MarketFeed(TERMS, wall, own, lambda _, source, trigger, dest: moves.append(f"{source} {trigger} {dest}"))
    return Watched(feed, own, moves, wall)


def fill_book(feed: MarketFeed, at_us: int | None = None) -> None:
    """YES 0.48 x 100 and 0.47 x 50, offered at 0.50 x 200."""
    feed.apply_snapshot([(price(47), count(50)), (price(48), count(100))], [(price(50), count(200))], at_us)


@pytest.fixture
def live(watched: Watched) -> Watched:
    watched.feed.mark_connected()
    fill_book(watched.feed)
    assert watched.feed.state == "live"
    return watched


def resting(live: Watched, outcome: Outcome, cents: int, contracts: int, filled: int = 0) -> None:
    """An order of ours stands in the book, and the feed's owner has told so."""
    child = ChildOrder(
        client_order_id=f"fx{INSTANCE}-e000001-1-1",
        level=1,
        attempt=1,
        price_e4=price(cents),
        count_e2=count(contracts),
        time_in_force="good_till_canceled",
        post_only=False,
        expiration_s=None,
        sent_at_us=T0_US,
        state="resting",
        order_id="o",
        counted_e2=count(filled),
        reported_e2=count(filled),
    )
    live.own.update(
        Execution(
            execution_id="e000001",
            instance=INSTANCE,
            outcome=outcome,
            method="simple_limit@1",
            target_e2=count(contracts),
            limits=None,
            accepted_at_us=T0_US,
            deadline_us=T0_US + 1,
            grace_us=0,
            terms=TERMS,
            arrival=live.feed.view(outcome),
            children=(child,),
        )
    )


async def test_a_feed_lives_from_its_first_snapshot(autojump_clock: MockClock, watched: Watched) -> None:
    """Dialled, subscribing, live; a loss and a new connection go the same way; a snapshot without one changes
    nothing but the book."""
    watched.feed.mark_disconnected()
    watched.feed.mark_connected()
    watched.feed.mark_connected()
    assert not watched.feed.view("yes").is_tradable
    fill_book(watched.feed)
    fill_book(watched.feed)
    watched.feed.mark_disconnected()
    watched.feed.mark_connected()
    assert watched.feed.state == "subscribing"
    assert watched.moves == [
        "disconnected dial subscribing",
        "subscribing snapshot live",
        "live lost disconnected",
        "disconnected dial subscribing",
    ]


async def test_changes_before_the_snapshot_are_in_it_already(autojump_clock: MockClock, watched: Watched) -> None:
    """They are not applied twice, and do not count as broken."""
    watched.feed.mark_connected()
    assert watched.feed.apply_change("yes", price(48), count(-5), T0_US)
    fill_book(watched.feed)
    assert watched.feed.book.yes[price(48)] == count(100)


async def test_a_level_below_zero_is_a_gap(autojump_clock: MockClock, live: Watched) -> None:
    """The book is not trusted again before the next snapshot; changes until then are in that one."""
    assert not live.feed.apply_change("yes", price(48), count(-101), T0_US)
    assert live.feed.state == "gapped"
    assert live.feed.view("yes").trusted_mid_e5 is None
    assert live.feed.apply_change("yes", price(48), count(7), T0_US)
    fill_book(live.feed)
    assert live.moves[-2:] == ["live gap gapped", "gapped snapshot live"]
    assert live.feed.view("yes").bids[0] == (price(48), count(100))


async def test_a_missing_sequence_number_is_a_gap_once(autojump_clock: MockClock, live: Watched) -> None:
    """Told twice, it is one transition."""
    live.feed.mark_gap()
    live.feed.mark_gap()
    assert live.moves[-1] == "live gap gapped"


async def test_silence_makes_a_live_feed_stale_and_a_word_ends_it(autojump_clock: MockClock, live: Watched) -> None:
    """Only a live one: what is gapped waits for its snapshot whatever is heard."""
    live.feed.mark_quiet()
    assert live.feed.state == "stale"
    live.feed.mark_heard()
    assert live.feed.state == "live"
    live.feed.mark_gap()
    live.feed.mark_quiet()
    live.feed.mark_heard()
    assert live.feed.state == "gapped"


async def test_a_view_is_the_book_from_either_outcome(autojump_clock: MockClock, live: Watched) -> None:
    """Best first; the asks of one outcome are the mirrored bids for the other; the mids add up to a dollar."""
    yes, no = live.feed.view("yes"), live.feed.view("no")
    assert yes.bids == ((price(48), count(100)), (price(47), count(50)))
    assert yes.asks == ((price(50), count(200)),)
    assert no.bids == ((price(50), count(200)),)
    assert no.asks == ((price(52), count(100)), (price(53), count(50)))
    assert (yes.mid_e5, no.mid_e5, yes.spread_e4) == (49_000, 51_000, 200)


async def test_the_age_of_a_view_counts_from_the_last_word(autojump_clock: MockClock, live: Watched) -> None:
    """Of this market's feed, in microseconds."""
    await trio.sleep(3)
    assert live.feed.view("yes").feed_age_us == 3_000_000
    live.feed.mark_heard()
    assert live.feed.view("yes").feed_age_us == 0


async def test_our_own_size_is_taken_out_of_every_view(autojump_clock: MockClock, live: Watched) -> None:
    """Part of a level, a whole level, from the other outcome too; what was filled does not stand there any more."""
    resting(live, "yes", 48, 30, filled=10)
    assert live.feed.view("yes").bids[0] == (price(48), count(80))
    assert live.feed.view("no").asks[0] == (price(52), count(80))
    assert live.feed.view("no").own_other_best_e4 == price(48)
    assert live.feed.view("yes").own_other_best_e4 is None
    resting(live, "yes", 48, 100)
    assert live.feed.view("yes").best_bid == price(47)
    assert live.feed.view("no").best_ask == price(53)


async def test_the_mid_is_that_of_the_others(autojump_clock: MockClock, live: Watched) -> None:
    """Our own order alone at the top of the book does not move it."""
    resting(live, "yes", 49, 20)
    live.feed.apply_change("yes", price(49), count(20), T0_US + 1)
    assert live.feed.view("yes").mid_e5 == 49_000
    live.feed.apply_change("yes", price(49), count(5), T0_US + 2)
    assert live.feed.view("yes").mid_e5 == 49_500


async def test_others_who_move_behind_our_own_order_move_the_mid_and_nudge(
    autojump_clock: MockClock, live: Watched
) -> None:
    """Our bid at the top stays where it is; the market behind it is what a decision and a fill are judged by."""
    resting(live, "yes", 49, 20)
    live.feed.apply_change("yes", price(49), count(20), T0_US + 1)
    nudges: list[str] = []
    live.feed.subscribe("e1", lambda: nudges.append("e1"))
    live.feed.apply_change("yes", price(48), count(-100), T0_US + 2)
    view = live.feed.view("yes")
    assert view.best_bid == price(47)
    assert (view.mid_e5, view.trusted_mid_e5, view.spread_e4) == (48_500, 48_500, 300)
    assert live.feed.mid_before(T0_US + 3, "yes") == 48_500
    assert nudges == ["e1"]


async def test_our_own_order_shown_alone_at_the_top_nudges_nobody(autojump_clock: MockClock, live: Watched) -> None:
    """No view changes by it: there is nothing to think about."""
    nudges: list[str] = []
    live.feed.subscribe("e1", lambda: nudges.append("e1"))
    resting(live, "yes", 49, 20)
    live.feed.apply_change("yes", price(49), count(20), T0_US + 1)
    assert nudges == []
    live.feed.apply_change("yes", price(49), count(5), T0_US + 2)
    assert nudges == ["e1"]


async def test_a_one_sided_book_keeps_the_last_mid(autojump_clock: MockClock, live: Watched) -> None:
    """And cannot be traded on; before any two-sided book there is none."""
    live.feed.apply_change("no", price(50), count(-200), T0_US + 1)
    view = live.feed.view("yes")
    assert not view.is_two_sided
    assert (view.mid_e5, view.spread_e4, view.trusted_mid_e5) == (49_000, 200, None)


async def test_before_any_two_sided_book_there_is_no_mid(autojump_clock: MockClock, watched: Watched) -> None:
    """Neither in a view nor behind a fill."""
    watched.feed.mark_connected()
    watched.feed.apply_snapshot([(price(48), count(1))], [], T0_US)
    assert watched.feed.view("yes").mid_e5 is None
    assert watched.feed.mid_before(T0_US + 10, "yes") is None


async def test_the_mid_before_a_fill_is_that_of_the_exchanges_time(autojump_clock: MockClock, live: Watched) -> None:
    """The last one strictly before; nothing before the first; mirrored for the other outcome; a time that steps back
    does not disorder them."""
    feed = live.feed
    feed.apply_change("yes", price(49), count(10), T0_US + 2_000)  # mid 0.495
    feed.apply_change("yes", price(49), count(-10), T0_US + 1_000)  # back to 0.49, stamped earlier
    feed.apply_change("no", price(51), count(10), T0_US + 5_000)  # offered at 0.49: mid 0.485
    assert feed.mid_before(T0_US, "yes") is None
    assert feed.mid_before(T0_US + 1, "yes") == 49_000
    assert feed.mid_before(T0_US + 2_000, "yes") == 49_000
    assert feed.mid_before(T0_US + 2_001, "yes") == 49_000  # both changes stand at the later time; the last holds
    assert feed.mid_before(T0_US + 5_000, "no") == 51_000
    assert feed.mid_before(T0_US + 5_001, "no") == 51_500


async def test_only_a_change_of_the_touch_nudges(autojump_clock: MockClock, live: Watched) -> None:
    """Depth behind it does not; its size does, and so does every change of state; nobody is told after leaving."""
    nudges: list[str] = []
    live.feed.subscribe("e1", lambda: nudges.append("e1"))
    live.feed.apply_change("yes", price(47), count(5), T0_US)
    assert nudges == []
    live.feed.apply_change("yes", price(48), count(5), T0_US)
    assert nudges == ["e1"]
    live.feed.mark_quiet()
    assert nudges == ["e1", "e1"]
    live.feed.unsubscribe("e1")
    live.feed.apply_change("yes", price(49), CountE2(1), T0_US)
    assert nudges == ["e1", "e1"]


async def test_a_view_names_no_more_than_ten_levels(autojump_clock: MockClock, watched: Watched) -> None:
    """All of them only when asked."""
    watched.feed.mark_connected()
    watched.feed.apply_snapshot([(price(c), count(1)) for c in range(1, 31)], [(price(40), count(1))], T0_US)
    assert len(watched.feed.view("yes").bids) == 10
    assert len(watched.feed.view("yes", depth=0).bids) == 30
    assert watched.feed.terms.ticker == TICKER


async def test_the_volume_of_a_while_is_known_while_nothing_was_missed(
    autojump_clock: MockClock, live: Watched
) -> None:
    """Contracts traded since then; None for a time before the last gap."""
    feed = live.feed
    await trio.sleep(1)
    feed.record_trade("yes", price(50), count(7), T0_US + 500_000)
    feed.record_trade("no", price(48), count(4), T0_US + 900_000)
    assert [feed.volume_since(T0_US + us) for us in (0, 500_000, 500_001, 1_000_000)] == [1_100, 1_100, 400, 0]
    assert feed.volume_since(T0_US - 1) is None
    feed.mark_gap()
    assert feed.volume_since(T0_US) is None
    await trio.sleep(1)
    fill_book(feed)
    assert feed.volume_since(T0_US + 1_000_000) is None
    assert feed.volume_since(T0_US + 2_000_000) == 0


async def test_a_fill_told_twice_is_taken_out_of_the_flow_once(autojump_clock: MockClock, live: Watched) -> None:
    """What we took is no flow of others; what others took of ours is."""
    report = FillReport(
        fill_id="f1",
        order_id="o1",
        client_order_id=None,
        ticker=TICKER,
        outcome="yes",
        price_e4=price(50),
        count_e2=count(5),
        fee_e6=MoneyE6(0),
        is_taker=True,
        at_us=T0_US + 20_000_000,
    )
    for n in (1, 2):
        live.feed.apply_change("yes", price(40), count(1), T0_US + n)
    live.feed.record_trade("yes", price(50), count(9), T0_US + 20_000_000)
    for told in (report, report, replace(report, fill_id="f2", is_taker=False)):
        live.feed.record_own_fill(told)
    tracker = live.feed.net_book.tracker
    assert tracker is not None
    assert tracker.read("yes", T0_US + 20_000_000).trade_flow_e2 == 400


async def test_a_feed_without_signals_sees_the_same_market(autojump_clock: MockClock, live: Watched) -> None:
    """The same touch, mid and nudges; its views have no signals."""
    plain = MarketFeed(TERMS, live.wall, live.own, lambda *_: None, signals=False)
    plain.mark_connected()
    fill_book(plain)
    nudges: dict[str, int] = {"with": 0, "without": 0}
    for name, feed in (("with", live.feed), ("without", plain)):
        feed.subscribe(name, lambda name=name: nudges.update({name: nudges[name] + 1}))  # type: ignore[misc]
    for outcome, cents, contracts in (("yes", 49, 5), ("yes", 46, 5), ("no", 50, -200), ("no", 47, 9), ("yes", 49, -5)):
        for feed in (live.feed, plain):
            assert feed.apply_change("yes" if outcome == "yes" else "no", price(cents), count(contracts), T0_US + cents)
        assert plain.view("yes") == live.feed.view("yes")
    assert nudges["with"] == nudges["without"] == 4


def working(live: Watched, outcome: Outcome = "yes", contracts: int = 10) -> Execution:
    """An execution that has placed nothing yet."""
    return Execution(
        execution_id="e000002",
        instance=INSTANCE,
        outcome=outcome,
        method="simple_limit@1",
        target_e2=count(contracts),
        limits=None,
        accepted_at_us=T0_US,
        deadline_us=T0_US + 600_000_000,
        grace_us=0,
        terms=TERMS,
        arrival=live.feed.view(outcome),
    )


async def test_a_view_has_the_signals_its_method_reads(autojump_clock: MockClock, live: Watched) -> None:
    """The others are None, whoever else is there; an observer's own reading is of the same moment and has its own."""
    feed = live.feed
    acted: list[MarketView] = []
    feed.on_acted = lambda _, view: acted.append(view)
    execution = working(live)
    whole = replace(execution, execution_id="e000003")
    for n in range(3):
        feed.apply_change("yes", price(40), count(1), T0_US + n)
        views = [feed.view_for(execution, frozenset({"ofi_z_ppm"})), feed.view_for(whole)]
    await trio.sleep(130)
    feed.apply_change("yes", price(48), count(9), live.wall.now_us())
    seen = feed.view_for(execution, frozenset({"ofi_z_ppm"}))
    views = [seen, feed.view_for(whole), feed.seen_by_observer(execution, seen)]
    some, all_of_them, forecast = [view.signals for view in views]
    assert some is not None
    assert all_of_them is not None
    assert forecast is not None
    assert some == keep_read(all_of_them, frozenset({"ofi_z_ppm"}))
    assert None not in (some.ofi_z_ppm, all_of_them.sweep_half, all_of_them.ema_slippage_ppm)
    assert forecasts_of(forecast, "yes", seen.trusted_mid_e5, execution.deadline_us) == forecasts_of(
        all_of_them, "yes", seen.trusted_mid_e5, execution.deadline_us
    )
    assert {one.kind for one in forecasts_of(forecast, "yes", seen.trusted_mid_e5, execution.deadline_us)} == {
        *("sweep_cost", "dry_up", "mid_30s"),
    }
    tracker = feed.net_book.tracker
    assert tracker is not None
    feed.unsubscribe("e000002")
    feed.unsubscribe("e000003")
    assert not tracker.watches


async def test_nobody_watches_the_costs_of_who_does_not_read_them(autojump_clock: MockClock, live: Watched) -> None:
    """Without an observer an execution whose method reads nothing of its own leaves nothing behind in the market."""
    tracker = live.feed.net_book.tracker
    assert tracker is not None
    live.feed.view_for(working(live), frozenset({"ofi_z_ppm"}))
    assert not tracker.watches
    live.feed.view_for(working(live), frozenset({"dry_up_ppm"}))
    assert list(tracker.watches) == ["e000002"]


async def test_views_of_one_book_share_its_ladders(autojump_clock: MockClock, live: Watched) -> None:
    """Built once, however many executions look; anew when the book changes, and when our orders do."""
    feed = live.feed
    first = feed.view("yes")
    await trio.sleep(1)
    assert feed.view("yes").bids is first.bids
    assert feed.view("yes").at_us == first.at_us + 1_000_000
    resting(live, "no", 50, 30)
    assert feed.view("yes").asks == ((price(50), count(170)),)
    assert feed.view("no").bids == ((price(50), count(170)),)
    feed.apply_change("yes", price(40), count(1), T0_US + 1)
    assert [level for level, _ in feed.view("yes").bids] == [price(48), price(47), price(40)]
    assert [level for level, _ in feed.view("yes", depth=1).bids] == [price(48)]
    fill_book(feed)
    assert [level for level, _ in feed.view("yes").bids] == [price(48), price(47)]


async def test_our_order_leaves_the_others_book_at_the_next_change(autojump_clock: MockClock, live: Watched) -> None:
    """Taken out and put back level by level; it makes no flow, whichever of the two is heard first."""
    live.feed.apply_change("yes", price(48), count(30), T0_US + 1)  # shown before it is known to be ours
    resting(live, "yes", 48, 30)
    live.feed.apply_change("yes", price(40), count(1), T0_US + 2)
    assert live.feed.net_book.side("yes").touch_e2 == count(100)
    live.feed.apply_change("yes", price(48), count(-30), T0_US + 3)  # gone before we know
    resting(live, "yes", 48, 30, filled=30)
    live.feed.apply_change("yes", price(40), count(1), T0_US + 4)
    assert live.feed.net_book.side("yes").touch_e2 == count(100)
    tracker = live.feed.net_book.tracker
    assert tracker is not None
    assert tracker.read("yes", T0_US + 15_000_000).ofi_e2 == 0
