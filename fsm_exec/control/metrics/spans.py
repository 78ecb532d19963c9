"""An execution as a span of OpenTelemetry, and the collector that takes it: the one place that knows that library.

It comes with the extra `otel` and is loaded only where a collector is configured. Amounts are decimal text, as in the
database. The ids of a span follow from the database and the execution, so one that is sent again is the same one.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import format_fixed
from fsm_exec.store.api_rows import ExecutionDetail

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

STEP: Final = re.compile(r"(execution|child_order) (\S+): (\w+) -(\w+)-> (\w+)", re.ASCII)
NS_PER_US: Final = 1_000
SEND_WITHIN_S: Final = 5


class Collector:
    """A collector of spans."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def send(self, detail: ExecutionDetail, instance: str, environment: str) -> bool:
        """Send the span of an execution that has ended. False: it was not taken. May take some seconds."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        return self._exporter.export([span_of(detail, instance, environment)]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Send no more, and do not wait for what is being sent."""
        self._exporter.shutdown()


def open_collector(endpoint: str, headers: Mapping[str, str]) -> Collector:
    """Open a collector that takes OTLP over HTTP at `endpoint`. Raises UserError without the extra."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise UserError(
            "[telemetry] needs OpenTelemetry; run: pip install 'fsm-exec[otel]', or remove the table"
        ) from None
    quiet = logging.getLogger("opentelemetry")  # the daemon's log says once that a collector takes nothing
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return Collector(OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=SEND_WITHIN_S))


def span_of(detail: ExecutionDetail, instance: str, environment: str) -> ReadableSpan:
    """The span from the acceptance to the end, with the transitions and fills. What comes later, a late fill, is an
    event behind the end."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, TraceFlags

    one, cost = detail.execution, detail.metrics
    digest = hashlib.sha256(f"{instance} {one.execution_id}".encode()).digest()
    context = SpanContext(
        int.from_bytes(digest[:16]), int.from_bytes(digest[16:24]), is_remote=False, trace_flags=TraceFlags(1)
    )
    total_e7 = None if cost is None else cost.shortfall_e7
    said = {
        "execution_id": one.execution_id,
        "ticker": one.ticker,
        "side": one.outcome,
        "method": one.method,
        "quantity": one.target_quantity,
        "filled": one.filled_quantity,
        "state": one.state,
        "reason": one.reason,
        "cost_dollars": None if total_e7 is None else format_fixed(total_e7, 7),
        "fees_dollars": None if cost is None else cost.fees,
    }
    names = {"service.name": "fsm-exec", "service.instance.id": instance, "deployment.environment.name": environment}
    return ReadableSpan(
        name="execution",
        context=context,
        resource=Resource(names),
        attributes={f"fsm_exec.{name}": value for name, value in said.items() if value is not None},
        events=sorted(_events(detail), key=lambda event: event.timestamp),
        start_time=from_iso(one.accepted_at) * NS_PER_US,
        end_time=_ended_us(detail) * NS_PER_US,
    )


def _events(detail: ExecutionDetail) -> Iterator[Event]:
    from opentelemetry.sdk.trace import Event

    for line in detail.journal:
        for machine, subject, source, trigger, dest in STEP.findall(line.steps):
            step = {"subject": subject, "from": source, "by": trigger, "to": dest, "seq": line.seq}
            said = {f"fsm_exec.{name}": value for name, value in step.items()}
            yield Event(f"{machine} {dest}", said, from_iso(line.at) * NS_PER_US)
    for fill in detail.fills:
        said = {
            "fsm_exec.subject": fill.client_order_id,
            "fsm_exec.price": fill.price,
            "fsm_exec.quantity": fill.quantity,
            "fsm_exec.fee_dollars": fill.fee,
            "fsm_exec.is_taker": fill.is_taker,
            "fsm_exec.late": fill.late,
        }
        yield Event("fill", said, from_iso(fill.traded_at) * NS_PER_US)


def _ended_us(detail: ExecutionDetail) -> int:
    """When the journal says that it ended; its last move, should that row not be readable."""
    for line in detail.journal:
        if any(machine == "execution" and dest in EXECUTION_ENDS for machine, *_, dest in STEP.findall(line.steps)):
            return from_iso(line.at)
    return from_iso(detail.execution.updated_at)
