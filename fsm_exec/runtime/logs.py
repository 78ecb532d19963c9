"""The structured log: one JSON line per transition and per unplanned event, in one file."""

from __future__ import annotations

import json
from collections.abc import MutableMapping, Sequence
from typing import Any, Protocol

import msgspec
import structlog
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.execution.draft import StateChange
from fsm_exec.core.text import escaped_json
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.clock import WallClock


class LogFile(Protocol):
    """What the log is written to: an open text file, or what takes its place."""

    @property
    def closed(self) -> bool: ...
    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class _Transition(msgspec.Struct, frozen=True, gc=False):
    """A line about one change of state. Its fields are in the order in which they are written: sorted."""

    at: str
    dest: str
    event: str
    event_type: str
    level: str
    machine: str
    seq: int
    source: str
    subject: str
    trigger: str


class _Lines(trio.abc.Instrument):
    """The file the log is written to. A line that the disk does not take is lost, never raised: the log records what
    happened and must not decide it, least of all in the middle of a step or while orders are being cancelled.

    Transitions are written together, once every task that woke with them has run, and so once for all the steps of a
    commit: a write each takes as long as a good part of the step. Any other line is written at once, after those that
    came before it. A process that is killed loses the lines of that moment, and no step: each was durable before.
    """

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._transitions: list[_Transition] = []
        self._run: trio.lowlevel.TrioToken | None = None  # that tells when its tasks have run

    def add_transitions(self, lines: Sequence[_Transition]) -> None:
        """Have these written before trio waits for anything."""
        run = trio.lowlevel.current_trio_token()
        if run is not self._run:
            trio.lowlevel.add_instrument(self)
            self._run = run
        self._transitions += lines

    def before_io_wait(self, timeout: float) -> None:
        if self._transitions:
            self._write("")

    def after_run(self) -> None:
        if self._transitions:
            self._write("")

    def msg(self, line: str) -> None:
        self._write(line + "\n")

    debug = info = warning = error = critical = msg

    def _write(self, text: str) -> None:
        transitions, self._transitions = self._transitions, []
        try:
            self._file.write(_encode_lines(transitions) + text)
            self._file.flush()
        except OSError:
            pass
        except ValueError:  # closed: the run outlives its log
            if not self._file.closed:
                raise


_ENCODER = msgspec.json.Encoder(order="sorted", enc_hook=repr)
_IN_ORDER = msgspec.json.Encoder()


def _json(entry: object, **_: object) -> str:
    """Encode an entry as one line. msgspec is several times faster than the standard library, which stays for what
    msgspec refuses: a log must not fail. Text of the exchange is escaped, for a line is read on terminals."""
    try:
        return escaped_json(_ENCODER.encode(entry).decode())
    except (ValueError, TypeError):  # a lone surrogate, say
        return json.dumps(entry, default=repr, sort_keys=True)


def _encode_lines(transitions: Sequence[_Transition]) -> str:
    try:
        return escaped_json(_IN_ORDER.encode_lines(transitions).decode())
    except ValueError:
        return "".join(_json(msgspec.structs.asdict(line)) + "\n" for line in transitions)


def log_transitions(
    log: FilteringBoundLogger, wall: WallClock, changes: Sequence[StateChange], event_type: str, seq: int
) -> None:
    """Log the changes of state of one durable step, a line each. The log's own pipeline, which is for lines of any
    kind, would take a good part of the time of the step."""
    lines = getattr(log, "_logger", None)
    if not isinstance(lines, _Lines):  # a log of others: it is asked as structlog has it
        for change in changes:
            log.info(
                "transition",
                machine=change.machine,
                subject=change.subject,
                source=change.source,
                trigger=change.trigger,
                dest=change.dest,
                event_type=event_type,
                seq=seq,
            )
        return
    at = to_iso(wall.now_us())
    lines.add_transitions(
        [
            _Transition(
                at=at,
                dest=change.dest,
                event="transition",
                event_type=event_type,
                level="info",
                machine=change.machine,
                seq=seq,
                source=change.source,
                subject=change.subject,
                trigger=change.trigger,
            )
            for change in changes
        ]
    )


def open_log(file: LogFile, wall: WallClock) -> FilteringBoundLogger:
    """A logger that writes JSON lines to `file`, stamped with the wall's time, which may be virtual."""

    def stamp(logger: object, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        entry["at"] = to_iso(wall.now_us())
        entry["level"] = method
        return entry

    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Lines(file),
        processors=[stamp, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=True,
    )
    bound: FilteringBoundLogger = logger.bind()  # made once: the wrapper makes a new one for every line
    return bound
