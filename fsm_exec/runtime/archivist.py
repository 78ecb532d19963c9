"""Moves what is over into archives, once an hour, as the configuration asks for."""

from __future__ import annotations

from typing import Annotated, Final, Protocol

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import StoreFailed, UserError
from fsm_exec.core.values.times import DAY_S
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.clock import WallClock

FIRST_S: Final = 60.0  # after the start, which has better things to do
EVERY_S: Final = 3_600.0


class ArchiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`after_days`: executions that are over move into archives so many days after their end; without it none does."""

    after_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None


class MovingStore(Protocol):
    """A store that moves executions into archives."""

    async def move_ended(self, before_us: int, at_us: int) -> tuple[int, dict[str, str]]:
        """Move every execution that ended before then and may move; return how many have, and why others that should
        could not, by execution. Raises UserError for an archive that cannot be written, and StoreFailed."""
        ...


async def archive_for_ever(
    store: MovingStore, settings: ArchiveSettings, wall: WallClock, log: FilteringBoundLogger
) -> None:
    """Move what is over, for ever; what goes wrong with it is logged, and tried again an hour later. Raises
    StoreFailed."""
    if settings.after_days is None:
        return
    await trio.sleep(FIRST_S)
    while True:
        now_us = wall.now_us()
        try:
            moved, refused = await store.move_ended(now_us - settings.after_days * DAY_S * US_PER_S, now_us)
        except UserError as error:
            log.warning("not_archived", error=str(error))
        except StoreFailed:
            raise
        except Exception:  # nobody's orders depend on it
            log.exception("archiving_failed")
        else:
            if moved:
                log.info("archived", executions=moved)
            for execution_id, why in sorted(refused.items()):
                log.warning("not_archived", execution=execution_id, error=why)
        await trio.sleep(EVERY_S)
