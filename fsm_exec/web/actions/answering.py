"""Whatever an action comes to is answered with a fragment of HTML, refusals and failures too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fsm_exec.control import api_errors
from fsm_exec.core.errors import ExecError
from fsm_exec.web.parts import PageParts


async def answer_or_refuse(
    parts: PageParts,
    request: Request,
    build: Callable[[], Awaitable[Response]],
    refusal_template: str = "actions/refusal.html",
) -> Response:
    """Return what `build` answers, or a fragment that says, in the API's words, why it does not."""
    try:
        return await build()
    except ExecError as error:
        refusal = api_errors.refusal_of(error)
    except ClientDisconnect:
        refusal = api_errors.incomplete_body()
    except Exception:  # one request's bug must not take the daemon down
        parts.log.exception("page_action_failed", path=request.url.path)
        refusal = api_errors.Refusal(500, "internal", "the daemon failed at this; its log says more")
    return parts.respond(request, refusal_template, refusal.status, message=refusal.message)
