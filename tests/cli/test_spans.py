"""Spans of executions: a real daemon, a real collector on loopback that reads what it is sent; without one, none."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trio

from fsm_exec.cli.telemetry import open_telemetry
from fsm_exec.control.metrics.span_export import WAITING_MAX, SpanExport
from fsm_exec.control.metrics.spans import open_collector
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import from_iso
from tests.cli.daemons import serve, show, submit, until
from tests.cli.exchange import TICKER, site
from tests.store.conftest import Samples

SECRET = "hush-4711"


class Received:
    """What a collector was sent. While `is_stuck` it does not answer."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, bytes]] = []
        self.is_stuck = False
        self.release = threading.Event()
        self.url = ""

    @property
    def spans(self) -> list[tuple[dict[str, Any], Any]]:
        """Every span with the attributes of its resource."""
        service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        found = []
        for _, _, body in self.requests:
            for one in service.ExportTraceServiceRequest.FromString(body).resource_spans:
                found += [
                    (attributes(one.resource.attributes), span) for scope in one.scope_spans for span in scope.spans
                ]
        return found


def attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in pairs}


@contextmanager
def collector() -> Iterator[Received]:
    """A running one, on a free port."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.requests.append((self.path, self.headers["Authorization"], body))
            if received.is_stuck:
                received.release.wait()
            try:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                return  # who asked has gone

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    received.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        received.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def logged(directory: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for path in directory.glob("*.log") for line in path.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


async def test_an_execution_is_one_span_with_its_transitions_and_fills(tmp_path: Path) -> None:
    """From its acceptance to its end, at the journal's times; the header is sent, the caller's key is not; what is
    still at work has no span."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="comes with the extra `otel`")
    headers = tmp_path / "headers"
    headers.write_text(f"Authorization: Bearer {SECRET}\n")
    headers.chmod(0o600)
    with collector() as received:
        async with site(tmp_path) as made:
            made.write_config(telemetry={"endpoint": received.url, "headers_file": "headers"})
            running = await serve(made)
            await submit(made)
            taken = await submit(made, "--method", "market", "--key", "mine-4712", price="0.60", quantity="5")
            await until(lambda: bool(received.requests))
            shown = await show(made, taken.execution_id)
            assert await running.end() == 0
        spans = received.spans
    assert len({span.span_id for _, span in spans}) == 1  # a cost that was corrected is sent again, as the same span
    resource, span = spans[-1]
    path, header, body = received.requests[-1]
    assert (path, header) == ("/v1/traces", f"Bearer {SECRET}")
    assert b"mine-4712" not in body
    assert resource["service.name"] == "fsm-exec"
    assert shown.metrics is not None
    said = {name.removeprefix("fsm_exec."): value for name, value in attributes(span.attributes).items()}
    assert said.pop("cost_dollars").count(".") == 1
    assert said == {
        "execution_id": taken.execution_id,
        "ticker": TICKER,
        "side": "yes",
        "method": shown.execution.method,
        "quantity": "5.00",
        "filled": "5.00",
        "state": "filled",
        "reason": "completed",
        "fees_dollars": shown.metrics.fees,
    }
    assert span.start_time_unix_nano == from_iso(shown.execution.accepted_at) * 1_000
    (ended,) = [event for event in span.events if event.name == "execution filled"]
    assert span.end_time_unix_nano == ended.time_unix_nano
    times = {from_iso(line.at) * 1_000 for line in shown.journal if line.steps}
    assert {event.time_unix_nano for event in span.events if event.name != "fill"} == times
    fills = [(attributes(event.attributes), event.time_unix_nano) for event in span.events if event.name == "fill"]
    assert [(one["fsm_exec.price"], one["fsm_exec.quantity"], at) for one, at in fills] == [
        (fill.price, fill.quantity, from_iso(fill.traded_at) * 1_000) for fill in shown.fills
    ]
    assert [(line["sent"], line["lost"]) for line in logged(tmp_path, "spans")] == [(len(spans), 0)]


