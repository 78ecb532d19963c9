"""A real browser without a window, as the tests of the page drive it: what a person would see, and what it asked for.

Every request of a page is noted, and names resolve to nothing, so a page that wanted another host would be found out
and get nothing. What its console says in anger is noted too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.lab.browser import find_browser

ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
WAIT_MS: Final = 30_000
NO_BROWSER: Final = "no Chromium on this machine to look at pages with"


@contextmanager
def running_browser() -> Iterator[Browser]:
    """The system's browser, while the block runs; the test is skipped where there is none."""
    found = find_browser()
    if found is None:
        pytest.skip(NO_BROWSER)
    with _asyncio_of_its_own(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _asyncio_of_its_own() -> Iterator[None]:
    """trio_asyncio, which the store brings, makes the loops of this thread; the driver of the browser needs a plain
    one."""
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(None)


class Visit:
    """One browser profile at one page. `requests` are the addresses that were asked for, `complaints` the errors and
    warnings of the console, and of scripts that failed."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.requests: list[str] = []
        self.complaints: list[str] = []
        context.set_default_timeout(WAIT_MS)
        context.on("request", self._note_request)
        context.on("console", self._note_console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page: Page = context.new_page()

    def _note_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def assert_quiet(self, origin: str) -> None:
        """Nothing was complained of, and nobody else was asked for anything."""
        assert not self.complaints, self.complaints
        others = [url for url in self.requests if not url.startswith((f"{origin}/", "data:"))]
        assert not others, others

    def value(self, expression: str) -> Any:  # noqa: ANN401  # whatever the page says
        """Of a JavaScript expression; a promise is waited for."""
        return self.page.evaluate(expression)

    def sideways(self) -> int:
        """By how many pixels the page scrolls sideways."""
        wider: int = self.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wider


@contextmanager
def visiting(browser: Browser, *, width: int = 1280, scheme: Any = "light", scripts: bool = True) -> Iterator[Visit]:  # noqa: ANN401
    """A fresh profile, with a window of that width."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    )
    try:
        yield Visit(context)
    finally:
        context.close()


def save_picture(visit: Visit, file: Path) -> None:
    """Save the whole page as a picture."""
    visit.page.screenshot(path=file, full_page=True)
