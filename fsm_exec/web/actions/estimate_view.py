"""An estimate as a person reads it beside the form: facts, and a line for each method. Pure."""

from __future__ import annotations

import msgspec

from fsm_exec.control.market_schema import WITHOUT_BASIS, Estimate, MethodForecast
from fsm_exec.core.values.short_text import cents, percent, trim_count, trim_dollars
from fsm_exec.web.actions.confirmations import Fact

COMPARED = ("deadline_walker", "passive_mid", "market")
"""The methods that stand beside the one that was chosen."""


class ForecastLine(msgspec.Struct, frozen=True, kw_only=True):
    """One method: cents per contract above the mid, all included. `no_basis` says why nothing is known."""

    method: str
    cost: str = "-"
    within: str = "-"
    filled: str = "-"
    all_filled: str = "-"
    no_basis: str | None = None


class EstimateView(msgspec.Struct, frozen=True, kw_only=True):
    """`proposed` is a limit that the form can take over, where it had no price."""

    facts: list[Fact]
    forecasts: list[ForecastLine]
    refusals: list[str]
    proposed: str | None
    fitted_on: str | None


def view_estimate(told: Estimate) -> EstimateView:
    """View an estimate: what taking it now costs, its limits, what each method is likely to make of it."""
    return EstimateView(
        facts=[
            Fact("Book now", f"bid {_price(told.bid)}, ask {_price(told.ask)}"),
            Fact("Taking now", _taking(told)),
            Fact("Worst price", f"{trim_dollars(told.limit)} per contract, before fees"),
            Fact("Cap", f"{trim_dollars(told.cap)} per contract, with fees"),
            Fact("Worst case", f"{trim_dollars(told.at_most)} dollars in all"),
            Fact(
                "Writes", f"{told.writes.to_place} tokens to place, {told.writes.left} of {told.writes.capacity} left"
            ),
        ],
        forecasts=[_line(one) for one in told.methods],
        refusals=told.refusals,
        proposed=trim_dollars(told.limit) if told.limit_from == "book" else None,
        fitted_on=told.fitted_on,
    )


def _taking(told: Estimate) -> str:
    now = told.taking_now
    if not now.quantity.strip("0."):
        return "nothing is offered within the limit"
    above = "" if now.above_mid is None else f"; {cents(now.above_mid)} c per contract above the mid"
    return (
        f"{trim_count(now.quantity)} of {trim_count(told.quantity)} for {trim_dollars(now.cost)} dollars, "
        f"fees {trim_dollars(now.fees)} of them{above}"
    )


def _line(one: MethodForecast) -> ForecastLine:
    if one.cost is None or one.cost_low is None or one.cost_high is None:
        word = one.no_basis or "method"
        return ForecastLine(method=one.method, no_basis=WITHOUT_BASIS.get(word, word))
    return ForecastLine(
        method=one.method,
        cost=cents(one.cost),
        within=f"{cents(one.cost_low)} to {cents(one.cost_high)}",
        filled=percent(one.fill_share),
        all_filled=percent(one.all_filled),
    )


def _price(price: str | None) -> str:
    return "-" if price is None else trim_dollars(price)