async def test_a_collector_that_hangs_holds_up_neither_engine_nor_end(tmp_path: Path) -> None:
    """Executions are filled while it hangs; the end does not wait for it, and counts what was not sent."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="comes with the extra `otel`")
    with collector() as received:
        received.is_stuck = True
        async with site(tmp_path) as made:
            made.write_config(telemetry={"endpoint": received.url})
            running = await serve(made)
            for _ in range(2):
                taken = await submit(made, "--method", "market", price="0.60", quantity="1")
                with trio.fail_after(120):
                    while (await show(made, taken.execution_id)).execution.state != "filled":  # noqa: ASYNC110
                        await trio.sleep(0.05)
            await until(lambda: bool(received.requests))
            assert await running.end() == 0
            assert running.err == ""
        (line,) = logged(tmp_path, "spans")
        assert line["sent"] == 0
        assert line["lost"] >= 2  # one an execution, and one more for each cost that was corrected after its end


async def test_a_collector_that_is_gone_is_said_once(tmp_path: Path) -> None:
    """One line in the log, however many spans are lost; on the terminal nothing."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="comes with the extra `otel`")
    async with site(tmp_path) as made:
        made.write_config(telemetry={"endpoint": "http://127.0.0.1:1"})
        running = await serve(made)
        for _ in range(2):
            await submit(made, "--method", "market", price="0.60", quantity="1")
        await until(lambda: bool(logged(tmp_path, "spans_lost")))
        assert await running.end() == 0
        assert running.err == ""
    assert len(logged(tmp_path, "spans_lost")) == 1
    (line,) = logged(tmp_path, "spans")
    assert line["sent"] == 0
    assert line["lost"] >= 2  # as above


async def test_what_finds_no_room_is_dropped_and_counted(tmp_path: Path) -> None:
    """Adding never waits, with a full queue and after the end."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="comes with the extra `otel`")
    export = SpanExport(open_collector("http://127.0.0.1:1", {}), tmp_path / "none", "i", "paper")
    for _ in range(WAITING_MAX + 3):
        export.add(Samples().metrics())
    assert export.lost == 3
    export.close()
    export.add(Samples().metrics())
    assert export.lost == 4


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And without an endpoint nothing is loaded at all."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert open_telemetry(None, None, tmp_path) is None
    with pytest.raises(UserError, match=r"^\[telemetry\] needs OpenTelemetry; run: pip install 'fsm-exec\[otel\]'"):
        open_telemetry("http://127.0.0.1:4318", None, tmp_path)


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("127.0.0.1:4318", "is no address"),
        ("ftp://127.0.0.1", "is no address"),
        ("http://127.0.0.1:port", "is no address"),
        ("http://", "is no address"),
        ("http://[::1", "is no address"),
        (f"http://user:{SECRET}@127.0.0.1", "a secret belongs into telemetry.headers_file"),
        (f"http://127.0.0.1/?key={SECRET}", "a secret belongs into telemetry.headers_file"),
        (None, "there is no telemetry.endpoint"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(tmp_path: Path, endpoint: str | None, says: str) -> None:
    """In one line that tells no secret."""
    with pytest.raises(UserError) as refused:
        open_telemetry(endpoint, "headers", tmp_path)
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["", SECRET, f": {SECRET}", f"k\u00e9y: {SECRET}", f"a: {SECRET}\n" * 2_000])
def test_headers_that_cannot_be_sent_are_refused(tmp_path: Path, content: str) -> None:
    """None, no colon, no name, a name of other letters, too many; and a file that others may read."""
    path = tmp_path / "headers"
    path.write_text(content, encoding="utf-8")
    os.chmod(path, 0o600)
    with pytest.raises(UserError, match="holds something else than headers") as refused:
        open_telemetry("http://127.0.0.1:4318", "headers", tmp_path)
    assert SECRET not in str(refused.value)
    os.chmod(path, 0o644)
    with pytest.raises(UserError, match="others may use it"):
        open_telemetry("http://127.0.0.1:4318", "headers", tmp_path)
