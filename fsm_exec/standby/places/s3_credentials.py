"""Credentials of an S3 store, where the tools of that world look for them; none stand in our own configuration.

In this order: `LITESTREAM_ACCESS_KEY_ID` and `LITESTREAM_SECRET_ACCESS_KEY`, as Litestream takes them;
`AWS_ACCESS_KEY_ID` and its like; the profile `AWS_PROFILE` (`default`) of the file `AWS_SHARED_CREDENTIALS_FILE`
(`~/.aws/credentials`); then what the library finds on a cloud's own machines. The file is read again every few minutes,
so a key may be rotated in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from configparser import ConfigParser
from configparser import Error as NoIni
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NotRequired, TypedDict

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.clock import system_us

READ_AGAIN_AFTER_S: Final = 300


class S3Credentials(TypedDict):
    """What the library takes. `expires_at`: when it asks again; None: never."""

    access_key_id: str
    secret_access_key: str
    token: NotRequired[str | None]
    expires_at: datetime | None


def find_credentials() -> Callable[[], S3Credentials] | None:
    """Return what gives the credentials; None: the library finds them itself. Raises UserError for a file or a profile
    that was named and is not there, or cannot be read."""
    own = os.environ.get("LITESTREAM_ACCESS_KEY_ID"), os.environ.get("LITESTREAM_SECRET_ACCESS_KEY")
    if own[0] and own[1]:
        given: S3Credentials = {"access_key_id": own[0], "secret_access_key": own[1], "expires_at": None}
        return lambda: given
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return None
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE"), os.environ.get("AWS_PROFILE")
    path, profile = Path(named[0] or "~/.aws/credentials").expanduser(), named[1] or "default"
    if not any(named) and (not path.is_file() or not _read_profile(path, profile)):
        return None
    load_credentials(path, profile)
    return lambda: load_credentials(path, profile)


def load_credentials(path: Path, profile: str) -> S3Credentials:
    """Load the credentials of a profile. Raises UserError."""
    found = _read_profile(path, profile)
    key, secret = found.get("aws_access_key_id", ""), found.get("aws_secret_access_key", "")
    if not key or not secret:
        raise UserError(
            f"{path} has no aws_access_key_id and aws_secret_access_key under [{profile}]; write them there, or set "
            "AWS_PROFILE"
        )
    return {
        "access_key_id": key,
        "secret_access_key": secret,
        "token": found.get("aws_session_token"),
        "expires_at": datetime.fromtimestamp(system_us() // US_PER_S + READ_AGAIN_AFTER_S, UTC),
    }


def _read_profile(path: Path, profile: str) -> dict[str, str]:
    """Return what a profile has; nothing: there is none. Raises UserError for a file that cannot be read."""
    file = ConfigParser(interpolation=None)
    try:
        file.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"the credentials {path} cannot be read: {error.strerror}; correct AWS_SHARED_CREDENTIALS_FILE"
        ) from None
    except (NoIni, UnicodeDecodeError):  # their words may have a secret in them
        raise UserError(f"the credentials {path} are no file of profiles: [NAME] and lines of NAME = VALUE") from None
    return dict(file[profile]) if file.has_section(profile) else {}
