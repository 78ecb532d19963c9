"""kalshi-python-sync 3.34.0, unmodified, against the paper exchange over plain HTTP. Not a test file: it runs under
the official client's own interpreter and prints what each check found."""

# ruff: noqa: ANN401, PT017 - this client's types are not installed where the project's code is checked, nor is pytest here

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from unittest import mock

import kalshi_python_sync as kalshi
from checks import Control, exchange_given, report
from kalshi_python_sync import exceptions
from kalshi_python_sync.models.exchange_status import ExchangeStatus

GIVEN = exchange_given()
A, B, CLOSING = GIVEN["markets"]
CONTROL = Control(GIVEN["control_port"])
GTC, IOC, FOK = "good_till_canceled", "immediate_or_cancel", "fill_or_kill"


def client_of(name: str, **changes: str) -> Any:
    member = {**GIVEN["members"][name], **changes}
    configuration = kalshi.Configuration(host=GIVEN["rest_url"])
    configuration.api_key_id = member["api_key_id"]
    configuration.private_key_pem = Path(member["private_key_path"]).read_text()
    return kalshi.KalshiClient(configuration)


RICH, POOR, OTHER = (client_of(name) for name in ("rich", "poor", "other"))


def place(client: Any = RICH, **changes: Any) -> Any:
    order = {
        "ticker": A,
        "side": "bid",
        "count": "1.00",
        "price": "0.3000",
        "time_in_force": GTC,
        "self_trade_prevention_type": "taker_at_cross",
        **changes,
    }
    return client.create_order_v2(**order)


def raw(method: str, path: str, body: str | None = None, client: Any = RICH) -> Any:
    """A signed call of the client's own transport, for what its typed methods refuse to send."""
    headers = {"Content-Type": "application/json"}
    client.update_params_for_auth(headers, [], [], path, method, body)
    answer = client.call_api(method, GIVEN["rest_url"] + path, header_params=headers, body=body)
    answer.read()
    return client.response_deserialize(answer, {"200": "object", "201": "object"})


def refused(
    kind: type[exceptions.ApiException], status: int, code: str | None, call: Any, details: str | None = None
) -> None:
    try:
        call()
    except exceptions.ApiException as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error.body}"
        assert error.status == status, error.status
        body = json.loads(error.body)
        inner = body.get("error", body)
        if code is not None:
            assert inner["code"] == code, body
        if details is not None:
            assert inner["details"] == details, body
        return
    raise AssertionError("it was not refused")


# Reading


def exchange_state() -> None:
    status = RICH.get_exchange_status()
    assert status.exchange_active
    assert status.trading_active
    assert RICH.get_exchange_schedule().schedule.standard_hours[0].monday[0].open_time == "00:00"
    assert RICH.get_user_data_timestamp().as_of_time
    assert RICH.get_historical_cutoff().trades_created_ts
    assert RICH.get_series_fee_changes().series_fee_change_arr == []


def account_state() -> None:
    balance = RICH.get_balance()
    assert balance.balance == 100_000_000, balance
    assert balance.balance_dollars == "1000000.0000"
    assert balance.balance_breakdown[0].exchange_index == 0
    limits = RICH.get_account_api_limits()
    assert (limits.usage_tier, limits.write.refill_rate) == ("prestige", 8_000)
    costs = RICH.get_account_endpoint_costs()
    assert costs.default_cost == 10
    assert any(cost.method == "DELETE" and cost.cost == 2 for cost in costs.endpoint_costs)


def markets() -> None:
    market = RICH.get_market(ticker=A).market
    assert (market.yes_bid_dollars, market.yes_ask_dollars) == ("0.4500", "0.5200")
    assert market.price_ranges[0].step == "0.0100"
    page = RICH.get_markets(limit=2)
    assert [each.ticker for each in page.markets] == [CLOSING, B]
    assert [each.ticker for each in RICH.get_markets(limit=2, cursor=page.cursor).markets] == [A]
    assert [each.ticker for each in RICH.get_markets(tickers=B).markets] == [B]
    assert RICH.get_markets(status="settled").markets == []


def order_books() -> None:
    book = RICH.get_market_orderbook(ticker=A).orderbook_fp
    assert book.yes_dollars == [["0.4400", "20.00"], ["0.4500", "10.00"]], book
    assert book.no_dollars == [["0.4700", "30.00"], ["0.4800", "5.00"]], book
    assert RICH.get_market_orderbook(ticker=A, depth=1).orderbook_fp.yes_dollars == [["0.4500", "10.00"]]
    books = RICH.get_market_orderbooks(tickers=[A, B]).orderbooks
    assert [each.ticker for each in books] == [A, B]


