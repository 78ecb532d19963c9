"""A process that has imported everything and forks a command when it is told to: a life costs milliseconds of CPU,
where a fresh interpreter costs most of a second.

What it forks is `fsm-exec ARGUMENTS` as its entry point runs it (or another entry of the tests), in a process of its
own that can be killed. It may be told to kill itself at the n-th visit of a crash point, as in `engine_process.py`; and
to be a later release, whose schema has `migrations` steps more than this one's, so that a database is migrated while
orders are live.

The zygote itself has one thread and runs no event loop: whatever it forks is whole. It is spoken to in JSON lines; the
class `Zygote` is all that others need.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Self

import msgspec

ROOT = Path(__file__).parents[2]
FSM_EXEC = "fsm_exec.__main__:main"
PATIENCE_S = 120  # for the interpreter and its imports on a busy machine
IMPORTED = (
    "fsm_exec.__main__",
    "fsm_exec.cli.main",
    "fsm_exec.cli.daemon.serve",
    "fsm_exec.cli.exchange.paper",
    "fsm_exec.cli.database.methods",
    "hypercorn.trio",
    "hypercorn.protocol.h11",
    "trio_websocket",
    "encodings.idna",
    "platformdirs",
    "tests.chaos.engine_process",
)


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fork this command. `kill_at` "": it does not kill itself."""

    entry: str
    arguments: list[str]
    directory: str
    out: str
    err: str
    kill_at: str
    kill_visit: int
    migrations: int


class News(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`status` None: `pid` was forked. Otherwise it has ended, with an exit code or minus a signal."""

    pid: int
    status: int | None = None


class Forked:
    """A command that runs, or has run; what it says goes to `out` and `err`."""

    def __init__(self, pid: int, out: Path, err: Path) -> None:
        self.pid, self.out, self.err = pid, out, err
        self._has_ended = threading.Event()
        self._status: int | None = None

    def ended(self, status: int) -> None:
        self._status = status
        self._has_ended.set()

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, or minus the signal that ended it; None: it still runs."""
        self._has_ended.wait(timeout_s)
        return self._status

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens to one that has ended."""
        if self._status is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


class Zygote:
    """May be used from several threads. Leaving it kills whatever it has forked."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**environment, "PYTHONPATH": str(ROOT)}
        self._forked: dict[int, Forked] = {}
        self._asking = threading.Lock()
        self._news = threading.Condition()
        self._asked: Order | None = None
        self._latest: Forked | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.chaos.zygote"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        for forked in list(self._forked.values()):  # the reader strikes out those that end
            forked.signal(signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        for forked in self._forked.values():  # whose end it was too late to hear of
            forked.ended(-signal.SIGKILL)

    def fork(
        self,
        arguments: Sequence[str | Path],
        directory: Path,
        name: str,
        *,
        kill: tuple[str, int] = ("", 0),
        migrations: int = 0,
        entry: str = FSM_EXEC,
    ) -> Forked:
        """`fsm-exec ARGUMENTS` in `directory`, its output in `name`.out and .err there."""
        order = Order(
            entry=entry,
            arguments=[str(argument) for argument in arguments],
            directory=str(directory),
            out=str(directory / f"{name}.out"),
            err=str(directory / f"{name}.err"),
            kill_at=kill[0],
            kill_visit=kill[1],
            migrations=migrations,
        )
        Path(order.out).write_bytes(b"")  # whoever waits for its first word finds a file
        with self._asking, self._news:
            self._asked, self._latest = order, None
            assert self._process.stdin is not None
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
            assert self._news.wait_for(lambda: self._latest is not None, PATIENCE_S), "the zygote does not answer"
            assert self._latest is not None
            return self._latest

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            news = msgspec.json.decode(line, type=News)
            with self._news:
                if news.status is not None:
                    self._forked.pop(news.pid).ended(news.status)
                else:
                    assert self._asked is not None
                    self._latest = Forked(news.pid, Path(self._asked.out), Path(self._asked.err))
                    self._forked[news.pid] = self._latest
                    self._news.notify_all()


def main() -> None:
    """The zygote's own process: until its standard input ends."""
    for name in IMPORTED:
        import_module(name)
    woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    unread = b""
    living: set[int] = set()
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4_096)
            _reap(living)
        if 0 in ready:
            said = os.read(0, 65_536)
            if not said:
                _end_all(living)
                return
            *lines, unread = (unread + said).split(b"\n")
            for line in lines:
                living.add(_fork(msgspec.json.decode(line, type=Order)))


def _reap(living: set[int]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        living.discard(pid)
        _tell(News(pid=pid, status=os.waitstatus_to_exitcode(status)))


def _end_all(living: set[int]) -> None:
    """Whoever used this process has gone, perhaps without a word: nothing that it had forked stays behind."""
    for pid in living:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _fork(order: Order) -> int:
    pid = os.fork()
    if pid == 0:
        _live(order)
    _tell(News(pid=pid))
    return pid


def _tell(news: News) -> None:
    os.write(1, msgspec.json.encode(news) + b"\n")


def _live(order: Order) -> NoReturn:
    """The forked process, to its end."""
    code: object = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(order.directory)
        for number, path in ((0, os.devnull), (1, order.out), (2, order.err)):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(path, flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        if order.kill_at:
            from tests.chaos.engine_process import die_at

            die_at(order.kill_at, order.kill_visit)
        if order.migrations:
            _be_later_release(order.migrations)
        module, _, function = order.entry.partition(":")
        sys.argv = ["fsm-exec", *order.arguments]
        getattr(import_module(module), function)()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # the interpreter's own way of telling is not reached
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _be_later_release(more: int) -> None:
    """This process knows a schema of so many steps more than the one that ships."""
    from fsm_exec.store.files import migrations, open_database
    from fsm_exec.store.reads import method_rows

    shipped = migrations.SCHEMA
    schema = (
        *shipped,
        *(
            migrations.Migration(len(shipped) + n, f"CREATE TABLE later_release_{n} (note TEXT) STRICT")
            for n in range(1, more + 1)
        ),
    )
    migrations.identify.__defaults__ = (len(schema),)
    request = partial(open_database.OpenRequest, migrations=schema)
    names: tuple[tuple[object, str, object], ...] = (
        (method_rows, "SCHEMA", schema),
        (open_database, "OpenRequest", request),  # the store asks for it there when it opens a database
    )
    for module, name, instead in names:
        assert name in vars(module), f"{module} has no {name}: the release would be no later"
        setattr(module, name, instead)


if __name__ == "__main__":
    main()
