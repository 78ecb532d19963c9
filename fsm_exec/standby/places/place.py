"""A place that two hosts share: a few small named objects, each changed by conditional writes.

A write names the state it replaces; it is refused if the object has another one by then. That is all a lease needs.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from fsm_exec.core.errors import ExecError


class PlaceUnreachable(ExecError):
    """The place did not answer, or not in time; whether a write was done is not known."""


class PlaceChanged(ExecError):
    """A write was refused: the object is not in the state that it names."""


class Stored(msgspec.Struct, frozen=True):
    """An object as it stands. `tag` names this state of it."""

    content: bytes
    tag: str


class Place(Protocol):
    """Every method may raise PlaceUnreachable."""

    @property
    def url(self) -> str:
        """Where it is, for people."""
        ...

    async def load(self, name: str) -> Stored | None:
        """Load an object; None: there is none."""
        ...

    async def save(self, name: str, content: bytes, over: str | None) -> str:
        """Save an object over the state `over` (None: over nothing); return the tag of the new state, once it is
        durable. Raises PlaceChanged."""
        ...

    async def load_names(self, folder: str) -> list[str]:
        """Load the names of all objects that begin with `folder` and a slash."""
        ...

    async def delete(self, name: str) -> None:
        """Delete an object; nothing if there is none."""
        ...
