"""What a form of the page asks for, as the structs of the control API.

A form has texts only, and an empty one is a field that was left out. Whatever is wrong is said in the API's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from fsm_exec.control.account_schema import CloseWanted
from fsm_exec.control.api_errors import bad_request
from fsm_exec.control.market_schema import EstimateWanted
from fsm_exec.control.schema import DEFAULT_METHOD, Submission, describe_missing
from fsm_exec.core.errors import UserError

Text = Annotated[str, msgspec.Meta(max_length=100)]
_DIGITS: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
S = TypeVar("S", bound=msgspec.Struct)


class SubmitForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The form of an execution. `price` is the limit per contract before fees, or the cap with them: `price_is` says
    which."""

    key: Text = ""
    ticker: Text = ""
    outcome: Text = ""
    quantity: Text = ""
    price_is: Literal["limit", "cap"] = "limit"
    price: Text = ""
    horizon_s: Text = ""
    method: Text = DEFAULT_METHOD


class ExecutionForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The execution that an action is about."""

    execution_id: Annotated[str, msgspec.Meta(pattern=r"\Ae[0-9]{6,18}\Z")]


class CloseForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The position that is closed. Key, quantity and limit are drawn up with the confirmation, and confirmed."""

    ticker: Text
    key: Text = ""
    quantity: Text = ""
    limit: Text = ""


class RiskForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`accept_loss` is "yes" where day and peak are to begin anew."""

    accept_loss: Literal["", "yes"] = ""


class NoForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No field."""


def submission_of(form: SubmitForm) -> Submission:
    """Return the submission a form asks for. Raises UserError that names all that is missing, and Refusal."""
    given = _given(form)
    if missing := Submission.find_missing(given):
        raise UserError(describe_missing(missing))
    return _convert(given, Submission)


def estimate_of(form: SubmitForm, compared: Sequence[str] = ()) -> EstimateWanted:
    """Return the estimate of a form, which needs no price, and of other methods beside its own. Raises as
    `submission_of`."""
    given = _given(form)
    given.pop("key", None)
    method = given.pop("method", DEFAULT_METHOD)
    if missing := Submission.find_missing({"key": "", "limit": "", **given}):
        raise UserError(describe_missing(missing))
    others = [name for name in compared if name != method]
    return _convert({**given, "methods": [method, *others]}, EstimateWanted)


def close_of(form: CloseForm) -> CloseWanted:
    """Return the close a form asks for. Raises Refusal."""
    return _convert({name: value for name, value in msgspec.structs.asdict(form).items() if value}, CloseWanted)


def _given(form: SubmitForm) -> dict[str, object]:
    """Return the fields that were filled in, the price under the name that it was given."""
    fields: dict[str, object] = {
        name: value.strip() for name, value in msgspec.structs.asdict(form).items() if value.strip()
    }
    fields[str(fields.pop("price_is"))] = fields.pop("price", None)
    horizon = fields.get("horizon_s")
    if horizon is not None:
        if not _DIGITS.fullmatch(str(horizon)):
            raise bad_request(f"horizon_s takes plain digits, not {str(horizon)[:40]!r}")
        fields["horizon_s"] = int(str(horizon))
    return {name: value for name, value in fields.items() if value is not None}


def _convert(given: dict[str, object], kind: type[S]) -> S:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise bad_request(f"the form is not what this takes: {error}") from None
