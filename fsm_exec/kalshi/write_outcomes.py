"""What the answer to a write proves: one table; everything it does not list is unknown.

An order engine lives or dies by this. Engines have lost money by taking a time-out for a rejection while the order
lived, a resting order for a refused one, and a 2xx with an error in its body for a success. So success is the
documented status AND the documented body; a refusal is a row below; all the rest - other codes, other statuses, half a
body, silence - proves nothing, and core looks the order up before it does anything else. A 4xx with a code of the
exchange's own is probably a refusal that the table does not know yet: once an order is proven absent after it, the same
code again is taken for one. No answer ever makes this module send again.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import httpx
import msgspec
import trio

from fsm_exec.core.market.orders import NotSent, Refused, Unknown
from fsm_exec.core.text import one_line
from fsm_exec.kalshi.network_errors import describe_error
from fsm_exec.wire.rest import ErrorDetail, error_detail

WriteKind: TypeAlias = Literal[
    "place", "amend", "decrease", "cancel", "batch_place", "batch_cancel", "cancel_all", "group_make", "group_change"
]
Verdict: TypeAlias = Literal["refused", "unknown"]

ANY_CODE: Final = "*"
EXISTS: Final = "order_already_exists"
KEY_REFUSED: Final = "key_not_accepted"
"""Ours: the exchange says nothing about the order, only that it does not know who sends it."""
PLACE: Final = ("place",)
ONE: Final = ("place", "amend")
CHANGE: Final = ("amend", "decrease", "cancel")
BODY: Final = ("place", "amend", "decrease", "batch_place", "batch_cancel", "group_make", "group_change")
ALL: Final = (*BODY, "cancel", "cancel_all")

SUCCESS_STATUS: Final[dict[WriteKind, int]] = {  # wire/README.md 4.1, 4.3
    "place": 201,
    "amend": 200,
    "decrease": 200,
    "cancel": 200,
    "batch_place": 201,  # even if every order of it failed
    "batch_cancel": 200,
    "cancel_all": 204,
    "group_make": 201,
    "group_change": 200,
}

NOT_DEFINITE: Final = frozenset({401, 403, 408, 409, 425, 429})
"""The 4xx statuses that are about the caller or the moment: whatever their code, they do not refuse the order
itself."""

TEXT_MAX = 200  # characters of an exchange's message that are kept


class AnswerRow(msgspec.Struct, frozen=True):
    """`source`: the section of wire/README.md, and its evidence (0 there). `means` is the code that is told,
    if not the body's."""

    writes: tuple[WriteKind, ...]
    status: int
    code: str
    verdict: Verdict
    source: str
    means: str = ""


ANSWERS: Final = (
    # Refused before anything was done: the body or a parameter is wrong.
    AnswerRow(BODY, 400, "bad_request", "refused", "8 seen: the body does not decode"),
    AnswerRow(BODY, 400, "invalid_parameters", "refused", "8 seen: a field is wrong"),
    AnswerRow(ONE, 400, "invalid_price", "refused", "8 seen: off the grid or out of range"),
    AnswerRow(ONE, 400, "invalid_order", "refused", "6.1 seen: post-only would cross"),
    AnswerRow(ONE, 400, "insufficient_balance", "refused", "6.4 seen, traders: too little cash on the market's shard"),
    AnswerRow(CHANGE, 400, "invalid_UUID", "refused", "8 seen: the order id is no UUID"),
    # Refused because of the caller.
    AnswerRow(ALL, 401, "header_timestamp_expired", "refused", "2 seen: the clocks differ"),
    AnswerRow(ALL, 401, "signature_is_missing_from_headers", "refused", "2 seen", KEY_REFUSED),
    AnswerRow(ALL, 401, "authentication_error", "refused", "2 seen: unknown key or wrong signature", KEY_REFUSED),
    AnswerRow(ALL, 403, ANY_CODE, "refused", "8 spec, docs: the key lacks the scope or the subaccount", "forbidden"),
    # Nothing there.
    AnswerRow(PLACE, 404, "market_not_found", "refused", "8 seen, traders"),
    AnswerRow(ONE, 404, "user_not_found", "refused", "6.4 seen: a shard that never held funds"),
    AnswerRow(("amend", "decrease"), 404, "not_found", "refused", "8 seen: order unknown, ended, or on another shard"),
    AnswerRow(("group_change",), 404, ANY_CODE, "refused", "8 seen: no such group; its code is not known", "not_found"),
    # A refused cancel may mean filled, cancelled or never there: core looks the order up, whatever the body says.
    AnswerRow(("cancel",), 404, ANY_CODE, "refused", "8 seen: order unknown, ended, or on another shard", "not_found"),
    # 409 alone says nothing: four meanings share it.
    AnswerRow(PLACE, 409, EXISTS, "unknown", "6.3 seen: an order with this id exists; ours or not?"),
    AnswerRow(PLACE, 409, "fill_or_kill_insufficient_resting_volume", "refused", "6.1 seen: killed whole"),
    AnswerRow(ALL, 409, "trading_is_paused", "refused", "7 docs, traders"),
    AnswerRow(ALL, 409, "exchange_is_paused", "refused", "7 docs, traders"),
    AnswerRow(ALL, 410, "deprecated_v1_order_endpoint", "refused", "8 seen: the old endpoints do nothing "),
    AnswerRow(
        ALL, 429, ANY_CODE, "refused", "11 docs, seen: the bucket is empty, nothing was done", "too_many_requests"
    ),
)

