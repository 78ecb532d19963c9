"""What the tests in a browser share, once a module: the browser, an exchange whose books the test moves, a daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.web.browser.desks import Daemon, Exchange, open_exchange, serving
from tests.web.browser.pages import running_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as started:
        yield started


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk")


@pytest.fixture(scope="module")
def exchange(browser: Browser, directory: Path) -> Iterator[Exchange]:
    """After the browser: without one nothing else is started."""
    with open_exchange(directory) as opened:
        yield opened


@pytest.fixture(scope="module")
def daemon(exchange: Exchange, directory: Path) -> Iterator[Daemon]:
    with serving(directory, "--config", directory / "config.toml") as served:
        yield served
