"""The routes of the actions. Each has two: the first says what would happen, the second does it.

Both are POSTs with the page's second secret in a header, which the guard demands; the answer of either is a fragment of
HTML for the dialog of the page that asked (`static/actions.js`), with the status and the words of the control API.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fsm_exec.control import api_errors
from fsm_exec.control.responses import read_body
from fsm_exec.control.service import Control
from fsm_exec.core.errors import ExecError
from fsm_exec.web.actions.all_actions import ACTIONS, Action
from fsm_exec.web.actions.answering import answer_or_refuse, refuse_action
from fsm_exec.web.actions.audit import AuditedAction, who_of
from fsm_exec.web.actions.submit_page import submit_routes
from fsm_exec.web.parts import PageParts, session_of

PREFIX: Final = "/actions/"


def routes(parts: PageParts) -> list[Route]:
    """Return the routes of all actions, and of the form to submit. Without an engine there is nothing to act on."""
    if parts.control is None:
        return []
    found = submit_routes(parts, parts.control)
    for action in ACTIONS:
        path = PREFIX + action.name
        found.append(Route(f"{path}/review", partial(_confirm, parts, parts.control, action), methods=["POST"]))
        found.append(Route(path, partial(_perform, parts, parts.control, action), methods=["POST"]))
    return found


async def _confirm(parts: PageParts, control: Control, action: Action, request: Request) -> Response:
    async def confirm() -> Response:
        form = await read_body(request, action.form)
        found = await action.confirm(control, form)
        return parts.respond(request, "actions/confirmation.html", path=PREFIX + action.name, confirmation=found)

    return await answer_or_refuse(parts, request, confirm, refuse_action)


async def _perform(parts: PageParts, control: Control, action: Action, request: Request) -> Response:
    async def perform() -> Response:
        session = session_of(request)
        assert session is not None, "the guard lets nobody else through"
        form = await read_body(request, action.form)
        audited = AuditedAction(parts.log, session, action.name, msgspec.structs.asdict(form))
        try:
            answer = await action.perform(control, form, who_of(session))
        except ExecError as error:
            refusal = api_errors.refusal_of(error)
            audited.record_refused(refusal.code, refusal.message)
            raise
        except (Exception, trio.Cancelled) as error:
            audited.record_unknown(f"it was cut short by {type(error).__name__}; it may have been done")
            raise
        audited.record_done(answer.text)
        return parts.respond(request, "actions/answer.html", answer=answer)

    return await answer_or_refuse(parts, request, perform, refuse_action)