NetworkProof: TypeAlias = Literal["not_sent", "unknown"]
NETWORK: Final[dict[type[Exception], NetworkProof]] = {
    # No connection, so no byte of the request left.
    httpx.ConnectError: "not_sent",
    httpx.ConnectTimeout: "not_sent",
    httpx.PoolTimeout: "not_sent",  # never got a connection
    httpx.UnsupportedProtocol: "not_sent",  # refused by the client's own look at the URL
    httpx.InvalidURL: "not_sent",
    # A part may have left, and the part may have been all.
    httpx.WriteTimeout: "unknown",
    httpx.WriteError: "unknown",
    # Everything may have left; the answer did not come, or broke.
    httpx.ReadTimeout: "unknown",
    httpx.ReadError: "unknown",
    httpx.CloseError: "unknown",
    httpx.RemoteProtocolError: "unknown",  # also "server disconnected" on a kept-alive connection
    httpx.DecodingError: "unknown",
    # Raised before as well as after sending, so no proof.
    httpx.LocalProtocolError: "unknown",
    httpx.ProxyError: "unknown",  # no proxy is used; should one be, its word is not the exchange's
    # Cannot happen as this client uses httpx (no redirects followed, no raise_for_status, no cookies read); no proof.
    httpx.TooManyRedirects: "unknown",
    httpx.HTTPStatusError: "unknown",
    httpx.CookieConflict: "unknown",
    httpx.StreamConsumed: "unknown",
    httpx.StreamClosed: "unknown",
    httpx.ResponseNotRead: "unknown",
    httpx.RequestNotRead: "unknown",
}

NETWORK_ERRORS: Final = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.StreamError,
    # What a transport lets through unmapped; never proof.
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


def find_row(write: WriteKind, status: int, code: str) -> AnswerRow | None:
    return next(
        (row for row in ANSWERS if write in row.writes and row.status == status and row.code in (code, ANY_CODE)), None
    )


def judge(write: WriteKind, status: int, body: bytes) -> Refused | Unknown:
    """Judge what an answer without success proves. Never raises."""
    detail = error_detail(body)
    row = find_row(write, status, detail.code)
    if row is not None and row.verdict == "refused":
        return Refused(code=_code(row, detail), message=describe(detail))
    exists = row is not None and row.code == EXISTS
    why = f"answered {status} {one_line(detail.code[:TEXT_MAX])}: {describe(detail)}"
    is_no = row is None and 400 <= status < 500 and status not in NOT_DEFINITE and bool(detail.code)
    if is_no:
        return Unknown(why=why, code=one_line(detail.code[:TEXT_MAX]), message=describe(detail))
    return Unknown(why=why, exists=exists)


def judge_item(write: WriteKind, detail: ErrorDetail) -> Refused | Unknown:
    """Judge what the error of one item of a batch proves. It has no status, so its code must be listed as a refusal,
    and nowhere as unknown."""
    rows = [row for row in ANSWERS if write in row.writes and row.code == detail.code]
    if (rows and all(row.verdict == "refused" for row in rows)) or (write == "cancel" and detail.code == "not_found"):
        return Refused(code=detail.code, message=describe(detail))
    return Unknown(why=f"an item of the batch: {one_line(detail.code[:TEXT_MAX])}: {describe(detail)}")


def judge_network(error: Exception) -> NotSent | Unknown:
    """Judge what a network error proves. An error that NETWORK does not list proves nothing."""
    proof = next((NETWORK[cls] for cls in type(error).__mro__ if cls in NETWORK), "unknown")
    return NotSent(why=describe_error(error)) if proof == "not_sent" else Unknown(why=describe_error(error))


def describe(detail: ErrorDetail) -> str:
    """The exchange's message and details on one line."""
    text = "; ".join(part for part in (detail.message, detail.details) if part)
    return one_line(text)[:TEXT_MAX]


def _code(row: AnswerRow, detail: ErrorDetail) -> str:
    # A row for any code has a code of ours: two spellings of one refusal must not look like two.
    return row.means or one_line(detail.code[:TEXT_MAX])
