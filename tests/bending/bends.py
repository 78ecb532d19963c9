"""What passes between a client and an exchange, the rules that bend it, and the record of it all.

A bend is an async function around the way on: for a request `bend(request, forward) -> Reply`, for a frame
`bend(frame, deliver)`. Rules are tried from the newest to the oldest, and each that matches stands around those behind
it, so that bends compose: held, then answered otherwise. Ready-made bends stand in `requests` and `frames`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Generic, NamedTuple, Self, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
import trio

from fsm_exec.wire.rest import API_PREFIX

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
T = TypeVar("T")


class Request(NamedTuple):
    """`target` is the path and the query as the client wrote them."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""

    @property
    def path(self) -> str:
        """Without the API's prefix and without the query."""
        return urlsplit(self.target).path.removeprefix(API_PREFIX)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the client sent
        return msgspec.json.decode(self.body)


class Reply(NamedTuple):
    """`copies`: how often the whole answer is written to the connection."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    copies: int = 1

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the exchange answered
        return msgspec.json.decode(self.body)


class Cut(Exception):
    """The connection ends now, with a reset; after half of `reply` if there is one."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply


class Frame(NamedTuple):
    """One message of the stream. `aside` runs a function beside the line, which goes on meanwhile."""

    text: str | bytes
    aside: Callable[[Callable[[], Awaitable[None]]], None]

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the exchange sent
        return msgspec.json.decode(self.text)

    @property
    def type(self) -> str:
        """The word that says what kind of frame this is; empty if it says none."""
        try:
            return str(self.json["type"])
        except (msgspec.DecodeError, KeyError, TypeError):
            return ""


Forward: TypeAlias = Callable[[Request], Awaitable[Reply]]
RequestBend: TypeAlias = Callable[[Request, Forward], Awaitable[Reply]]
Deliver: TypeAlias = Callable[[str | bytes], Awaitable[None]]
FrameBend: TypeAlias = Callable[[Frame, Deliver], Awaitable[None]]


