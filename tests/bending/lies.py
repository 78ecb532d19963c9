"""What an exchange in the harness may do to one life of an engine, by name. Each is drawn with a moment of its own.

`TROUBLES` are the network's and the exchange's bad days: nothing said is untrue. `LIES` are answers and frames that
contradict what the exchange did; its listings, asked later, tell the truth again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from tests.bending import frames, requests
from tests.bending.bends import Bends, Reply, RequestBend
from tests.bending.editing import GONE

Install: TypeAlias = Callable[[Bends, random.Random], object]

ORDERS: Final = "/portfolio/events/orders"
CANCEL: Final = f"{ORDERS}/*"
AMEND: Final = f"{ORDERS}/*/amend"
LISTINGS: Final = ("/portfolio/orders", "/portfolio/fills")
TIME: Final = "/exchange/user_data_timestamp"
NOBODY: Final = "00000000-0000-4000-8000-000000000000"
AFTER_MAX: Final = 12  # matches that pass first
WRITES_MAX: Final = 4


def _write(bend: RequestBend, method: str, path: str, times: int = 1) -> Install:
    def install(bends: Bends, dice: random.Random) -> object:
        return bends.on_request(bend, method, path, after=dice.randrange(WRITES_MAX), times=times)

    return install


def _read(make: Callable[[Bends], RequestBend], *paths: str, times: int = 3) -> Install:
    def install(bends: Bends, dice: random.Random) -> object:
        path = dice.choice(paths)
        return bends.on_request(make(bends), "GET", path, after=dice.randrange(3), times=times)

    return install


def _frame(bend: Any, type_of: str, times: int = 2) -> Install:  # noqa: ANN401 - a frame's bend
    def install(bends: Bends, dice: random.Random) -> object:
        return bends.on_frame(bend, type_of, after=dice.randrange(AFTER_MAX), times=times)

    return install


def _broken(reply: Reply) -> Reply:
    return reply._replace(body=reply.body[: len(reply.body) // 2])


def _as_filled(reply: Reply) -> Reply:
    """A created order said to be filled as a whole."""
    if reply.status != 201:
        return reply
    body = reply.json
    total = float(body.get("fill_count", "0")) + float(body.get("remaining_count", "0"))
    body |= {"fill_count": f"{total:.2f}", "remaining_count": "0.00"}
    return reply._replace(body=msgspec.json.encode(body))


def moved(by_s: int) -> Callable[[str | None], str | None]:
    """A time of the wire, so much later; none stays none."""

    def later(old: str | None) -> str | None:
        return None if old is None else (datetime.fromisoformat(old) + timedelta(seconds=by_s)).isoformat()

    return later


def _cut_now(bends: Bends, dice: random.Random) -> object:
    return bends.on_frame(frames.cut(), after=dice.randrange(10, 200), times=1)


def _quiet(bends: Bends, dice: random.Random) -> object:
    return bends.on_frame(frames.drop(), dice.choice(("user_order", "fill", "orderbook_delta", "*")))


def _reads_down(bends: Bends, dice: random.Random) -> object:
    path = dice.choice(("*", "/exchange/user_data_timestamp", *LISTINGS, "/markets*", "/series/*"))
    return bends.on_request(requests.error(503, "service_unavailable"), "GET", path, times=dice.randrange(1, 8))


def _late(bends: Bends, dice: random.Random) -> object:
    """Sent on when the client has perhaps given up, or died."""
    return bends.on_request(requests.hold(dice.uniform(0.3, 12)), "POST", ORDERS, after=dice.randrange(3), times=1)


TROUBLES: Final[dict[str, Install]] = {
    "accepted, then 503": _write(requests.error(503, "service_unavailable", arrives=True), "POST", ORDERS),
    "accepted, then 500": _write(requests.error(500, arrives=True), "POST", ORDERS, 2),
    "accepted, then cut": _write(requests.cut(arrives=True), "POST", ORDERS),
    "accepted, half an answer": _write(requests.cut(half=True), "POST", ORDERS),
    "cut before it arrived": _write(requests.cut(), "POST", ORDERS, 2),
    "sent on late": _late,
    "answered late": _write(requests.hold(2.5, answered=True), "POST", ORDERS),
    "never answered, arrived": _write(requests.drop(arrives=True), "POST", ORDERS),
    "sent on twice": _write(requests.sent_twice(), "POST", ORDERS, 3),
    "refused for too many": _write(requests.error(429, "too_many_requests"), "POST", ORDERS, 2),
    "a broken body": _write(requests.rewritten(_broken), "POST", ORDERS),
    "cancelled, then 503": _write(requests.error(503, "service_unavailable", arrives=True), "DELETE", CANCEL),
    "cancelled, then cut": _write(requests.cut(arrives=True), "DELETE", CANCEL),
    "a cancel refused for now": _write(requests.error(503, "service_unavailable"), "DELETE", CANCEL, 2),
    "a cancel sent on twice": _write(requests.sent_twice(), "DELETE", CANCEL, 2),
    "a cancel held": _write(requests.hold(1.5), "DELETE", CANCEL),
    "amended, then 503": _write(requests.error(503, "service_unavailable", arrives=True), "POST", AMEND, 2),
    "amended, then cut": _write(requests.cut(half=True), "POST", AMEND),
    "an amend held": _write(requests.hold(1.5), "POST", AMEND),
    "reads down": _reads_down,
    "reads held": _read(lambda _: requests.hold(2.0), *LISTINGS, "/markets*"),
    "reads cut": _read(lambda _: requests.cut(half=True), *LISTINGS),
    "the stream cut": _cut_now,
    "a channel silent": _quiet,
    "frames lost": _frame(frames.drop(), "*", 5),
    "order frames repeated": _frame(frames.repeat(3), "user_order", 5),
    "fill frames repeated": _frame(frames.repeat(2), "fill", 5),
    "fill frames late": _frame(frames.late(1.0), "fill", 3),
    "order frames late": _frame(frames.late(0.5), "user_order", 5),
}
LIES: Final[dict[str, Install]] = {
    "a create said to be all filled": _write(requests.rewritten(_as_filled), "POST", ORDERS),
    "a create with another order id": _write(requests.changed("order_id", NOBODY), "POST", ORDERS),
    "a create without its order id": _write(requests.removed("order_id"), "POST", ORDERS),
    "a definite no that nobody knows": _write(requests.error(400, "order_size_exceeds_limit"), "POST", ORDERS),
    "a no to what was accepted": _write(requests.error(400, "strange_refusal", arrives=True), "POST", ORDERS),
    "a cancel that found nothing": _write(requests.error(404, "not_found"), "DELETE", CANCEL),
    "a cancel of another order": _write(requests.changed("order_id", "another"), "DELETE", CANCEL),
    "a cancel said to end nothing": _write(requests.changed("reduced_by", "0.00"), "DELETE", CANCEL),
    "an amend of another order": _write(requests.changed("order_id", "another"), "POST", AMEND),
    "an amend said to have filled": _write(requests.changed("fill_count", "1.00"), "POST", AMEND),
    "a time an hour ahead": _read(lambda _: requests.changed("as_of_time", moved(3_600)), TIME, times=2),
    "a time an hour behind": _read(lambda _: requests.changed("as_of_time", moved(-3_600)), TIME, times=2),
    "a listing without an end": _read(lambda _: requests.changed("cursor", "again"), *LISTINGS, times=6),
    "an older listing": _read(lambda bends: requests.stale(bends, oldest=True), *LISTINGS),
    "another's answer": _read(lambda bends: requests.stale(bends, "GET", "/portfolio/fills"), "/portfolio/orders"),
    "an answer to a read for a create": _write(requests.answer(201, {"orders": [], "cursor": ""}), "POST", ORDERS),
    "rows without a field": _read(lambda _: requests.changed("orders.*.client_order_id", GONE), "/portfolio/orders"),
    "an empty listing": _read(lambda _: requests.changed("orders", lambda _: []), "/portfolio/orders"),
    "a fill frame of 500": _frame(frames.changed("msg.count_fp", "500.00"), "fill", 1),
    "a fill frame of another price": _frame(frames.changed("msg.yes_price_dollars", "0.0100"), "fill", 1),
    "a fill frame of another fee": _frame(frames.changed("msg.fee_cost", "7.0000"), "fill", 1),
    "a fill frame of another trade": _frame(frames.changed("msg.trade_id", NOBODY), "fill", 1),
    "a fill frame of another order": _frame(frames.changed("msg.order_id", NOBODY), "fill", 1),
    "a fill frame of the other role": _frame(frames.changed("msg.is_taker", lambda old: not old), "fill", 2),
    "nonsense on the stream": _frame(frames.replaced('{"type": "fill", "sid": 1, "msg": []}'), "*", 2),
    "no JSON on the stream": _frame(frames.replaced("\x00 nothing"), "*", 1),
    "a fill frame without a count": _frame(frames.removed("msg.count_fp"), "fill", 2),
    "an order frame said executed": _frame(frames.changed("msg.status", "executed"), "user_order", 1),
    "an order frame said canceled": _frame(frames.changed("msg.status", "canceled"), "user_order", 1),
    "an order frame of an older state": _frame(frames.changed("msg.fill_count_fp", "0.00"), "user_order", 3),
}
