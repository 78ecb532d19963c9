"""A running `fsm-exec paper` describes itself in a file, so that `serve --paper URL` needs the URL alone.

The file lies in this user's directory under the port of REST, is only this user's to read, and names the key's file,
not the key. It goes with the exchange; after a `kill -9` it stays, and its address does not answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from fsm_exec.control.paths import ensure_directory, papers_directory
from fsm_exec.core.errors import UserError

OWNER_ONLY = 0o600
FILE_BYTES_MAX = 64 * 1_024


class PaperReady(msgspec.Struct):
    """The line on stdout with what a client needs to know."""

    rest_url: str
    ws_url: str
    api_key_id: str
    private_key_path: str
    markets: list[str]


@contextmanager
def publish_ready(ready: PaperReady) -> Iterator[bool]:
    """Let `serve --paper` find this exchange while the block runs. Yields False if the file could not be written, which
    is no reason not to serve."""
    path = None
    with suppress(OSError, UserError):
        path = _path_of(ready.rest_url)
        ensure_directory(path.parent)
        path.unlink(missing_ok=True)  # of one that was killed
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(ready))
    try:
        yield path is not None and path.exists()
    finally:
        if path is not None:
            with suppress(OSError):
                path.unlink()


def load_ready(url: str) -> PaperReady:
    """Load the file of the running `fsm-exec paper` of this user whose REST address is `url`, with or without its path.
    Raises UserError."""
    path = _path_of(url)
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=PaperReady)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        raise UserError(
            f"--paper {url[:100]!r}: no fsm-exec paper of this user serves there; start one and give its rest_url, or "
            'give --config with environment = "paper"'
        ) from None


def _path_of(url: str) -> Path:
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    if port is None:
        raise UserError(f"--paper {url[:100]!r} is no address; give the rest_url that fsm-exec paper prints")
    return papers_directory() / f"{port}.json"
