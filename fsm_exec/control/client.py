"""The typed client of the control API: synchronous, for commands and scripts.

    with open_client(*find_daemon()) as daemon:
        accepted = daemon.submit(Submission(key="order-17", ...))

A request whose answer got lost may be sent again as it is: a submission under its key is accepted once, and everything
else can be asked twice. The token goes to this machine only, and to no proxy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from fsm_exec.control.messages import (
    Accepted,
    Ended,
    ExecutionDetail,
    Failed,
    Health,
    ListQuery,
    NoQuery,
    Page,
    QuarantineSeen,
    ShowQuery,
    Status,
    Submission,
    Told,
    Transition,
)
from fsm_exec.core.errors import ExecError, UserError

CONNECT_S: Final = 5.0
ANSWER_S: Final = 60.0  # a submission may wait for the exchange's terms and for a first book
QUIET_S: Final = 45.0  # of a stream: three comments in a row did not come
OURS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
USERS_FAULT: Final = frozenset({400, 401, 403, 404, 405, 409, 413, 422})
S = TypeVar("S", bound=msgspec.Struct)


class DaemonAbsent(ExecError):
    """Nobody answers: nothing was asked, or the answer got lost."""


class DaemonFailed(ExecError):
    """The daemon could not do it, which is not the caller's fault. `code` is the API's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Refused(UserError):
    """The daemon refuses the request as it is. `code` is the API's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Heard(NamedTuple):
    """Something of a stream; `place` is the row to go on after. `told` None: only that, or that the daemon lives."""

    place: int
    told: Transition | QuarantineSeen | None


class ControlClient:
    """Every method raises Refused, DaemonFailed or DaemonAbsent."""

    def __init__(self, url: str, token: str) -> None:
        """Raises UserError for an address that is not on this machine."""
        self._url = checked_url(url)
        self._http = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(self, submission: Submission) -> Accepted:
        return self._ask("POST", "/v1/executions", Accepted, body=submission)

    def page(self, query: ListQuery) -> Page:
        return self._ask("GET", "/v1/executions", Page, query=query)

    def show(self, execution_id: str, journal_lines: int) -> ExecutionDetail:
        query = ShowQuery(journal_lines=journal_lines)
        return self._ask("GET", _path(execution_id), ExecutionDetail, query=query)

    def cancel(self, execution_id: str) -> Told:
        return self._ask("POST", _path(execution_id, "/cancel"), Told)

    def resume_execution(self, execution_id: str) -> Told:
        return self._ask("POST", _path(execution_id, "/resume"), Told)

    def halt(self) -> Status:
        return self._ask("POST", "/v1/halt", Status)

    def resume(self) -> Status:
        return self._ask("POST", "/v1/resume", Status)

    def status(self) -> Status:
        return self._ask("GET", "/v1/status", Status)

    def health(self) -> Health:
        with self._translated():
            answer = self._http.get("/v1/health")
        return _decoded(answer.content, Health)

    def watch(self, execution_id: str | None, after: int | None = None) -> Iterator[Heard]:
        """The steps of one execution to its end, or of all for ever, after row `after` (None: from now on; of one its
        last). The first says only where it begins. Raises DaemonAbsent if the stream is cut: `following` goes on."""
        path = "/v1/events" if execution_id is None else _path(execution_id, "/events")
        query = {} if after is None else {"after": str(after)}
        timeout = httpx.Timeout(QUIET_S, connect=CONNECT_S)
        gone = f"the daemon at {self._url} is gone"
        with self._translated(gone), self._http.stream("GET", path, params=query, timeout=timeout) as answer:
            if answer.status_code != 200:
                raise _error_of(answer.status_code, answer.read())
            place, kind, data = 0, "", ""
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    place = int(value) if value.isdecimal() else place
                elif name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif not line:  # an event is whole only now: one that was cut is none
                    if kind == "end":
                        self._check_end(_decoded(data.encode(), Ended).why)
                        return
                    if kind == "step":
                        yield Heard(place, _decoded(data.encode(), Transition))
                    elif kind == "quarantine":
                        yield Heard(place, _decoded(data.encode(), QuarantineSeen))
                    else:
                        yield Heard(place, None)
                    kind = data = ""
        raise DaemonAbsent(gone)

    @staticmethod
    def _check_end(why: str) -> None:
        if not why.endswith("has ended"):
            raise DaemonAbsent(why)

    def _ask(
        self,
        method: str,
        path: str,
        kind: type[S],
        *,
        body: msgspec.Struct | None = None,
        query: msgspec.Struct | None = None,
    ) -> S:
        content = None if body is None else msgspec.json.encode(_without_nothing(body))
        params = {name: _text(value) for name, value in _without_nothing(query or NoQuery()).items()}
        with self._translated():
            answer = self._http.request(method, path, content=content, params=params)
        if answer.status_code >= 300:
            raise _error_of(answer.status_code, answer.content)
        return _decoded(answer.content, kind)

    @contextmanager
    def _translated(self, cut: str | None = None) -> Iterator[None]:
        """`cut` says what it means that the answer did not come to its end; None: what was asked may be done."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise DaemonAbsent(f"no daemon answers at {self._url}; start one with: fsm-exec serve") from error
        except httpx.TransportError as error:
            raise DaemonAbsent(
                cut
                or f"the daemon at {self._url} gave no answer ({type(error).__name__}), it may have done what was "
                "asked; ask again"
            ) from error


def checked_submission(told: Mapping[str, object]) -> Submission:
    """A submission from loose values. Raises UserError, as the daemon would."""
    try:
        return msgspec.convert(told, Submission)
    except msgspec.ValidationError as error:
        raise UserError(str(error)) from None


def checked_url(url: str) -> str:
    """The base address. Raises UserError unless it is on this machine: it is told the token."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme != "http" or host not in OURS or parts.path not in ("", "/"):
        raise UserError(f"{url[:100]!r} is not a daemon's address; it looks like http://127.0.0.1:PORT")
    return url.rstrip("/")


def _path(execution_id: str, rest: str = "") -> str:
    if not (execution_id.isascii() and execution_id.isalnum()):
        raise UserError(f"{execution_id[:40]!r} is no execution's id; they look like e000001")
    return f"/v1/executions/{execution_id}{rest}"


def _without_nothing(struct: msgspec.Struct) -> dict[str, object]:
    return {name: value for name, value in msgspec.structs.asdict(struct).items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _error_of(status: int, content: bytes) -> ExecError:
    try:
        error = msgspec.json.decode(content, type=Failed).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return DaemonFailed("unreadable", f"what answers there is no fsm-exec daemon (HTTP {status}); check --url")
    kind = Refused if status in USERS_FAULT else DaemonFailed
    return kind(error.code, error.message)


def _decoded(content: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DaemonFailed(
            "unreadable", f"what answers there is no fsm-exec daemon of this version: {error}"
        ) from error
