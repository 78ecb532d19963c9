"""The table `[standby]` of the configuration, and the place that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.standby.lease_record import LEASE_S
from fsm_exec.standby.places.file_place import FilePlace
from fsm_exec.standby.places.place import Place


class StandbySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`lease`: where the lease record is, the URL of a directory that both hosts see; empty: there is no other engine.
    `lease_s`: after so many seconds without a renewal a standby may take over. `replica`: where Litestream stores the
    database, as Litestream writes it."""

    lease: str = ""
    lease_s: Annotated[int, msgspec.Meta(ge=2, le=3_600)] = LEASE_S
    replica: str = ""


def open_place(url: str) -> Place:
    """Return the place of a URL. Raises UserError, and PlaceUnreachable for one that is not there."""
    return FilePlace(lease_directory(url))


def lease_directory(url: str) -> Path:
    """Return the directory that a URL names. Raises UserError."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    raise UserError(f"lease {url!r} is no place for a lease record; give file:///DIRECTORY, one that both hosts see")


def source_url(wanted: str) -> str:
    """Return the URL of a replica; a path is one, too. Raises UserError."""
    if "://" in wanted:
        return wanted
    path = Path(wanted).expanduser()
    if not path.is_dir():
        raise UserError(f"--from {wanted} is no directory; give the URL or the directory that Litestream replicates to")
    return path.absolute().as_uri()
