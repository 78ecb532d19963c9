"""Listings are whole or an error, in our own terms; a market's terms are assembled from three answers."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from fsm_exec.core.errors import ExecError, UserError, VenueError, VenueRefused, VenueUnavailable
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import PriceE4, PriceGrid, PriceRange
from fsm_exec.kalshi import endpoints, fee_changes, translate
from fsm_exec.kalshi.market_terms import STATUS_OF_WORD
from fsm_exec.kalshi.rest import KalshiRest
from fsm_exec.kalshi.translate import Malformed

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Network

AS_OF = {"as_of_time": "2026-10-01T12:00:01Z"}
AS_OF_US = 1_790_856_001_000_000
ORDER: dict[str, Any] = {
    "order_id": "o-1",
    "user_id": "u-1",
    "client_order_id": "c-7",
    "ticker": "KXA-1",
    "outcome_side": "no",
    "book_side": "ask",
    "type": "limit",
    "status": "resting",
    "yes_price_dollars": "0.7000",
    "no_price_dollars": "0.3000",
    "fill_count_fp": "1.00",
    "remaining_count_fp": "9.00",
    "initial_count_fp": "10.00",
    "taker_fill_cost_dollars": "0.000000",
    "maker_fill_cost_dollars": "0.300000",
    "taker_fees_dollars": "0.000000",
    "maker_fees_dollars": "0.000000",
    "created_time": "2026-10-01T12:00:00.120000Z",
}
FILL: dict[str, Any] = {
    "fill_id": "f-1",
    "trade_id": "f-1",
    "order_id": "o-1",
    "ticker": "KXA-1",
    "market_ticker": "KXA-1",
    "exchange_index": 0,
    "outcome_side": "no",
    "book_side": "ask",
    "count_fp": "1.00",
    "yes_price_dollars": "0.7000",
    "no_price_dollars": "0.3000",
    "is_taker": True,
    "fee_cost": "0.014700",
    "created_time": "2026-10-01T12:00:00.123456Z",
}
MARKET: dict[str, Any] = {
    "ticker": "KXA-1",
    "event_ticker": "KXA",
    "status": "active",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
}
EVENT: dict[str, Any] = {"event_ticker": "KXA", "series_ticker": "KXS"}
SERIES: dict[str, Any] = {"ticker": "KXS", "category": "Sports", "fee_type": "quadratic", "fee_multiplier": 1}
PREFIX = "/trade-api/v2"


def answers_for(
    market: dict[str, Any] | None = None, event: dict[str, Any] | None = None, series: dict[str, Any] | None = None
) -> dict[str, object]:
    return {
        PREFIX + "/markets/KXA-1": {"market": {**MARKET, **(market or {})}},
        PREFIX + "/events/KXA": {"event": {**EVENT, **(event or {})}, "markets": []},
        PREFIX + "/series/KXS": {"series": {**SERIES, **(series or {})}},
    }


@pytest.mark.parametrize(("rows", "last"), [(1_000, {"cursor": ""}), (1_000, {}), (999, {})])
async def test_a_full_page_without_a_cursor_proves_nothing_absent(
    kit: Kit, network: Network, rows: int, last: dict[str, str]
) -> None:
    """Its rows are as true as any; there may be more. A cursor that is empty says that there are not."""
    orders = [{**ORDER, "order_id": f"o-{number}"} for number in range(rows)]
    network.answer(200, AS_OF).answer(200, {"orders": orders, **last})
    listing = await kit.rest(network).fetch_orders("KXA-1")
    assert len(listing.orders) == rows
    assert listing.hides("fxaaaaaaaaaa-e000009-1-1") is (rows == 1_000 and not last)


async def test_a_listing_goes_to_its_end_and_says_as_of_when(kit: Kit, network: Network) -> None:
    """The moment is asked for first; then page after page by cursor; a row listed twice counts once, the later one."""
    network.answer(200, AS_OF)
    network.answer(200, {"orders": [ORDER, {**ORDER, "order_id": "o-2"}], "cursor": "p2"})
    network.answer(200, {"orders": [{**ORDER, "order_id": "o-2", "status": "canceled"}], "cursor": "p3"})
    network.answer(200, {"orders": [], "cursor": ""})
    listing = await kit.rest(network).fetch_orders("KXA-1")
    assert listing.as_of_us == AS_OF_US
    assert [(row.order_id, row.status) for row in listing.orders] == [("o-1", "resting"), ("o-2", "canceled")]
    paths = [(r.url.path.removeprefix(PREFIX), dict(r.url.params)) for r in network.requests]
    assert paths == [
        ("/exchange/user_data_timestamp", {}),
        ("/portfolio/orders", {"limit": "1000", "ticker": "KXA-1"}),
        ("/portfolio/orders", {"limit": "1000", "ticker": "KXA-1", "cursor": "p2"}),
        ("/portfolio/orders", {"limit": "1000", "ticker": "KXA-1", "cursor": "p3"}),
    ]


async def test_an_order_is_told_in_its_own_outcome(kit: Kit, network: Network) -> None:
    """An ask at 0.70 is our bid for NO at 0.30; the statement holds at the listing's moment at least."""
    newer = {**ORDER, "order_id": "o-2", "last_update_time": "2026-10-01T12:00:02.000001Z"}
    network.answer(200, AS_OF).answer(200, {"orders": [ORDER, newer], "cursor": ""})
    first, second = (await kit.rest(network).fetch_orders()).orders
    assert (first.outcome, first.price_e4) == ("no", 3_000)
    assert (first.count_e2, first.filled_e2, first.remaining_e2) == (1_000, 100, 900)
    assert (first.at_us, second.at_us) == (AS_OF_US, 1_790_856_002_000_001)


