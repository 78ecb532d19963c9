"""Bodies in and out: what a request's bytes must be, and how answers and refusals are written."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from fsm_exec.paper import errors
from fsm_exec.paper.errors import ApiError
from fsm_exec.wire import rest

T = TypeVar("T")
_ENCODER = msgspec.json.Encoder(decimal_format="number")  # fee_multiplier is a JSON number on the wire


def encode(body: object) -> bytes:
    return _ENCODER.encode(body)


def decode(raw: bytes, struct: type[T]) -> T:
    """A wrong JSON type is a `bad_request`, a missing or unknown value an `invalid_parameters`. Raises ApiError."""
    try:
        return msgspec.json.decode(raw, type=struct)
    except msgspec.ValidationError as error:
        if str(error).startswith("Expected"):
            raise errors.bad_request(f"json: cannot unmarshal: {error}") from error
        raise errors.invalid_parameters(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.bad_request(f"json: {error}") from error


def error_detail(refusal: ApiError) -> rest.ErrorDetail:
    return rest.ErrorDetail(code=refusal.code, message=refusal.message, details=refusal.details)


def error_body(refusal: ApiError) -> object:
    """A refusal in the shape the wire has for it."""
    match refusal.shape:
        case "nested":
            return rest.NestedError(error=error_detail(refusal))
        case "flat":
            return error_detail(refusal)
        case "msg":
            return {"msg": refusal.message}
        case "text":
            return {"error": refusal.message}
