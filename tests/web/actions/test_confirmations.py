"""A confirmation states what exactly will happen, and what is sent with it is what it states."""

from __future__ import annotations

import msgspec

from fsm_exec.control.market_schema import Estimate, LimitUse, MethodForecast, TakingNow, WritesNeeded
from fsm_exec.core.market.position_closing import close_terms
from fsm_exec.web.actions.confirmations import Confirmation, confirm_close, confirm_submit
from fsm_exec.web.actions.estimate_view import view_estimate
from fsm_exec.web.actions.wanted import CloseForm, SubmitForm
from tests.core.conftest import World, ladder

FORM = SubmitForm(key="page-1", ticker="KXTEST-A", outcome="no", quantity="40", price="0.62", horizon_s="120")
TOLD = Estimate(
    ticker="KXTEST-A",
    outcome="no",
    quantity="40.00",
    seconds=120,
    limit="0.6200",
    cap="0.636500",
    limit_from="given",
    at_most="25.460000",
    bid="0.6000",
    ask="0.6300",
    mid="0.61500",
    taking_now=TakingNow(quantity="0.00", cost="0.000000", fees="0.000000", above_mid=None),
    methods=[
        MethodForecast(
            method="deadline_walker@1",
            cost="-0.00120",
            cost_low="-0.01000",
            cost_high="0.00800",
            fill_share="0.912000",
            all_filled="0.700000",
            executions=900,
        ),
        MethodForecast(method="market@1", no_basis="book"),
    ],
    writes=WritesNeeded(to_place=10, to_cancel=6, left=90, capacity=100),
    limits=[LimitUse(limit="max_worst_case_event_dollars", allowed="100", used="3.00", after="28.46")],
    refusals=[],
    fitted_on="2026-10-01",
    fitted_to=["a", "b"],
)


def test_a_submission_is_confirmed_with_all_that_money_depends_on() -> None:
    """Market, side, quantity, worst price, cap, the most it may cost, and what the account may lose then."""
    found = confirm_submit(FORM, TOLD)
    facts = _facts(found)
    assert found.title == "Buy 40 NO of KXTEST-A?"
    assert (facts["Buy"], facts["Market"], facts["Method"]) == ("up to 40 NO", "KXTEST-A", "deadline_walker")
    assert facts["Worst price"] == "0.62 per contract, before fees"
    assert facts["Cap"] == "0.6365 per contract, with fees"
    assert facts["Worst case"] == "25.46 dollars are paid, and lost if the outcome does not come"
    assert facts["Event at risk"] == "28.46 of 100 dollars allowed, 3.00 now"
    assert facts["Ends"] == "within 120 s"


def test_what_is_confirmed_is_what_was_reviewed() -> None:
    """The fields that the confirmation sends are the form's, so nothing typed afterwards gets in."""
    assert msgspec.convert(confirm_submit(FORM, TOLD).fields, SubmitForm) == FORM


def test_what_would_be_refused_says_why() -> None:
    """The refusals of the estimate stand in the confirmation, in the API's words."""
    told = msgspec.structs.replace(TOLD, refusals=["the engine is halted (user) and accepts no work"])
    assert confirm_submit(FORM, told).refusals == told.refusals


def test_a_close_states_the_least_it_brings_and_sends_it() -> None:
    """Quantity and limit of now are fixed by the confirmation: a book that moves afterwards changes neither."""
    terms = close_terms(World.terms(), 5_000, ladder((4_000, 3_000), (4_200, 10_000)))
    found = confirm_close(terms, "close", 60, "page-3")
    facts = _facts(found)
    assert found.title == f"Close 50 YES of {World.terms().ticker}?"
    assert facts["Worst price"] == "0.56 or more per contract held, before fees"
    assert facts["By"] == "buying NO, never more than is held, with close"
    form = msgspec.convert(found.fields, CloseForm)
    assert (form.key, form.quantity, form.limit) == ("page-3", "50.00", "0.5600")


def test_an_estimate_says_what_each_method_is_likely_to_cost() -> None:
    """Cents with their interval, and of a method without a basis why."""
    view = view_estimate(TOLD)
    known, unknown = view.forecasts
    assert (known.cost, known.within, known.filled, known.all_filled) == ("-0.12", "-1.00 to 0.80", "91 %", "70 %")
    assert unknown.no_basis == "the book has no two sides, or is not live"
    assert (view.proposed, view.facts[1].value) == (None, "nothing is offered within the limit")


def test_a_limit_from_the_book_can_be_taken_over() -> None:
    """Only where the form had no price."""
    assert view_estimate(msgspec.structs.replace(TOLD, limit_from="book")).proposed == "0.62"


def _facts(found: Confirmation) -> dict[str, str]:
    return {fact.name: fact.value for fact in found.facts}
