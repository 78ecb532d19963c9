"""An exchange that says what is false about orders and fills, in answers, frames and listings, and about positions,
settlements and the balance. Its own state stays true.

A lie is a body in which one thing was changed; which, a seed decides. Answers and frames may be wrong whenever they are
given. Listings may be wrong about an order or a fill for `listing_ms` after it last changed, and then tell the truth:
so a reader of listings can find out which of the rest was false.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.core.values.units import (
    US_PER_MS,
    CountE2,
    MoneyE6,
    PriceE4,
    complement,
    format_count,
    format_money,
    format_price,
    parse_change,
)
from fsm_exec.core.values.units import parse_count as count_of
from fsm_exec.core.values.units import parse_price as price_of

Body: TypeAlias = dict[str, Any]
Lie: TypeAlias = Callable[[Body, random.Random], None]
MORE: Final = 50  # times as much
Chance: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000)]


class LieFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many of a thousand answers to places, amends and cancels, frames about fills and orders, and pages of the
    listings of orders and fills are not so. Listings lie about what changed in the last `listing_ms`, which must be
    less than the time after which a listing is taken for proof. Of a thousand reads of positions, settlements and the
    balance, `account_per_mille` are not so, of whatever age the facts are."""

    answers_per_mille: Chance = 0
    frames_per_mille: Chance = 0
    listings_per_mille: Chance = 0
    account_per_mille: Chance = 0
    listing_ms: Annotated[int, msgspec.Meta(ge=0, le=30_000)] = 20_000

    @property
    def any(self) -> bool:
        chances = (self.answers_per_mille, self.frames_per_mille, self.listings_per_mille, self.account_per_mille)
        return any(chances)


