"""/metrics: read by Prometheus' own parser and tool, true to what happened, closed without the token."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from fsm_exec.control.metrics.board import load_board, scrape_config
from fsm_exec.control.metrics.counts import Counts
from fsm_exec.control.overview_schema import Overview
from tests.control.conftest import TOKEN, Desk, error_of
from tests.store.conftest import Samples as StoreSamples

PROMTOOL = shutil.which("promtool")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scrape(desk: Desk, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(desk.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as http:
        return await http.get("/metrics", headers=headers)


async def text_of(desk: Desk) -> str:
    answer = await scrape(desk, Authorization=f"Bearer {TOKEN}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def parse(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"fsm_exec_{name}", tuple(sorted(labels.items()))]


async def worked(desk: Desk) -> None:
    """One execution that rests, one that is filled by ten and ended by its caller."""
    await desk.accepted(key="rests", horizon_s=600)
    taken = await desk.accepted(key="takes", target_price=None, limit="0.53", method="market", quantity="15")
    with trio.fail_after(10):
        while True:
            seen = msgspec.json.decode((await desk.http.get("/v1/overview")).content, type=Overview)
            if any(one.execution_id == taken and one.filled_quantity == "10.00" for one in seen.working):
                break
            await trio.sleep(0.02)  # asked over HTTP
        await desk.http.post(f"/v1/executions/{taken}/cancel")
        while len(desk.engine.actors) > 1 or taken not in desk.engine.ended:  # noqa: ASYNC110
            await trio.sleep(0.02)


async def test_what_is_measured_is_what_happened(desk: Desk) -> None:
    """Executions by state and end, fills with their fees, transitions, saves and their groups, tokens, files: by the
    figures of the engine itself, and in the same process no other daemon's."""
    await worked(desk)
    samples = parse(await text_of(desk))
    assert value(samples, "engine_state", state="running") == 1
    assert value(samples, "engine_state", state="degraded") == 0
    assert (value(samples, "executions", state="walking"), value(samples, "executions_accepted_total")) == (1, 2)
    assert value(samples, "executions_ended_total", state="cancelled", reason="user") == 1
    assert value(samples, "fills_total", role="taker") == 1
    assert value(samples, "filled_contracts_total", role="taker") == 10
    assert value(samples, "fees_dollars_total", role="taker") == pytest.approx(0.1744)
    assert value(samples, "fees_dollars_total", role="maker") == 0
    assert value(samples, "shortfall_dollars", part="fees") == pytest.approx(0.1744)
    assert value(samples, "transitions_total", machine="execution", state="walking") >= 1
    assert value(samples, "transitions_total", machine="child_order", state="resting") >= 1
    statistics = desk.store.statistics()
    assert 0 < value(samples, "save_wait_seconds_count") <= statistics.jobs
    assert value(samples, "save_wait_seconds_bucket", le="+Inf") == value(samples, "save_wait_seconds_count")
    assert value(samples, "commit_group_saves_count") <= value(samples, "commit_group_saves_sum")
    assert value(samples, "journal_rows") == await desk.store.load_newest_position()
    assert value(samples, "rate_tokens", bucket="write") <= value(samples, "rate_tokens_capacity", bucket="write")
    assert value(samples, "rate_limited_total", bucket="write") == 0
    assert value(samples, "orders_live") == 1
    assert value(samples, "alerts_standing", kind="unknown_order") == 0
    assert value(samples, "stream_connected") == 1


async def test_what_is_lost_is_counted(desk: Desk) -> None:
    """A halt is a state, a lost stream and a gap in a book are counted, and none of it a second time."""
    await worked(desk)
    for feed in desk.engine.feeds.values():
        feed.mark_gap()
    await desk.http.post("/v1/halt")
    samples = parse(await text_of(desk))
    assert value(samples, "engine_state", state="halted") == 1
    assert value(samples, "feed_gaps_total", why="gap") >= 1
    assert value(samples, "stream_losses_total") == 0
    again = parse(await text_of(desk))
    assert value(again, "feed_gaps_total", why="gap") == value(samples, "feed_gaps_total", why="gap")


async def test_metrics_need_the_token_and_nothing_else(desk: Desk) -> None:
    """Without it 401, with a parameter 400, under another host's name 403: as any path of the API."""
    assert error_of(await scrape(desk)).code == "unauthorized"
    assert error_of(await scrape(desk, Authorization=f"Bearer {TOKEN}x")).code == "unauthorized"
    assert error_of(await scrape(desk, Authorization=f"Bearer {TOKEN}", Host="evil.example")).code == "wrong_host"
    opened = await scrape(desk, Authorization=f"Bearer {TOKEN}", Accept="application/openmetrics-text; version=1.0.0")
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.rstrip().endswith("# EOF")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
async def test_prometheus_itself_finds_nothing_to_mend(desk: Desk, tmp_path: Path) -> None:
    """Its tool reads the metrics, lints their names, takes the queries of the board as rules, and the configuration."""
    assert PROMTOOL is not None
    await worked(desk)
    text = await text_of(desk)
    board = json.loads(load_board())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = [
        {"record": f"a:b{number}", "expr": query.replace("$__rate_interval", "1m").replace("$daemon", ".*")}
        for number, query in enumerate(queries)
    ]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "prometheus.yml").write_text(scrape_config("http://127.0.0.1:8766", tmp_path / "token"))

    def check(*arguments: str, given: str = "") -> None:
        done = subprocess.run([PROMTOOL, "check", *arguments], input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    check("metrics", given=text)
    check("rules", str(tmp_path / "rules.json"))
    check("config", str(tmp_path / "prometheus.yml"))


def test_a_cost_that_changes_is_not_added_twice() -> None:
    """A late fill measures an execution anew: the sum has its newest cost alone; a part that is unknown is none."""
    counts, samples = Counts(), StoreSamples()
    counts.add_cost(samples.metrics("e1", spread_e7=100))
    counts.add_cost(samples.metrics("e2", spread_e7=None))
    counts.add_cost(samples.metrics("e1", spread_e7=-30))
    assert (counts.cost_e7["spread"], counts.cost_e7["fees"]) == (-30, 20)
