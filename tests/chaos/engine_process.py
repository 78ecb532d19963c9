"""Starts any fsm-exec command in a process that kills itself at a named crash point: `kill -9` at an exact place.

    python tests/chaos/engine_process.py --kill commit.after:7 -- serve --config C
    python tests/chaos/engine_process.py --visits FILE -- demo --executions 2

`--kill NAME:N` ends the process with SIGKILL at the N-th visit of that point of `fsm_exec.core.journal.crashpoints`;
nothing is flushed, closed or unlocked. `--visits FILE` writes one line per visit, so that a test can see which points a
scenario passes and how often. Both may be given; without either it is the command as always. Nothing in the command
itself knows of this: the hook is installed here, in the process that is to die.

For a test: `start(["serve", ...], kill=("send.after", 3))` gives the running process. Where many lives are needed,
`tests/chaos/zygote.py` forks them.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).parents[2]


def start(
    arguments: Sequence[str],
    *,
    kill: tuple[str, int] | None = None,
    visits: Path | None = None,
    cwd: Path | None = None,
    **options: object,
) -> subprocess.Popen[str]:
    """`fsm-exec ARGUMENTS` in a process of its own. `options` are those of subprocess.Popen."""
    command = [sys.executable, "-P", str(Path(__file__).resolve())]
    if kill is not None:
        command += ["--kill", f"{kill[0]}:{kill[1]}"]
    if visits is not None:
        command += ["--visits", str(visits)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*command, "--", *arguments], cwd=cwd, env=environment, text=True, **options)  # type: ignore[call-overload, no-any-return]


def die_at(name: str, number: int, visits: Path | None = None) -> None:
    """From now on this process ends with SIGKILL at the `number`-th visit of the point `name` (0: never), and writes
    every visit to `visits`."""
    from fsm_exec.core.journal import crashpoints

    log = None if visits is None else os.open(visits, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    seen: Counter[str] = Counter()
    counting = Lock()  # the database's thread passes points too

    def visit(point: crashpoints.PointName) -> None:
        with counting:
            seen[point] += 1
            if log is not None:
                os.write(log, point.encode() + b"\n")
            if point == name and seen[point] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    crashpoints.install(visit)


def main() -> None:
    """The process that may die."""
    parser = argparse.ArgumentParser(prog="engine_process", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kill", metavar="NAME:N")
    parser.add_argument("--visits", type=Path)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()

    from fsm_exec.__main__ import main as fsm_exec
    from fsm_exec.core.journal import crashpoints

    name, _, number = (options.kill or "").partition(":")
    if options.kill is not None and (name not in crashpoints.NAMES or not number.isdigit()):
        parser.error(f"--kill {options.kill}: give NAME:N with one of {', '.join(crashpoints.NAMES)}")
    die_at(name, int(number or 0), options.visits)
    sys.argv = ["fsm-exec", *options.arguments]
    fsm_exec()


if __name__ == "__main__":
    main()
