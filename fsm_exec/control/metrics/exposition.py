"""A snapshot in the text format that Prometheus reads. The only door to prometheus_client, which is loaded at the first
scrape; each scrape has a registry of its own, so no daemon of a process sees another's figures.

Names follow Prometheus' conventions: base units in the name, `_total` for what only grows. Money and counts are exact
until the last step, where the format itself knows floats alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import accumulate
from typing import Final, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from fsm_exec.control.metrics.snapshot import MetricsSnapshot
from fsm_exec.core.alerts.alerts import AlertKind
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.kalshi.rate_budget import BucketStatistics
from fsm_exec.store.writer import WAIT_BOUNDS_US
from states import TABLES

ENGINE_STATES: Final = (*TABLES["engine"].states, "degraded")
RISK_STATES: Final = TABLES["risk"].states
WORKING_STATES: Final = tuple(
    state for state in TABLES["execution"].states if state not in TABLES["execution"].terminal
)
FEED_STATES: Final = TABLES["market_feed"].states
ROLES: Final = ("maker", "taker")
GROUP_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_024)
GAPS: Final = ("gap", "lost")


def encode_metrics(snapshot: MetricsSnapshot, accept: str = "") -> tuple[bytes, str]:
    """Return the text and its content type; `accept` is the scraper's own header."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(snapshot))
    return encode(registry), content_type


