"""An answer over REST, as whoever carries it hands it on."""

from __future__ import annotations

from typing import NamedTuple


class Answer(NamedTuple):
    """A status and its body. `date` is the header of that name as it came, empty without one: the exchange's clock, in
    whole seconds."""

    status: int
    body: bytes
    date: str = ""
