"""The actions as data: what each takes, what its confirmation says, and what it does. The routes are made of it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec

from fsm_exec.control.account_schema import CLOSE_HORIZON_S, CLOSE_METHOD
from fsm_exec.control.service import Control
from fsm_exec.core.values.short_text import trim_count
from fsm_exec.web.actions import confirmations
from fsm_exec.web.actions.confirmations import Confirmation
from fsm_exec.web.actions.wanted import (
    CloseForm,
    ExecutionForm,
    NoForm,
    RiskForm,
    SubmitForm,
    close_of,
    estimate_of,
    submission_of,
)

KEY_BYTES: Final = 12


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `execution_id` is the one that it set to work, `next_page` where the page goes on, if not where it
    is."""

    text: str
    execution_id: str | None = None
    next_page: str | None = None


class Action(NamedTuple):
    """An action. `confirm` says what would happen, and does nothing; `perform` does it for somebody, `who` by name.
    Both take the form, and raise what the control API raises."""

    name: str
    form: type[msgspec.Struct]
    confirm: Callable[[Control, Any], Awaitable[Confirmation]]
    perform: Callable[[Control, Any, str], Awaitable[Answer]]


def draw_key() -> str:
    """Draw a key of the page's own: what is confirmed twice under it is done once."""
    return f"page-{secrets.token_hex(KEY_BYTES)}"


async def _confirm_submit(control: Control, form: SubmitForm) -> Confirmation:
    submission_of(form)  # what is missing is said first: an estimate needs less
    return confirmations.confirm_submit(form, await control.estimator.estimate(estimate_of(form)))


async def _submit(control: Control, form: SubmitForm, _: str) -> Answer:
    accepted = await control.submit(submission_of(form))
    how = "accepted; from now on it survives any crash" if accepted.is_new else "was accepted earlier, and once"
    text = f"{accepted.execution_id} {how}"
    return Answer(text=text, execution_id=accepted.execution_id, next_page="/submit")


async def _confirm_cancel(control: Control, form: ExecutionForm) -> Confirmation:
    return confirmations.confirm_cancel(await control.show(form.execution_id, 0))


async def _cancel(control: Control, form: ExecutionForm, _: str) -> Answer:
    acknowledged = await control.cancel(form.execution_id)
    return Answer(text=f"{acknowledged.execution_id} is being cancelled{_not_noted(acknowledged.not_noted)}")


async def _confirm_resume_execution(control: Control, form: ExecutionForm) -> Confirmation:
    return confirmations.confirm_resume_execution(await control.show(form.execution_id, 0))


async def _resume_execution(control: Control, form: ExecutionForm, _: str) -> Answer:
    acknowledged = await control.resume_execution(form.execution_id)
    return Answer(text=f"{acknowledged.execution_id} is at work again")


async def _confirm_halt(control: Control, _: NoForm) -> Confirmation:
    return confirmations.confirm_halt(control.engine.status())  # from memory: a database that hangs hinders no halt


async def _halt(control: Control, _: NoForm, __: str) -> Answer:
    status = await control.halt()
    said = f"{status.state}: every order is being cancelled, within {status.halt_within_s} s"
    return Answer(text=f"{said}{_not_noted(status.not_noted)}")


def _not_noted(lines: list[str]) -> str:
    return f"; a takeover by the standby may not know yet of {', '.join(lines)}" if lines else ""


async def _confirm_resume(control: Control, _: NoForm) -> Confirmation:
    return confirmations.confirm_resume(await control.status())


async def _resume(control: Control, _: NoForm, __: str) -> Answer:
    status = await control.resume()
    return Answer(text=f"{status.state}: new executions are accepted")


async def _confirm_risk_resume(control: Control, form: RiskForm) -> Confirmation:
    return confirmations.confirm_risk_resume(await control.risk.risk(0), accept_loss=bool(form.accept_loss))


async def _risk_resume(control: Control, form: RiskForm, who: str) -> Answer:
    seen = await control.risk.resume(accept_loss=bool(form.accept_loss), who=who)
    return Answer(text=f"risk is {seen.state}")


async def _confirm_risk_reduce(control: Control, _: NoForm) -> Confirmation:
    return confirmations.confirm_risk_reduce(await control.risk.risk(0))


async def _risk_reduce(control: Control, _: NoForm, who: str) -> Answer:
    seen = await control.risk.reduce(who=who)
    return Answer(text=f"risk is {seen.state}")


async def _confirm_close(control: Control, form: CloseForm) -> Confirmation:
    key = form.key or draw_key()
    wanted = close_of(msgspec.structs.replace(form, key=key))
    terms = await control.closer.find_terms(wanted, form.ticker)
    return confirmations.confirm_close(terms, CLOSE_METHOD, CLOSE_HORIZON_S, key)


async def _close(control: Control, form: CloseForm, _: str) -> Answer:
    (market,) = (await control.closer.close(close_of(form))).markets
    assert market.accepted is not None, "of one market a refusal is raised"
    accepted = market.accepted
    quantity = "" if market.quantity is None else f", up to {trim_count(market.quantity)}"
    how = "closes" if accepted.is_new else "was accepted earlier, and once: it closes"
    return Answer(text=f"{accepted.execution_id} {how} {market.ticker}{quantity}", execution_id=accepted.execution_id)


ACTIONS: Final = (
    Action("submit", SubmitForm, _confirm_submit, _submit),
    Action("cancel", ExecutionForm, _confirm_cancel, _cancel),
    Action("resume_execution", ExecutionForm, _confirm_resume_execution, _resume_execution),
    Action("halt", NoForm, _confirm_halt, _halt),
    Action("resume", NoForm, _confirm_resume, _resume),
    Action("risk_resume", RiskForm, _confirm_risk_resume, _risk_resume),
    Action("risk_reduce", NoForm, _confirm_risk_reduce, _risk_reduce),
    Action("close", CloseForm, _confirm_close, _close),
)
