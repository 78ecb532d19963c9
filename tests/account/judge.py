"""The claims about random accounts, checked one case after the other, and how often each kind of case came."""

from __future__ import annotations

from collections import Counter
from random import Random

from msgspec.structs import replace

from fsm_exec.core.account.admission import change_by, order_of, why_refused
from fsm_exec.core.account.brake import Reserved, needs_to_end
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import OpenOrder, Stake, exposure_of, loss_e6, worst_case_e6
from fsm_exec.core.values.units import CountE2, MoneyE6
from tests.account.oracle import Figures, figures_of, limits_against, most_contracts
from tests.account.random_books import Case, draw_case, fill_some


def judge_cases(seed: str, number: int) -> Counter[str]:
    """Draw `number` cases from `seed` and check each; the kinds of cases seen. Prints the case that fails."""
    rng = Random(seed)
    seen: Counter[str] = Counter()
    for index in range(number):
        case = near_a_limit(rng, draw_case(rng))
        try:
            judge(rng, case, seen)
            judge_endings(rng, case, seen)
        except AssertionError:
            print(f"seed {seed!r}, case {index}: {case}")  # noqa: T201
            raise
    return seen


def near_a_limit(rng: Random, case: Case) -> Case:
    """A quarter of all cases with the limits of event and account where the request would lead, or a dollar lower."""
    if rng.random() > 0.25:
        return case
    situation = case.situation
    orders = [*situation.orders, order_of(case.request, situation.stakes, situation.orders)]
    exposure = exposure_of(situation.stakes, orders, situation.shapes)
    event = loss_e6(exposure.by_event[case.request.event or case.request.ticker])
    account = loss_e6(exposure.account_e6)
    lower = rng.random() < 0.3
    return replace(
        case,
        limits=RiskLimits(
            max_worst_case_event_dollars=max(1, -(-event // 1_000_000) - lower),
            max_worst_case_account_dollars=max(1, -(-account // 1_000_000) - lower),
        ),
    )


def judge_endings(rng: Random, case: Case, seen: Counter[str]) -> None:
    """What stays in `reducing` raises no event's worst case, each that ends would raise one, in whatever order they
    are listed; and an end never makes a worst case worse."""
    if rng.random() > 0.25:
        return
    shapes, stakes = dict(case.situation.shapes), list(case.situation.stakes)
    others, working = [], []
    for index, order in enumerate(case.situation.orders):
        if rng.random() < 0.2:
            others.append(order)
        else:
            working.append(Reserved(f"x{index}", order))
    ending = needs_to_end(stakes, working, others, shapes)
    mixed = rng.sample(working, len(working))
    assert needs_to_end(stakes, mixed, others, shapes) == ending
    kept = [one.order for one in working if one.execution_id not in ending]
    least = figures_of(stakes, others, shapes)["event"]
    left = figures_of(stakes, [*others, *kept], shapes)["event"]
    full = figures_of(stakes, [*others, *(one.order for one in working)], shapes)["event"]
    for event, worst in left.items():
        assert worst == least.get(event, 0)
        assert worst >= full[event]
    for one in working:
        if one.execution_id in ending:
            name = one.order.event or one.order.ticker
            more = figures_of(stakes, [*others, *kept, one.order], shapes)["event"]
            assert more[name] < left.get(name, 0), one
    seen["some end"] += bool(ending)
    seen["some stay"] += bool(kept)
    seen["some end, some stay"] += bool(ending) and bool(kept)


def judge(rng: Random, case: Case, seen: Counter[str]) -> None:
    """Figures and decision equal the oracle's; what is let in passes no limit whatever fills afterwards."""
    request, situation, limits = case.request, case.situation, case.limits
    shapes = dict(situation.shapes)
    stakes, orders = list(situation.stakes), list(situation.orders)
    asked = order_of(request, stakes, orders)
    check_reduced_count(case, asked)
    with_it = [*orders, asked]
    before, after = figures_of(stakes, orders, shapes), figures_of(stakes, with_it, shapes)
    assert figures_by_code(stakes, orders, case) == before
    assert figures_by_code(stakes, with_it, case) == after
    check_change(case, asked, before, after)

    against = limits_against(request, situation, limits, before, after)
    refusal = why_refused(request, situation, limits)
    assert (refusal is None) == (not against), (refusal, against)
    count(case, seen, before, after, against)
    if refusal is not None:
        assert refusal.limit in against
        return
    left_stakes, left_orders = fill_some(rng, case, with_it)
    later = figures_by_code(left_stakes, left_orders, case)
    for level in ("market", "event", "series", "account"):
        for key, worst in later[level].items():
            # Fills and ends never make it worse, but for what rounding a filled part and its rest apart adds.
            assert worst >= after[level].get(key, 0) - len(with_it), (level, key)
    for level, limit in (
        ("market", limits.max_worst_case_market_dollars),
        ("event", limits.max_worst_case_event_dollars),
        ("series", limits.max_worst_case_series_dollars),
        ("account", limits.max_worst_case_account_dollars),
    ):
        for key, worst in later[level].items():
            most = None if limit is None else max(limit * 1_000_000, -before[level].get(key, 0))
            assert most is None or -worst <= most + len(with_it), (level, key)


def figures_by_code(stakes: list[Stake], orders: list[OpenOrder], case: Case) -> Figures:
    """What the code under test says, as the oracle puts it."""
    exposure = exposure_of(stakes, orders, case.situation.shapes)
    return {
        "market": exposure.by_market,
        "event": exposure.by_event,
        "series": exposure.by_series,
        "account": {"": exposure.account_e6},
        "contracts": exposure.contracts_e2,
    }


def check_change(case: Case, asked: OpenOrder, before: Figures, after: Figures) -> None:
    """`change_by` says of its own levels what the whole account's figures say."""
    change = change_by(asked, case.situation.stakes, case.situation.orders, case.situation.shapes)
    name = asked.event or asked.ticker
    for level, key, pair in (
        ("market", asked.ticker, change.market_e6),
        ("event", name, change.event_e6),
        ("series", asked.series, change.series_e6),
        ("account", "", change.account_e6),
        ("contracts", asked.ticker, change.contracts_e2),
    ):
        assert pair == (before[level].get(key, 0), after[level][key]), level


def check_reduced_count(case: Case, asked: OpenOrder) -> None:
    """One that only reduces is counted with what is held of the other outcome at most, all of it coming included."""
    request, situation = case.request, case.situation
    if not request.reduces_only:
        assert asked.count_e2 == request.count_e2
        return
    sign = -1 if request.outcome == "yes" else 1
    held = sum(sign * stake.count_e2 for stake in situation.stakes if stake.ticker == request.ticker)
    coming = [
        order for order in situation.orders if order.ticker == request.ticker and order.outcome != request.outcome
    ]
    most = held + sum(order.count_e2 for order in coming)
    assert asked.count_e2 == max(0, min(request.count_e2, most))
    here = [stake for stake in situation.stakes if stake.ticker == request.ticker]
    if not coming and held >= 0 and request.all_in_e6 <= 1_000_000:
        orders = [order for order in situation.orders if order.ticker == request.ticker]
        if not orders:
            assert worst_case_e6(here, [asked], None) == worst_case_e6(here, [], None)
            assert most_contracts(here, [asked]) == most_contracts(here, [])


def count(case: Case, seen: Counter[str], before: Figures, after: Figures, against: set[str]) -> None:
    """Which kinds this case is of: a claim about none of them would be empty."""
    request, situation = case.request, case.situation
    name = request.event or request.ticker
    shape = situation.shapes.get(name)
    raises_event = after["event"][name] < before["event"].get(name, 0)
    raises_market = after["market"][request.ticker] < before["market"].get(request.ticker, 0)
    was_past = past(before, case)
    seen.update(against)
    seen["refused" if against else "admitted"] += 1
    seen["raises nothing"] += not raises_event and not raises_market
    seen["raises the market alone"] += raises_market and not raises_event
    seen["raises the event alone"] += raises_event and not raises_market
    seen["reduces once filled"] += reduces_once_filled(case, before)
    seen["exclusive"] += shape is not None and shape.mutually_exclusive
    seen["exhaustive"] += shape is not None and shape.mutually_exclusive and shape.exhaustive
    seen["no shape"] += shape is None
    seen["past a limit before"] += was_past
    seen["past a limit before, and let in"] += was_past and not against
    seen["let in exactly at a limit"] += not against and raises_event and at_a_limit(after, case)
    seen["reduce-only"] += request.reduces_only


def past(figures: Figures, case: Case) -> bool:
    """Whether the worst case of the account or of the request's event is past its limit."""
    account, event = case.limits.max_worst_case_account_dollars, case.limits.max_worst_case_event_dollars
    name = case.request.event or case.request.ticker
    return (account is not None and -figures["account"][""] > account * 1_000_000) or (
        event is not None and -figures["event"].get(name, 0) > event * 1_000_000
    )


def at_a_limit(figures: Figures, case: Case) -> bool:
    """Whether the worst case of the account or of the request's event is its limit to the last millionth."""
    account, event = case.limits.max_worst_case_account_dollars, case.limits.max_worst_case_event_dollars
    name = case.request.event or case.request.ticker
    return (account is not None and -figures["account"][""] == account * 1_000_000) or (
        event is not None and -figures["event"][name] == event * 1_000_000
    )


def reduces_once_filled(case: Case, before: Figures) -> bool:
    """Whether less can be lost of its event when all of the request has filled."""
    request, situation = case.request, case.situation
    asked = order_of(request, situation.stakes, situation.orders)
    name = request.event or request.ticker
    signed = asked.count_e2 if asked.outcome == "yes" else -asked.count_e2
    bought = Stake(
        asked.ticker,
        asked.event,
        asked.series,
        CountE2(signed),
        MoneyE6(-asked.count_e2 * asked.all_in_e6 // 100),
    )
    held = [one for one in (*situation.stakes, bought) if (one.event or one.ticker) == name]
    orders = [one for one in situation.orders if (one.event or one.ticker) == name]
    return worst_case_e6(held, orders, situation.shapes.get(name)) > before["event"].get(name, 0)
