"""A form of texts becomes what the control API takes, and what is wrong with it is said in the API's words."""

from __future__ import annotations

import pytest

from fsm_exec.control.api_errors import Refusal
from fsm_exec.core.errors import UserError
from fsm_exec.web.actions.wanted import CloseForm, SubmitForm, close_of, estimate_of, submission_of

WHOLE = SubmitForm(
    key="page-1", ticker=" KXTEST-A ", outcome="yes", quantity="20", price_is="cap", price="0.62", horizon_s="120"
)


def test_a_whole_form_is_a_submission() -> None:
    """Spaces around a value are none of it, and the price stands under the name that was chosen."""
    wanted = submission_of(WHOLE)
    assert (wanted.ticker, wanted.outcome, wanted.quantity) == ("KXTEST-A", "yes", "20")
    assert (wanted.limit, wanted.cap, wanted.horizon_s, wanted.key) == (None, "0.62", 120, "page-1")


def test_all_that_is_missing_is_named_at_once() -> None:
    """An empty field is a field that was left out, and an estimate needs neither key nor price."""
    with pytest.raises(UserError, match=r"^missing: key, ticker, outcome, quantity, limit or cap or target_price, ho"):
        submission_of(SubmitForm())
    with pytest.raises(UserError, match=r"^missing: ticker, outcome, quantity, horizon_s or deadline$"):
        estimate_of(SubmitForm())


def test_an_estimate_compares_each_method_once() -> None:
    """The method that was chosen stands first, also where it is one of those beside it."""
    assert estimate_of(WHOLE, ("market", "deadline_walker")).methods == ["deadline_walker", "market"]


@pytest.mark.parametrize("horizon", ["1e3", "-5", "+5", "5.0", "\u0665", "99999999999"])
def test_a_horizon_is_plain_digits(horizon: str) -> None:
    """What Python would read as a number besides is refused, with its name."""
    with pytest.raises(Refusal, match="horizon_s"):
        submission_of(SubmitForm(**{**_fields(WHOLE), "horizon_s": horizon}))  # type: ignore[arg-type]


def test_a_field_that_the_api_does_not_take_is_refused_with_its_name() -> None:
    """An outcome, say, that is none."""
    with pytest.raises(Refusal, match="outcome"):
        submission_of(SubmitForm(**{**_fields(WHOLE), "outcome": "maybe"}))  # type: ignore[arg-type]


def test_a_close_leaves_out_what_was_not_given() -> None:
    """No limit is no limit, not an empty one."""
    wanted = close_of(CloseForm(ticker="KXTEST-A", key="page-2"))
    assert (wanted.ticker, wanted.quantity, wanted.limit, wanted.method) == ("KXTEST-A", None, None, "close")


def _fields(form: SubmitForm) -> dict[str, str]:
    return {name: getattr(form, name) for name in form.__struct_fields__}
