"""What exactly will happen if an action is confirmed, in facts that a person can check. Pure.

What is confirmed is what was shown: the fields stand in the confirmation, and nothing is asked for anew. Figures that
move (a state, a price of now) are those of the moment it was drawn up.
"""

from __future__ import annotations

import msgspec

from fsm_exec.control.account_schema import RiskSeen
from fsm_exec.control.market_schema import Estimate
from fsm_exec.control.open_orders import describe_open_orders
from fsm_exec.control.schema import ExecutionDetail, Status
from fsm_exec.core.execution.execution import CHILD_ENDS
from fsm_exec.core.market.position_closing import CloseTerms
from fsm_exec.core.values.short_text import dollars, trim_count, trim_dollars
from fsm_exec.core.values.units import MoneyE6, ceil_div, format_count, format_money, format_price
from fsm_exec.runtime.status import EngineStatus
from fsm_exec.web.actions.wanted import SubmitForm

LIMIT_NAMES = {
    "max_worst_case_market_dollars": "Market at risk",
    "max_worst_case_event_dollars": "Event at risk",
    "max_worst_case_series_dollars": "Series at risk",
    "max_worst_case_account_dollars": "Account at risk",
}
"""What a limit of the worst case is about."""


class Fact(msgspec.Struct, frozen=True):
    name: str
    value: str


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What is confirmed. `fields` are sent with it; `refusals` say why it would be refused now, and then there is
    nothing to confirm. `is_grave`: it cannot be taken back."""

    title: str
    facts: list[Fact]
    button: str
    fields: dict[str, str] = {}
    refusals: list[str] = []
    is_grave: bool = False


def confirm_submit(form: SubmitForm, told: Estimate) -> Confirmation:
    """What a submission buys: market, side, quantity, worst price, cap, and the most that it may cost."""
    quantity, outcome = trim_count(told.quantity), told.outcome.upper()
    facts = [
        Fact("Buy", f"up to {quantity} {outcome}"),
        Fact("Market", told.ticker),
        Fact("Method", form.method.strip()),
        Fact("Ends", f"within {told.seconds} s"),
        Fact("Worst price", f"{trim_dollars(told.limit)} per contract, before fees"),
        Fact("Cap", f"{trim_dollars(told.cap)} per contract, with fees"),
        Fact("Worst case", f"{trim_dollars(told.at_most)} dollars are paid, and lost if the outcome does not come"),
    ]
    facts += [
        Fact(name, f"{dollars(use.after)} of {use.allowed} dollars allowed, {dollars(use.used)} now")
        for use in told.limits
        if (name := LIMIT_NAMES.get(use.limit)) is not None
    ]
    fields = {name: value.strip() for name, value in msgspec.structs.asdict(form).items()}
    title = f"Buy {quantity} {outcome} of {told.ticker}?"
    return Confirmation(title=title, facts=facts, button="Buy", fields=fields, refusals=told.refusals)


def confirm_cancel(seen: ExecutionDetail) -> Confirmation:
    """What a cancel ends, and what is kept."""
    execution = seen.execution
    filled, target = trim_count(execution.filled_quantity), trim_count(execution.target_quantity)
    open_orders = [order for order in seen.orders if order.state not in CHILD_ENDS]
    facts = [
        Fact("Execution", f"{execution.execution_id}, {execution.state}"),
        Fact("Market", execution.ticker),
        Fact("Kept", f"{filled} of {target} {execution.outcome.upper()} that are filled"),
        Fact("Cancelled", _orders(len(open_orders))),
    ]
    return Confirmation(
        title=f"Cancel {execution.execution_id}?",
        facts=facts,
        button="Cancel the execution",
        fields={"execution_id": execution.execution_id},
        is_grave=True,
    )


def confirm_resume_execution(seen: ExecutionDetail) -> Confirmation:
    """What a quarantined execution goes on with."""
    execution = seen.execution
    filled, target = trim_count(execution.filled_quantity), trim_count(execution.target_quantity)
    facts = [
        Fact("Execution", f"{execution.execution_id}, {execution.state}"),
        Fact("Market", execution.ticker),
        Fact("Quarantined", execution.quarantine or "no longer"),
        Fact("Goes on", f"buying up to {target} {execution.outcome.upper()}, of which {filled} are filled"),
        Fact("Worst price", _per_contract(execution.limit, "before fees")),
        Fact("Cap", _per_contract(execution.cap, "with fees")),
        Fact("Ends", execution.deadline),
    ]
    return Confirmation(
        title=f"Take {execution.execution_id} up again?",
        facts=facts,
        button="Take it up again",
        fields={"execution_id": execution.execution_id},
    )


def confirm_halt(status: EngineStatus) -> Confirmation:
    """What a halt ends, and how long it takes at most."""
    facts = [
        Fact("Ended", f"{status.at_work} at work, each with what is filled so far"),
        Fact("Orders", f"all are cancelled; now {describe_open_orders(status)}"),
        Fact("Within", f"{status.halt_within_s} s, if the exchange answers"),
        Fact("Afterwards", "nothing new is accepted until you resume, also after a restart"),
    ]
    return Confirmation(title="Halt everything?", facts=facts, button="Halt", is_grave=True)


def confirm_resume(status: Status) -> Confirmation:
    """What a resume lets in."""
    facts = [
        Fact("The engine is", status.state + (f": {status.why_halted}" if status.why_halted else "")),
        Fact("Afterwards", "new executions are accepted; those that were ended stay ended"),
    ]
    return Confirmation(title="Accept new executions again?", facts=facts, button="Resume")


def confirm_risk_resume(seen: RiskSeen, *, accept_loss: bool) -> Confirmation:
    """What the way back to `active` lets in."""
    facts = [
        *_risk(seen),
        Fact("Afterwards", "what adds risk is accepted again, within the limits"),
    ]
    if accept_loss:
        facts.append(Fact("The loss so far", "is accepted: day and peak begin anew with the equity of now"))
    return Confirmation(
        title="Accept the loss and take risk again?" if accept_loss else "Accept what adds risk again?",
        facts=facts,
        button="Accept the loss" if accept_loss else "Accept risk again",
        fields={"accept_loss": "yes"} if accept_loss else {},
        is_grave=accept_loss,
    )


def confirm_risk_reduce(seen: RiskSeen) -> Confirmation:
    """What the way from `halted` to `reducing` lets in."""
    facts = [*_risk(seen), Fact("Afterwards", "only what raises no worst case is accepted")]
    return Confirmation(title="From halted to reducing?", facts=facts, button="Let in what reduces")


def confirm_close(terms: CloseTerms, method: str, horizon_s: int, key: str) -> Confirmation:
    """What a close sells, by buying the other outcome, and the least that it brings."""
    quantity, held = trim_count(format_count(terms.quantity_e2)), trim_count(format_count(terms.held_e2))
    least = format_price(terms.least_e4)
    most = format_money(MoneyE6(ceil_div(terms.quantity_e2 * terms.limits.cap_e6, 100)))
    brought = format_money(MoneyE6(terms.quantity_e2 * terms.least_net_e6 // 100))
    facts = [
        Fact("Close", f"{quantity} of {held} {terms.held.upper()} held"),
        Fact("Market", terms.ticker),
        Fact("By", f"buying {terms.outcome.upper()}, never more than is held, with {method}"),
        Fact("Ends", f"within {horizon_s} s"),
        Fact("Worst price", f"{trim_dollars(least)} or more per contract held, before fees"),
        Fact("Cap", f"{trim_dollars(format_money(terms.limits.cap_e6))} per {terms.outcome.upper()}, with fees"),
        Fact("Worst case", f"{dollars(most)} dollars are paid, and the position brings {dollars(brought)} then"),
    ]
    fields = {
        "ticker": terms.ticker,
        "key": key,
        "quantity": format_count(terms.quantity_e2),
        "limit": least,
    }
    title = f"Close {quantity} {terms.held.upper()} of {terms.ticker}?"
    return Confirmation(title=title, facts=facts, button="Close the position", fields=fields)


def _risk(seen: RiskSeen) -> list[Fact]:
    return [
        Fact("Risk is", seen.state + (f": {seen.why}" if seen.why else "")),
        Fact("Worst case", f"{dollars(seen.worst_case)} dollars"),
        Fact("Lost today", f"{dollars(seen.daily_loss)} dollars, {dollars(seen.drawdown)} since the peak"),
    ]


def _per_contract(price: str | None, how: str) -> str:
    return "no price could be formed" if price is None else f"{trim_dollars(price)} per contract, {how}"


def _orders(count: int) -> str:
    if not count:
        return "no order is live"
    return "1 order that may be live" if count == 1 else f"{count} orders that may be live"
