"""The port of a real daemon with few descriptors, beset by callers who have no token."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import trio

from tests.cli.daemons import command, live_orders, serve, submit, until
from tests.cli.exchange import site

DESCRIPTORS = 256
BESET = 300


@contextmanager
def descriptors_of_children(soft: int) -> Iterator[None]:
    """What is started meanwhile may have so many. The one who tests keeps its own."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_connections_without_a_token_take_nothing_from_it(tmp_path: Path) -> None:
    """Hundreds that say nothing, half a head, or speak HTTP/2, and come again when they are closed: it never runs out
    of descriptors, `status` and `submit` answer, a halt ends what rests, and it stops in good order."""
    async with site(tmp_path) as at:
        with descriptors_of_children(DESCRIPTORS):
            daemon = await serve(at)
        port = int(daemon.ready.control_url.rpartition(":")[2])
        most = 0
        says = (b"", b"GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        with ExitStack() as held:

            async def beset() -> None:
                nonlocal most
                for number in range(BESET):
                    one = held.enter_context(closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)))
                    one.setblocking(False)
                    one.connect_ex(("127.0.0.1", port))
                    if number % 8 == 7:
                        await trio.sleep(0.002)
                    with_words = says[number % len(says)]
                    with suppress(OSError):  # turned away already
                        one.send(with_words)
                    most = max(most, open_files(daemon.process.pid))

            await beset()
            accepted = await submit(at)
            await until(lambda: len(live_orders(at)) == 1)
            await beset()
            assert (await command(at, "show", accepted.execution_id)).returncode == 0
            assert (await command(at, "status")).returncode == 0
            await beset()
            assert (await command(at, "halt")).returncode == 0
            await until(lambda: live_orders(at) == [])
        assert most < DESCRIPTORS - 32, most
        assert await daemon.end() == 0
        assert daemon.err == ""
