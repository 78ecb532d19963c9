"""Dispatch of events: to the execution at work that owns them, to those that have ended, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.execution.events import AnyEvent, MarketChanged, PositionRead
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.recovery.order_lookup import why_in_another_market
from fsm_exec.core.recovery.proof import is_doubted
from fsm_exec.core.values.units import CountE2
from fsm_exec.runtime.ended_executions import EndedExecutions
from fsm_exec.runtime.kill_switch import cancel_orphans
from fsm_exec.runtime.reconciler import KnownExecution
from fsm_exec.runtime.services import Services
from fsm_exec.runtime.supervisor import Supervisor

ENDED_RECENTLY_US = 120_000_000  # an end is looked at by some listings of orders, with what its last answers said


class Dispatch:
    """The engine as the listener, the reconciler and the confirmer see it (their `FactSink`, `ExecutionIndex`,
    `EndedIndex`)."""

    def __init__(self, supervisor: Supervisor, ended: EndedExecutions, services: Services) -> None:
        self._supervisor, self._ended, self._services = supervisor, ended, services

    def known(self, execution_id: str) -> KnownExecution | None:
        """Return an execution as the reconciler needs it; None for one that is not here, or is quarantined."""
        if (actor := self._supervisor.actors.get(execution_id)) is not None:
            return KnownExecution(actor.execution, is_at_work=not actor.execution.is_ended, room=actor.inbox.room)
        ended = self._ended.ended.get(execution_id)
        if ended is None or ended.quarantine is not None:
            return None
        return KnownExecution(ended.execution, is_at_work=False, room=0)

    def execution_of(self, execution_id: str) -> Execution | None:
        """Return the newest state of an execution in memory, or None."""
        actor = self._supervisor.actors.get(execution_id)
        if actor is not None:
            return actor.execution
        ended = self._ended.ended.get(execution_id)
        return None if ended is None else ended.execution

    def unconfirmed(self) -> list[Execution]:
        """Return the executions that have ended with events that listings have not confirmed yet."""
        actors = self._supervisor.actors.values()  # among them those that wait for their deadline's book
        ended = [actor.execution for actor in actors if actor.execution.is_ended]
        return [*self._ended.unconfirmed(), *filter(is_doubted, ended)]

    def mark_confirmed(self, execution: Execution) -> None:
        """Record that listings have confirmed all events of an ended execution."""
        self._ended.mark_confirmed(execution)

    def oldest_begun_us(self) -> int | None:
        """Return when the first of the executions began that are at work or ended recently."""
        lately = self._ended.ended_since(self._services.wall.now_us() - ENDED_RECENTLY_US)
        at_work = (actor.execution for actor in self._supervisor.actors.values())
        return min((execution.begun_us for execution in (*at_work, *lately)), default=None)

    def deliver(self, execution_id: str, event: AnyEvent) -> None:
        """Hand an event to the execution that owns it, at work or ended. It is always accepted."""
        self._supervisor.deliver(execution_id, event)

    def is_in_other_market(self, execution_id: str, client_order_id: str, report: OrderReport | FillReport) -> bool:
        """Return whether an order of this name is in another market than its execution works, and so is none of its
        orders. If it stands in the way of one, the execution is stopped for a person to look at."""
        actor = self._supervisor.actors.get(execution_id)
        execution = self.execution_of(execution_id)
        if execution is None or execution.terms.ticker == report.ticker:
            return False
        self._services.log.error("name_in_another_market", order=client_order_id, ticker=report.ticker)
        child = execution.child(client_order_id)
        why = None if child is None else why_in_another_market(child, execution.terms.ticker, report)
        if actor is not None and why is not None:
            actor.inbox.stop(IllegalEvent(why))
        return True

    def take_unknown_fills(self, fills: Sequence[FillReport]) -> None:
        """Take fills of orders that no execution in memory has."""
        self._ended.take_unknown_fills(fills)

    def cancel_orphans(self, orders: Sequence[OrderReport]) -> None:
        """Cancel orders of ours that rest and that no execution works."""
        cancel_orphans(orders, self._services)

    def publish_market_status(self, ticker: str, status: MarketStatus) -> None:
        """Pass the status on to every execution that works the market."""
        for actor in self._supervisor.actors.values():
            if actor.execution.terms.ticker == ticker:
                actor.inbox.offer(MarketChanged(at_us=self._services.wall.now_us(), status=status))

    def closing(self) -> list[Execution]:
        """Return the executions at work that only close."""
        actors = self._supervisor.actors.values()
        return [actor.execution for actor in actors if actor.execution.reduce_only and not actor.is_waiting]

    def publish_position(self, ticker: str, position_e2: CountE2, asked_at_us: int) -> None:
        """Pass on what the account holds of a market (signed, + YES), by an answer that was asked for at `asked_at_us`,
        to the executions that only close there: one with nothing left to close ends."""
        event = PositionRead(at_us=self._services.wall.now_us(), position_e2=position_e2, asked_at_us=asked_at_us)
        for actor in self._supervisor.actors.values():
            if actor.execution.reduce_only and actor.execution.terms.ticker == ticker and not actor.is_waiting:
                actor.inbox.offer(event)
