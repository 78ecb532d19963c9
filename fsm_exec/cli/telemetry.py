"""The collector of the configuration's `[telemetry]`, opened: the headers it wants are read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fsm_exec.control.metrics.spans import Collector, open_collector
from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.private_file import read_private

PATH: Final = "/v1/traces"  # where OTLP over HTTP takes spans, unless it is said otherwise
HEADERS_BYTES_MAX: Final = 16_384


def open_telemetry(endpoint: str | None, headers_file: str | None, directory: Path) -> Collector | None:
    """Open it; None: no endpoint is configured. Paths are relative to `directory`, the configuration's. Raises
    UserError, which never tells a header."""
    if endpoint is None:
        if headers_file is not None:
            raise UserError("telemetry.headers_file: there is no telemetry.endpoint; give one, or remove the table")
        return None
    address = _check_endpoint(endpoint)
    return open_collector(address, {} if headers_file is None else _load_headers(headers_file, directory))


def _check_endpoint(endpoint: str) -> str:
    what = "telemetry.endpoint"
    try:
        parts = urlsplit(endpoint)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        is_address = False
    if not is_address:
        raise UserError(f"{what}: is no address; give one like http://127.0.0.1:4318")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise UserError(f"{what}: has more than host, port and path; a secret belongs into telemetry.headers_file")
    return endpoint if parts.path.strip("/") else f"{endpoint.rstrip('/')}{PATH}"


def _load_headers(name: str, directory: Path) -> dict[str, str]:
    what = "telemetry.headers_file"
    try:
        path = directory / Path(name).expanduser()
    except RuntimeError as error:  # a home directory that is not known
        raise UserError(f"{what}: {error}; give the whole path") from error
    content = read_private(
        path,
        what,
        bytes_max=HEADERS_BYTES_MAX + 1,
        if_absent="write the collector's headers into it",
        if_others_may=f"run: chmod 600 {path}",
    )
    lines = content.decode("latin-1").split("\n") if len(content) <= HEADERS_BYTES_MAX else [""]
    headers = [line.partition(":") for line in lines if line.strip()]
    if not headers or any(not colon or not key.isascii() or not key.strip() for key, colon, _ in headers):
        raise UserError(f"{what} {path}: holds something else than headers; give lines like authorization: Bearer ...")
    return {key.strip(): value.strip() for key, _, value in headers}
