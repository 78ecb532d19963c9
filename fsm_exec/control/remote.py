"""The daemon as its callers see it: asked over a transport, and found again after a restart.

A daemon that goes away is looked for again for `patience_s`: whatever may be sent twice is sent again, and a stream
goes on after the last row it has. Rows are numbered in the database, so nothing is lost or repeated however often the
connection is cut. Another database has other rows and other keys: each request names the one it means, and the daemon
of another refuses it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Final, NamedTuple, NoReturn, TypeVar

import msgspec

from fsm_exec.control import calls
from fsm_exec.control.calls import STATUS, Call
from fsm_exec.control.client_errors import DaemonAbsent, DaemonFailed, error_of
from fsm_exec.control.discovery import Address, Find
from fsm_exec.control.event_parser import EventParser, Step
from fsm_exec.control.limits import PAGE_MAX
from fsm_exec.control.schema import INSTANCE, ExecutionDetail, ExecutionSummary, ListQuery
from fsm_exec.control.transports import AnswerLost, NotConnected, OutgoingRequest, Transport
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import one_line

PAUSE_S: Final = 0.2  # before the first new try; each is twice the last
PAUSE_MAX_S: Final = 5.0
JOURNAL_LINES: Final = 10
NOT_RUNNING: Final = "not_running"  # the API's code
PATIENCE_S: Final = 60.0
S = TypeVar("S", bound=msgspec.Struct)


class _Identity(NamedTuple):
    instance: str
    database: str


def say_nothing(line: str) -> None:
    pass


class RemoteDaemon:
    """`find` finds the daemon. `when_gone` is called with one line each time it has gone. Every method raises Refused,
    DaemonFailed, DaemonAbsent, and UserError if it is unclear which daemon is meant."""

    def __init__(
        self,
        transport: Transport,
        find: Find,
        patience_s: float = PATIENCE_S,
        when_gone: Callable[[str], None] = say_nothing,
    ) -> None:
        self._transport, self._find = transport, find
        self._patience_s, self._when_gone = patience_s, when_gone
        self._address: Address | None = None  # None: to be found, for the first time or again
        self._identity: _Identity | None = None  # whom we talked to first
        self._streams: dict[object, AsyncGenerator[Step, None]] = {}

    async def connect(self) -> None:
        """Find the daemon, and remember which it is if it is to be found again. At once or not at all: a daemon that
        was never there is not waited for."""
        await self._resolve()

    async def close(self) -> None:
        for stream in list(self._streams.values()):
            await stream.aclose()
        await self._transport.close()

    async def ask(self, call: Call[S]) -> S:
        """Send a call and return its answer. A call that is repeatable, or that was never sent, is sent again while
        there is patience."""
        outage: _Outage | None = None
        while True:
            try:
                return await self._ask_at(await self._resolve(), call)
            except (DaemonAbsent, DaemonFailed) as error:
                if not await self._may_retry(call, error):
                    raise
                outage = outage or self._begin_outage(error, "asking again as soon as it runs")
                await outage.wait(error)

    async def fetch_metrics(self) -> str:
        """Fetch what the daemon measures of itself, as Prometheus reads it. It is asked once."""
        address = await self._resolve()
        sent = OutgoingRequest("GET", f"{address.url}/metrics", self._headers(address), {})
        with _map_errors(address, _gone_message(address)):
            reply = await self._transport.fetch(sent)
        if reply.status != 200:
            raise error_of(reply.status, reply.content)
        return reply.content.decode()

    async def _may_retry(self, call: Call[S], error: DaemonAbsent | DaemonFailed) -> bool:
        """Return whether a known daemon has gone or restarts. A halt is neither: it lasts until a resume."""
        if self._identity is None:
            return False
        if isinstance(error, DaemonAbsent):
            self._address = None
            return call.is_repeatable or not error.may_be_done
        if error.code != NOT_RUNNING or self._address is None:
            return False
        try:
            return (await self._ask_at(self._address, STATUS)).why_halted is None
        except DaemonAbsent:
            self._address = None
            return True

    async def executions(self, query: ListQuery, at_most: int | None) -> list[ExecutionSummary]:
        """Fetch the newest `at_most` executions, or all, newest first, page by page. Raises UserError below 0."""
        if at_most is not None and at_most < 0:
            raise UserError(f"limit {at_most} is below 0; leave it out for all executions")
        found: list[ExecutionSummary] = []
        before = query.before
        while at_most is None or len(found) < at_most:
            limit = PAGE_MAX if at_most is None else min(PAGE_MAX, at_most - len(found))
            page = await self.ask(calls.page(msgspec.structs.replace(query, before=before, limit=limit)))
            found += page.executions
            before = page.next_before
            if before is None:
                break
        return found

    async def wait(self, execution_id: str) -> ExecutionDetail:
        """Wait for the end of an execution, and fetch it."""
        async with aclosing(self.follow(execution_id, None)) as steps:
            async for _ in steps:
                pass
        return await self.ask(calls.show(execution_id, JOURNAL_LINES))

    def follow(self, execution_id: str | None, after: int | None) -> AsyncGenerator[Step, None]:
        """Return the steps of one execution to its end, or of all for ever, each once, after row `after` (None: from
        now on; of one its last). A caller that leaves early closes the generator, or the client does at its own end."""
        name = object()
        self._streams[name] = self._steps(name, execution_id, after)
        return self._streams[name]

    async def _steps(self, name: object, execution_id: str | None, after: int | None) -> AsyncGenerator[Step, None]:
        place, has_begun = after, False
        outage: _Outage | None = None
        try:
            while True:
                try:
                    async with self._stream(execution_id, place) as (address, lines):
                        parser = EventParser(place)
                        async for line in lines:
                            heard = parser.feed(line)
                            if heard is None:
                                continue
                            place, has_begun, outage = heard.place, True, None
                            if heard.step is not None:
                                yield heard.step
                            if heard.is_end:
                                return
                    _raise_gone(address)
                except (DaemonAbsent, DaemonFailed) as error:
                    self._address = None
                    if self._identity is None or (isinstance(error, DaemonFailed) and not has_begun):
                        raise
                    outage = outage or self._begin_outage(error, f"going on after row {place} as soon as it runs")
                    await outage.wait(error)
        finally:
            del self._streams[name]

    @asynccontextmanager
    async def _stream(
        self, execution_id: str | None, place: int | None
    ) -> AsyncIterator[tuple[Address, AsyncIterator[str]]]:
        """Open a stream: yield the daemon that answers, and the lines after row `place`."""
        address = await self._resolve()
        path, params = calls.stream_request(execution_id, place)
        sent = OutgoingRequest("GET", address.url + path, self._headers(address), params)
        with _map_errors(address, _gone_message(address)):
            async with self._transport.stream(sent) as stream:
                if stream.status != 200:
                    raise error_of(stream.status, stream.content)
                yield address, stream.lines

    async def _resolve(self) -> Address:
        """Find the daemon that answers; once one is known, only that one. Raises DaemonAbsent if it does not answer,
        Refused if another database does."""
        if self._address is not None:
            return self._address
        known = self._identity
        database = None if known is None else known.database
        address = await self._transport.read_files(partial(self._find, database))
        if self._patience_s > 0:
            status = await self._ask_at(address, STATUS)
            self._identity = _Identity(status.instance, status.database)
        self._address = address
        return address

    def _headers(self, address: Address) -> dict[str, str]:
        token = {"Authorization": f"Bearer {address.token}"}
        return token if self._identity is None else token | {INSTANCE: self._identity.instance}

    async def _ask_at(self, address: Address, call: Call[S]) -> S:
        sent = OutgoingRequest(call.method, address.url + call.path, self._headers(address), call.params, call.content)
        with _map_errors(address, None):
            reply = await self._transport.fetch(sent)
        if reply.status not in call.good:
            raise error_of(reply.status, reply.content)
        return calls.decode(reply.content, call.answer)

    def _begin_outage(self, error: DaemonAbsent | DaemonFailed, what_follows: str) -> _Outage:
        self._when_gone(f"{one_line(str(error))}; {what_follows}")
        return _Outage(self._transport, self._patience_s)


def _raise_gone(address: Address) -> NoReturn:
    raise DaemonAbsent(_gone_message(address))


def _gone_message(address: Address) -> str:
    return f"the daemon at {address.url} is gone"


class _Outage:
    """The time without a daemon: pauses that grow, until patience ends."""

    def __init__(self, transport: Transport, patience_s: float) -> None:
        self._transport = transport
        self._ends_s = transport.now_s() + patience_s
        self._pause_s = PAUSE_S

    async def wait(self, error: DaemonAbsent | DaemonFailed) -> None:
        """Wait until the next try. Raises `error` if there is none."""
        left_s = self._ends_s - self._transport.now_s()
        if left_s <= 0:
            raise error
        await self._transport.sleep(min(self._pause_s, left_s))
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)


@contextmanager
def _map_errors(address: Address, cut: str | None) -> Iterator[None]:
    """Raise errors of the transport as DaemonAbsent. `cut` says what an answer without an end means; None: what was
    asked may be done."""
    try:
        yield
    except NotConnected as error:
        raise DaemonAbsent(f"no daemon answers at {address.url}; start one with: fsm-exec serve") from error
    except AnswerLost as error:
        message = cut or (
            f"the daemon at {address.url} gave no answer ({error}), it may have done what was asked; ask again"
        )
        raise DaemonAbsent(message, may_be_done=cut is None) from error
