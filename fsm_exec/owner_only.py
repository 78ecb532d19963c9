"""Creates files that only their owner may read: they show what an account holds and does.

The command makes every file so by its umask; what is made here says it once more, for callers that use the store
without the command. SQLite gives a log the rights of its database.
"""

from __future__ import annotations

import os
from typing import Final

OWNER_ONLY: Final = 0o600


def owner_only(path: str, flags: int) -> int:
    """An opener for `open`: a new file is its owner's alone, whatever the umask."""
    return os.open(path, flags, OWNER_ONLY)
