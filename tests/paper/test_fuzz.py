"""Whatever is sent, the answer is one the wire knows, the exchange goes on, and no secret comes back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fsm_exec.wire.rest import API_PREFIX
from tests.paper.support import TICKER, Stage, hear, say, snapshot, staged

KNOWN_STATUS = {200, 201, 204, 400, 401, 404, 409, 410, 429}
UUID = "00000000-0000-4000-8000-000000000000"
WRITES = [
    ("POST", "/portfolio/events/orders"),
    ("DELETE", "/portfolio/events/orders"),
    ("POST", "/portfolio/events/orders/batched"),
    ("DELETE", "/portfolio/events/orders/batched"),
    ("DELETE", f"/portfolio/events/orders/{UUID}"),
    ("POST", f"/portfolio/events/orders/{UUID}/amend"),
    ("POST", f"/portfolio/events/orders/{UUID}/decrease"),
    ("POST", "/portfolio/order_groups/create"),
    ("PUT", f"/portfolio/order_groups/{UUID}/limit"),
    ("PUT", "/portfolio/order_groups/x/reset"),
    ("POST", "/portfolio/orders"),
]
READS = [
    "/portfolio/orders",
    "/portfolio/fills",
    "/portfolio/positions",
    "/portfolio/settlements",
    "/portfolio/orders/queue_positions",
    "/portfolio/order_groups",
    "/markets",
    "/markets/trades",
    "/markets/orderbooks",
    f"/markets/{TICKER}/orderbook",
    "/events",
    "/series",
]
NAMES = ["limit", "cursor", "ticker", "tickers", "status", "min_ts", "max_ts", "depth", "subaccount", "exchange_index"]
LIMITS = st.sampled_from([10**15, 2**63, 2**64, -(2**63) - 1, 10**300, 0, -1])
NUMBERS = st.one_of(LIMITS, st.integers(), st.floats())
WORDS = st.sampled_from(["0.30", "1", "-1", "9" * 400])
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=20), WORDS)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
ORDER = {
    "ticker": TICKER,
    "side": "bid",
    "count": "1",
    "price": "0.30",
    "time_in_force": "good_till_canceled",
    "self_trade_prevention_type": "taker_at_cross",
    "client_order_id": "c",
    "expiration_time": 1_900_000_000,
    "post_only": False,
    "reduce_only": False,
    "subaccount": 0,
    "exchange_index": 0,
    "reduce_by": "1",
    "contracts_limit": 1,
}


def as_json(value: object) -> bytes:
    """Also what a strict encoder refuses: huge numbers, NaN, lone surrogates."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A good order with some fields replaced, dropped or added."""
    order: dict[str, Any] = dict(ORDER)
    if draw(st.booleans()):
        order.pop(draw(st.sampled_from(sorted(ORDER))))
    for name in draw(st.lists(st.sampled_from([*ORDER, "order_group_id", "unknown"]), max_size=2)):
        order[name] = draw(st.one_of(LIMITS, SCALARS, JUNK))
    return as_json(draw(st.sampled_from([order, {"orders": [order, dict(ORDER)]}, {"orders": [draw(JUNK)]}])))


BODIES = st.one_of(
    bent(),
    JUNK.map(as_json),
    st.binary(max_size=60),
    st.sampled_from([b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b'{"ticker":"\xff"}', b"null"]),
)
CALLS = st.lists(st.tuples(st.sampled_from(WRITES), BODIES), min_size=1, max_size=12)
NUMBER_BENT = st.tuples(st.sampled_from(["expiration_time", "subaccount", "exchange_index"]), LIMITS)
ANY_BENT = st.tuples(st.sampled_from(sorted(ORDER)), SCALARS)
QUERIES = st.lists(
    st.tuples(st.sampled_from(READS), st.dictionaries(st.sampled_from(NAMES), st.text(max_size=25), max_size=3)),
    min_size=1,
    max_size=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(["KALSHI-ACCESS-KEY", "KALSHI-ACCESS-TIMESTAMP", "KALSHI-ACCESS-SIGNATURE"]),
    st.binary(max_size=60).map(lambda raw: bytes(b for b in raw if b not in b"\x00\r\n").strip()),
    min_size=1,
)
SETTINGS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(stage: Stage, status: int, content: bytes, sent: dict[str, str]) -> None:
    assert status in KNOWN_STATUS, (status, content[:300])
    pem = stage.member.credentials.private_key_pem
    for secret in (*pem.splitlines()[1:-1], sent.get("KALSHI-ACCESS-SIGNATURE", "none at all").encode()):
        assert secret not in content
    if status >= 400 and not content.startswith(b"404"):
        body = msgspec.json.decode(content, type=dict[str, Any])
        inner = body.get("error", body)
        assert isinstance(inner, str) or {"code", "msg"} & inner.keys(), body


async def still_works(stage: Stage) -> None:
    assert (await stage.http.get("/exchange/status")).status_code == 200


