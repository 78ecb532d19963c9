"""Deciding: what an execution wants to do about a fact. Pure; returns intents, changes nothing.

The ending flag outranks every algorithm: once it stands, only cancels follow. Otherwise the algorithm is asked, and
its wishes are held (the moment forbids them; it will be asked again) or refused (they break an invariant: its bug).
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from fsm_exec.core.algorithm import (
    Algorithm,
    GiveUpWish,
    PlaceWish,
    Progress,
    RepriceWish,
    Slice,
    SliceProgress,
    WithdrawWish,
    Working,
)
from fsm_exec.core.errors import LocalError
from fsm_exec.core.events import (
    AnyEvent,
    AnyIntent,
    DecisionDue,
    GiveUp,
    MakePlan,
    Place,
    PlaceAgain,
    Reprice,
    Withdraw,
)
from fsm_exec.core.execution import Child, Execution
from fsm_exec.core.units import CountE2, PriceE4, complement
from fsm_exec.core.view import View


class IllegalWish(LocalError):
    """An algorithm wished for what an invariant forbids."""


def choose(seen: Execution, event: AnyEvent, algorithm: Algorithm) -> tuple[AnyIntent, ...]:
    """The intents of an execution that has already absorbed `event`. Raises IllegalWish."""
    if seen.is_ended:
        return ()
    if seen.ending is not None:
        return _cancels(seen)
    again = tuple(
        PlaceAgain(client_order_id=child.client_order_id)
        for child in seen.children
        if child.state == "intended" and not any(e.client_order_id == child.client_order_id for e in seen.outbox)
    )
    if not isinstance(event, DecisionDue):
        return again
    intents: list[AnyIntent] = list(again)
    if seen.state == "pending":
        slices = algorithm.plan(seen.goal, event.view)
        _check_plan(seen, slices)
        intents.append(MakePlan(slices=slices))
        seen = replace(seen, slices=slices)  # the plan and its first orders are one decision: waiting costs
    wishes = algorithm.replan(_progress(seen, event.at_us), event.view)
    free = seen.free_e2
    touched: set[int] = set()
    for wish in wishes:
        if not isinstance(wish, GiveUpWish):
            if wish.level in touched:
                raise IllegalWish(f"two wishes for slice {wish.level} in one decision; one write in flight per order")
            touched.add(wish.level)
        match wish:
            case PlaceWish():
                placed = _place(seen, wish, event.view, free)
                if placed is not None:
                    free = CountE2(free - placed.count_e2)
                    intents.append(placed)
            case RepriceWish():
                intents += _reprice(seen, wish, event.view)
            case WithdrawWish():
                intents += [
                    Withdraw(client_order_id=child.client_order_id)
                    for child in seen.children
                    if child.level == wish.level and _is_cancellable(child)
                ]
            case GiveUpWish():
                plan = [intent for intent in intents if isinstance(intent, MakePlan)]
                return (*plan, GiveUp(reason=wish.reason), *_cancels(seen))
            case _:
                assert_never(wish)
    return tuple(intents)


def _is_cancellable(child: Child) -> bool:
    """Live under a known id with no write outstanding. A lost amend may only be followed by a cancel."""
    return (
        child.state in ("resting", "partial")
        and child.order_id is not None
        and (child.write is None or child.write.lost)
    )


def _cancels(seen: Execution) -> tuple[AnyIntent, ...]:
    return tuple(Withdraw(client_order_id=child.client_order_id) for child in seen.children if _is_cancellable(child))


def _check_plan(seen: Execution, slices: tuple[Slice, ...]) -> None:
    levels = [s.level for s in slices]
    if sum(s.count_e2 for s in slices) != seen.target_e2 or any(s.count_e2 <= 0 for s in slices):
        raise IllegalWish(f"the plan's slices are not {seen.target_e2} in parts above zero")
    if len(set(levels)) != len(levels) or any(level < 1 for level in levels):
        raise IllegalWish(f"the plan's levels {levels} are not distinct numbers from 1")


def _progress(seen: Execution, at_us: int) -> Progress:
    """What is free is shared out: a late fill of one slice leaves the others less than their own count."""
    left = max(0, seen.free_e2)
    slices: list[SliceProgress] = []
    for part in seen.slices:
        progress = _slice_progress(seen, part)
        free = CountE2(max(0, min(progress.free_e2, left)))
        left -= free
        slices.append(replace(progress, free_e2=free))
    return Progress(goal=seen.goal, at_us=at_us, walks=seen.walks, slices=tuple(slices))


def _slice_progress(seen: Execution, part: Slice) -> SliceProgress:
    children = [child for child in seen.children if child.level == part.level]
    working = next((child for child in children if child.is_open), None)
    return SliceProgress(
        level=part.level,
        count_e2=part.count_e2,
        filled_e2=CountE2(sum(child.filled_e2 for child in children)),
        free_e2=CountE2(part.count_e2 - sum(child.committed_e2 for child in children)),
        sent=sum(child.order_id is not None for child in children),
        working=None
        if working is None
        else Working(
            price_e4=working.price_e4,
            count_e2=working.count_e2,
            filled_e2=working.filled_e2,
            busy=working.state not in ("resting", "partial") or working.write is not None,
        ),
    )


def _place(seen: Execution, wish: PlaceWish, view: View, free: CountE2) -> Place | None:
    """The order, a tick short where our own order on the other outcome stands; None while the moment forbids it."""
    part = next((s for s in seen.slices if s.level == wish.level), None)
    if part is None:
        raise IllegalWish(f"there is no slice {wish.level}")
    if any(child.level == wish.level and child.is_open for child in seen.children):
        raise IllegalWish(f"slice {wish.level} has an order already; a new one needs the old one's end")
    if not 0 < wish.count_e2 <= min(free, _slice_progress(seen, part).free_e2):
        raise IllegalWish(f"slice {wish.level}: {wish.count_e2} is not free to be placed")
    if wish.post_only and wish.time_in_force != "good_till_canceled":
        raise IllegalWish(f"slice {wish.level}: {wish.time_in_force} and post only can do nothing")
    _check_price(seen, wish.price_e4, taker=not wish.post_only)
    if not view.is_tradable or view.at_us < seen.held_until_us:
        return None
    price = _short_of_own(wish.price_e4, view)
    if price is None:
        return None
    if price < wish.price_e4 and wish.time_in_force != "good_till_canceled" and not _reaches(price, view):
        return None  # an immediate order that stops short of the whole book would only be used up: it waits
    return Place(
        level=wish.level,
        price_e4=price,
        count_e2=wish.count_e2,
        time_in_force=wish.time_in_force,
        post_only=wish.post_only,
        mid_e5=view.mid_e5,
    )


def _reaches(price: PriceE4, view: View) -> bool:
    return view.best_ask is not None and price >= view.best_ask


def _reprice(seen: Execution, wish: RepriceWish, view: View) -> list[AnyIntent]:
    """Every amend counts as a taker: it can cross, and nothing says that post-only survives it."""
    child = next((c for c in seen.children if c.level == wish.level and c.is_open), None)
    if child is None:
        raise IllegalWish(f"slice {wish.level} has no order to give a new price")
    _check_price(seen, wish.price_e4, taker=True)
    price = _short_of_own(wish.price_e4, view)
    busy = child.write is not None or child.state not in ("resting", "partial")
    if busy or price is None or price == child.price_e4 or not view.is_tradable:
        return []
    return [Reprice(client_order_id=child.client_order_id, price_e4=price)]


def _check_price(seen: Execution, price: PriceE4, *, taker: bool) -> None:
    limits, terms = seen.limits, seen.terms
    if limits is None or not terms.grid.seen_from(seen.outcome).contains(price):
        raise IllegalWish(f"price {price} is not on the grid")
    if price > limits.worst_e4 or terms.fees.all_in(price, taker=taker) > limits.cap_e6:
        raise IllegalWish(f"price {price} is beyond the worst price {limits.worst_e4} or the cap {limits.cap_e6}")


def _short_of_own(price: PriceE4, view: View) -> PriceE4 | None:
    """`price`, lowered to a tick below the price at which it would meet our own bid for the other outcome."""
    if view.own_other_best_e4 is None or price < complement(view.own_other_best_e4):
        return price
    return view.grid.floor(complement(view.own_other_best_e4) - 1)
