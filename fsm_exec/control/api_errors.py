"""Refusals of the control API: an HTTP status, a code for programs and one line for people."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fsm_exec.core.errors import (
    ExecError,
    LocalError,
    NotNoted,
    OverCapacity,
    RiskRefused,
    SaveRefused,
    StoreFailed,
    UserError,
    VenueError,
    VenueRefused,
)

ErrorCode: TypeAlias = Literal[
    "ahead",
    "bad_request",
    "busy",
    "capacity",
    "conflict",
    "degraded",
    "duplicate",
    "exchange",
    "failed",
    "http_version",
    "internal",
    "invalid",
    "no_edge",
    "not_found",
    "not_running",
    "not_saved",
    "other_database",
    "over_limit",
    "risk_limit",
    "store_failed",
    "too_large",
    "too_many_watchers",
    "unauthorized",
    "wrong_host",
    "wrong_method",
]


class Refusal(ExecError):
    def __init__(self, status: int, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, " ".join(message.split())


def bad_request(message: str) -> Refusal:
    return Refusal(400, "bad_request", message)


def unauthorized() -> Refusal:
    return Refusal(401, "unauthorized", "the bearer token is missing or wrong; it stands in the daemon's token file")


def wrong_host() -> Refusal:
    return Refusal(403, "wrong_host", "this daemon answers as 127.0.0.1 or localhost only")


def not_found(what: str) -> Refusal:
    return Refusal(404, "not_found", what)


def unknown_execution(execution_id: str) -> Refusal:
    return not_found(f"no execution {execution_id} in this database; see: fsm-exec list")


def ahead(message: str) -> Refusal:
    """The reader knows rows that are not here: they are another database's, or this one lost its end."""
    return Refusal(409, "ahead", message)


def other_database(instance: str) -> Refusal:
    """The caller names another database: a key that was used there would be new here."""
    return Refusal(409, "other_database", f"the daemon has another database now, of instance {instance}; begin anew")


def conflict(message: str) -> Refusal:
    return Refusal(409, "conflict", message)


def too_large(limit_bytes: int) -> Refusal:
    return Refusal(413, "too_large", f"the request is larger than {limit_bytes} bytes")


def incomplete_body() -> Refusal:
    return Refusal(400, "bad_request", "the body did not come to its end, or its chunks break the protocol")


def invalid(message: str) -> Refusal:
    return Refusal(422, "invalid", message)


def over_limit(message: str) -> Refusal:
    return Refusal(422, "over_limit", message)


def duplicate(what: str) -> Refusal:
    """One thing is given twice: another reader of the request may choose the other one."""
    return Refusal(400, "duplicate", f"{what} is given twice")


def too_many_connections() -> Refusal:
    return Refusal(503, "busy", "too many connections are being answered already; try again")


def too_many_watchers() -> Refusal:
    return Refusal(429, "too_many_watchers", "too many watch already; end one of them")


def not_running(message: str) -> Refusal:
    return Refusal(503, "not_running", message)


def degraded(message: str) -> Refusal:
    return Refusal(503, "degraded", message)


def refusal_of(error: ExecError) -> Refusal:
    """Return the answer of the API to an error of the engine."""
    match error:
        case Refusal():
            return error
        case RiskRefused():
            return Refusal(422, "risk_limit", str(error))
        case UserError():
            return invalid(str(error))
        case VenueRefused(status=404):
            return invalid(f"the exchange does not know it: {error}")
        case VenueError():
            return Refusal(502, "exchange", f"{error}; try again")
        case SaveRefused():
            return Refusal(500, "not_saved", f"the database did not take it, nothing was accepted: {error}")
        case StoreFailed():
            return Refusal(500, "store_failed", f"the database failed and the engine halts: {error}")
        case NotNoted():
            return degraded(str(error))
        case OverCapacity():
            return Refusal(429, "capacity", str(error))
        case LocalError():
            return not_running(str(error))
        case _:
            return Refusal(500, "failed", str(error))
