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
from fsm_exec.standby.places.s3_url import SCHEME, read_address


class StandbySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`lease`: where the lease record is, the URL of a directory that both hosts see, or of a bucket; empty: there is
    no other engine. `lease_s`: after so many seconds without a renewal a standby may take over. `replica`: where
    Litestream stores the database, as Litestream writes it, or a file of Litestream's settings."""

    lease: str = ""
    lease_s: Annotated[int, msgspec.Meta(ge=2, le=3_600)] = LEASE_S
    replica: str = ""


def open_place(url: str) -> Place:
    """Return the place of a URL. Raises UserError, and PlaceUnreachable for one that is not there."""
    directory = lease_directory(url)
    return _open_bucket(url) if directory is None else FilePlace(directory)


def lease_directory(url: str) -> Path | None:
    """Return the directory that a URL names; None: it names a bucket. Raises UserError."""
    parts = urlsplit(url)
    if parts.scheme == SCHEME:
        read_address(url)
        return None
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return Path(unquote(parts.path))
    raise UserError(
        f"lease {url!r} is no place for a lease record; give file:///DIRECTORY, one that both hosts see, or "
        "s3://BUCKET/PREFIX"
    )


def _open_bucket(url: str) -> Place:
    address = read_address(url)
    try:
        from fsm_exec.standby.places.s3_place import S3Place
    except ModuleNotFoundError:
        raise UserError(f"lease {url!r} needs a library; run: pip install 'fsm-exec[s3]'") from None
    return S3Place(address)


def source_url(wanted: str) -> str:
    """Return the URL of a replica, a directory's too, or the path of a file of Litestream's settings. Raises
    UserError."""
    if "://" in wanted:
        if urlsplit(wanted).password is not None:
            raise UserError(
                "--from has a password in its URL, which would be shown; write the replica into a file of Litestream's "
                "settings and give the path of that"
            )
        return wanted
    path = Path(wanted).expanduser().absolute()
    if path.is_dir():
        return path.as_uri()
    if path.is_file():
        return str(path)
    raise UserError(
        f"--from {wanted} is no directory; give the URL or the directory that Litestream replicates to, or a file of "
        "its settings"
    ) from FileNotFoundError(wanted)  # of the machine: a share may be mounted a moment later
