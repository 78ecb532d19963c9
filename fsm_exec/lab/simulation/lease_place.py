"""The place of the lease record as one engine sees it: it is reached, or not, and no dead engine writes there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from fsm_exec.lab.simulation.life import Life
from fsm_exec.lab.simulation.machine import Network
from fsm_exec.standby.places.place import Place, PlaceUnreachable, Stored

T = TypeVar("T")
SILENCE_S = 1.0


class ReachedPlace:
    """Implements `Place`, within one life, over what the machines share."""

    def __init__(self, shared: Place, life: Life, network: Network) -> None:
        self._shared, self._life, self._network = shared, life, network
        self.url = shared.url

    async def load(self, name: str) -> Stored | None:
        return await self._reach(lambda: self._shared.load(name))

    async def save(self, name: str, content: bytes, over: str | None) -> str:
        return await self._reach(lambda: self._shared.save(name, content, over))

    async def load_names(self, folder: str) -> list[str]:
        return await self._reach(lambda: self._shared.load_names(folder))

    async def delete(self, name: str) -> None:
        await self._reach(lambda: self._shared.delete(name))

    async def _reach(self, call: Callable[[], Awaitable[T]]) -> T:
        await self._life.wait_on()
        self._life.door("record")
        if not self._network.reaches_record:
            await trio.sleep(SILENCE_S)
            raise PlaceUnreachable("the record's place does not answer")
        answer = await call()
        await self._life.wait_on()
        return answer
