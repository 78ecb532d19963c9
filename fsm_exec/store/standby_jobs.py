"""The jobs of the writer for a pair of engines: a sign of life, and what was lost with the other host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from fsm_exec.core.journal.rows import LostSubmission
from fsm_exec.store.statements import Row, put_into

PUT_BEAT: Final = put_into("beats", ("id",), ("id", "at"))
PUT_LOST: Final = put_into("lost_submissions", ("key",), LostSubmission.__struct_fields__)
STANDBY_ORDER: Final = (PUT_BEAT, PUT_LOST)


class BeatSave(msgspec.Struct, frozen=True):
    """A sign of life. `at` is ISO 8601 UTC."""

    at: str


class LostSave(msgspec.Struct, frozen=True):
    """Lost submissions; one that is there is overwritten."""

    rows: tuple[LostSubmission, ...]


StandbyJob: TypeAlias = BeatSave | LostSave


def standby_rows(job: StandbyJob) -> Iterator[Row]:
    """Yield the rows of one job."""
    match job:
        case BeatSave(at):
            yield PUT_BEAT, (1, at)
        case LostSave(rows):
            for row in rows:
                yield PUT_LOST, msgspec.structs.astuple(row)
