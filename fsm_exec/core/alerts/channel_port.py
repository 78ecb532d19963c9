"""What alerts need of a channel, as a protocol."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel is to tell."""

    title: str
    text: str
    is_urgent: bool


class Channel(Protocol):
    """A way to tell somebody."""

    async def send(self, message: Message) -> None:
        """Return once the message is taken. Raises NotDelivered."""
        ...
