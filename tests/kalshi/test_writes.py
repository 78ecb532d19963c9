"""What leaves for the exchange, and what counts as done."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsm_exec.core.market.orders import Amended, Cancelled, Placed, PlaceOrder, Unknown
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, format_price, parse_price
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.http_wire import BODY_MAX_BYTES
from fsm_exec.kalshi.signed_http import WRITE_TIMEOUT_S
from fsm_exec.kalshi.translate import ImpossibleRequest
from fsm_exec.wire import client_bodies

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kalshi.conftest import Kit, Network

ORDER_ID = "e5d8a5a0-0000-4000-8000-000000000001"
CREATED: dict[str, Any] = {
    "order_id": ORDER_ID,
    "fill_count": "0.00",
    "remaining_count": "10.00",
    "ts_ms": 1_790_856_000_200,
    "client_order_id": "fxaaaaaaaaaa-e1-1-1",
}
AMENDED: dict[str, Any] = {"order_id": ORDER_ID, "ts_ms": 1_790_856_000_200}
CANCELLED: dict[str, Any] = {"order_id": ORDER_ID, "reduced_by": "7.50", "ts_ms": 1_790_856_000_200}
GOOD = {"place": (201, CREATED), "amend": (200, AMENDED), "cancel": (200, CANCELLED)}


async def test_a_bid_for_yes_leaves_as_written_down(kit: Kit, network: Network) -> None:
    """The body of a GTC order for YES: strings, self-trade prevention, the expiration in seconds, nothing more."""
    network.answer(201, CREATED)
    answer = await kit.rest(network).place(kit.place(post_only=True))
    (request,) = network.requests
    assert (request.method, request.url.raw_path) == ("POST", b"/trade-api/v2/portfolio/events/orders")
    assert request.headers["content-type"] == "application/json"
    assert msgspec.json.decode(request.content) == {
        "ticker": kit.ticker,
        "side": "bid",
        "count": "10.00",
        "price": "0.4700",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        "client_order_id": "fxaaaaaaaaaa-e1-1-1",
        "expiration_time": 1_790_860_000,
        "post_only": True,
    }
    assert answer == Placed(
        order_id=ORDER_ID, filled_e2=CountE2(0), remaining_e2=CountE2(1_000), at_us=1_790_856_000_200_000
    )


async def test_a_bid_for_no_is_an_ask_at_the_complement(kit: Kit, network: Network) -> None:
    """Buying NO at 0.30 offers YES at 0.70, in a place and in an amend."""
    network.answer(201, CREATED).answer(200, AMENDED)
    rest = kit.rest(network)
    await rest.place(
        kit.place(outcome="no", price_e4=PriceE4(3_000), time_in_force="immediate_or_cancel", expiration_s=None)
    )
    await rest.amend(kit.amend(outcome="no", price_e4=PriceE4(3_100), total_e2=CountE2(250)))
    placed, amended = (msgspec.json.decode(request.content) for request in network.requests)
    assert (placed["side"], placed["price"], placed["time_in_force"]) == ("ask", "0.7000", "immediate_or_cancel")
    assert "expiration_time" not in placed
    assert amended == {"ticker": kit.ticker, "side": "ask", "price": "0.6900", "count": "2.50"}
    assert network.requests[1].url.raw_path == f"/trade-api/v2/portfolio/events/orders/{ORDER_ID}/amend".encode()


async def test_a_cancel_always_names_its_market(kit: Kit, network: Network) -> None:
    """Without market_ticker the exchange looks on shard 0 only."""
    network.answer(200, CANCELLED)
    answer = await kit.rest(network).cancel(kit.cancel())
    (request,) = network.requests
    assert (request.method, request.url.params.multi_items()) == ("DELETE", [("market_ticker", kit.ticker)])
    assert answer == Cancelled(order_id=ORDER_ID, reduced_by_e2=CountE2(750), at_us=1_790_856_000_200_000)


async def test_every_request_is_signed_over_its_path_without_query(kit: Kit, network: Network) -> None:
    """The signature verifies for timestamp + method + path with prefix; the time is the wall's, in milliseconds."""
    network.answer(200, CANCELLED)
    await kit.rest(network).cancel(kit.cancel())
    (request,) = network.requests
    path = f"/trade-api/v2/portfolio/events/orders/{ORDER_ID}"
    stamp = request.headers["KALSHI-ACCESS-TIMESTAMP"]
    assert stamp == str(kit.now_us // 1_000)
    public = load_pem_public_key(kit.key.public_pem())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(base64.b64decode(request.headers["KALSHI-ACCESS-SIGNATURE"]), f"{stamp}DELETE{path}".encode())


async def test_amended_counts_are_none_where_left_out(kit: Kit, network: Network) -> None:
    """An amend's answer may be two fields long."""
    network.answer(200, AMENDED).answer(200, {**AMENDED, "fill_count": "1.00", "remaining_count": "9.00"})
    rest = kit.rest(network)
    bare, full = await rest.amend(kit.amend()), await rest.amend(kit.amend())
    assert bare == Amended(order_id=ORDER_ID, filled_e2=None, remaining_e2=None, at_us=1_790_856_000_200_000)
    assert isinstance(full, Amended)
    assert (full.filled_e2, full.remaining_e2) == (100, 900)


@pytest.mark.parametrize(
    ("write", "change"),
    [
        ("place", {"order_id": None}),
        ("place", {"fill_count": None, "remaining_count": None}),
        ("place", {"fill_count": None, "remaining_count": "0.00"}),  # filled, or taken off: who knows
        ("amend", {"order_id": None}),
        *[("cancel", {name: None}) for name in ("order_id", "reduced_by")],
        ("place", {"fill_count": 1}),
        ("place", {"fill_count": "1.005"}),
        ("place", {"fill_count": "-1.00"}),
        ("place", {"fill_count": "1e3"}),
        ("place", {"fill_count": "0.01"}),  # more than was ordered, together with what remains
        ("place", {"order_id": ""}),
        ("place", {"order_id": "a/../b"}),
        ("place", {"ts_ms": -1}),
        ("place", {"ts_ms": 10**30}),
        ("place", {"client_order_id": "somebody-elses"}),
        ("amend", {"order_id": "another"}),
        ("cancel", {"order_id": "another"}),
        ("cancel", {"reduced_by": "all"}),
    ],
)
async def test_the_right_status_without_the_right_body_is_unknown(
    kit: Kit, network: Network, write: str, change: dict[str, object]
) -> None:
    """A 2xx proves a success only together with every field it must have, about the order that was meant."""
    status, body = GOOD[write]
    changed = {name: value for name, value in {**body, **change}.items() if value is not None}
    network.answer(status, changed)
    answer = await kit.write(write, kit.rest(network))
    assert isinstance(answer, Unknown)
    assert f"answered {status}" in answer.why


@pytest.mark.parametrize("write", ["place", "amend", "cancel"])
async def test_a_2xx_with_an_error_inside_is_unknown(kit: Kit, network: Network, write: str) -> None:
    """The old cut-off answered 2xx with an error and no order; that is no success."""
    network.answer(GOOD[write][0], {"error": {"code": "deprecated", "message": "switch"}})
    assert isinstance(await kit.write(write, kit.rest(network)), Unknown)


async def test_an_answer_that_takes_too_long_is_unknown(kit: Kit, network: Network, autojump_clock: MockClock) -> None:
    """The whole write has a deadline, whatever the transport thinks of time-outs."""

    class Slow(type(network)):  # type: ignore[misc]
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            await trio.sleep_forever()
            raise AssertionError

    slow = Slow()
    began_s = trio.current_time()
    answer = await kit.write("place", kit.rest(slow))
    assert isinstance(answer, Unknown)
    assert trio.current_time() - began_s == pytest.approx(WRITE_TIMEOUT_S)
    assert len(slow.requests) == 1


async def test_an_endless_answer_is_unknown(kit: Kit, network: Network) -> None:
    """A body beyond the limit is not read to its end."""
    network.answer(201, b" " * (BODY_MAX_BYTES + 1))
    answer = await kit.write("place", kit.rest(network))
    assert isinstance(answer, Unknown)
    assert "longer than" in answer.why


async def test_a_broken_compression_is_unknown(kit: Kit, network: Network) -> None:
    """An answer that cannot be unpacked arrived, but says nothing."""
    network.answer(201, b"not gzip", **{"content-encoding": "gzip"})
    assert isinstance(await kit.write("place", kit.rest(network)), Unknown)


@pytest.mark.parametrize(
    "change",
    [
        {"time_in_force": "immediate_or_cancel"},  # with an expiration
        {"time_in_force": "fill_or_kill"},
        {"time_in_force": "immediate_or_cancel", "expiration_s": None, "post_only": True},
        {"expiration_s": 0},
        {"expiration_s": 1_790_860_000_000},  # milliseconds
        {"price_e4": 0},
        {"price_e4": 10_000},
        {"price_e4": -100},
        {"count_e2": 0},
        {"count_e2": -100},
        {"client_order_id": "a.b"},
        {"client_order_id": ""},
        {"client_order_id": "x" * 65},
        {"client_order_id": "ключ"},
        {"client_order_id": "a\n"},
        {"ticker": ""},
        {"ticker": "../orders"},
    ],
)
async def test_impossible_requests_are_never_sent(kit: Kit, network: Network, change: dict[str, Any]) -> None:
    """What the exchange is known to refuse is our bug, and stays here."""
    with pytest.raises(ImpossibleRequest):
        await kit.rest(network).place(kit.place(**change))
    assert network.requests == []


@pytest.mark.parametrize("order_id", ["", "a/b", "..", "a?b", "ё", "a" * 101])
async def test_an_order_id_that_is_no_path_is_never_sent(kit: Kit, network: Network, order_id: str) -> None:
    """Ids stand in the path; what would change the path is refused here."""
    rest = kit.rest(network)
    with pytest.raises(ImpossibleRequest):
        await rest.cancel(kit.cancel(order_id=order_id))
    with pytest.raises(ImpossibleRequest):
        await rest.amend(kit.amend(order_id=order_id))
    assert network.requests == []


@given(price=st.integers(1, 9_999), outcome=st.sampled_from(["yes", "no"]), count=st.integers(1, 10**12))
def test_an_order_comes_back_as_it_went(price: int, outcome: Outcome, count: int) -> None:
    """Translating an order out and its listing back gives the same outcome, price and count."""
    order = PlaceOrder(
        effect_id="e", client_order_id="c", ticker="T", outcome=outcome, price_e4=PriceE4(price),
        count_e2=CountE2(count), time_in_force="good_till_canceled", post_only=False, expiration_s=None,
    )  # fmt: skip
    body = translate.create_order(order)
    yes = parse_price(body.price)
    row = client_bodies.Order(
        order_id="o", client_order_id="c", ticker="T", status="resting",
        outcome_side="yes" if body.side == "bid" else "no", book_side=body.side,
        yes_price_dollars=body.price, no_price_dollars=format_price(PriceE4(10_000 - yes)),
        initial_count_fp=body.count, fill_count_fp="0.00", remaining_count_fp=body.count,
    )  # fmt: skip
    report = translate.order_report(row, 5)
    assert (report.outcome, report.price_e4, report.count_e2) == (outcome, price, count)
    assert report.at_us == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(10**15, 10**40) | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["order_id", "fill_count", "remaining_count", "reduced_by", "ts_ms", "error", "code", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)
NEAR = st.fixed_dictionaries(
    {},
    optional={
        "order_id": st.just(ORDER_ID) | st.text(max_size=10) | JSON,
        "fill_count": st.sampled_from(["0.00", "10.00", "-1.00", "99999999999999999999", "NaN", "1.001", ""]) | JSON,
        "remaining_count": st.sampled_from(["0.00", "10.00", "10.01", "٣"]) | JSON,
        "reduced_by": st.sampled_from(["0.00", "10.00"]) | JSON,
        "ts_ms": st.integers(0, 10**13) | JSON,
        "client_order_id": st.none() | st.just("fxaaaaaaaaaa-e1-1-1") | st.text(max_size=5),
    },
)
BODIES = st.binary(max_size=60) | (NEAR | JSON).map(lambda value: msgspec.json.encode(value))
DEEP = [b"[" * 100_000, b'{"error":' * 100_000, b'"\xff\xfe"', b"\xff", b"", b"null", b'{"ts_ms":1e999}']


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(status=st.sampled_from([200, 201, 204, 400, 401, 403, 404, 409, 410, 429, 500, 503]), body=BODIES)
async def test_no_body_makes_a_write_raise(kit: Kit, network: Network, status: int, body: bytes) -> None:
    """Whatever comes back, the outcome is data; a success among it is sound."""
    await try_all_writes(kit, type(network)().answer(status, body), status)


@pytest.mark.parametrize("body", DEEP, ids=lambda body: repr(body[:12]))
async def test_no_hostile_body_makes_a_write_raise(kit: Kit, network: Network, body: bytes) -> None:
    """Nesting without end, broken text, nothing at all: data too."""
    for status in (200, 201, 404, 500):
        await try_all_writes(kit, type(network)().answer(status, body), status)


async def try_all_writes(kit: Kit, network: Network, status: int) -> None:
    for write in ("place", "amend", "cancel"):
        answer = await kit.write(write, kit.rest(network))
        if isinstance(answer, Placed):
            assert status == 201
            assert 0 <= answer.filled_e2 + answer.remaining_e2 <= 1_000
        if isinstance(answer, Amended | Cancelled):
            assert status == 200
            assert answer.order_id == ORDER_ID
