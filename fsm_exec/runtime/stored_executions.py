"""The executions of the database: those that can go on, and those that cannot, with the reason."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import Algorithm, NoAlgorithm, Slice
from fsm_exec.core.errors import AlgorithmMissing, CorruptSnapshot, UserError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import StoredExecution
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.recovery.proof import LISTED_FOR_US, is_doubted
from fsm_exec.core.values.units import PriceGrid
from fsm_exec.runtime.services import Services

Methods = Callable[[str], Algorithm]
"""The algorithm of a stored method's name. Raises UserError for one that is not known here."""


class LoadedExecutions(msgspec.Struct, frozen=True):
    """What a start loads. `unusable` are to be quarantined now, with the reason; `quarantined` have been; `given_up`
    are those of both that can be read; `healed` are the quarantined whose algorithm was missing and is there again;
    `unscored` have ended, and their cost was not measured. `number` is the highest an execution has had."""

    ready: tuple[tuple[Execution, Algorithm], ...]
    unusable: dict[str, str]
    quarantined: dict[str, str]
    given_up: tuple[Execution, ...]
    healed: tuple[str, ...]
    unscored: tuple[Execution, ...]
    last_saved_us: int
    number: int


async def load_unfinished(services: Services, methods: Methods) -> LoadedExecutions:
    """Load and check all unfinished executions. Raises StoreFailed."""
    started = await services.store.load_start()
    ready: list[tuple[Execution, Algorithm]] = []
    unusable: dict[str, str] = {}
    quarantined: dict[str, str] = {}
    given_up: list[Execution] = []
    healed: list[str] = []
    same = _Shared()
    methods = _cached(methods)
    for stored in await services.store.load_unfinished():
        if stored.quarantine is not None:
            quarantined[stored.execution_id] = stored.quarantine
            given_up.extend(decode_if_readable(stored))
            if AlgorithmMissing.is_reason(stored.quarantine) and _has_algorithm(stored, methods):
                healed.append(stored.execution_id)
            continue
        try:
            execution, algorithm = decode_with_algorithm(stored, methods)
        except (CorruptSnapshot, UserError) as error:
            unusable[stored.execution_id] = str(error)
            given_up.extend(decode_if_readable(stored))
            continue
        ready.append((same.shared(execution), algorithm))
    unscored: list[Execution] = []
    for stored in await services.store.load_unscored():
        try:
            unscored.append(decode_stored(stored))
        except CorruptSnapshot:
            services.log.exception("unscored_unreadable", execution=stored.execution_id)
    return LoadedExecutions(
        ready=tuple(ready),
        unusable=unusable,
        quarantined=quarantined,
        given_up=tuple(given_up),
        healed=tuple(healed),
        unscored=tuple(unscored),
        last_saved_us=started.last_saved_us,
        number=started.number,
    )


class _Shared:
    """What is the same for many executions, once: every snapshot has the terms of its market whole, and limits and
    slices of round numbers."""

    def __init__(self) -> None:
        self._terms: dict[MarketTerms, MarketTerms] = {}
        self._grids: dict[PriceGrid, PriceGrid] = {}
        self._limits: dict[Limits | None, Limits | None] = {}
        self._slices: dict[tuple[Slice, ...], tuple[Slice, ...]] = {}

    def shared(self, execution: Execution) -> Execution:
        """Return an equal execution that shares these with those before it, and one text of each state and name."""
        arrival = execution.arrival
        grid = self._grids.setdefault(arrival.grid, arrival.grid)
        return replace(
            execution,
            terms=self._terms.setdefault(execution.terms, execution.terms),
            arrival=replace(arrival, grid=grid, feed=sys.intern(arrival.feed)),
            limits=self._limits.setdefault(execution.limits, execution.limits),
            slices=self._slices.setdefault(execution.slices, execution.slices),
            instance=sys.intern(execution.instance),
            method=sys.intern(execution.method),
            state=sys.intern(execution.state),
        )


def _cached(methods: Methods) -> Methods:
    """Return `methods` with a memory of its results, refusals too: thousands of executions may want one that is
    missing."""
    said: dict[str, Algorithm | CorruptSnapshot | UserError] = {}

    def find(name: str) -> Algorithm:
        if name not in said:
            try:
                said[name] = methods(name)
            except (CorruptSnapshot, UserError) as error:
                said[name] = error
        found = said[name]
        if isinstance(found, Exception):
            raise found
        return found

    return find


def _has_algorithm(stored: StoredExecution, methods: Methods) -> bool:
    """Return whether a stored execution could be worked again."""
    try:
        decode_with_algorithm(stored, methods)
    except (CorruptSnapshot, UserError):
        return False
    return True


def decode_if_readable(stored: StoredExecution) -> Sequence[Execution]:
    """Return the execution if its snapshot can be read, otherwise nothing."""
    try:
        return (decode_stored(stored),)
    except CorruptSnapshot:
        return ()


def decode_with_algorithm(
    stored: StoredExecution, methods: Methods, *, only_ends: bool = False
) -> tuple[Execution, Algorithm]:
    """Decode an execution and find its algorithm; one that ends needs none. Raises CorruptSnapshot, and UserError for a
    method that is not known."""
    if stored.damage is not None:
        raise CorruptSnapshot(f"{stored.damage}; restore a backup, nothing was changed")
    execution = decode_stored(stored)
    if execution.execution_id != stored.execution_id:
        raise CorruptSnapshot(f"the snapshot stored for {stored.execution_id} is that of {execution.execution_id}")
    if execution.state != stored.state:
        raise CorruptSnapshot(
            f"row {stored.execution_id} of execution_state is damaged, column state: it says {stored.state}, the "
            f"snapshot {execution.state}; restore a backup, nothing was changed"
        )
    try:
        return execution, methods(execution.method)
    except (CorruptSnapshot, UserError):
        if not only_ends and execution.ending is None:
            raise
        return execution, NoAlgorithm()


async def load_unconfirmed(services: Services) -> list[Execution]:
    """Load the executions that ended recently with events that no listing had confirmed before the process died. Raises
    StoreFailed."""
    found: list[Execution] = []
    for stored in await services.store.load_lately_filled():
        try:
            execution = decode_stored(stored)
        except CorruptSnapshot:
            services.log.exception("ended_unreadable", execution=stored.execution_id)
            continue
        is_listed = (execution.ended_at_us or 0) > services.wall.now_us() - LISTED_FOR_US
        if is_listed and is_doubted(execution):
            found.append(execution)
    return found
