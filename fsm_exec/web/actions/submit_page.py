"""The form of an execution, with what it would cost beside it as one types.

The key stands in the page's address, so a page that is loaded again asks for the same execution, and never for a second
one. What the address says besides fills the form in: another page can link to it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from fsm_exec.algorithms import SHIPPED
from fsm_exec.control.responses import read_body
from fsm_exec.control.service import Control
from fsm_exec.web.actions.all_actions import draw_key
from fsm_exec.web.actions.answering import answer_or_refuse, refuse_estimate
from fsm_exec.web.actions.estimate_view import COMPARED, view_estimate
from fsm_exec.web.actions.wanted import SubmitForm, estimate_of
from fsm_exec.web.parts import PageParts, session_of

PATH: Final = "/submit"
_KEY: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
_FIELDS: Final = frozenset(SubmitForm.__struct_fields__)


def submit_routes(parts: PageParts, control: Control) -> list[Route]:
    """Return the routes of the form and of the estimate beside it."""

    async def show_form(request: Request) -> Response:
        """Answer with the form, filled in with what the address says; one without a key gets one."""
        given = {name: value for name, value in request.query_params.items() if name in _FIELDS}
        if not _KEY.fullmatch(given.get("key", "")):
            return RedirectResponse(f"{PATH}?{urlencode({**given, 'key': draw_key()})}", 303)
        session, status = session_of(request), await control.status()
        return parts.respond(
            request,
            "actions/submit.html",
            may_submit=session is not None and not session.is_read_only,
            form=_form_of(given),
            used_by=await control.find_submitted(given["key"]),
            tickers=sorted(status.markets),
            status=status,
            methods=[name for name, method in SHIPPED.items() if not method.lab_only],
        )

    async def show_estimate(request: Request) -> Response:
        """Answer with what the form as it stands would cost, as a fragment."""

        async def build() -> Response:
            form = await read_body(request, SubmitForm)
            told = await control.estimator.estimate(estimate_of(form, COMPARED))
            return parts.respond(request, "actions/estimate.html", view=view_estimate(told))

        return await answer_or_refuse(parts, request, build, refuse_estimate)

    return [
        Route(PATH, show_form, methods=["GET"]),
        Route(f"{PATH}/estimate", show_estimate, methods=["POST"]),
    ]


def _form_of(given: dict[str, str]) -> SubmitForm:
    """Return the form that the fields of an address make; one that is none of ours is left out."""
    form = SubmitForm(key=given["key"])
    for name, value in given.items():
        try:
            form = msgspec.convert({**msgspec.structs.asdict(form), name: value}, SubmitForm)
        except msgspec.ValidationError:
            continue
    return form
