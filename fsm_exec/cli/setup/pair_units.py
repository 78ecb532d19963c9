"""What the units of a host of a pair need beside those of a host alone: where the lease record is written, and
Litestream, which copies the database to the replica."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from fsm_exec.core.errors import UserError
from fsm_exec.standby.litestream import Litestream
from fsm_exec.standby.places.s3_url import SCHEME
from fsm_exec.standby.settings import StandbySettings, lease_directory

STORE_VARIABLES: Final = ("AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL")
"""Variables that say where a store and its credentials are; those that are credentials go into no unit."""


@dataclass(frozen=True, kw_only=True)
class PairUnits:
    """`written`: directories that the daemon writes to, beside its own; `copied`: those that Litestream does. `lease`:
    where the lease record is. `copying`: how Litestream is started; nothing: no replica is configured. `variables` are
    handed on to both."""

    lease: str = ""
    written: tuple[Path, ...] = ()
    copying: tuple[str, ...] = ()
    copied: tuple[Path, ...] = ()
    variables: tuple[str, ...] = ()


def find_pair_units(settings: StandbySettings, database: Path) -> PairUnits:
    """Return what the units need, of a daemon that works `database`. Raises UserError, also where Litestream is wanted
    and not there."""
    lease = lease_directory(settings.lease) if settings.lease else None
    replica, named = settings.replica, [str(database), settings.replica]
    if replica and "://" not in replica:
        path = Path(replica).expanduser().absolute()
        replica = path.as_uri()
        named = ["-config", str(path)] if path.is_file() else [str(database), replica]
    uses_store = any(url.startswith(f"{SCHEME}:") for url in (settings.lease, replica))
    return PairUnits(
        lease=settings.lease,
        written=() if lease is None else (lease,),
        copying=(str(_find_program().path.absolute()), "replicate", *named) if replica else (),
        copied=_replica_directories(replica),
        variables=STORE_VARIABLES if uses_store else (),
    )


def _find_program() -> Litestream:
    try:
        return Litestream.find(None)
    except UserError as error:
        raise UserError(f"{error}, or take replica out of [standby]: its unit starts that program") from None


def _replica_directories(replica: str) -> tuple[Path, ...]:
    """Return the directory of a replica, or, before the first copy is made, the one it will be made in."""
    parts = urlsplit(replica)
    if parts.scheme != "file":
        return ()
    directory = Path(unquote(parts.path))
    return (directory if directory.is_dir() else directory.parent,)
