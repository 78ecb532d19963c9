"""Two terminals, no account: `fsm-exec paper` in one, `fsm-exec serve --paper URL` in the other."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import msgspec

from fsm_exec.control.schema import Accepted, Transition
from tests.cli.daemons import Ready
from tests.cli.invoking import invoke
from tests.cli.support import COMMAND, environment
from tests.cli.test_paper_command import served


def test_the_address_that_paper_prints_is_all_that_serve_needs(tmp_path: Path, user_directories: Path) -> None:
    """The key is found by the address; the database, the token and the locks lie in the user's directories, for their
    owner alone. An order is submitted, watched to its end, and both stop cleanly with nothing left behind."""
    with served(tmp_path) as paper:
        told = user_directories / "state" / "fsm-exec" / "papers"
        (told_file,) = told.iterdir()
        assert stat.S_IMODE(told_file.stat().st_mode) == 0o600
        daemon = subprocess.Popen(
            [*COMMAND, "serve", "--json", "--paper", paper.ready.rest_url],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with daemon:
            try:
                assert daemon.stdout is not None
                ready = msgspec.json.decode(daemon.stdout.readline(), type=Ready)
                database = Path(ready.database)
                assert database == user_directories / "data" / "fsm-exec" / "paper.sqlite"
                assert stat.S_IMODE(database.parent.stat().st_mode) == 0o700
                assert stat.S_IMODE(Path(ready.token_file).stat().st_mode) == 0o600
                (market,) = paper.ready.markets
                order = ("submit", market, "yes", "3", "--cap", "0.99", "--horizon", "20", "--method", "market")
                done = invoke(tmp_path, *order, "--json")
                assert done.returncode == 0, done.stderr
                accepted = msgspec.json.decode(done.stdout, type=Accepted)
                watched = invoke(tmp_path, "watch", accepted.execution_id, "--after", "0", "--json")
                steps = [msgspec.json.decode(line, type=Transition) for line in watched.stdout.splitlines()]
                assert (steps[-1].state, steps[-1].reason) == ("filled", "completed")
                assert sum(len(step.fills) for step in steps) >= 1
                daemon.terminate()
                assert (daemon.wait(timeout=300), daemon.communicate()[1]) == (0, b"")
            finally:
                daemon.kill()
        assert paper.end() == 0
    assert list(told.iterdir()) == []
    assert sorted(path.name for path in database.parent.iterdir()) == [
        "paper.sqlite",
        "paper.sqlite.acknowledged",
        "paper.sqlite.log",
        "paper.sqlite.tapes",
    ]
    assert list((user_directories / "state" / "fsm-exec" / "daemons").iterdir()) == []