class Rule(Generic[T]):
    """`bend` for what `matches`, until it has bent `times` (None: for ever) or is ended; the first `after` matches pass
    as they are. Used as a context manager it ends with the block."""

    def __init__(self, bend: Any, matches: Callable[[T], bool], after: int, times: int | None) -> None:  # noqa: ANN401
        self.bend = bend
        self.met = self.bent = 0
        self._matches, self._after, self._times = matches, after, times
        self._is_ended = False
        self._moved = trio.Event()

    def takes(self, item: T) -> bool:
        """Count a match; say whether it is to be bent."""
        if self._is_ended or self.bent == self._times or not self._matches(item):
            return False
        self.met += 1
        if self.met <= self._after:
            return False
        self.bent += 1
        self._moved.set()
        self._moved = trio.Event()
        return True

    def end(self) -> None:
        """From now on everything passes. What is held already stays held."""
        self._is_ended = True

    async def until_bent(self, times: int = 1, within_s: float = 60) -> None:
        """Until it has bent so often. Raises trio.TooSlowError."""
        with trio.fail_after(within_s):
            while self.bent < times:
                await self._moved.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Asked:
    """A request as it came, and what became of it. Times are trio's. `reply` stays None while it is under way, and
    where no answer was given; `forwarded` are the exchange's answers to what was sent on."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.at_s = trio.current_time()
        self.forwarded: list[Reply] = []
        self.sent_on = 0
        self.reply: Reply | None = None
        self.was_cut = False
        self.ended_s: float | None = None

    def __repr__(self) -> str:
        answer = "cut" if self.was_cut else "under way" if self.reply is None else str(self.reply.status)
        return f"{self.at_s:.3f} {self.request.method} {self.request.path}: {answer}, sent on {self.sent_on} times"


class Told(NamedTuple):
    """A frame as it came from the exchange."""

    at_s: float
    type: str
    text: str | bytes


class Line(NamedTuple):
    """One open stream. `say` gives the client a frame that the exchange never sent."""

    say: Deliver
    cut: Callable[[], None]


class Bends:
    """The rules, changed while traffic passes, and the record. One for any number of connections."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.handshakes: list[Asked] = []
        self.told: list[Told] = []
        self.commands: list[Told] = []
        self.lines: set[Line] = set()
        self.is_stalled = False
        self._requests: list[Rule[Request]] = []
        self._handshakes: list[Rule[Request]] = []
        self._frames: list[Rule[Frame]] = []
        self._commands: list[Rule[Frame]] = []
        self._unstalled = trio.Event()

    # Rules.

    def on_request(
        self,
        bend: RequestBend,
        method: str = "*",
        path: str = "*",
        *,
        where: Callable[[Request], bool] | None = None,
        after: int = 0,
        times: int | None = None,
    ) -> Rule[Request]:
        """Bend requests of this method and path, patterns of the shell both; the path is without the API's prefix."""

        def matches(request: Request) -> bool:
            fits = fnmatchcase(request.method, method) and fnmatchcase(request.path, path)
            return fits and (where is None or where(request))

        return _added(self._requests, Rule(bend, matches, after, times))

    def on_handshake(self, bend: RequestBend, *, after: int = 0, times: int | None = None) -> Rule[Request]:
        """Bend the handshake of a stream: a request whose success is a reply of status 101."""
        return _added(self._handshakes, Rule(bend, lambda _: True, after, times))

    def on_frame(
        self,
        bend: FrameBend,
        type: str = "*",
        *,
        where: Callable[[Any], bool] | None = None,
        after: int = 0,
        times: int | None = None,
    ) -> Rule[Frame]:
        """Bend frames of this type (a pattern) on their way to the client; `where` sees the decoded frame."""
        return _added(self._frames, Rule(bend, partial(_fits, type, where), after, times))

    def on_command(
        self,
        bend: FrameBend,
        *,
        where: Callable[[Any], bool] | None = None,
        after: int = 0,
        times: int | None = None,
    ) -> Rule[Frame]:
        """Bend what the client sends on the stream: its subscriptions."""
        return _added(self._commands, Rule(bend, partial(_fits, "*", where), after, times))

    def calm(self) -> None:
        """End every rule, and let stalled streams go on."""
        for rules in (self._requests, self._handshakes, self._frames, self._commands):
            for rule in rules:
                rule.end()
            rules.clear()
        self.unstall()

    # The stream as a whole.

    def cut_streams(self) -> None:
        """End every open stream with a reset; the next handshake is welcome unless a rule says otherwise."""
        for line in tuple(self.lines):
            line.cut()

    async def say(self, frame: object) -> None:
        """Give every client a frame of our own making."""
        text = frame if isinstance(frame, str | bytes) else msgspec.json.encode(frame).decode()
        for line in tuple(self.lines):
            await line.say(text)

    def stall(self) -> None:
        """Streams stay open and carry nothing any more, pongs included."""
        self.is_stalled, self._unstalled = True, trio.Event()

    def unstall(self) -> None:
        self.is_stalled = False
        self._unstalled.set()

    async def until_unstalled(self) -> None:
        while self.is_stalled:
            await self._unstalled.wait()

    # The record.

    def requests_made(self, method: str = "*", path: str = "*") -> list[Asked]:
        """What a client has asked, as `on_request` names it."""
        return [
            asked
            for asked in self.asked
            if fnmatchcase(asked.request.method, method) and fnmatchcase(asked.request.path, path)
        ]

    def frames_told(self, type: str = "*") -> list[Told]:
        """What the exchange has sent on streams, whether or not it was delivered."""
        return [told for told in self.told if fnmatchcase(told.type, type)]

    # For the fronts.

    async def pass_request(self, request: Request, forward: Forward) -> Reply:
        """The reply for the client. Raises Cut."""
        return await self._pass(request, forward, self._requests, self.asked)

    async def pass_handshake(self, request: Request, forward: Forward) -> Reply:
        return await self._pass(request, forward, self._handshakes, self.handshakes)

    async def pass_frame(self, frame: Frame, deliver: Deliver) -> None:
        self.told.append(Told(trio.current_time(), frame.type, frame.text))
        await _around(frame, deliver, self._frames)

    async def pass_command(self, frame: Frame, deliver: Deliver) -> None:
        self.commands.append(Told(trio.current_time(), frame.type, frame.text))
        await _around(frame, deliver, self._commands)

    @staticmethod
    async def _pass(request: Request, forward: Forward, rules: Iterable[Rule[Request]], record: list[Asked]) -> Reply:
        asked = Asked(request)
        record.append(asked)

        async def send_on(changed: Request) -> Reply:
            asked.sent_on += 1
            reply = await forward(changed)
            asked.forwarded.append(reply)
            return reply

        way: Forward = send_on
        for rule in reversed([rule for rule in rules if rule.takes(request)]):
            way = partial(_bent, rule.bend, way)
        try:
            asked.reply = await way(request)
            return asked.reply
        except Cut:
            asked.was_cut = True
            raise
        finally:
            asked.ended_s = trio.current_time()


async def _bent(bend: RequestBend, forward: Forward, request: Request) -> Reply:
    return await bend(request, forward)


async def _around(frame: Frame, deliver: Deliver, rules: Iterable[Rule[Frame]]) -> None:
    way = deliver
    for rule in reversed([rule for rule in rules if rule.takes(frame)]):
        way = partial(_bent_frame, rule.bend, way, frame.aside)
    await way(frame.text)


async def _bent_frame(
    bend: FrameBend, deliver: Deliver, aside: Callable[[Callable[[], Awaitable[None]]], None], text: str | bytes
) -> None:
    await bend(Frame(text, aside), deliver)


def _added(rules: list[Rule[T]], rule: Rule[T]) -> Rule[T]:
    assert inspect.iscoroutinefunction(rule.bend), "a bend is an async function; call its maker"
    rules.insert(0, rule)
    return rule


def _fits(type_pattern: str, where: Callable[[Any], bool] | None, frame: Frame) -> bool:
    return fnmatchcase(frame.type, type_pattern) and (where is None or where(frame.json))


async def wait(until: float | trio.Event) -> None:
    """Seconds, or until the event."""
    if isinstance(until, trio.Event):
        await until.wait()
    else:
        await trio.sleep(until)