def events_and_series() -> None:
    event = RICH.get_event(event_ticker="KXTEST-26OCT01")
    assert event.event.series_ticker == "KXTEST"
    assert [market.ticker for market in event.markets] == [A, B]
    assert len(RICH.get_events(limit=10).events) == 2
    series = RICH.get_series(series_ticker="KXTEST").series
    assert (series.fee_type, series.fee_multiplier) == ("quadratic", 1)
    assert [each.ticker for each in RICH.get_series_list().series] == ["KXTEST"]


def public_trades() -> None:
    CONTROL(f"trade {B} no 0.45 2")
    CONTROL(f"delta {B} yes 0.45 -2")
    trade = RICH.get_trades(ticker=B, limit=1).trades[0]
    assert (trade.yes_price_dollars, trade.count_fp, trade.taker_outcome_side) == ("0.4500", "2.00", "no")


# Orders


def an_order_lives() -> None:
    created = place(client_order_id="life-1", count="5.00")
    assert (created.fill_count, created.remaining_count) == ("0.00", "5.00")
    order = RICH.get_order(order_id=created.order_id).order
    assert (order.status, order.book_side, order.yes_price_dollars) == ("resting", "bid", "0.3000")
    assert order.created_time is not None
    listed = RICH.get_orders(ticker=A, status="resting").orders
    assert [each.client_order_id for each in listed] == ["life-1"]
    place_ahead = RICH.get_order_queue_position(order_id=created.order_id)
    assert place_ahead.queue_position_fp == "30.00", place_ahead
    assert len(RICH.get_order_queue_positions(market_tickers=A).queue_positions) == 1

    expiring = int(time.time()) + 600
    amended = RICH.amend_order_v2(
        order_id=created.order_id,
        ticker=A,
        side="bid",
        price="0.3100",
        count="4.00",
        updated_client_order_id="life-2",
        expiration_time=expiring,
    )
    assert (amended.remaining_count, amended.client_order_id) == ("4.00", "life-2")
    assert int(RICH.get_order(order_id=created.order_id).order.expiration_time.timestamp()) == expiring
    decreased = RICH.decrease_order_v2(order_id=created.order_id, reduce_by="1.50", market_ticker=A)
    assert decreased.remaining_count == "2.50"
    decreased = RICH.decrease_order_v2(order_id=created.order_id, reduce_to="2", market_ticker=A)
    assert decreased.remaining_count == "2.00"
    cancelled = RICH.cancel_order_v2(order_id=created.order_id, market_ticker=A)
    assert cancelled.reduced_by == "2.00"
    order = RICH.get_order(order_id=created.order_id).order
    assert (order.status, order.remaining_count_fp, order.fill_count_fp) == ("canceled", "0.00", "0.00")


def a_taker_fills() -> None:
    taken = place(price="0.5200", count="2.00", time_in_force=IOC)
    assert (taken.fill_count, taken.average_fill_price, taken.average_fee_paid) == ("2.00", "0.5200", "0.0175")
    empty = place(price="0.3000", time_in_force=IOC)
    assert (empty.fill_count, empty.remaining_count, empty.average_fill_price) == ("0.00", "0.00", None)
    position = RICH.get_positions(ticker=A).market_positions[0]
    assert (position.position_fp, position.market_exposure_dollars) == ("2.00", "1.040000")
    assert RICH.get_positions().event_positions[0].event_ticker == "KXTEST-26OCT01"
    reduced = place(side="ask", price="0.4500", count="5.00", time_in_force=IOC, reduce_only=True)
    assert reduced.fill_count == "2.00", reduced
    assert RICH.get_positions(ticker=A).market_positions[0].position_fp == "0.00"
    assert RICH.get_positions(ticker=A, count_filter="position").market_positions == []


def fills_in_pages() -> None:
    resting = place(price="0.4600", count="3.00")
    for _ in range(3):
        place(OTHER, side="ask", price="0.4600", time_in_force=FOK)
    seen, cursor = [], None
    while True:
        page = RICH.get_fills(ticker=A, limit=2, cursor=cursor)
        seen += page.fills
        cursor = page.cursor
        if not cursor:
            break
    assert len(seen) == 5, len(seen)
    assert len({fill.fill_id for fill in seen}) == 5
    mine = RICH.get_fills(order_id=resting.order_id).fills
    assert [(fill.count_fp, fill.is_taker, fill.fee_cost) for fill in mine] == [("1.00", False, "0.000000")] * 3


