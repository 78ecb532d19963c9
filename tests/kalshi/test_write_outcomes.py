"""What each answer to a write proves, every row of the table driven through the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import httpx
import msgspec
import pytest
import trio

from fsm_exec.core.market.orders import NotSent, Refused, Unknown
from fsm_exec.kalshi import write_outcomes
from fsm_exec.kalshi.write_outcomes import (
    ANSWERS,
    ANY_CODE,
    NETWORK,
    SUCCESS_STATUS,
    AnswerRow,
    WriteKind,
    find_row,
    judge,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kalshi.conftest import Kit, Network

WRITES: tuple[WriteKind, ...] = get_args(WriteKind)
ROWS = [pytest.param(row, write, id=f"{write}-{row.status}-{row.code}") for row in ANSWERS for write in row.writes]

# Section 8 of wire/README.md once more, written down by hand: a row that goes missing from the table fails here.
# What refuses a request before anything of it is looked at.
DOOR = (
    "401 header_timestamp_expired, 401 signature_is_missing_from_headers, 401 authentication_error, 403 *, "
    "409 trading_is_paused, 409 exchange_is_paused, 410 deprecated_v1_order_endpoint, 429 *"
)
BODY = f"400 bad_request, 400 invalid_parameters, {DOOR}"
REFUSALS: dict[WriteKind, str] = {
    "place": "400 invalid_price, 400 invalid_order, 400 insufficient_balance, 404 market_not_found, "
    f"404 user_not_found, 409 fill_or_kill_insufficient_resting_volume, {BODY}",
    "amend": "400 invalid_price, 400 invalid_order, 400 insufficient_balance, 400 invalid_UUID, 404 user_not_found, "
    f"404 not_found, {BODY}",
    "decrease": f"400 invalid_UUID, 404 not_found, {BODY}",
    "cancel": f"400 invalid_UUID, 404 *, {DOOR}",
    "batch_place": BODY,
    "batch_cancel": BODY,
    "cancel_all": DOOR,
    "group_make": BODY,
    "group_change": f"404 *, {BODY}",
}


def nested(code: str, **more: str) -> dict[str, object]:
    return {"error": {"code": code, "message": "m", **more}}


def test_the_table_is_the_wire_reference() -> None:
    """The refusals are exactly the ones the reference documents, each row has a source, and none shadows another."""
    for write in WRITES:
        listed = {f"{row.status} {row.code}" for row in ANSWERS if write in row.writes and row.verdict == "refused"}
        assert listed == set(REFUSALS[write].split(", "))
    assert all(row.source[0].isdigit() for row in ANSWERS)
    for write in WRITES:
        keys = [(row.status, row.code) for row in ANSWERS if write in row.writes]
        assert len(keys) == len(set(keys))
        wild = {status for status, code in keys if code == ANY_CODE}
        assert not [key for key in keys if key[0] in wild and key[1] != ANY_CODE]


@pytest.mark.parametrize(("row", "write"), ROWS)
async def test_a_listed_answer_means_what_its_row_says(
    kit: Kit, network: Network, row: AnswerRow, write: WriteKind
) -> None:
    """A refusal is refused under its code; a listed doubt is unknown and names the code. One request went out."""
    code = "some_new_code" if row.code == ANY_CODE else row.code
    network.answer(row.status, nested(code, details="post only cross"))
    answer = await kit.write(write, kit.rest(network))
    if row.verdict == "refused":
        assert answer == Refused(code=row.means or row.code, message="m; post only cross")
    else:
        assert isinstance(answer, Unknown)
        assert code in answer.why
    assert len(network.requests) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (nested("invalid_price"), "invalid_price"),
        ({"code": "bad_request", "message": "bad request", "details": "json: cannot unmarshal"}, "bad_request"),
    ],
)
async def test_nested_and_flat_errors_are_read_alike(kit: Kit, network: Network, body: object, code: str) -> None:
    """Both shapes of a business error name its code."""
    network.answer(400, body)
    answer = await kit.write("place", kit.rest(network))
    assert isinstance(answer, Refused)
    assert answer.code == code


async def test_the_429_with_a_string_for_an_error_is_a_refusal(kit: Kit, network: Network) -> None:
    """`{"error": "too many requests"}` did nothing, and has a code of ours."""
    for write in WRITES:
        network.answer(429, {"error": "too many requests"})
        answer = await kit.write(write, kit.rest(network))
        assert answer == Refused(code="too_many_requests", message="too many requests")


async def test_a_validation_message_without_a_code_proves_nothing(kit: Kit, network: Network) -> None:
    """The fourth shape names no code, so no row can hold for it."""
    network.answer(400, {"msg": "Parameter validation failed for X"})
    answer = await kit.write("place", kit.rest(network))
    assert isinstance(answer, Unknown)
    assert "Parameter validation failed" in answer.why


async def test_a_refusal_holds_only_for_the_writes_it_is_listed_for(kit: Kit, network: Network) -> None:
    """`not_found` refuses an amend and a cancel; as an answer to a place it is not documented, so it is no proof."""
    network.answer(404, nested("not_found"))
    rest = kit.rest(network)
    assert isinstance(await kit.write("place", rest), Unknown)
    assert isinstance(await kit.write("amend", rest), Refused)
    assert isinstance(await kit.write("cancel", rest), Refused)


@pytest.mark.parametrize("write", WRITES)
async def test_everything_else_is_unknown(
    kit: Kit, network: Network, write: WriteKind, autojump_clock: MockClock
) -> None:
    """Every other pair of status and code is no proof: 5xx, redirects, a 200 for a 201, listed codes elsewhere."""
    codes = ["", "service_unavailable", *{row.code for row in ANSWERS if row.code != ANY_CODE}]
    for status in (200, 201, 202, 204, 301, 302, 307, 308, 400, 401, 404, 408, 409, 410, 422, 500, 502, 503, 504):
        for code in codes:
            if find_row(write, status, code) is None and (write, status) != ("cancel_all", 204):
                fresh = type(network)().answer(status, nested(code), location="http://elsewhere.test/")
                answer = await kit.write(write, kit.rest(fresh))
                assert isinstance(answer, Unknown), (status, code)
                assert len(fresh.requests) == 1


@pytest.mark.parametrize("error", [cls for cls in NETWORK if issubclass(cls, httpx.TransportError)])
async def test_a_network_error_proves_what_its_leaf_says(
    kit: Kit, network: Network, error: type[httpx.TransportError]
) -> None:
    """Errors before a connection prove that nothing was sent; all later ones prove nothing."""
    proven = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"}
    network.fail(error("told so"))
    for write in WRITES:
        answer = await kit.write(write, kit.rest(network))
        assert isinstance(answer, NotSent if error.__name__ in proven else Unknown)
        assert answer.why == f"{error.__name__}: told so"
    assert len(network.requests) == len(WRITES)


def test_no_leaf_of_the_http_library_is_left_out() -> None:
    """Every exception the library exports, bar the parents of others, has a verdict; a new one would fail here."""
    exported = [cls for cls in vars(httpx).values() if isinstance(cls, type) and issubclass(cls, Exception)]
    leaves = {cls for cls in exported if not any(issubclass(c, cls) and c is not cls for c in exported)}
    assert leaves == set(NETWORK)


@pytest.mark.parametrize("error", [OSError("x"), trio.BrokenResourceError("x"), trio.ClosedResourceError("x")])
async def test_errors_a_transport_lets_through_prove_nothing(kit: Kit, network: Network, error: Exception) -> None:
    """What reaches us without the HTTP library's name on it is unknown, not a crash."""
    network.fail(error)
    for write in WRITES:
        assert isinstance(await kit.write(write, kit.rest(network)), Unknown)


