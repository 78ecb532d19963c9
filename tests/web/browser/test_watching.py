"""An execution watched from its beginning to its end, and looked back on: its diagram lit at each state, and any row of
its journal as `replay --until` has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from playwright.sync_api import Browser

from fsm_exec import Submission
from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from tests.cli.exchange import TICKER, Site
from tests.cli.support import run
from tests.web.browser.desks import Daemon, Exchange
from tests.web.browser.pages import Visit, visiting

CURRENT = "#x-machine .state.current[data-state='{}']"


@contextmanager
def signed_in(browser: Browser, daemon: Daemon, address: str) -> Iterator[Visit]:
    """A browser at a page of the daemon."""
    with visiting(browser) as visit:
        visit.page.goto(daemon.link())
        visit.page.wait_for_url(f"{daemon.origin}/")
        visit.page.goto(daemon.origin + address)
        yield visit


def offer(exchange: Exchange, count: str) -> None:
    """Others sell so much YES at 0.40: whoever bids more has it."""

    def change(site: Site) -> None:
        asks = ((parse_price("0.60"), parse_count(count)),)
        site.exchange.apply(TICKER, BookSnapshot(((parse_price("0.30"), parse_count("5")),), asks))

    exchange.change(change)


def lit(visit: Visit, kind: str) -> list[str]:
    """The states of the diagram that are `current`, or `visited`."""
    found: list[str] = visit.value(
        f"[...document.querySelectorAll('#x-machine .state.{kind}')].map(s => s.dataset.state)"
    )
    return found


def test_from_the_first_row_to_the_last(browser: Browser, exchange: Exchange, daemon: Daemon) -> None:
    """Live through each state, the way that was gone stays lit; then back by the slider to any row, with the snapshot
    that `replay --until` gives, the diagram, orders and book of then; the newest row again, and all is as it was."""
    exchange.change(lambda site: site.exchange.pause_trading())
    wanted = Submission(
        key="watched", ticker=TICKER, outcome="yes", quantity="30", limit="0.60", method="join_bid", horizon_s=900
    )
    name = daemon.client.submit(wanted).execution_id
    with signed_in(browser, daemon, f"/executions/{name}") as visit:
        visit.page.wait_for_selector(CURRENT.format("split"))  # its order is refused while trading is paused
        assert "pending" in lit(visit, "visited")
        exchange.change(lambda site: site.exchange.resume_trading())
        visit.page.wait_for_selector(CURRENT.format("walking"))
        offer(exchange, "10")
        visit.page.wait_for_selector(CURRENT.format("partial"))
        offer(exchange, "50")
        visit.page.wait_for_selector(CURRENT.format("filled"))
        assert lit(visit, "current") == ["filled"]
        assert set(lit(visit, "visited")) >= {"pending", "split", "walking", "partial", "filled"}
        daemon.client.wait(name)
        visit.page.wait_for_function(
            "document.querySelector('#x-head').dataset.rows === document.querySelector('#x-at').max"
        )
        rows = int(visit.value("document.querySelector('#x-at').max"))
        states = {}
        for seq in (1, 2, rows // 2, rows - 1, rows):
            visit.page.locator("#x-at").fill(str(seq))
            visit.page.wait_for_selector(f"#x-row :text('Row {seq} of {rows}')")
            states[seq] = lit(visit, "current")
            told = msgspec.json.decode(visit.page.locator("#x-snapshot pre").text_content() or "")
            assert told == replayed(daemon, name, seq), f"row {seq}"
            assert states[seq] == [told["state"]]
        assert states[1] == ["pending"]
        assert states[rows] == ["filled"]
        visit.assert_quiet(daemon.origin)


def replayed(daemon: Daemon, name: str, seq: int) -> object:
    """The execution after a row, as the command has it."""
    done = run(daemon.database.parent, "replay", name, "--db", daemon.database, "--until", str(seq), "--json")
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=dict[str, object])["execution"]