async def test_when_an_order_ended_is_never_taken_from_when_it_was_placed(kit: Kit, network: Network) -> None:
    """Without a time of its last change an ended order says nothing of when that was; one that rests last changed when
    it was placed."""
    rests = {name: value for name, value in ORDER.items() if name != "last_update_time"}
    rests["created_time"] = "2026-10-01T12:00:00.000001Z"
    ended = {**rests, "order_id": "o-2", "status": "canceled"}
    changed = {**ended, "order_id": "o-3", "last_update_time": "2026-10-01T12:00:00.000002Z"}
    network.answer(200, AS_OF).answer(200, {"orders": [rests, ended, changed], "cursor": ""})
    times = [row.changed_at_us for row in (await kit.rest(network).fetch_orders()).orders]
    assert times == [1_790_856_000_000_001, None, 1_790_856_000_000_002]


async def test_a_fill_is_told_in_its_own_outcome(kit: Kit, network: Network) -> None:
    """Price in the outcome bought, fee to the millionth, time to the microsecond, or the next best time there is."""
    bare = {name: value for name, value in FILL.items() if name != "created_time"}
    rows = [FILL, {**bare, "trade_id": "f-2", "ts": 1_790_856_000}, {**bare, "trade_id": "f-3"}, FILL]
    network.answer(200, AS_OF).answer(200, {"fills": rows, "cursor": ""})
    first, second, third = (await kit.rest(network).fetch_fills(order_id="o-1")).fills
    assert (first.outcome, first.price_e4, first.count_e2, first.fee_e6) == ("no", 3_000, 100, 14_700)
    assert (first.is_taker, first.client_order_id) == (True, None)
    assert [f.at_us for f in (first, second, third)] == [1_790_856_000_123_456, 1_790_856_000_000_000, AS_OF_US]
    assert network.requests[1].url.params["order_id"] == "o-1"


async def test_a_listed_fill_is_counted_by_its_trade_and_keeps_the_listings_name(kit: Kit, network: Network) -> None:
    """Either name may be missing, or empty."""
    named = [("F", "T"), ("F", None), (None, "T"), ("F", ""), ("", "T")]
    rows = []
    for number, names in enumerate(named):
        said = dict(zip(("fill_id", "trade_id"), names, strict=True))
        row = {**FILL, **said, "order_id": f"o-{number}"}
        rows.append({name: value for name, value in row.items() if value is not None})
    network.answer(200, AS_OF).answer(200, {"fills": rows, "cursor": ""})
    found = (await kit.rest(network).fetch_fills(order_id="o-1")).fills
    assert [(f.fill_id, f.trade_id, f.listed_id) for f in found] == [
        ("T", "T", "F"),
        ("F", None, "F"),
        ("T", "T", "T"),
        ("F", None, "F"),
        ("T", "T", "T"),
    ]


