"""What the zygote forks does not outlive whoever asked for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.zygote import ROOT

USER = """
import os, sys
from pathlib import Path
from tests.chaos.zygote import Zygote
with Zygote(dict(os.environ)) as zygote:
    print(zygote.fork(["paper"], Path(sys.argv[1]), "paper").pid, flush=True)
    os._exit(1)  # without a word
"""


def test_a_user_that_dies_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its zygote hears that nobody speaks any more, and kills what it has forked."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    user = [sys.executable, "-P", "-c", USER, str(tmp_path)]
    told = subprocess.run(user, env=environment, stdout=subprocess.PIPE, timeout=120, check=False)
    pid, enough = int(told.stdout), time.monotonic() + 60
    while _lives(pid) and time.monotonic() < enough:
        time.sleep(0.05)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return False