def test_an_unlisted_error_is_judged_by_its_parents_or_not_at_all() -> None:
    """A later subclass of a listed leaf counts as that leaf; anything else proves nothing."""

    class Finer(httpx.ConnectError):
        pass

    assert isinstance(write_outcomes.judge_network(Finer("x")), NotSent)
    assert isinstance(write_outcomes.judge_network(httpx.TransportError("x")), Unknown)


def test_success_has_one_documented_status_a_write() -> None:
    """201 creates, 204 cancels everything, 200 is all the rest."""
    others = dict.fromkeys(("amend", "decrease", "cancel", "batch_cancel", "group_change"), 200)
    assert {"place": 201, "batch_place": 201, "group_make": 201, "cancel_all": 204, **others} == SUCCESS_STATUS


@pytest.mark.parametrize(
    ("status", "code", "is_no"),
    [
        (400, "order_size_exceeds_limit", True),
        (422, "unprocessable", True),
        (404, "something_new", True),
        (401, "something_new", False),  # who asks
        (408, "something_new", False),  # when
        (409, "something_new", False),  # four meanings share it
        (425, "something_new", False),
        (500, "order_size_exceeds_limit", False),
    ],
)
def test_a_definite_no_that_is_not_listed_is_told_by_its_code(status: int, code: str, is_no: bool) -> None:
    """It proves nothing yet; with its code and words core can tell whether it is the same again."""
    body = msgspec.json.encode({"error": {"code": code, "message": "No."}})
    answer = judge("place", status, body)
    assert isinstance(answer, Unknown)
    assert (answer.code, answer.message) == ((code, "No.") if is_no else (None, ""))


def test_a_4xx_without_a_code_of_the_exchanges_is_no_answer_of_its() -> None:
    """A proxy between may have said it."""
    for body in (b"", b"<html>400</html>", b"{}", b'{"error": {}}'):
        answer = judge("place", 400, body)
        assert isinstance(answer, Unknown)
        assert answer.code is None