WRONG_ORDERS: list[dict[str, object]] = [
    {"book_side": "bid"},  # contradicts outcome_side
    {"status": "pending"},
    {"no_price_dollars": "0.4000"},  # the two do not add up
    {"initial_count_fp": "-1.00"},
    {"fill_count_fp": 1},
    {"order_id": ""},
    {"order_id": "a/b"},
    {"created_time": "yesterday"},
    {"created_time": "2026-10-01T12:00:00"},  # no zone
    {"created_time": "9999-12-31T23:59:59-23:59"},  # the year 10000
    {"last_update_time": "0001-01-01T00:00:00+23:59"},  # before the first
    {"last_update_time": "10000-01-01T00:00:00Z"},
]
OURS = "fxaaaaaaaaaa-e1-1-1"


@pytest.mark.parametrize("change", [*WRONG_ORDERS, {"status": OURS, "client_order_id": None}])
async def test_a_wrong_row_of_ours_is_named_and_hides_its_order(
    kit: Kit, network: Network, change: dict[str, object]
) -> None:
    """The other rows are read; of the order that row is about, wherever in it our id stands, nothing is proven."""
    row = {**ORDER, "order_id": "o-2", "client_order_id": OURS, **change}
    network.answer(200, AS_OF).answer(200, {"orders": [ORDER, row], "cursor": ""})
    listing = await kit.rest(network).fetch_orders()
    assert [order.order_id for order in listing.orders] == ["o-1"]
    assert [unread.client_order_id for unread in listing.unread] == [OURS]
    assert listing.hides(OURS)
    assert not listing.hides(OURS[:-1] + "2")
    (line,) = [line for line in kit.log.lines if line.startswith("row_unread")]
    assert OURS in line
    assert next(iter(change)) in line or str(next(iter(change.values()))) in line  # says what could not be read


@pytest.mark.parametrize("ids", [[OURS, OURS[:-1] + "2"], ["fxaaaaaaaaaa"]])
async def test_a_row_that_may_be_any_of_ours_hides_them_all(kit: Kit, network: Network, ids: list[str]) -> None:
    """Two of our names in it, or none whole: then whichever is asked about may be there."""
    network.answer(200, AS_OF).answer(200, {"orders": [{**ORDER, "status": None, "ids": ids}], "cursor": ""})
    listing = await kit.rest(network).fetch_orders()
    assert listing.hides("fxbbbbbbbbbb-e9-1-1")


@pytest.mark.parametrize("change", [*WRONG_ORDERS, {"client_order_id": 7}])
async def test_a_wrong_row_of_somebody_else_is_left_out(kit: Kit, network: Network, change: dict[str, object]) -> None:
    """What others do on this account must not keep us from seeing our own; the log says what was left out."""
    ours = {**ORDER, "order_id": "o-2", "client_order_id": OURS}
    network.answer(200, AS_OF).answer(200, {"orders": [{**ORDER, **change}, ours, 7], "cursor": ""})
    assert [row.order_id for row in (await kit.rest(network).fetch_orders()).orders] == ["o-2"]
    assert len([line for line in kit.log.lines if line.startswith("row_left_out")]) == 2


async def test_only_what_rests_is_listed_if_that_is_asked(kit: Kit, network: Network) -> None:
    """The exchange filters; each page says so."""
    network.answer(200, AS_OF).answer(200, {"orders": [ORDER], "cursor": "p2"})
    network.answer(200, {"orders": [], "cursor": ""})
    await kit.rest(network).fetch_orders(resting=True)
    assert [request.url.params.get("status") for request in network.requests] == [None, "resting", "resting"]


async def test_nobody_vouches_for_the_future(kit: Kit, network: Network) -> None:
    """A listing that claims to be whole up to a time that has not come would prove absent what has not arrived."""
    network.answer(200, {"as_of_time": "2026-10-01T12:00:40Z"}).answer(200, {"orders": [ORDER], "cursor": ""})
    with pytest.raises(VenueUnavailable, match="lies in the future"):
        await kit.rest(network).fetch_orders()


