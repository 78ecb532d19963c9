"""What an execution asked of the exchange, counted from its journal: creates, amends, cancels, refusals.

Every write decided is counted in the execution itself (`writes`); which of them were creates and amends, the intents in
the journal say. The others were cancels: those that an ending, a closing leg or a restart brings are no intents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import JournalRow

CREATE_TOKENS: Final = 10  # the exchange's own, of July 2026: create and amend 10, cancel 2
AMEND_TOKENS: Final = 10
CANCEL_TOKENS: Final = 2
REFUSALS: Final = frozenset({"OrderRefused", "AmendRefused"})
CREATES: Final = frozenset({"Place", "PlaceAgain"})  # as the journal names them
AMEND: Final = "Reprice"


class MessageCounts(msgspec.Struct, frozen=True, kw_only=True):
    """`refused` has the exchange's codes, most frequent first."""

    creates: int
    amends: int
    cancels: int
    refused: tuple[tuple[str, int], ...]

    @property
    def writes(self) -> int:
        return self.creates + self.amends + self.cancels

    @property
    def tokens(self) -> int:
        return CREATE_TOKENS * self.creates + AMEND_TOKENS * self.amends + CANCEL_TOKENS * self.cancels


class _Tagged(msgspec.Struct):
    type: str


class _Coded(msgspec.Struct):
    code: str


_INTENTS = msgspec.json.Decoder(list[_Tagged])
_REFUSAL = msgspec.json.Decoder(_Coded)


def count_messages(execution: Execution, journal: Iterable[JournalRow]) -> MessageCounts:
    """Raises CorruptSnapshot for a journal that cannot be read."""
    intents: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    try:
        for row in journal:
            intents.update(intent.type for intent in _INTENTS.decode(row.intents))
            if row.event_type in REFUSALS:
                refused[_REFUSAL.decode(row.event).code] += 1
    except msgspec.DecodeError as error:
        raise CorruptSnapshot(f"{execution.execution_id}: a journal row cannot be read: {error}") from error
    creates = sum(intents[name] for name in CREATES)
    amends = intents[AMEND]
    return MessageCounts(
        creates=creates,
        amends=amends,
        cancels=max(0, execution.writes - creates - amends),
        refused=tuple(sorted(refused.items(), key=lambda item: (-item[1], item[0]))),
    )
