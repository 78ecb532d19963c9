"""Executions of a database as samples: what really happened counts as what an experiment measured.

The book is the one at arrival; the signals are those of the first decision, a moment later. An execution whose horizon
is within a fifth of one that experiments measured counts for that one; otherwise for its own. What was ended by its
owner, a halt or the exchange blames no method and is left out, as is what only closes a position, and what has no known
cost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from fsm_exec.core.costs.estimate_table import TapeSource
from fsm_exec.core.costs.market_features import MarketFeatures, market_features
from fsm_exec.core.errors import CorruptSnapshot, UserError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import JournalRow
from fsm_exec.core.journal.snapshot import decode_entry, decode_stored
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import PPM, US_PER_S
from fsm_exec.lab.estimation.samples import Sample, SampleSet, cost_e5, settings_hash
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads.execution_reads import load_executions, load_journal, load_metrics
from fsm_exec.store.reads.observations import load_methods

BY_THE_METHOD: Final = frozenset({"completed", "deadline", "cap", "no_liquidity"})
FIRST_DECISION_US: Final = 2 * US_PER_S


def load_stored(found: SampleSet, path: Path) -> SampleSet:
    """Add the ended executions of the database at `path`. Raises UserError for one that cannot be read, or that holds
    none whose cost is known."""
    horizons = {sample.horizon_us for sample in found.samples}
    samples: list[Sample] = []
    digest = hashlib.sha256()
    unobserved = measured = 0
    with open_read_only(path) as database:
        methods = {f"{row.name}@{row.version}": settings_hash(row) for row in load_methods(database.connection)}
        for stored in load_executions(database.connection):
            metrics = None if stored.damage else load_metrics(database.connection, stored.execution_id)
            if metrics is None or metrics.shortfall_e7 is None:
                continue
            try:
                execution = decode_stored(stored)
                signals = _first_signals(execution, load_journal(database.connection, stored.execution_id))
            except CorruptSnapshot as error:
                raise UserError(f"{path}: {stored.execution_id}: {error}") from error
            if not _counts(execution) or execution.method not in methods:
                continue
            measured += 1
            digest.update(f"{stored.execution_id} {metrics.shortfall_e7}\n".encode())
            sample = _sample(path.name, execution, methods[execution.method], signals, metrics.shortfall_e7, horizons)
            if sample is None:
                unobserved += 1
            else:
                samples.append(sample)
    if not measured:
        raise UserError(f"{path} holds no ended execution whose cost is known; there is nothing to fit to")
    times = [sample.at_us for sample in samples]
    source = TapeSource(
        name=path.name,
        kind="database",
        first_us=min(times, default=0),
        last_us=max(times, default=0),
        executions=len(samples),
        fingerprint=digest.hexdigest(),
    )
    if any(known.name == source.name for known in found.sources):
        raise UserError(f"{path}: another source is called {source.name} too; rename one of them")
    return SampleSet(
        (*found.samples, *samples), (*found.sources, source), found.conditions, found.unobserved + unobserved
    )


def _counts(execution: Execution) -> bool:
    return (
        execution.is_ended
        and execution.limits is not None
        and not execution.reduce_only
        and execution.reason in BY_THE_METHOD
        and execution.deadline_us > execution.accepted_at_us
    )


def _first_signals(execution: Execution, journal: Iterable[JournalRow]) -> Signals | None:
    """Return those of the first decision that saw any, if it came soon."""
    for row in journal:
        if row.at_us > execution.accepted_at_us + FIRST_DECISION_US:
            return None
        event, _ = decode_entry(row.event, row.intents, row.version)
        view = getattr(event, "view", None)
        if view is not None and view.signals is not None:
            signals: Signals = view.signals
            return signals
    return None


def _sample(
    source: str,
    execution: Execution,
    settings: str,
    signals: Signals | None,
    shortfall_e7: int,
    horizons: Iterable[int],
) -> Sample | None:
    """None: the market had not been observed for long enough, or the worst price is not above its mid."""
    limits, view = execution.limits, replace(execution.arrival, signals=signals)
    assert limits is not None, "an execution without limits does not count"
    quantity, mid = execution.target_e2, view.trusted_mid_e5
    features = market_features(view, execution.terms.fees, quantity, limits.worst_e4)
    if not isinstance(features, MarketFeatures) or mid is None:
        return None
    closing = None if execution.closing is None else execution.closing.order
    before_close = sum(child.filled_e2 for child in execution.children if child.client_order_id != closing)
    return Sample(
        source=source,
        at_us=execution.accepted_at_us,
        outcome=execution.outcome,
        product=execution.terms.series,
        method=execution.method,
        settings=settings,
        horizon_us=_nearest(execution.deadline_us - execution.accepted_at_us, horizons),
        quantity_e2=quantity,
        spread_e4=view.asks[0][0] - view.bids[0][0],
        mid_e5=mid,
        room_e4=limits.worst_e4 - mid // 10,
        features=features,
        cost_e5=cost_e5(shortfall_e7, quantity),
        filled_ppm=min(PPM, execution.filled_e2 * PPM // quantity),
        complete=execution.filled_e2 >= quantity,
        resting=before_close >= quantity,
    )


def _nearest(horizon_us: int, horizons: Iterable[int]) -> int:
    near = min(horizons, key=lambda known: abs(known - horizon_us), default=horizon_us)
    return near if abs(near - horizon_us) * 5 <= near else horizon_us