def _another_id(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _other_order(body: Body, rng: random.Random) -> None:
    body["order_id"] = _another_id(rng)


def _other_name(body: Body, rng: random.Random) -> None:
    body["client_order_id"] = f"other-{rng.randrange(1_000)}"


# The answer to a place or an amend.


def _all_filled(body: Body, _: random.Random) -> None:
    total = count_of(body.get("fill_count", "0")) + count_of(body.get("remaining_count", "0"))
    body.update(fill_count=format_count(CountE2(total)), remaining_count="0.00")


def _nothing_filled(body: Body, _: random.Random) -> None:
    total = count_of(body.get("fill_count", "0")) + count_of(body.get("remaining_count", "0"))
    body.update(fill_count="0.00", remaining_count=format_count(CountE2(total)))


def _half_filled(body: Body, _: random.Random) -> None:
    half = count_of(body.get("remaining_count", "0")) // 2
    filled = count_of(body.get("fill_count", "0")) + half
    body["fill_count"] = format_count(CountE2(filled))
    body["remaining_count"] = format_count(CountE2(count_of(body.get("remaining_count", "0")) - half))


def _too_much(body: Body, _: random.Random) -> None:
    body["fill_count"] = format_count(CountE2(MORE * (100 + count_of(body.get("fill_count", "0")))))


# The answer to a cancel.


def _reduced_by_nothing(body: Body, _: random.Random) -> None:
    body["reduced_by"] = "0.00"


def _reduced_by_more(body: Body, _: random.Random) -> None:
    body["reduced_by"] = format_count(CountE2(count_of(body["reduced_by"]) * 2 + 1))


def _reduced_by_half(body: Body, _: random.Random) -> None:
    body["reduced_by"] = format_count(CountE2(count_of(body["reduced_by"]) // 2))


# A fill, in a frame or a row.


def _bigger(body: Body, _: random.Random) -> None:
    body["count_fp"] = format_count(CountE2(count_of(body["count_fp"]) * MORE))


def _smaller(body: Body, _: random.Random) -> None:
    body["count_fp"] = format_count(CountE2(max(1, count_of(body["count_fp"]) // 2)))


def _dearer(body: Body, rng: random.Random) -> None:
    price = PriceE4(min(9_900, max(100, price_of(body["yes_price_dollars"]) + rng.choice((-500, 100, 500)))))
    _priced(body, price)


def _priced(body: Body, price: PriceE4) -> None:
    body["yes_price_dollars"] = format_price(price)
    if "no_price_dollars" in body:
        body["no_price_dollars"] = format_price(complement(price))


def _other_outcome(body: Body, _: random.Random) -> None:
    is_yes = body["outcome_side"] == "yes"
    body.update(outcome_side="no" if is_yes else "yes", book_side="ask" if is_yes else "bid")


def _other_fee(body: Body, rng: random.Random) -> None:
    body["fee_cost"] = format_money(MoneyE6(rng.choice((0, 10_000, 5_000_000))))


def _other_role(body: Body, _: random.Random) -> None:
    body["is_taker"] = not body["is_taker"]


def _other_time(body: Body, rng: random.Random) -> None:
    by_ms = rng.choice((-3_600_000, -1_500, 60_000))
    if "ts_ms" in body:
        body["ts_ms"] += by_ms
    if "created_time" in body:
        body["created_time"] = to_iso(from_iso(body["created_time"]) + by_ms * US_PER_MS)


def _other_fill(body: Body, rng: random.Random) -> None:
    body["trade_id"] = _another_id(rng)
    if "fill_id" in body:
        body["fill_id"] = body["trade_id"]


# Where an order stands, in a frame or a row.


def _executed(body: Body, _: random.Random) -> None:
    body.update(status="executed", fill_count_fp=body["initial_count_fp"], remaining_count_fp="0.00")


def _canceled(body: Body, _: random.Random) -> None:
    body.update(status="canceled", remaining_count_fp="0.00")


def _still_rests(body: Body, _: random.Random) -> None:
    left = count_of(body["initial_count_fp"]) - count_of(body["fill_count_fp"])
    body.update(status="resting", remaining_count_fp=format_count(CountE2(left)))


def _more_filled(body: Body, _: random.Random) -> None:
    more = (count_of(body["initial_count_fp"]) + count_of(body["fill_count_fp"])) // 2
    body["fill_count_fp"] = format_count(CountE2(more))


def _less_filled(body: Body, _: random.Random) -> None:
    body["fill_count_fp"] = "0.00"


def _other_count(body: Body, _: random.Random) -> None:
    body["initial_count_fp"] = format_count(CountE2(count_of(body["initial_count_fp"]) * 2))


# What the account has.


def _held_more(body: Body, rng: random.Random) -> None:
    held = parse_change(body["position_fp"]) + rng.choice((-1_000, -100, 100, 1_000))
    body["position_fp"] = format_count(CountE2(held))


def _turned_around(body: Body, _: random.Random) -> None:
    body["position_fp"] = format_count(CountE2(-parse_change(body["position_fp"])))


def _held_nothing(body: Body, _: random.Random) -> None:
    body.update(position_fp="0.00", market_exposure_dollars="0.000000")


def _other_result(body: Body, _: random.Random) -> None:
    body["market_result"] = "no" if body["market_result"] == "yes" else "yes"


def _other_revenue(body: Body, rng: random.Random) -> None:
    body["revenue"] = max(0, body["revenue"] + rng.choice((-500, 1, 500)))


def _other_balance(body: Body, rng: random.Random) -> None:
    cents = max(0, body["balance"] + rng.choice((-50_000, -1, 1, 50_000)))
    body.update(balance=cents, balance_dollars=format_price(PriceE4(cents * 100)))


PLACED: Final[tuple[Lie, ...]] = (_all_filled, _nothing_filled, _half_filled, _too_much, _other_order, _other_name)
AMENDED: Final[tuple[Lie, ...]] = (_all_filled, _nothing_filled, _half_filled, _too_much, _other_order)
CANCELLED: Final[tuple[Lie, ...]] = (_reduced_by_nothing, _reduced_by_more, _reduced_by_half, _other_order)
FILL: Final[tuple[Lie, ...]] = (_bigger, _smaller, _dearer, _other_outcome, _other_fee, _other_role, _other_time)
ORDER: Final[tuple[Lie, ...]] = (
    _executed,
    _canceled,
    _still_rests,
    _more_filled,
    _less_filled,
    _other_count,
    _other_outcome,
    _dearer,
    _other_order,
)
ANSWERS: Final[dict[str, tuple[Lie, ...]]] = {"place": PLACED, "change": AMENDED, "cancel": CANCELLED}
FRAMES: Final[dict[str, tuple[Lie, ...]]] = {"fill": FILL, "user_order": ORDER}
ACCOUNT: Final[dict[str, tuple[Lie, ...]]] = {
    "positions": (_held_more, _turned_around, _held_nothing),
    "settlements": (_other_result, _other_revenue),
    "balance": (_other_balance,),
}
ACCOUNT_ROWS: Final = {"positions": "market_positions", "settlements": "settlements"}
PAGES: Final = ("missing", "stale", "altered", "cut short", "repeated")


class Lies:
    """`about` has the ids of the orders that anything was said of that is not so; `counts` how many lies of each kind
    there were."""

    def __init__(self, faults: LieFaults, seed: int, counts: Counter[str]) -> None:
        self.about: set[str] = set()
        self._faults, self._counts = faults, counts
        self._answers, self._frames, self._listings, self._account = (
            random.Random(f"false {name}:{seed}") for name in ("answers", "frames", "listings", "account")
        )

    def answer(self, kind: str, answer: object) -> object:
        """The answer to a write of that kind, as it is or not."""
        lies = ANSWERS.get(kind)
        rng = self._answers
        if lies is None or rng.randrange(1_000) >= self._faults.answers_per_mille:
            return answer
        body: Body = msgspec.to_builtins(answer)
        if "order_id" not in body or (kind == "cancel") != ("reduced_by" in body):
            return answer  # of a batch, or of something else
        self._apply(rng.choice(lies), body, rng, f"{kind} answer")
        return body

    def frames(self, kind: str, frame: bytes) -> tuple[bytes, ...]:
        """What is sent instead of a frame about a member's own orders and fills: one, or a fill under two names."""
        rng = self._frames
        if kind not in FRAMES or rng.randrange(1_000) >= self._faults.frames_per_mille:
            return (frame,)
        envelope: Body = msgspec.json.decode(frame)
        if kind == "fill" and rng.randrange(4) == 0:
            self._apply(_other_fill, envelope["msg"], rng, kind)
            return frame, msgspec.json.encode(envelope)
        self._apply(rng.choice(FRAMES[kind]), envelope["msg"], rng, kind)
        return (msgspec.json.encode(envelope),)

    def page(self, what: str, page: object, now_us: int) -> object:
        """A page of the listing of `orders` or `fills`."""
        rng = self._listings
        if rng.randrange(1_000) >= self._faults.listings_per_mille:
            return page
        body: Body = msgspec.to_builtins(page)
        rows: list[Body] = body[what]
        fresh_us = now_us - self._faults.listing_ms * US_PER_MS
        fresh = [number for number, row in enumerate(rows) if _changed_us(row) > fresh_us]
        if not fresh:
            return page
        number, kind = rng.choice(fresh), rng.choice(PAGES)
        row = rows[number]
        if kind == "altered":
            self._apply(rng.choice(FILL if what == "fills" else ORDER), row, rng, f"{what} row")
            return body
        gone = [row]
        if kind == "stale":  # as before the last fill, or without it
            if what == "orders":
                _less_filled(row, rng)
                _still_rests(row, rng)
            else:
                del rows[number]
        elif kind == "missing":
            del rows[number]
        elif kind == "cut short":  # the cursor says that there is no more
            gone = [rows[at] for at in fresh]
            body[what] = [each for at, each in enumerate(rows) if at not in set(fresh)]
        elif kind == "repeated":
            rows.extend([dict(each) for each in rows])
        self.about.update(each["order_id"] for each in gone)
        self._counts[f"lie: {what} {kind}"] += 1
        return body

    def account(self, what: str, answer: object) -> object:
        """A page of `positions` or of `settlements`, one row of which is false or gone; or a false `balance`."""
        rng = self._account
        if rng.randrange(1_000) >= self._faults.account_per_mille:
            return answer
        body: Body = msgspec.to_builtins(answer)
        if what not in ACCOUNT_ROWS:
            self._tell(rng.choice(ACCOUNT[what]), body, rng, what)
            return body
        rows: list[Body] = body[ACCOUNT_ROWS[what]]
        if not rows:
            return answer
        number = rng.randrange(len(rows))
        if rng.randrange(1 + len(ACCOUNT[what])) == 0:
            del rows[number]
            self._counts[f"lie: {what} missing"] += 1
        else:
            self._tell(rng.choice(ACCOUNT[what]), rows[number], rng, f"{what} row")
        return body

    def _apply(self, lie: Lie, body: Body, rng: random.Random, where: str) -> None:
        self.about.add(body["order_id"])
        self._tell(lie, body, rng, where)

    def _tell(self, lie: Lie, body: Body, rng: random.Random, where: str) -> None:
        lie(body, rng)
        self._counts[f"lie: {where} {lie.__name__.strip('_').replace('_', ' ')}"] += 1


def _changed_us(row: Body) -> int:
    return max(from_iso(row[name]) for name in ("created_time", "last_update_time") if name in row)
