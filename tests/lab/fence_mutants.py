"""Deliberate faults of an engine that takes over, and of one that is taken over from: see mutants.py.

They show only where there are two machines, so only such seeds are lived through.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.core.recovery import recovery
from fsm_exec.runtime import fence_watch, missed_facts
from fsm_exec.runtime import recovery as start
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.fence import Fence
from fsm_exec.runtime.order_groups import EpochGroups
from fsm_exec.standby.accepted_notes import KeyNotes
from fsm_exec.standby.lost_keys import LostKeys
from fsm_exec.store.files import epoch_rows
from tests.lab.mutants import Mutant

if TYPE_CHECKING:
    from fsm_exec.core.execution.events import OrderReported
    from fsm_exec.core.execution.execution import Execution
    from fsm_exec.core.journal.rows import LostSubmission
    from fsm_exec.core.market.terms import MarketStatus
    from fsm_exec.core.recovery.recovery import RecoveryPlan
    from fsm_exec.runtime.services import Services


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """Who takes over leaves the groups of the engine before as they are."""

    async def nothing(*_: object) -> None:
        """No group is triggered."""

    patch.setattr(Fence, "_trigger", nothing)


def fence_after_the_listings(patch: pytest.MonkeyPatch) -> None:
    """What is there is read first, and then the orders of the engine before are ended."""

    async def hasty(
        executions: Sequence[Execution], markets: Mapping[str, MarketStatus], last_saved_us: int, services: Services
    ) -> RecoveryPlan:
        found = await missed_facts.fetch_missed_by_all(executions, markets, last_saved_us, services)
        if services.fence is not None:
            await services.fence.end_predecessors()
            await services.fence.finish()
        return found

    patch.setattr(start, "fetch_missed_since_the_fence", hasty)


def ids_go_on_in_a_copy(patch: pytest.MonkeyPatch) -> None:
    """A copy numbers its executions on from the last one it knows."""
    patch.setattr(epoch_rows, "first_number_of_copy", lambda known, _: known)


def deaf_to_the_record(patch: pytest.MonkeyPatch) -> None:
    """An engine that another one has taken over from goes on, and has its groups reset when they take no more."""

    async def go_on(engine: Engine, *_: object) -> None:
        assert engine.groups is not None
        engine.groups.unblock()

    async def leading(_: EpochGroups) -> None:
        """Nobody else leads."""

    patch.setattr(Engine, "stop_fenced", lambda *_: None)
    patch.setattr(fence_watch, "find_who_leads", go_on)
    patch.setattr(EpochGroups, "_leader", leading)


def lost_tail_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Orders that the copy does not know are not the executions' whose names they bear."""
    patch.setattr(recovery, "_adopted", lambda *_: {})


def fence_taken_for_the_owner(patch: pytest.MonkeyPatch) -> None:
    """The end of an order that the fence or the engine before has cancelled is its owner's doing."""

    def unexplained(stated: OrderReported, _: Collection[str]) -> OrderReported:
        return replace(stated, cause=None)

    patch.setattr(recovery, "_by_the_fence", unexplained)


def lost_keys_unsaid(patch: pytest.MonkeyPatch) -> None:
    """Who takes over does not look for what was accepted in the lag."""

    async def nothing(*_: object, **__: object) -> list[LostSubmission]:
        return []

    patch.setattr(LostKeys, "find", nothing)


def unnoted_submissions(patch: pytest.MonkeyPatch) -> None:
    """What is accepted is acknowledged without a note beside the record."""

    async def nothing(*_: object) -> None:
        """No note is made."""

    patch.setattr(KeyNotes, "note", nothing)


FENCE_MUTANTS: Mapping[Mutant, str] = {
    no_fence: "16: .* of the machine before (rests|arrives)",
    fence_after_the_listings: "(1|3|4|16): .*|.* is said to have ended for external: that never was|.* was quarantined",
    ids_go_on_in_a_copy: "16: .* is the id of two submissions|1: .* filled or live at the exchange of a target",
    deaf_to_the_record: "16: .*of the machine before (arrives after the fence|is still at work|rests)",
    lost_tail_forgotten: "1: .* filled or live at the exchange of a target|(3|4): .* (not|is not) ",
    lost_keys_unsaid: "16: .* is neither known nor reported as lost",
    unnoted_submissions: "16: .* is neither known nor reported as lost",
    fence_taken_for_the_owner: ".* is said to have ended for external: that never was",
}
"""Each with what it must be found out by."""
