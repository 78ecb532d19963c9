"""A real browser without a window, driven over its debugging protocol: what a reader of a page would see.

It may ask for files and for nothing else: names resolve to nothing, and what a page asked for can be looked at.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import trio
from trio_websocket import WebSocketConnection, open_websocket_url

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0", "about:blank"),
)
START_S, ANSWER_S, STOP_S = 60.0, 60.0, 10.0


def find_browser() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def running(browser: str, profile: Path) -> Iterator[str]:
    """A browser with an empty profile; gives the address at which it listens."""
    with (profile.parent / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [browser, *FLAGS, f"--user-data-dir={profile}"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            yield _address(process, profile / "DevToolsActivePort", profile.parent / "browser.log")
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[bytes], file: Path, log: Path) -> str:
    """As the browser says it in a file of its profile, once it listens."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        said = file.read_text().split() if file.exists() else []
        if len(said) == 2:
            return f"ws://127.0.0.1:{said[0]}{said[1]}"
        time.sleep(0.05)
    raise AssertionError(f"the browser does not listen: {log.read_text(errors='replace')[-2_000:]}")


class Page:
    """One page. `complaints` are its errors and what its policy refused, `requests` the addresses it asked for."""

    def __init__(self, socket: WebSocketConnection, session: str | None = None) -> None:
        self._socket, self._session, self._number = socket, session, 0
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._events: set[str] = set()

    async def ask(self, method: str, **arguments: object) -> dict[str, Any]:
        """The browser's answer; what happens meanwhile is noted."""
        self._number += 1
        call: dict[str, object] = {"id": self._number, "method": method, "params": arguments}
        if self._session is not None:  # None: asked of the browser as a whole
            call["sessionId"] = self._session
        await self._socket.send_message(json.dumps(call))
        while (message := await self._next()).get("id") != self._number:
            pass
        assert "error" not in message, f"{method}: {message['error']}"
        result: dict[str, Any] = message["result"]
        return result

    async def open(
        self, file: Path, *, width: int = 1280, scripts: bool = True, dark: bool = False, part: str = ""
    ) -> None:
        """Load a file, or the `part` of it of that id, and wait until it is there."""
        for domain in ("Runtime", "Log", "Network", "Page"):
            await self.ask(f"{domain}.enable")
        await self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        await self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        await self.choose_scheme(dark=dark)
        self._events.clear()
        await self.ask("Page.navigate", url=file.as_uri() + part)
        while "Page.loadEventFired" not in self._events:
            await self._next()

    async def choose_scheme(self, *, dark: bool) -> None:
        """Prefer the dark scheme, or the light one, from now on."""
        wanted = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.ask("Emulation.setEmulatedMedia", features=wanted)

    async def value(self, expression: str) -> Any:  # noqa: ANN401  # whatever the page says
        """Of a JavaScript expression; a promise is waited for."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def _next(self) -> dict[str, Any]:
        with trio.fail_after(ANSWER_S):
            message: dict[str, Any] = json.loads(await self._socket.get_message())
        found, name = message.get("params", {}), message.get("method", "")
        self._events.add(name)
        if name == "Runtime.exceptionThrown":
            self.complaints.append(str(found["exceptionDetails"]))
        elif name == "Runtime.consoleAPICalled" and found["type"] in ("error", "warning"):
            self.complaints.append(str(found["args"]))
        elif name == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(found["entry"]["text"]))
        elif name == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])
        return message


@asynccontextmanager
async def new_page(address: str) -> AsyncIterator[Page]:
    """A page of the browser that listens there."""
    async with open_websocket_url(address) as socket:
        browser = Page(socket)
        target = (await browser.ask("Target.createTarget", url="about:blank"))["targetId"]
        attached = await browser.ask("Target.attachToTarget", targetId=target, flatten=True)
        yield Page(socket, attached["sessionId"])
        await browser.ask("Target.closeTarget", targetId=target)
