"""How much of a log is kept: the table `[log]` of the configuration."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

BYTES_PER_MB: Final = 1_000_000


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[log]`: a file that would become larger than `max_mb` is renamed and a new one begun; `keep` renamed
    ones stay."""

    max_mb: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 32
    keep: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 8

    @property
    def max_bytes(self) -> int:
        return self.max_mb * BYTES_PER_MB
