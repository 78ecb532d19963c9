"""From actions to intents: what is allowed, what has to wait, and what is the algorithm's bug.

An action that the moment forbids (feed not live, market paused, our own order in the way, an answer outstanding) is
dropped, and the algorithm is asked again. An action that breaks an invariant raises IllegalAction. No order is ever
placed or moved but through here, the closing leg's included.

An immediate order that our own order on the other outcome would hold short of the whole book waits: sent a tick short
it would be used up for nothing.
"""

from __future__ import annotations

from typing import Final, get_args

from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import (
    Action,
    AmendAction,
    GiveUpReason,
    PlaceAction,
    Progress,
    Slice,
    SliceProgress,
    TransferAction,
    Working,
)
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.events import Amend, Cancel, DecisionDue, Place, ResendCancel
from fsm_exec.core.execution.execution import ChildOrder, Execution
from fsm_exec.core.execution.lease import put_off_s
from fsm_exec.core.execution.timing import FEE_LEAD_US
from fsm_exec.core.market.orders import TimeInForce
from fsm_exec.core.values.units import CountE2, PriceE4, complement

_TYPES: Final = dict.fromkeys(("level", "from_level", "to_level", "price_e4", "count_e2"), int) | {"post_only": bool}
_WORDS: Final = {"time_in_force": get_args(TimeInForce), "reason": get_args(GiveUpReason)}


class IllegalAction(LocalError):
    """An algorithm wished for what an invariant forbids."""


def progress_of(seen: Execution, at_us: int) -> Progress:
    """Build what the algorithm sees. What is free is shared out: a late fill of one slice leaves the others less than
    their own count."""
    left = max(0, seen.free_e2)
    slices: list[SliceProgress] = []
    for part in seen.slices:
        progress = _slice_progress(seen, part)
        free = CountE2(max(0, min(progress.free_e2, left)))
        left -= free
        slices.append(replace(progress, free_e2=free))
    return Progress(goal=seen.goal_at(at_us), at_us=at_us, walks=seen.walks, writes=seen.writes, slices=tuple(slices))


def check_plan(seen: Execution, slices: tuple[Slice, ...]) -> tuple[Slice, ...]:
    """Return the slices. Raise IllegalAction unless they are the target in parts above zero."""
    check_kinds("plan", slices, (Slice,))
    levels = [s.level for s in slices]
    if sum(s.count_e2 for s in slices) != seen.target_e2 or any(s.count_e2 <= 0 for s in slices):
        raise IllegalAction(f"the plan's slices are not {seen.target_e2} in parts above zero")
    if len(set(levels)) != len(levels) or any(level < 1 for level in levels):
        raise IllegalAction(f"the plan's levels {levels} are not distinct numbers from 1")
    return slices


