"""A page that stays open does not grow: what a browser holds of it is the same after some thousand events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser

from fsm_exec import Submission
from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from tests.cli.exchange import OTHER, TICKER, Site
from tests.web.browser.desks import Daemon, Exchange
from tests.web.browser.pages import Visit, visiting

WARM_UP, LATER = 130, 230  # rounds: an order that is filled, and fills of one that rests
FILLS = 5  # of it in a round: after the warm-up its lists are as long as they get
NODES_MORE = 400  # of some thousand: what lies in the air between two looks
HEAP_MORE = 3_000_000  # bytes
END_S = 120.0


class Weight:
    """What a page weighs, after its garbage was collected."""

    def __init__(self, visit: Visit) -> None:
        session = visit.context.new_cdp_session(visit.page)
        session.send("Performance.enable")
        for _ in range(3):
            session.send("HeapProfiler.collectGarbage")
        found: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
        values = {one["name"]: one["value"] for one in found}
        self.nodes, self.heap = int(values["Nodes"]), int(values["JSHeapUsedSize"])
        self.elements: int = visit.value("document.querySelectorAll('*').length")
        session.detach()


@contextmanager
def open_at(browser: Browser, daemon: Daemon, address: str) -> Iterator[Visit]:
    with visiting(browser) as visit:
        visit.page.goto(daemon.link())
        visit.page.wait_for_url(f"{daemon.origin}/")
        visit.page.goto(daemon.origin + address)
        yield visit


def trade(exchange: Exchange, daemon: Daemon, first: int, rounds: int) -> None:
    """Give an order that is filled at once, and sell to one that rests on another market, over and over."""
    for number in range(first, first + rounds):
        bid = f"0.{40 + number % 5}"

        def change(site: Site, bid: str = bid) -> None:
            asks = ((parse_price("0.47"), parse_count("1000")),)
            site.exchange.apply(TICKER, BookSnapshot(((parse_price(bid), parse_count("10")),), asks))
            sold = ((parse_price("0.56"), parse_count("1")),)  # YES at 0.44, to whoever bids more
            for _ in range(FILLS):
                site.exchange.apply(OTHER, BookSnapshot(((parse_price(bid), parse_count("10")),), sold))

        exchange.change(change)
        wanted = Submission(
            key=f"grow-{number}",
            ticker=TICKER,
            outcome="yes" if number % 2 else "no",
            quantity="1",
            cap="0.99",
            method="market",
            horizon_s=30,
        )
        daemon.client.submit(wanted)


def let_end(daemon: Daemon, desk: Visit) -> None:
    """Wait until only the resting one is at work, and the desk shows it."""
    until_s = time.monotonic() + END_S
    while daemon.client.status().unfinished > 1:
        assert time.monotonic() < until_s, daemon.client.status()
        time.sleep(0.2)
    desk.page.wait_for_selector("#working:has(tr):not(:has(tr ~ tr))")


def test_an_open_page_does_not_grow(browser: Browser, exchange: Exchange, daemon: Daemon) -> None:
    """The desk, and an execution that is filled all the time, bit by bit: after some thousand events each
    has as many nodes, and its scripts hold as much, as after the first few hundred."""
    resting = Submission(
        key="resting",
        ticker=OTHER,
        outcome="yes",
        quantity="2000",
        limit="0.45",
        method="simple_limit",
        horizon_s=3_000,
    )
    name = daemon.client.submit(resting).execution_id
    with open_at(browser, daemon, "/") as desk, open_at(browser, daemon, f"/executions/{name}") as execution:
        trade(exchange, daemon, 0, WARM_UP)
        let_end(daemon, desk)
        before = [Weight(visit) for visit in (desk, execution)]
        rows = daemon.client.show(name).execution.seq
        trade(exchange, daemon, WARM_UP, LATER)
        let_end(daemon, desk)
        after = [Weight(visit) for visit in (desk, execution)]
        added = daemon.client.show(name).execution.seq - rows
        assert added > LATER * FILLS // 2, "too few rows to tell"
        told = [(one.nodes, one.elements, one.heap) for one in (*before, *after)]
        assert len(daemon.client.list(limit=1_000)) == WARM_UP + LATER + 1
        for then, now in zip(before, after, strict=True):
            assert now.nodes < then.nodes + NODES_MORE, told
            assert now.heap < then.heap + HEAP_MORE, told
        for visit in (desk, execution):
            visit.assert_quiet(daemon.origin)
