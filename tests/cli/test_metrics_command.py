"""`fsm-exec metrics` against a real daemon: what its board asks for is there, and a start pays nothing for it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import trio
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.daemons import command, serve, show, submit
from tests.cli.exchange import site
from tests.cli.support import environment, run

NAME = re.compile(r"\bfsm_exec_[a-z_]+")


async def test_every_query_of_the_board_names_what_is_exposed(tmp_path: Path) -> None:
    """So do its variables; each panel has a query, and each query selects the daemon. The configuration that is printed
    names the daemon's port and token."""
    async with site(tmp_path) as made:
        running = await serve(made)
        filled = await submit(made, "--method", "market", price="0.60", quantity="5")
        with trio.fail_after(120):
            while (await show(made, filled.execution_id)).execution.state != "filled":  # noqa: ASYNC110
                await trio.sleep(0.05)
        scraped = await command(made, "metrics")
        assert (scraped.returncode, scraped.stderr) == (0, "")
        families = text_string_to_metric_families(scraped.stdout)
        exposed = {sample.name for family in families for sample in family.samples}
        config = await command(made, "metrics", "--scrape-config")
        assert running.ready.control_url.removeprefix("http://") in config.stdout
        assert f"credentials_file: {running.ready.token_file}" in config.stdout
        assert await running.end() == 0
    board = json.loads(run(tmp_path, "metrics", "--board").stdout)
    queries = [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]
    variables = [one["query"]["query"] for one in board["templating"]["list"] if isinstance(one["query"], dict)]
    assert len({title for title, _ in queries}) == len(board["panels"]) > 20
    asked = {name for query in (*variables, *(query for _, query in queries)) for name in NAME.findall(query)}
    assert asked - exposed == set()
    assert [title for title, query in queries if 'instance=~"$daemon"' not in query] == []


def test_metrics_that_cannot_be_had_are_one_line(tmp_path: Path) -> None:
    """No daemon, and two documents at once."""
    absent = run(tmp_path, "metrics", "--url", "http://127.0.0.1:1", "--token-file", tmp_path / "none")
    assert (absent.returncode, absent.stdout, absent.stderr.count("\n")) == (2, "", 1)
    both = run(tmp_path, "metrics", "--board", "--scrape-config")
    assert (both.returncode, both.stdout, both.stderr.count("\n")) == (2, "", 1)


def test_a_start_does_not_load_what_only_a_scrape_needs() -> None:
    """Neither the control API nor the commands load prometheus_client or OpenTelemetry."""
    code = (
        "import sys, fsm_exec.cli.daemon.serve, fsm_exec.cli.daemon.metrics; "
        "print('prometheus_client' in sys.modules, 'opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
