"""A daemon whose page is looked at: an exchange, `fsm-exec serve` in a process of its own, and links that let a browser
in."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import trio

from fsm_exec import Client
from tests.cli.exchange import Site, site
from tests.cli.support import COMMAND, environment, run

READY_S: Final = 60.0
END_S: Final = 30.0
T = TypeVar("T")


class Exchange:
    """A paper exchange on loopback in a thread of this process, whose books the test moves."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop = trio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,), daemon=True)
        self.site: Site

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with site(self._directory) as self.site:
            self._up.set()
            await self._stop.wait()

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(READY_S)

    def stop(self) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(END_S)

    def change(self, change: Callable[[Site], T]) -> T:
        """What `change` returns, run in the exchange's own thread."""
        return trio.from_thread.run_sync(change, self.site, trio_token=self._token)


@contextmanager
def open_exchange(directory: Path) -> Iterator[Exchange]:
    exchange = Exchange(directory)
    exchange.start()
    try:
        yield exchange
    finally:
        exchange.stop()


class Daemon:
    """A running daemon. `origin` is its page's."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, token_file: Path, database: Path) -> None:
        self.process, self.url, self.token_file, self.database = process, url, token_file, database
        self.client = Client(url, token_file=token_file)
        self.origin = self.link().partition("/enter")[0]

    def link(self, *, read_only: bool = False) -> str:
        """A link that lets one browser in."""
        return self.client.draw_page_link(read_only=read_only).url

    def link_of_the_command(self) -> str:
        """The same, as `fsm-exec open --print` prints it."""
        done = run(self.database.parent, "open", "--print", "--url", self.url, "--token-file", self.token_file)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def log_lines(self, event: str) -> list[dict[str, object]]:
        """The lines of its log about one kind of event."""
        lines = self.database.with_name(f"{self.database.name}.log").read_bytes().splitlines()
        found = [msgspec.json.decode(line, type=dict[str, object]) for line in lines]
        return [line for line in found if line.get("event") == event]


@contextmanager
def serving(directory: Path, *arguments: str | Path) -> Iterator[Daemon]:
    """`fsm-exec serve ARGUMENTS`, ready for executions, and ended after the block."""
    database, token_file = directory / "engine.sqlite", directory / "token"
    with (directory / "serve.err").open("wb") as err:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--json", "--db", database, "--token-file", token_file, *arguments],
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
        )
        with process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line, (directory / "serve.err").read_text(encoding="utf-8")
                url = msgspec.json.decode(line, type=dict[str, object])["control_url"]
                daemon = Daemon(process, str(url), token_file, database)
                yield daemon
                daemon.client.close()
                process.send_signal(signal.SIGTERM)
                process.wait(END_S)
            finally:
                process.kill()


@contextmanager
def showing(database: Path) -> Iterator[str]:
    """`fsm-exec open --db`, which shows a database without an engine; gives its link."""
    process = subprocess.Popen(
        [*COMMAND, "open", "--db", database, "--print"],
        cwd=database.parent,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
            process.send_signal(signal.SIGTERM)
            process.wait(END_S)
        finally:
            process.kill()
