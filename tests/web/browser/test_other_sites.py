"""Pages of other sites in a browser that is signed in: they can neither read the desk, nor act, nor frame it.

The hostile page is on this very machine, on another port: the same site to a browser, so that even Strict cookies are
sent with what it asks for. The other name is DNS rebinding: one of somebody else's that leads to the daemon.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser

from tests.lab.browser import find_browser
from tests.web.browser.desks import Daemon
from tests.web.browser.pages import ARGUMENTS, Visit, visiting

PAGE = b"<!doctype html><title>hostile</title><body><p>hostile</p></body>"


class _Hostile(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def hostile() -> Iterator[str]:
    """The address of a site that is not ours."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hostile) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def visit(browser: Browser, daemon: Daemon, hostile: str) -> Iterator[Visit]:
    """Signed in, and then at the hostile page."""
    with visiting(browser) as made:
        made.page.goto(daemon.link())
        made.page.wait_for_url(f"{daemon.origin}/")
        made.page.goto(hostile)
        yield made


def test_another_site_reads_nothing(visit: Visit, daemon: Daemon) -> None:
    """A fetch with cookies is refused and cannot be read, an event stream does not open, a script of ours does not
    load there."""
    fetched = visit.value(f"fetch('{daemon.origin}/', {{credentials: 'include'}}).then(r => r.text(), () => 'refused')")
    assert fetched == "refused"
    opened = visit.page.evaluate(
        "url => new Promise(done => { const s = new EventSource(url, {withCredentials: true});"
        " s.onerror = () => { s.close(); done('refused'); }; s.onopen = () => done('open'); })",
        f"{daemon.origin}/events/desk",
    )
    assert opened == "refused"
    loaded = visit.page.evaluate(
        "url => new Promise(done => { const s = document.createElement('script'); s.src = url;"
        " s.onload = () => done('loaded'); s.onerror = () => done('refused'); document.body.append(s); })",
        f"{daemon.origin}/",
    )
    assert loaded == "refused"


def test_another_site_does_nothing(visit: Visit, daemon: Daemon) -> None:
    """A form that is sent to halt, and a fetch that does the same without asking first, are refused: it runs on."""
    visit.value(
        f"fetch('{daemon.origin}/actions/halt', {{method: 'POST', mode: 'no-cors', credentials: 'include'}})"
        ".then(() => 'sent', () => 'refused')"
    )
    visit.value(
        f"{{ const f = document.createElement('form'); f.method = 'POST'; f.action = '{daemon.origin}/actions/halt';"
        " document.body.append(f); f.submit(); }"
    )
    visit.page.wait_for_url(f"{daemon.origin}/actions/halt")
    assert "Another site asked" in visit.page.inner_text("main")
    assert daemon.client.status().state == "running"


def test_another_site_frames_nothing(visit: Visit, daemon: Daemon) -> None:
    """A frame of the desk stays empty, so that no click meant for something else lands in it."""
    visit.page.evaluate(
        "url => new Promise(done => { const f = document.createElement('iframe'); f.src = url;"
        " f.onload = () => done(); document.body.append(f); })",
        f"{daemon.origin}/",
    )
    framed = visit.page.frames[1]
    assert framed.url.startswith("chrome-error:") or "At work" not in framed.content()


def test_a_link_of_another_site_leads_to_a_page_that_says_so(visit: Visit, daemon: Daemon) -> None:
    """The desk itself is not shown for it; opened from its own address it is."""
    visit.value(
        f"{{ const a = document.createElement('a'); a.href = '{daemon.origin}/'; document.body.append(a); a.click(); }}"
    )
    visit.page.wait_for_url(f"{daemon.origin}/")
    assert "Another site asked" in visit.page.inner_text("main")
    visit.page.goto("about:blank")
    visit.page.goto(f"{daemon.origin}/")
    assert "At work" in visit.page.inner_text("main")


def test_a_name_of_somebody_elses_leads_nowhere(browser: Browser, daemon: Daemon) -> None:
    """DNS rebinding: under another name the daemon answers neither the desk nor a link that is good."""
    found = find_browser()
    port = daemon.origin.rpartition(":")[2]
    rebound = [*ARGUMENTS[:-1], "--host-resolver-rules=MAP rebound.example 127.0.0.1"]
    started = browser.browser_type.launch(executable_path=found, args=rebound)
    try:
        with visiting(started) as visit:
            for path in ("/", daemon.link().partition(daemon.origin)[2]):
                visit.page.goto(f"http://rebound.example:{port}{path}")
                assert "answers as 127.0.0.1 or localhost only" in visit.page.inner_text("body")
                assert not visit.context.cookies()
    finally:
        started.close()