def check_actions(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """Return the actions. Raise IllegalAction for anything that is not an action, or holds what its type forbids."""
    check_kinds("replan", actions, get_args(Action))
    return actions


def check_kinds(asked: str, answer: object, kinds: tuple[type, ...]) -> None:
    """Check the types of an algorithm's answer. Structs do not, and algorithms come from third parties: a float that
    slips in here would be saved as one, and never be loaded again. Raises IllegalAction."""
    if not isinstance(answer, tuple):
        raise IllegalAction(f"{asked} answered a {type(answer).__name__}, not a tuple")
    for one in answer:
        if type(one) not in kinds:
            raise IllegalAction(f"{asked} answered with a {type(one).__name__} in the tuple")
        for name in one.__struct_fields__:
            value = getattr(one, name)
            if name in _WORDS and value not in _WORDS[name]:
                raise IllegalAction(f"{type(one).__name__}: {name} {value!r} is not one of {list(_WORDS[name])}")
            if name in _TYPES and type(value) is not _TYPES[name]:
                raise IllegalAction(f"{type(one).__name__}: {name} {value!r} is no {_TYPES[name].__name__}")


def slices_after_transfer(seen: Execution, action: TransferAction) -> tuple[Slice, ...]:
    """The slices after the transfer; the sum stays. Raises IllegalAction for what is not free to be moved."""
    source = _slice(seen, action.from_level)
    _slice(seen, action.to_level)
    free = _slice_progress(seen, source).free_e2
    if action.from_level == action.to_level or not 0 < action.count_e2 <= free:
        raise IllegalAction(f"{action.count_e2} cannot move from slice {action.from_level} to {action.to_level}")
    change = {action.from_level: -action.count_e2, action.to_level: action.count_e2}
    return tuple(replace(s, count_e2=CountE2(s.count_e2 + change.get(s.level, 0))) for s in seen.slices)


def slices_with_all_in(seen: Execution, level: int) -> tuple[Slice, ...]:
    """The slices when all that is free anywhere belongs to slice `level`; the sum stays."""
    others = {
        part.level: CountE2(part.count_e2 - max(0, _slice_progress(seen, part).free_e2))
        for part in seen.slices
        if part.level != level
    }
    rest = CountE2(seen.target_e2 - sum(others.values()))
    return tuple(replace(part, count_e2=others.get(part.level, rest)) for part in seen.slices)


def cancel_intents(seen: Execution, level: int | None = None) -> tuple[Cancel, ...]:
    """Everything that can be cancelled now, of one slice or of all: live under a known id with no write outstanding.
    A lost amend may only be followed by a cancel."""
    return tuple(
        Cancel(client_order_id=child.client_order_id)
        for child in seen.children
        if level in (None, child.level)
        and child.state in ("resting", "partial")
        and child.order_id is not None
        and (child.write is None or child.write.lost)
    )


def resend_cancel_intents(seen: Execution) -> tuple[ResendCancel, ...]:
    """Cancels without an outcome, of a process before this one or of this one: sending one again can do no harm."""
    return tuple(
        ResendCancel(client_order_id=child.client_order_id)
        for child in seen.children
        if child.state == "cancelling" and child.write is not None and child.write.lost
    )


def wants_nothing_more(seen: Execution) -> bool:
    """Whether nothing of this execution is wanted at the exchange any more, so that a cancel is sent until it is
    answered. While it goes on, only a look-up settles a cancel that got lost."""
    return seen.ending is not None or seen.draining or seen.closing is not None


def place_intent(seen: Execution, action: PlaceAction, view: MarketView, free: CountE2) -> Place | None:
    """The order, a tick short where our own order on the other outcome stands; None while the moment forbids it."""
    part = _slice(seen, action.level)
    if any(child.level == action.level and child.is_open for child in seen.children):
        raise IllegalAction(f"slice {action.level} has an order already; a new one needs the old one's end")
    if not 0 < action.count_e2 <= min(free, _slice_progress(seen, part).free_e2):
        raise IllegalAction(f"slice {action.level}: {action.count_e2} is not free to be placed")
    if action.post_only and action.time_in_force != "good_till_canceled":
        raise IllegalAction(f"slice {action.level}: {action.time_in_force} and post only can do nothing")
    if seen.reduce_only and action.time_in_force != "immediate_or_cancel":  # the exchange refuses any other
        raise IllegalAction(
            f"slice {action.level}: {action.time_in_force}, and what only closes is immediate_or_cancel"
        )
    _check_price(seen, action.price_e4, view.at_us, taker=not action.post_only)
    if not view.is_tradable or seen.is_held(view.at_us):
        return None
    price = _short_of_own(action.price_e4, view)
    if price is None:
        return None
    if price < action.price_e4 and action.time_in_force != "good_till_canceled" and not _reaches(price, view):
        return None  # an immediate order that stops short of the whole book would only be used up: it waits
    return Place(
        level=action.level,
        price_e4=price,
        count_e2=action.count_e2,
        time_in_force=action.time_in_force,
        post_only=action.post_only,
        mid_e5=view.mid_e5,
    )


def amend_intents(seen: Execution, action: AmendAction, event: DecisionDue) -> tuple[Amend, ...]:
    """Every amend counts as a taker: it can cross, and nothing says that post-only survives it. It puts off the order's
    end by itself on the way."""
    view = event.view
    if seen.reduce_only:
        raise IllegalAction(f"slice {action.level}: a new price for an order that only closes, which never rests")
    child = _open_child(seen, action.level)
    if child is None:
        raise IllegalAction(f"slice {action.level} has no order to give a new price")
    _check_price(seen, action.price_e4, view.at_us, taker=True)
    price = _short_of_own(action.price_e4, view)
    busy = child.write is not None or child.state not in ("resting", "partial")
    if busy or price is None or price == child.price_e4 or not view.is_tradable or seen.is_held(view.at_us):
        return ()
    return (
        Amend(client_order_id=child.client_order_id, price_e4=price, expires_s=put_off_s(seen, child, price, event)),
    )


def _slice(seen: Execution, level: int) -> Slice:
    for part in seen.slices:
        if part.level == level:
            return part
    raise IllegalAction(f"there is no slice {level}")


def _open_child(seen: Execution, level: int) -> ChildOrder | None:
    return next((child for child in seen.children if child.level == level and child.is_open), None)


def _slice_progress(seen: Execution, part: Slice) -> SliceProgress:
    children = [child for child in seen.children if child.level == part.level]
    working = _open_child(seen, part.level)
    return SliceProgress(
        level=part.level,
        count_e2=part.count_e2,
        filled_e2=CountE2(sum(child.filled_e2 for child in children)),
        free_e2=CountE2(part.count_e2 - sum(child.committed_e2 for child in children)),
        sent=sum(child.order_id is not None for child in children),
        last_placed_at_us=max((child.sent_at_us for child in children), default=None),
        working=None if working is None else _working(working),
        fruitless=_count_fruitless(children),
    )


def _count_fruitless(children: list[ChildOrder]) -> int:
    """Count how many of the latest ended orders, in a row, had no fill."""
    count = 0
    for child in reversed(children):
        if child.filled_e2:
            break
        count += not child.is_open
    return count


def _working(child: ChildOrder) -> Working:
    return Working(
        price_e4=child.price_e4,
        count_e2=child.count_e2,
        filled_e2=child.filled_e2,
        busy=child.state not in ("resting", "partial") or child.write is not None,
        post_only=child.post_only,
        placed_at_us=child.sent_at_us,
        moved_at_us=child.sent_at_us if child.moved_at_us is None else child.moved_at_us,
        walks=child.walks,
    )


def _reaches(price: PriceE4, view: MarketView) -> bool:
    return view.best_ask is not None and price >= view.best_ask


def _check_price(seen: Execution, price: PriceE4, at_us: int, *, taker: bool) -> None:
    limits, terms = seen.limits, seen.terms
    if limits is None or not terms.grid.seen_from(seen.outcome).contains(price):
        raise IllegalAction(f"price {price} is not on the grid")
    is_within = terms.is_within(limits.cap_e6, price, at_us, at_us + FEE_LEAD_US, taker=taker)
    if price > limits.worst_e4 or not is_within:
        raise IllegalAction(f"price {price} is beyond the worst price {limits.worst_e4} or the cap {limits.cap_e6}")


def _short_of_own(price: PriceE4, view: MarketView) -> PriceE4 | None:
    """`price`, lowered to a tick below the price at which it would meet our own bid for the other outcome."""
    if view.own_other_best_e4 is None or price < complement(view.own_other_best_e4):
        return price
    return view.grid.floor(complement(view.own_other_best_e4) - 1)