def batches() -> None:
    item = {
        "ticker": A,
        "side": "bid",
        "count": "1.00",
        "price": "0.2000",
        "time_in_force": GTC,
        "self_trade_prevention_type": "taker_at_cross",
    }
    answer = RICH.batch_create_orders_v2(orders=[item, {**item, "price": "0.2050"}, {**item, "price": "0.2100"}])
    good, bad, also = answer.orders
    assert (good.error, bad.error.code, also.error) == (None, "invalid_price", None)
    assert bad.order_id is None
    answer = RICH.batch_cancel_orders_v2(
        orders=[{"order_id": good.order_id, "market_ticker": A}, {"order_id": good.order_id}]
    )
    first, again = answer.orders
    assert (first.reduced_by, first.error) == ("1.00", None)
    assert (again.reduced_by, again.error.code) == ("0.00", "not_found")
    RICH.cancel_all_orders()
    assert RICH.get_orders(status="resting").orders == []


def order_groups() -> None:
    group = RICH.create_order_group(contracts_limit=3).order_group_id
    resting = place(price="0.4600", count="2.00", order_group_id=group)
    also = place(price="0.1000", order_group_id=group)
    assert sorted(RICH.get_order_group(order_group_id=group).orders) == sorted([resting.order_id, also.order_id])
    assert [each.id for each in RICH.get_order_groups().order_groups] == [group]
    place(OTHER, side="ask", price="0.4600", count="2.00", time_in_force=IOC)
    assert RICH.get_order(order_id=also.order_id).order.status == "resting"
    place(price="0.5200", count="1.00", time_in_force=IOC, order_group_id=group)
    assert RICH.get_order(order_id=also.order_id).order.status == "canceled"
    limit_hit = lambda: place(order_group_id=group)  # noqa: E731 - named, for the line that uses it would not hold it
    refused(exceptions.BadRequestException, 400, "exceeded_order_group_risk_limit", limit_hit)
    RICH.reset_order_group(order_group_id=group)
    again = place(order_group_id=group)
    RICH.update_order_group_limit(order_group_id=group, contracts_limit_fp="7.50")
    assert RICH.get_order_group(order_group_id=group).contracts_limit_fp == "7.50"
    RICH.trigger_order_group(order_group_id=group)
    assert RICH.get_order(order_id=again.order_id).order.status == "canceled"
    RICH.delete_order_group(order_group_id=group)
    refused(exceptions.NotFoundException, 404, None, lambda: RICH.get_order_group(order_group_id=group))


# Refusals: wire/README.md 8


def refused_orders() -> None:
    bad = exceptions.BadRequestException
    refused(bad, 400, "invalid_price", lambda: place(price="0.3050"))
    refused(bad, 400, "invalid_price", lambda: place(price="1.0000"))
    refused(bad, 400, "invalid_parameters", lambda: place(client_order_id="a.b"))
    refused(bad, 400, "invalid_parameters", lambda: place(count="0"))
    refused(bad, 400, "invalid_parameters", lambda: place(reduce_only=True))
    refused(bad, 400, "invalid_order", lambda: place(price="0.5200", post_only=True), "post only cross")
    refused(bad, 400, "insufficient_balance", lambda: place(POOR, count="100.00"))
    refused(exceptions.NotFoundException, 404, "market_not_found", lambda: place(ticker="NONE"))
    refused(exceptions.NotFoundException, 404, "user_not_found", lambda: place(exchange_index=2))
    place(client_order_id="twice", time_in_force=IOC)
    conflict = exceptions.ConflictException
    refused(conflict, 409, "order_already_exists", lambda: place(client_order_id="twice"))
    code = "fill_or_kill_insufficient_resting_volume"
    refused(conflict, 409, code, lambda: place(price="0.5200", count="1000", time_in_force=FOK))


def refused_look_ups() -> None:
    missing = exceptions.NotFoundException
    stranger = "00000000-0000-4000-8000-000000000000"
    refused(missing, 404, "not_found", lambda: RICH.get_order(order_id=stranger))
    refused(missing, 404, "not_found", lambda: RICH.cancel_order_v2(order_id=stranger))
    refused(exceptions.BadRequestException, 400, "invalid_UUID", lambda: RICH.cancel_order_v2(order_id="xyz"))
    refused(missing, 404, "market_not_found", lambda: RICH.get_market(ticker="NONE"))
    refused(missing, 404, "not_found", lambda: RICH.get_event(event_ticker="NONE"))


