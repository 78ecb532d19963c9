"""The daemon's files lie in the platform's directories of this user, unless an option names another path.

`state`: the token, the locks, and who runs. `data`: the databases, one for each exchange. What depends on nothing but
the user's home is the same for a login, a service and a scheduled start; the runtime directory of a login is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fsm_exec.core.errors import UserError

NAME: Final = "fsm-exec"
OWNER_ONLY_DIRECTORY: Final = 0o700


def state_directory() -> Path:
    import platformdirs  # only here: a caller that names every path needs no platform's opinion

    return platformdirs.user_state_path(NAME, appauthor=False)


def data_directory() -> Path:
    import platformdirs

    return platformdirs.user_data_path(NAME, appauthor=False)


def token_path() -> Path:
    return state_directory() / "token"


def locks_directory() -> Path:
    return state_directory() / "locks"


def daemons_directory() -> Path:
    return state_directory() / "daemons"


def papers_directory() -> Path:
    """The directory has a file of each running `fsm-exec paper` of this user, named by its port."""
    return state_directory() / "papers"


def database_path(environment: str) -> Path:
    """Return the database of this exchange: what was played must not stand beside what was paid."""
    return data_directory() / f"{environment}.sqlite"


def ensure_directory(directory: Path) -> Path:
    """Return `directory`; if it is not there, create it for its owner alone. Raises UserError."""
    try:
        directory.mkdir(mode=OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the directory {directory} ({error.strerror}); "
            "make its parent writable, or set XDG_STATE_HOME or XDG_DATA_HOME"
        ) from error
    return directory
