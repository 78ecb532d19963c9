"""The daemons that run on this host: a lock holds each to one account, and a file lets the commands find it.

Both are lock files (store.locks), so a dead daemon is neither in the way nor found. The account's lock has the key's id
in its name only as a hash. Two databases with two keys of one account pass it; the engine sees that by the other
instance's orders.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from fsm_exec.control.paths import daemons_directory, ensure_directory, locks_directory
from fsm_exec.store.files.locks import LOCK_SUFFIX, Holder, hold, read_holder

HASH_DIGITS: Final = 24


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """A running daemon, as its file says: where it answers, and which token opens it."""

    url: str
    token_file: str
    pid: int
    since: str
    database: str
    environment: str


def lock_account(
    *, environment: str, address: str, api_key_id: str, subaccount: int, database: Path, what: str, since: str
) -> AbstractContextManager[None]:
    """Hold the lock of an account: one engine works it on this host. `address` counts on a paper exchange only, where
    any two may know the same key. Raises LockHeld and UserError."""
    where = f"{environment} {address}" if environment == "paper" else environment
    digest = hashlib.sha256(f"{where}\0{api_key_id}\0{subaccount}".encode()).hexdigest()[:HASH_DIGITS]
    path = ensure_directory(locks_directory()) / f"account-{environment}-{digest}{LOCK_SUFFIX}"
    holder = Holder(pid=os.getpid(), since=since, database=os.path.realpath(database), what=what)
    return hold(path, holder, f"the {environment} account of this key")


@contextmanager
def register_daemon(daemon: Daemon) -> Iterator[None]:
    """Let the commands of this user find the daemon while the block runs."""
    name = hashlib.sha256(daemon.database.encode()).hexdigest()[:HASH_DIGITS]
    with hold(ensure_directory(daemons_directory()) / f"{name}{LOCK_SUFFIX}", daemon, "the daemon's file"):
        yield


def load_running_daemons() -> list[Daemon]:
    """Load the daemons that run now and were started by this user."""
    found = []
    for path in sorted(daemons_directory().glob(f"*{LOCK_SUFFIX}")):
        text = read_holder(path)
        if text is None:
            continue
        try:
            found.append(msgspec.json.decode(text, type=Daemon))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # being written just now
    return found
