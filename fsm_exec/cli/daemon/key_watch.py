"""The watch over the key: once the exchange does not accept it any more, the one that the configuration names now.

Keys are replaced at the exchange, and a daemon runs for years. It keeps its key in memory and looks at its files again
only when it is refused, so a key may be put there before or after the old one is revoked, and nothing need be told.
A key of another account is never used: it would work this account's executions with another's money. What else has
changed in the configuration counts at the next start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, NoReturn

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.signing import SigningKey

LOOK_EVERY_S: Final = 5.0


class NamedKey(NamedTuple):
    """A key and its id at the exchange."""

    api_key_id: str
    key: SigningKey

    def is_same(self, other: NamedKey) -> bool:
        return self.api_key_id == other.api_key_id and self.key.public_pem() == other.key.public_pem()


class KeyWatch:
    """`load` reads the key that is configured now, and raises UserError; `is_refused` returns whether the exchange does
    not accept ours; `check` raises UserError if another one is not of our account, or that cannot be known now;
    `change` goes on with it, and raises UserError if that must not be. `tell` hears one line of each change, and of
    what is in the way of one."""

    def __init__(
        self,
        used: NamedKey,
        load: Callable[[], NamedKey],
        is_refused: Callable[[], bool],
        check: Callable[[NamedKey], Awaitable[None]],
        change: Callable[[NamedKey], None],
        tell: Callable[[str], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._used, self._load, self._is_refused = used, load, is_refused
        self._check, self._change = check, change
        self._tell, self._log = tell, log
        self._told = ""

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            await trio.sleep(LOOK_EVERY_S)
            if self._is_refused():
                await self.look()

    async def look(self) -> None:
        """Read the configured key, and go on with it if it is another one than ours, and of our account."""
        try:
            found = self._load()
            if found.is_same(self._used):
                return
            await self._check(found)
            self._change(found)
        except UserError as error:
            self._say_once(f"the exchange does not accept our key, and no other can be used: {error}")
            return
        self._log.warning("key_changed", before=self._used.api_key_id, api_key_id=found.api_key_id)
        before, self._used, self._told = self._used.api_key_id, found, ""
        self._tell(f"the exchange does not accept the key {before}: going on with {found.api_key_id}, as configured")

    def _say_once(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._log.warning("key_not_changed", why=line)
            self._tell(line)
