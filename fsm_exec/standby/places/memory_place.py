"""A place in the memory of one process: two engines of one simulation share it."""

from __future__ import annotations

import trio

from fsm_exec.standby.places.place import PlaceChanged, Stored


class MemoryPlace:
    """Implements `Place`."""

    url = "memory:"

    def __init__(self) -> None:
        self._objects: dict[str, Stored] = {}
        self._writes = 0

    async def load(self, name: str) -> Stored | None:
        await trio.lowlevel.checkpoint()
        return self._objects.get(name)

    async def save(self, name: str, content: bytes, over: str | None) -> str:
        await trio.lowlevel.checkpoint()
        there = self._objects.get(name)
        if (None if there is None else there.tag) != over:
            raise PlaceChanged(f"{name} was changed meanwhile")
        self._writes += 1
        self._objects[name] = Stored(content, str(self._writes))
        return str(self._writes)

    async def load_names(self, folder: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        return sorted(name for name in self._objects if name.startswith(f"{folder}/"))

    async def delete(self, name: str) -> None:
        await trio.lowlevel.checkpoint()
        self._objects.pop(name, None)