async def test_foreign_words_are_cleaned_where_they_come_in(kit: Kit, network: Network) -> None:
    """Names, codes, messages, categories: what is kept of them can be shown anywhere."""
    row = {**ORDER, "client_order_id": "a\x1b[2J\u202eb", "ticker": "KX\x07"}
    network.answer(200, AS_OF).answer(200, {"orders": [row], "cursor": ""})
    (order,) = (await kit.rest(network).fetch_orders()).orders
    assert (order.client_order_id, order.ticker) == ("a?[2J?b", "KX?")
    error = {"error": {"code": "x\x1b\u202e", "message": "m\x9b\n\u2028n", "details": "\x07"}}
    refusing = type(network)().answer(403, error)
    with pytest.raises(VenueRefused) as caught:
        await kit.rest(refusing).fetch_orders()
    assert str(caught.value).isprintable()
    assert caught.value.code == "x??"
    answer = await kit.rest(type(network)().answer(403, error)).place(kit.place())
    assert str(answer).isprintable()
    terms = await kit.rest(type(network)().route(answers_for(series={"category": "S\u202ep"}))).fetch_market_terms(
        "KXA-1"
    )
    assert terms.category == "S?p"


async def test_a_short_price_is_a_price(kit: Kit, network: Network) -> None:
    """Fewer decimals than usual are no fault."""
    network.answer(200, AS_OF).answer(200, {"orders": [{**ORDER, "yes_price_dollars": "0.7"}], "cursor": ""})
    assert [row.price_e4 for row in (await kit.rest(network).fetch_orders()).orders] == [3_000]


@pytest.mark.parametrize(
    ("wrong", "order_id", "hides"),
    [
        ({"count_fp": 1}, "o-9", {"o-9": True, "o-1": False}),
        ({"fee_cost": None}, "o-9", {"o-9": True, "o-1": False}),
        ({"created_time": "10000-01-01T00:00:00Z"}, "o-9", {"o-9": True, "o-1": False}),
        ({"order_id": 7}, "", {"o-9": True, "o-1": True}),
        ({"order_id": None}, "", {"o-9": True, "o-1": True}),
    ],
)
async def test_a_wrong_fill_is_named_and_hides_those_of_its_order(
    kit: Kit, network: Network, wrong: dict[str, object], order_id: str, hides: dict[str, bool]
) -> None:
    """The others are read; a fill names no client, so whose it is the caller must know."""
    page = {"fills": [{**FILL, "fill_id": "f-2", "order_id": "o-9", **wrong}, FILL], "cursor": ""}
    network.answer(200, AS_OF).answer(200, page)
    listing = await kit.rest(network).fetch_fills()
    assert [fill.fill_id for fill in listing.fills] == ["f-1"]
    assert [row.order_id for row in listing.unread] == [order_id]
    assert {name: listing.hides(name) for name in hides} == hides
    assert len(network.requests) == 2


async def test_a_listing_of_nothing_but_unread_rows_is_none(kit: Kit, network: Network) -> None:
    """A thousand rows may be strange; more, and it is the listing that is."""
    network.answer(200, AS_OF).answer(200, {"fills": [{}] * 1_001, "cursor": ""})
    with pytest.raises(VenueUnavailable, match="more than 1000 rows"):
        await kit.rest(network).fetch_fills()


async def test_an_exchange_that_grants_smaller_pages_is_asked_for_those(kit: Kit, network: Network) -> None:
    """Once refused, the large page is not asked for again; another listing is not concerned."""
    too_many = {"msg": "Field validation for 'Limit' failed on the 'lte' tag"}
    network.answer(200, AS_OF).answer(400, too_many)
    network.answer(200, {"orders": [ORDER], "cursor": "p2"}).answer(200, {"orders": [], "cursor": ""})
    network.answer(200, AS_OF).answer(200, {"orders": [ORDER], "cursor": ""})
    network.answer(200, AS_OF).answer(200, {"fills": [FILL], "cursor": ""})
    rest = kit.rest(network)
    assert len((await rest.fetch_orders()).orders) == len((await rest.fetch_orders()).orders) == 1
    await rest.fetch_fills()
    limits = [request.url.params["limit"] for request in network.requests if "limit" in request.url.params]
    assert limits == ["1000", "100", "100", "100", "1000"]


async def test_a_refusal_that_is_not_about_the_page_is_told(kit: Kit, network: Network) -> None:
    """It is refused again with fewer rows, and the large page stays."""
    network.answer(200, AS_OF).answer(400, {"error": {"code": "bad"}}).answer(400, {"error": {"code": "bad"}})
    network.answer(200, AS_OF).answer(200, {"orders": [], "cursor": ""})
    rest = kit.rest(network)
    with pytest.raises(VenueRefused, match="bad"):
        await rest.fetch_orders()
    await rest.fetch_orders()
    assert network.requests[-1].url.params["limit"] == "1000"