@given(CALLS)
@SETTINGS
async def test_any_body(calls: list[tuple[tuple[str, str], bytes]]) -> None:
    """Wrong types, huge numbers, missing keys, nested junk, invalid UTF-8: a documented status and body."""
    async with staged("memory") as stage:
        stage.exchange.apply(TICKER, snapshot([("0.45", "10")], [("0.48", "5")]))
        for (method, path), body in calls:
            headers = stage.member.headers(method, API_PREFIX + path)
            answer = await stage.http.request(method, path, content=body, headers=headers)
            check(stage, answer.status_code, answer.content, headers)
        for path in ("/portfolio/orders", "/portfolio/order_groups", "/portfolio/balance"):
            assert (await stage.call("GET", path)).status_code == 200
        await still_works(stage)


@given(st.lists(st.one_of(NUMBER_BENT, ANY_BENT), min_size=1, max_size=8))
@example([("expiration_time", 10**15)])  # was accepted, and then no listing could be written
@SETTINGS
async def test_an_order_with_one_field_bent(fields: list[tuple[str, Any]]) -> None:
    """Refused or accepted: either way every listing can still be read."""
    async with staged("memory") as stage:
        path = "/portfolio/events/orders"
        headers = stage.member.headers("POST", API_PREFIX + path)
        for number, (name, value) in enumerate(fields):
            body = as_json({**ORDER, "client_order_id": f"c{number}", name: value})
            answer = await stage.http.post(path, content=body, headers=headers)
            check(stage, answer.status_code, answer.content, headers)
        assert (await stage.call("GET", "/portfolio/orders")).status_code == 200
        await still_works(stage)


@given(QUERIES)
@SETTINGS
async def test_any_query(calls: list[tuple[str, dict[str, str]]]) -> None:
    """Limits, cursors, times and words that are none."""
    async with staged("memory") as stage:
        for path, query in calls:
            headers = stage.member.headers("GET", API_PREFIX + path)
            answer = await stage.http.get(path, params=query, headers=headers)
            check(stage, answer.status_code, answer.content, headers)
        await still_works(stage)


@given(HEADERS)
@SETTINGS
async def test_any_headers(changed: dict[str, bytes]) -> None:
    """Each access header replaced by arbitrary bytes: 401, for REST and for the stream's handshake."""
    async with staged("memory") as stage:
        good = stage.member.headers("GET", f"{API_PREFIX}/portfolio/balance")
        raw = {**{name: value.encode() for name, value in good.items()}, **changed}
        answer = await stage.http.get(
            "/portfolio/balance", headers=[(name.encode(), value) for name, value in raw.items()]
        )
        assert answer.status_code == 401
        check(stage, answer.status_code, answer.content, good)


@given(st.lists(st.one_of(st.binary(max_size=60), bent(), JUNK.map(as_json)), min_size=1, max_size=15))
@SETTINGS
async def test_any_frame(frames: list[bytes]) -> None:
    """Text and binary: an error with a code of the wire, and the connection goes on."""
    async with staged("memory") as stage, trio.open_nursery() as nursery:
        stream = await stage.dial(nursery)
        for frame in frames:
            try:
                await stream.send_message(frame.decode())
            except UnicodeDecodeError:
                await stream.send_message(frame)
            answer = await hear(stream)
            assert answer["type"] == "error"
            assert answer["msg"]["code"] in (1, 2, 5)
        await say(stream, {"id": 1, "cmd": "list_subscriptions"})
        assert (await hear(stream))["type"] == "ok"
        await stream.aclose()


PARAMS = {
    "channels": ["orderbook_delta"],
    "market_tickers": [TICKER],
    "sids": [1],
    "sid": 1,
    "action": "add_markets",
    "use_yes_price": True,
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["subscribe", "unsubscribe", "update_subscription", "list_subscriptions"]),
            st.dictionaries(st.sampled_from(sorted(PARAMS)), st.one_of(JUNK, st.none()), max_size=3),
            st.one_of(st.just(1), NUMBERS),
        ),
        min_size=1,
        max_size=15,
    )
)
@SETTINGS
async def test_any_command(commands: list[tuple[str, dict[str, Any], Any]]) -> None:
    """Good commands with bent parameters: an answer of a type the wire knows to each, and the connection goes on."""
    async with staged("memory") as stage, trio.open_nursery() as nursery:
        stream = await stage.dial(nursery)
        for command, changed, number in commands:
            params = {name: value for name, value in {**PARAMS, **changed}.items() if value is not None}
            raw = as_json({"id": number, "cmd": command, "params": params})
            await stream.send_message(raw.decode("utf-8", "replace"))
        await say(stream, {"id": 77, "cmd": "list_subscriptions"})
        while True:
            answer = await hear(stream)
            assert answer["type"] in ("subscribed", "unsubscribed", "ok", "error", "orderbook_snapshot")
            if answer.get("id") == 77 and isinstance(answer["msg"], list):
                break
        await stream.aclose()