def refused_bodies_and_queries() -> None:
    bad = exceptions.BadRequestException
    refused(bad, 400, "bad_request", lambda: raw("POST", "/portfolio/events/orders", '{"ticker": '))
    refused(bad, 400, "bad_request", lambda: raw("POST", "/portfolio/events/orders", '{"ticker": 5}'))
    refused(bad, 400, None, lambda: raw("GET", "/portfolio/orders?limit=1001"))
    old = lambda: raw("POST", "/portfolio/orders", "{}")  # noqa: E731 - named, for the line that uses it would not hold it
    refused(exceptions.ApiException, 410, "deprecated_v1_order_endpoint", old)
    item = {"ticker": A, "side": "bid", "count": "1", "price": "0.01", "time_in_force": GTC}
    many = [{**item, "self_trade_prevention_type": "maker"} for _ in range(1_601)]  # 10 tokens each: above the bucket
    try:
        RICH.batch_create_orders_v2(orders=many)
    except exceptions.ApiException as error:
        assert (error.status, json.loads(error.body)) == (429, {"error": "too many requests"})
    else:
        raise AssertionError("the batch fitted")


def refused_signatures() -> None:
    unauthorized = exceptions.UnauthorizedException
    code = "authentication_error"
    unknown = client_of("rich", api_key_id="00000000-0000-4000-8000-000000000000")
    refused(unauthorized, 401, code, unknown.get_balance, "NOT_FOUND")
    mixed = client_of("rich", private_key_path=GIVEN["members"]["other"]["private_key_path"])
    refused(unauthorized, 401, code, mixed.get_balance, "INCORRECT_API_KEY_SIGNATURE")
    unsigned = kalshi.KalshiClient(kalshi.Configuration(host=GIVEN["rest_url"]))
    refused(unauthorized, 401, "signature_is_missing_from_headers", unsigned.get_balance)
    now_s = time.time()
    with mock.patch("time.time", return_value=now_s - 30):  # a client whose clock is slow
        refused(unauthorized, 401, "header_timestamp_expired", RICH.get_balance)
    assert POOR.get_balance().balance == 100  # an Ed25519 key


def pauses() -> None:
    halted = place(cancel_order_on_pause=True)
    resting = place()
    CONTROL("pause_trading")
    try:
        assert not RICH.get_exchange_status().trading_active
        refused(exceptions.ConflictException, 409, "trading_is_paused", place)
        assert RICH.get_order(order_id=halted.order_id).order.status == "canceled"
        assert RICH.cancel_order_v2(order_id=resting.order_id).reduced_by == "1.00"
        CONTROL("pause_exchange")
        refused(exceptions.ConflictException, 409, "exchange_is_paused", place)
        cancel = lambda: RICH.cancel_order_v2(order_id=resting.order_id)  # noqa: E731 - named, for the line that uses it would not hold it
        refused(exceptions.ConflictException, 409, "exchange_is_paused", cancel)
        try:
            RICH.get_exchange_status()
        except exceptions.ServiceException as error:
            assert error.status == 503
            assert isinstance(error.data, ExchangeStatus)
            assert not error.data.exchange_active
        else:
            raise AssertionError("the status of an exchange that is down came with 200")
    finally:
        CONTROL("resume_exchange")
        CONTROL("resume_trading")
    assert RICH.cancel_order_v2(order_id=place().order_id).reduced_by == "1.00"


def settlement() -> None:
    place(ticker=CLOSING, price="0.5200", count="4.00", time_in_force=IOC)
    before = RICH.get_balance()
    CONTROL(f"close {CLOSING}")
    refused(exceptions.BadRequestException, 400, "market_inactive", lambda: place(ticker=CLOSING))
    CONTROL(f"determine {CLOSING} yes")
    market = RICH.get_market(ticker=CLOSING).market
    assert (market.status, market.result, market.settlement_value_dollars) == ("finalized", "yes", "1.0000")
    settled = RICH.get_settlements(limit=10).settlements[0]
    assert (settled.ticker, settled.market_result, settled.revenue) == (CLOSING, "yes", 400)
    assert (settled.yes_count_fp, settled.yes_total_cost_dollars, settled.value) == ("4.00", "2.080000", 100)
    assert RICH.get_balance().balance - before.balance == 400
    assert RICH.get_positions(ticker=CLOSING).market_positions == []
    assert RICH.get_positions(ticker=CLOSING, settlement_status="settled").market_positions[0].position_fp == "0.00"


CHECKS = [
    exchange_state,
    account_state,
    markets,
    order_books,
    events_and_series,
    public_trades,
    an_order_lives,
    a_taker_fills,
    fills_in_pages,
    batches,
    order_groups,
    refused_orders,
    refused_look_ups,
    refused_bodies_and_queries,
    refused_signatures,
    pauses,
    settlement,
]

if __name__ == "__main__":
    report([(check.__name__, check) for check in CHECKS])
    CONTROL.close()
