"""The logger this package writes to: structlog's bound loggers fit. Values never include a key, a signature or a
header."""

from __future__ import annotations

from typing import Protocol


class Log(Protocol):
    def debug(self, event: str, **values: object) -> object: ...
    def info(self, event: str, **values: object) -> object: ...
    def warning(self, event: str, **values: object) -> object: ...
    def exception(self, event: str, **values: object) -> object: ...


class SilentLog:
    """Discards every line."""

    def debug(self, event: str, **values: object) -> None:
        """Discard the line."""

    info = debug
    warning = debug
    exception = debug