class _Snapshot(Collector):
    def __init__(self, snapshot: MetricsSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        yield from _of_the_engine(snapshot)
        yield from _of_executions(snapshot)
        yield from _of_orders(snapshot)
        yield from _of_the_store(snapshot)
        yield from _of_the_exchange(snapshot)
        yield from _of_alerts(snapshot)


def _of_the_engine(snapshot: MetricsSnapshot) -> Iterator[Metric]:
    status = snapshot.status
    about = {"version": status.version, "environment": status.environment, "database_instance": status.instance}
    yield InfoMetricFamily("fsm_exec", "The daemon.", value=about)
    yield _states("engine_state", "1 for the state that the engine reports.", ENGINE_STATES, status.state)
    yield _gauge("start_time_seconds", "When the daemon started, since the epoch.", _seconds(snapshot.since_us))
    yield _gauge("degraded_reasons", "Reasons why it cannot act at the exchange.", len(status.why_degraded))
    yield _gauge("halt_seconds", "Within how long a halt has every order off the book.", status.halt_within_s)
    if status.lease is not None:
        lease = {"wanted": status.lease.wanted_s, "in_force": status.lease.in_force_s}
        yield _gauges("host_lease_seconds", "How long what rests may outlive this host.", "which", lease)
        outlives = "Within how long what rests ends by itself if this host is gone."
        yield _gauge("host_outlived_seconds", outlives, status.lease.outlives_s or 0)
    yield _gauge("watchers", "Readers of the stream of steps.", status.watchers)
    if status.risk is not None:
        yield _states("risk_state", "1 for the state of the account's brake.", RISK_STATES, status.risk.state)
        yield _gauge("worst_case_dollars", "The most that can be lost.", Decimal(status.risk.worst_case))


def _of_executions(snapshot: MetricsSnapshot) -> Iterator[Metric]:
    counts = snapshot.counts
    working = {state: snapshot.working.get(state, 0) for state in WORKING_STATES}
    yield _gauges("executions", "Executions at work.", "state", working)
    yield _gauge(
        "executions_quarantined", "Executions that the engine does not act for.", len(snapshot.status.quarantined)
    )
    yield _gauge("executions_unfinished", "Executions of the database that have not ended.", snapshot.status.unfinished)
    yield _counter("executions_accepted", "Executions accepted.", counts.accepted)
    yield _counter("quarantines", "Executions put into quarantine.", counts.quarantines)
    ended = CounterMetricFamily("fsm_exec_executions_ended", "Executions that ended.", labels=("state", "reason"))
    for (state, reason), number in sorted(counts.ended.items()):
        ended.add_metric((state, reason), number)
    yield ended
    made = CounterMetricFamily("fsm_exec_transitions", "Durable transitions.", labels=("machine", "state"))
    for (machine, state), number in sorted(counts.transitions.items()):
        made.add_metric((machine, state), number)
    yield made
    costs = {part: Decimal(amount).scaleb(-7) for part, amount in counts.cost_e7.items()}
    yield _gauges("shortfall_dollars", "What ended executions cost against their arrival, by part.", "part", costs)


def _of_orders(snapshot: MetricsSnapshot) -> Iterator[Metric]:
    status, counts = snapshot.status, snapshot.counts
    yield _gauge("orders_live", "Orders that are live or may be.", status.live_orders)
    yield _gauge("orders_unknown", "Orders that were sent and not heard of since.", status.unknown_orders)
    yield _gauge("orders_settling", "Orders that have ended and miss fills here.", status.settling_orders)
    yield _gauge("orders_loose", "Live orders of quarantined executions and of none.", status.loose_orders)
    age = _seconds(snapshot.oldest_unknown_us)
    yield _gauge("orders_unknown_age_seconds", "How long the oldest unknown order has been so.", age)
    yield _counters("fills", "Fills.", "role", {role: counts.fills[role] for role in ROLES})
    contracts = {role: Decimal(counts.filled(role)).scaleb(-2) for role in ROLES}
    yield _counters("filled_contracts", "Contracts filled.", "role", contracts)
    fees = {role: Decimal(counts.fees(role)).scaleb(-6) for role in ROLES}
    yield _counters("fees_dollars", "Fees paid.", "role", fees)


def _of_the_store(snapshot: MetricsSnapshot) -> Iterator[Metric]:
    writer = snapshot.writer
    bounds = [(str(Decimal(bound).scaleb(-6)), bound) for bound in WAIT_BOUNDS_US]
    waits = [(text, total) for (text, _), total in zip(bounds, accumulate(writer.waits), strict=False)]
    yield HistogramMetricFamily(
        "fsm_exec_save_wait_seconds",
        "How long a save waited until it was durable.",
        buckets=[*waits, ("+Inf", sum(writer.waits))],
        sum_value=_seconds(writer.waited_us),  # type: ignore[arg-type]  # the encoder makes a float of it
    )
    sizes = dict(writer.batch_sizes)
    groups = [(str(bound), sum(times for size, times in sizes.items() if size <= bound)) for bound in GROUP_BOUNDS]
    yield HistogramMetricFamily(
        "fsm_exec_commit_group_saves",
        "Saves that shared a commit.",
        buckets=[*groups, ("+Inf", writer.batches)],
        sum_value=writer.jobs,
    )
    yield _gauge("saves_waiting", "Saves that wait for a commit.", writer.waiting)
    yield _gauge("journal_rows", "Rows of the journal.", snapshot.journal_rows)
    yield _gauges("file_bytes", "Size of the database's files.", "file", snapshot.file_bytes)


def _of_the_exchange(snapshot: MetricsSnapshot) -> Iterator[Metric]:
    yield _gauge("stream_connected", "1 while the stream is connected.", int(snapshot.status.stream_connected))
    yield _counter("stream_losses", "Connections of the stream that ended.", snapshot.stream_losses)
    gaps = {why: snapshot.feed_changes.get(why, 0) for why in GAPS}
    yield _counters("feed_gaps", "Books that could not be trusted any more.", "why", gaps)
    yield _gauges("feeds", "Watched books.", "state", {state: snapshot.feeds.get(state, 0) for state in FEED_STATES})
    yield _gauge("feed_age_seconds", "Age of the oldest book that is worked.", _seconds(snapshot.feed_age_us))
    if snapshot.requests is None:
        return
    buckets: dict[str, BucketStatistics] = {"read": snapshot.requests.read, "write": snapshot.requests.write}
    left = {name: Decimal(bucket.level_mt).scaleb(-3) for name, bucket in buckets.items()}
    yield _gauges("rate_tokens", "Tokens of the rate budget that are left.", "bucket", left)
    capacity = {name: Decimal(bucket.capacity_mt).scaleb(-3) for name, bucket in buckets.items()}
    yield _gauges("rate_tokens_capacity", "Tokens of a full rate budget.", "bucket", capacity)
    waiting = {name: bucket.waiting for name, bucket in buckets.items()}
    yield _gauges("requests_waiting", "Requests that wait for tokens.", "bucket", waiting)
    yield _counters("requests", "Requests sent.", "bucket", {name: b.granted for name, b in buckets.items()})
    spent = {name: Decimal(bucket.spent_mt).scaleb(-3) for name, bucket in buckets.items()}
    yield _counters("rate_tokens_spent", "Tokens spent.", "bucket", spent)
    waited = {name: _seconds(bucket.waited_us) for name, bucket in buckets.items()}
    yield _counters("rate_wait_seconds", "Time that requests waited for tokens.", "bucket", waited)
    refused = {name: bucket.refused for name, bucket in buckets.items()}
    yield _counters("rate_limited", "Requests that the exchange refused as too many.", "bucket", refused)
    given_up = {name: bucket.given_up for name, bucket in buckets.items()}
    yield _counters("requests_given_up", "Requests that found no tokens in time.", "bucket", given_up)


def _of_alerts(snapshot: MetricsSnapshot) -> Iterator[Metric]:
    standing = {str(kind): snapshot.standing.get(kind, 0) for kind in get_args(AlertKind)}
    yield _gauges("alerts_standing", "Alerts that stand.", "kind", standing)
    yield _gauge("alerts_pending", "Alerts that are not delivered yet.", snapshot.status.alerts_pending)


def _seconds(us: int) -> Decimal:
    return Decimal(us) / US_PER_S


def _states(name: str, text: str, states: tuple[str, ...], now: str) -> Metric:
    return _gauges(name, text, "state", {state: int(state == now) for state in states})


def _gauge(name: str, text: str, value: int | Decimal) -> Metric:
    return GaugeMetricFamily(f"fsm_exec_{name}", text, value=value)  # type: ignore[arg-type]  # as above


def _counter(name: str, text: str, value: int | Decimal) -> Metric:
    return CounterMetricFamily(f"fsm_exec_{name}", text, value=value)  # type: ignore[arg-type]  # as above


def _gauges(name: str, text: str, label: str, values: Mapping[str, int | Decimal]) -> Metric:
    family = GaugeMetricFamily(f"fsm_exec_{name}", text, labels=(label,))
    for word, value in values.items():
        family.add_metric((word,), value)  # type: ignore[arg-type]  # as above
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, int | Decimal]) -> Metric:
    family = CounterMetricFamily(f"fsm_exec_{name}", text, labels=(label,))
    for word, value in values.items():
        family.add_metric((word,), value)  # type: ignore[arg-type]  # as above
    return family