async def test_a_listing_without_an_end_is_refused(kit: Kit, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that comes back, and more pages than the limit, both end in an error instead of a cut list."""
    network.answer(200, AS_OF).answer(200, {"orders": [], "cursor": "again"})
    with pytest.raises(VenueUnavailable, match="leads back"):
        await kit.rest(network).fetch_orders()
    monkeypatch.setattr(endpoints, "LIST_PAGES_MAX", 3)
    many = type(network)().answer(200, AS_OF)
    for number in range(5):
        many.answer(200, {"orders": [], "cursor": f"p{number}"})
    with pytest.raises(VenueUnavailable, match="more than 3 pages"):
        await kit.rest(many).fetch_orders()
    assert len(many.requests) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_definite_no_to_a_read_is_refused(kit: Kit, network: Network, status: int) -> None:
    """Status and code of a refusal are kept."""
    network.answer(status, {"error": {"code": "some_code", "message": "m", "details": "d"}})
    with pytest.raises(VenueRefused, match="m; d") as caught:
        await kit.rest(network).fetch_fills()
    assert (caught.value.status, caught.value.code) == (status, "some_code")
    assert len(network.requests) == 1


@pytest.mark.parametrize("status", [201, 204, 302, 409, 429, 500, 503, 504])
async def test_no_usable_answer_to_a_read_is_unavailable(kit: Kit, network: Network, status: int) -> None:
    """Everything else is worth asking again later, and is not asked again here."""
    network.answer(status, {"error": "too many requests"})
    with pytest.raises(VenueUnavailable, match=str(status)):
        await kit.rest(network).fetch_orders()
    assert len(network.requests) == 1


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), OSError("x"), httpx.ReadError("x")])
async def test_a_broken_network_is_unavailable(kit: Kit, network: Network, error: Exception) -> None:
    """Reads map every failure of the network to one error."""
    network.fail(error)
    with pytest.raises(VenueUnavailable, match=type(error).__name__):
        await kit.rest(network).fetch_orders()


async def test_terms_come_from_market_event_and_series(kit: Kit, network: Network) -> None:
    """Grid in YES prices, fees of the series, category, event and status."""
    network.route(answers_for())
    terms = await kit.rest(network).fetch_market_terms("KXA-1")
    assert (terms.ticker, terms.event, terms.series, terms.category) == ("KXA-1", "KXA", "KXS", "Sports")
    assert terms.status == "open"
    assert terms.grid == PriceGrid((PriceRange(PriceE4(0), PriceE4(10_000), PriceE4(100)),))
    assert terms.fees == FeeTerms(taker_e10=700_000_000, maker_e10=0)


async def test_listings_of_fees_that_hang_delay_the_terms_for_seconds_only(
    kit: Kit, network: Network, autojump_clock: MockClock
) -> None:
    """Today's fees are taken, which is said; for a minute nobody waits again, then the announcements count again."""
    network.route(answers_for())
    network.hanging = {f"{PREFIX}/series/fee_changes", f"{PREFIX}/events/fee_changes"}
    began_us = kit.now_us
    log = kit.log
    rest = KalshiRest(kit.http(network), lambda: began_us + int(trio.current_time() * 1_000_000), log)
    terms = await rest.fetch_market_terms("KXA-1")
    assert (terms.fees, terms.fee_changes) == (FeeTerms(taker_e10=700_000_000, maker_e10=0), ())
    waited_s = trio.current_time()
    assert waited_s == fee_changes.WITHIN_S
    unread = [line for line in log.lines if line.startswith("fee_changes_unread")]
    assert len(unread) == 2
    assert all("no answer within 4 s: the fees known so far" in line for line in unread)
    assert (await rest.fetch_market_terms("KXA-1")).fees == terms.fees
    assert trio.current_time() == waited_s
    network.hanging = set()
    change = {"series_ticker": "KXS", "scheduled_ts": "2099-10-02T00:00:00Z", "fee_type": "quadratic"}
    network.announced[f"{PREFIX}/series/fee_changes"] = {"series_fee_change_arr": [{**change, "fee_multiplier": 2}]}
    await trio.sleep(fee_changes.HANGING_US / 1_000_000)
    (announced,) = (await rest.fetch_market_terms("KXA-1")).fee_changes
    assert announced.fees == FeeTerms(taker_e10=1_400_000_000, maker_e10=0)


@pytest.mark.parametrize(("word", "status"), STATUS_OF_WORD.items())
async def test_every_status_of_a_market_has_its_meaning(kit: Kit, network: Network, word: str, status: str) -> None:
    """The eight words of the exchange become four."""
    assert len(STATUS_OF_WORD) == 8
    network.route(answers_for({"status": word}))
    assert (await kit.rest(network).fetch_market_terms("KXA-1")).status == status


@pytest.mark.parametrize(
    ("event", "series", "taker_e10", "maker_e10"),
    [
        ({}, {"fee_type": "quadratic_with_maker_fees"}, 700_000_000, 175_000_000),
        ({}, {"fee_multiplier": 0}, 0, 0),
        ({}, {"fee_multiplier": 0.5}, 350_000_000, 0),
        ({"fee_type_override": "quadratic_with_maker_fees"}, {}, 700_000_000, 175_000_000),
        ({"fee_multiplier_override": 2}, {}, 1_400_000_000, 0),
        ({"fee_multiplier_override": 0}, {"fee_multiplier": 1}, 0, 0),
        ({"fee_type_override": "quadratic"}, {"fee_type": "flat"}, 700_000_000, 0),
    ],
)
async def test_an_events_override_wins(
    kit: Kit, network: Network, event: dict[str, Any], series: dict[str, Any], taker_e10: int, maker_e10: int
) -> None:
    """Type and multiplier are overridden each on its own; a multiplier of zero is one."""
    network.route(answers_for(event=event, series=series))
    assert (await kit.rest(network).fetch_market_terms("KXA-1")).fees == FeeTerms(taker_e10, maker_e10)


async def test_multipliers_are_never_floats(kit: Kit, network: Network) -> None:
    """0.1 times the rate is exactly a tenth of it."""
    body = msgspec.json.encode({"series": SERIES}).replace(b'"fee_multiplier":1', b'"fee_multiplier":0.1')
    network.answer(200, {"market": MARKET}).answer(200, {"event": EVENT}).answer(200, body)
    terms = await kit.rest(network).fetch_market_terms("KXA-1")
    assert terms.fees.taker_e10 == Decimal("0.007") * 10**10


@pytest.mark.parametrize(("until", "waived"), [("2026-10-01T12:00:00.123457Z", True), ("2026-10-01T12:00:00Z", False)])
async def test_a_fee_waiver_counts_while_it_lasts(kit: Kit, network: Network, until: str, waived: bool) -> None:
    """No fees before its end by the wall clock, the series' fees after."""
    network.route(answers_for({"fee_waiver_expiration_time": until}))
    fees = (await kit.rest(network).fetch_market_terms("KXA-1")).fees
    assert (fees == FeeTerms(0, 0)) == waived


@pytest.mark.parametrize(
    "answers",
    [
        answers_for({"status": "auction"}),
        answers_for({"price_ranges": []}),
        answers_for({"price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0000"}]}),
        answers_for({"price_ranges": [{"start": "0.9000", "end": "0.1000", "step": "0.0100"}]}),
        answers_for({"price_ranges": [{"start": "0.0000", "end": "1.5000", "step": "0.0100"}]}),
        answers_for({"price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "1.0000"}]}),
        answers_for({"ticker": "KXB-1"}),
        answers_for({"event_ticker": "../../admin"}),
        answers_for(event={"series_ticker": ""}),
        answers_for(series={"fee_multiplier": 101}),
        answers_for(series={"fee_multiplier": -1}),
        answers_for(series={"fee_multiplier": "1"}),
        answers_for(series={"fee_multiplier": None}),
        answers_for({"fee_waiver_expiration_time": "soon"}),
    ],
)
async def test_terms_that_cannot_be_right_are_unavailable(
    kit: Kit, network: Network, answers: dict[str, object]
) -> None:
    """Unknown words, grids that are none, other markets, impossible fees: never guessed."""
    network.route(answers)
    if answers[PREFIX + "/series/KXS"] == {"series": {**SERIES, "fee_multiplier": "1"}}:
        assert (await kit.rest(network).fetch_market_terms("KXA-1")).fees.taker_e10 == 700_000_000
        return  # a decimal string is as exact as a number
    with pytest.raises(VenueUnavailable):
        await kit.rest(network).fetch_market_terms("KXA-1")


async def test_a_market_with_unpublished_fees_is_the_users_choice(kit: Kit, network: Network) -> None:
    """A `flat` fee has no formula: the user is told to choose another market."""
    network.route(answers_for(series={"fee_type": "flat"}))
    with pytest.raises(UserError, match="no published formula"):
        await kit.rest(network).fetch_market_terms("KXA-1")


@pytest.mark.parametrize("ticker", ["", "a/b", "..", "a b", "a?b", "ключ", "x" * 200])
async def test_a_ticker_that_is_none_is_the_users_error(kit: Kit, network: Network, ticker: str) -> None:
    """Nothing is asked of the exchange for it."""
    with pytest.raises(UserError, match="no market ticker"):
        await kit.rest(network).fetch_market_terms(ticker)
    assert network.requests == []


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-10-01T12:00:00.123456Z", 1_790_856_000_123_456),
        ("2026-10-01T12:00:00.1Z", 1_790_856_000_100_000),
        ("2026-10-01T12:00:00.123456789Z", 1_790_856_000_123_456),
        ("2026-10-01T14:00:00+02:00", 1_790_856_000_000_000),
    ],
)
def test_times_become_microseconds_exactly(text: str, us: int) -> None:
    """Any number of decimals, any zone."""
    assert translate.time_us(text) == us


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_times(text: str) -> None:
    """A time or Malformed."""
    with suppress(Malformed):
        translate.time_us(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**15, 10**400) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def near(row: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The row with some of its fields wrong or gone."""
    names = sorted(row)
    return st.tuples(
        st.dictionaries(st.sampled_from(names), JSON, max_size=2), st.sets(st.sampled_from(names), max_size=1)
    ).map(lambda change: {name: v for name, v in {**row, **change[0]}.items() if name not in change[1]})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=st.lists(near(ORDER), max_size=2), fills=st.lists(near(FILL), max_size=2), cursor=JSON | st.just(""))
async def test_no_row_makes_a_listing_raise_anything_else(
    kit: Kit, network: Network, orders: object, fills: object, cursor: object
) -> None:
    """Wrong types, huge numbers, missing keys: a listing or a VenueError."""
    for rows, content in (("orders", orders), ("fills", fills)):
        page = {rows: content, "cursor": cursor}
        rest = kit.rest(type(network)().answer(200, AS_OF).answer(200, page).answer(200, {rows: [], "cursor": ""}))
        with suppress(VenueError):
            await (rest.fetch_orders() if rows == "orders" else rest.fetch_fills())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(market=near(MARKET), event=near(EVENT), series=near(SERIES), raw=st.none() | st.binary(max_size=20))
async def test_no_answer_makes_the_terms_raise_anything_else(
    kit: Kit, network: Network, market: object, event: object, series: object, raw: bytes | None
) -> None:
    """Terms, or one of our own errors."""
    fresh = type(network)()
    if raw is not None:
        fresh.answer(200, raw)
    fresh.answer(200, {"market": market}).answer(200, {"event": event}).answer(200, {"series": series})
    try:
        terms = await kit.rest(fresh).fetch_market_terms("KXA-1")
    except ExecError:
        return
    assert terms.ticker == "KXA-1"
    assert isinstance(terms.fees.taker_e10, int)


@pytest.mark.parametrize(
    "number", [b"1e999999999999999999999", b"1e-999999999999999999999", b"1e-400", b"1" + b"0" * 5_000, b"-0"]
)
async def test_extreme_multipliers_are_typed_errors_or_terms(kit: Kit, network: Network, number: bytes) -> None:
    """Numbers beyond every range do not leave as library errors."""
    body = msgspec.json.encode({"series": SERIES}).replace(b'"fee_multiplier":1', b'"fee_multiplier":' + number)
    network.answer(200, {"market": MARKET}).answer(200, {"event": EVENT}).answer(200, body)
    try:
        terms = await kit.rest(network).fetch_market_terms("KXA-1")
    except VenueUnavailable:
        return
    assert terms.fees.taker_e10 in (0, 1)
