"""Who leads: which of the engines of one account may write. Where nothing says so, nobody else does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from fsm_exec.core.errors import VenueUnavailable


class LeadershipUnknown(VenueUnavailable):
    """The record of who leads cannot be read or written at the moment; asking again later is safe."""


class Leader(msgspec.Struct, frozen=True):
    """`holder` names host, instance and process, for people; `term` grows with each change of leader."""

    holder: str
    term: int


class Leadership(Protocol):
    """A record that all engines of the account see. Each call raises LeadershipUnknown."""

    async def who_leads(self) -> Leader | None:
        """Another engine that leads; None: nobody else does."""
        ...

    async def note_group(self, group_id: str) -> None:
        """Keep the id of an order group of ours where a successor finds it, before any order is in it."""
        ...

    async def load_groups(self) -> Sequence[str]:
        """Load the ids of the order groups that engines of this account have noted and that may take orders."""
        ...
