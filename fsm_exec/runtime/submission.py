"""What an execution is accepted from: a request in its owner's words, and the first event made of it."""

from __future__ import annotations

import msgspec

from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.cancel_capacity import CancelDemand
from fsm_exec.core.execution.events import Submitted
from fsm_exec.core.journal.rows import SubmissionRow
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.runtime.feed import MarketFeed

GRACE_US = 5_000_000


class MethodRef(msgspec.Struct, frozen=True):
    """The engine's part of a method: its full name and the algorithm it binds."""

    full_name: str
    algorithm: Algorithm


class ExecutionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An execution to accept. `limits` None: no price could be formed, for want of a book. It ends at `deadline_us`, or
    without one `horizon_us` from now. `submission` is stored with its first save. `reduce_only`: it buys no more than
    closes what is held of the other outcome at the time (`core.market.closing`)."""

    ticker: str
    outcome: Outcome
    target_e2: CountE2
    method: MethodRef
    limits: Limits | None
    horizon_us: int = 0
    deadline_us: int | None = None
    edge: Edge | None = None
    reduce_only: bool = False
    submission: SubmissionRow | None = None


def ends_of(deadline_us: int, algorithm: Algorithm) -> CancelDemand:
    """Return when an execution with this deadline will send its cancels, and of how many orders."""
    return CancelDemand(deadline_us - (algorithm.closing_lead_us or 0), algorithm.resting_at_most)


def check_request(request: ExecutionRequest) -> None:
    """Raises UserError for an execution that only closes with a method whose orders may rest."""
    if request.reduce_only and not request.method.algorithm.takes_only:
        raise UserError(
            f"method {request.method.full_name} lets orders rest, and an execution that only closes a position must "
            "not; choose one that only takes, like close"
        )


def submitted_event(request: ExecutionRequest, execution_id: str, instance: str, feed: MarketFeed) -> Submitted:
    """Build the event that begins an execution, with the book as `feed` has it now."""
    view = feed.view(request.outcome)
    return Submitted(
        at_us=view.at_us,
        execution_id=execution_id,
        instance=instance,
        outcome=request.outcome,
        method=request.method.full_name,
        target_e2=request.target_e2,
        limits=request.limits,
        deadline_us=view.at_us + request.horizon_us if request.deadline_us is None else request.deadline_us,
        grace_us=GRACE_US,
        terms=feed.terms,
        arrival=view,
        edge=request.edge,
        reduce_only=request.reduce_only,
    )
