"""The start of an engine: what the database left unfinished is joined with what the exchange holds, and goes on.

The steps are those of runtime.recovery, in its order; here they meet the supervisor, the markets and the past.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from fsm_exec.core.errors import IllegalEvent, SaveRefused, ServiceFailed, StoreFailed
from fsm_exec.core.execution import Execution
from fsm_exec.core.recovery import Plan
from fsm_exec.runtime.actor import Actor
from fsm_exec.runtime.latch import AT_ONCE
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.past import Past
from fsm_exec.runtime.recovery import Loaded, Methods, cancel_orphans, differences, load, refuse_others
from fsm_exec.runtime.scoring import score_what_had_ended
from fsm_exec.runtime.services import Services
from fsm_exec.runtime.supervisor import Supervisor


class Start:
    """`halt_for` is told of a store that failed while what had ended was reckoned."""

    def __init__(
        self,
        services: Services,
        markets: Markets,
        methods: Methods,
        supervisor: Supervisor,
        past: Past,
        halt_for: Callable[[StoreFailed | ServiceFailed], None],
    ) -> None:
        self._services, self._markets, self._methods = services, markets, methods
        self._supervisor, self._past, self._halt_for = supervisor, past, halt_for
        self.has_begun = False  # what was unfinished has begun to take in what it missed

    async def take_up(
        self, tickers: Sequence[str], gone: str | None, stream: Callable[[], None], is_leaving: Callable[[], bool]
    ) -> int | None:
        """Everything unfinished is at work when this returns, has taken in what it missed, and waits at
        `supervisor.may_act`. `stream` is called when the feeds are there. Returns how many executions the database
        has; None if the engine began to leave meanwhile: nobody has begun then.

        Raises UserError (a market that is none, live orders of another database), VenueRefused and StoreFailed.
        """
        with _collector_at_rest():
            loaded = await load(self._services, self._methods)
        worked = [execution.terms for execution, _ in loaded.ready]
        worked += [execution.terms for execution in loaded.unscored]
        markets = await self._markets.add_all(tickers, worked)
        with _collector_at_rest():
            actors = [self._supervisor.hire(execution, algorithm) for execution, algorithm in loaded.ready]
        stream()  # before the listings: what they do not show any more comes by the stream
        executions = [execution for execution, _ in loaded.ready]
        found = await differences(executions, markets, loaded.last_saved_us, self._services)
        refuse_others(found, gone, self._services)
        if is_leaving():
            return None
        self.has_begun = True
        with _collector_at_rest():
            await self._go_on(loaded, actors, found)
        return loaded.count

    async def _go_on(self, loaded: Loaded, actors: list[Actor], found: Plan) -> None:
        self._supervisor.quarantined.update(loaded.quarantined)
        for name, why in loaded.unusable.items():
            self._services.log.error("quarantined", execution=name, why=why)
            await self._supervisor.quarantine(name, why)
        for number, (actor, (name, event)) in enumerate(zip(actors, found.events, strict=True), start=1):
            if (taken := found.taken.get(name)) is not None:
                actor.inbox.stop(IllegalEvent(taken))
            self._supervisor.start(actor, event)
            if number % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        self._services.requests.start_soon(cancel_orphans, found.orphans, self._services)
        self._past.learn_of_strangers(found.strangers)
        for actor in actors:
            await actor.taken_in.wait()
        for execution in loaded.unscored:
            self._services.requests.start_soon(self._score, execution)
        self._services.log.info(
            "recovered", executions=len(actors), orphans=len(found.orphans), quarantined=len(loaded.quarantined)
        )

    async def _score(self, execution: Execution) -> None:
        feed = self._markets.feeds.get(execution.terms.ticker)
        try:
            await score_what_had_ended(execution, feed, self._services)
        except SaveRefused:
            self._services.log.exception("score_refused", execution=execution.execution_id)
        except StoreFailed as failure:
            self._halt_for(failure)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """What is taken up stays, and next to nothing else is made meanwhile; yet the collector would walk over all of it
    again and again while it grows, for a third of the time. Never around a wait for the exchange: that may be long."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
