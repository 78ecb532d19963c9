"""Whatever an action comes to is answered with a fragment of HTML, refusals and failures too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fsm_exec.control import api_errors
from fsm_exec.control.api_errors import Refusal
from fsm_exec.core.errors import ExecError
from fsm_exec.web.parts import PageParts


async def answer_or_refuse(
    parts: PageParts,
    request: Request,
    build: Callable[[], Awaitable[Response]],
    refuse: Callable[[PageParts, Request, Refusal], Response],
) -> Response:
    """Return what `build` answers, or what `refuse` makes of the reason, in the API's words, why it does not."""
    try:
        return await build()
    except ExecError as error:
        refusal = api_errors.refusal_of(error)
    except ClientDisconnect:
        refusal = api_errors.incomplete_body()
    except Exception:  # one request's bug must not take the daemon down
        parts.log.exception("page_action_failed", path=request.url.path)
        refusal = Refusal(500, "internal", "the daemon failed at this; its log says more")
    return refuse(parts, request, refusal)


def refuse_action(parts: PageParts, request: Request, refusal: Refusal) -> Response:
    """Return a refusal for the dialog."""
    return parts.respond(request, "actions/refusal.html", refusal.status, message=refusal.message)


def refuse_estimate(parts: PageParts, request: Request, refusal: Refusal) -> Response:
    """Return why there is no estimate. A form that is half filled in is no error, so the status is good."""
    status = refusal.status if refusal.status >= 500 else 200
    return parts.respond(request, "actions/no_estimate.html", status, message=refusal.message)
