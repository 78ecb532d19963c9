"""The structured log: one JSON line per transition and per unplanned event, in one file."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.text import escaped_json
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.clock import WallClock


class _Lines:
    """The file structlog writes to. A line that the disk does not take is lost, never raised: the log records what
    happened and must not decide it, least of all in the middle of a step or while orders are being cancelled."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError:
            pass

    debug = info = warning = error = critical = msg


_ENCODER = msgspec.json.Encoder(order="sorted", enc_hook=repr)


def _json(entry: object, **_: object) -> str:
    """Encode an entry as one line. msgspec is several times faster than the standard library, which stays for what
    msgspec refuses: a log must not fail. Text of the exchange is escaped, for a line is read on terminals."""
    try:
        return escaped_json(_ENCODER.encode(entry).decode())
    except (ValueError, TypeError):  # a lone surrogate, say
        return json.dumps(entry, default=repr, sort_keys=True)


def open_log(file: TextIO, wall: WallClock) -> FilteringBoundLogger:
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
