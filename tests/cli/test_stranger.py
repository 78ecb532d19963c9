"""The document that leads from nothing to a supervised engine, followed word for word, under a real systemd.

That is a user's own manager in namespaces of its own, which needs root and a systemd that is installed, not one that
runs. Where either is missing the test is skipped and says so.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.support import ROOT
from tests.cli.test_documents_run import NOT_COPIED, free_port
from tests.house.documents import Document

DOCUMENT = ROOT / "fsm_exec" / "cli" / "setup" / "README.md"
KIND = "sh not run: tests/cli/test_stranger.py runs it, under a systemd of its own"
SYSTEMD = Path("/lib/systemd/systemd")
GROUPS = Path("/sys/fs/cgroup/systemd")
WITHIN_S = 600
APART = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--cgroup", "--kill-child")
MANAGER = """
set -euo pipefail
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
chmod 700 /run/user/0
export XDG_RUNTIME_DIR=/run/user/0
/lib/systemd/systemd --user --log-target=null 2>"$HOME/manager" &
manager=$!
until systemctl --user is-system-running >"$HOME/running" 2>&1; do
  kill -0 "$manager" || { cat "$HOME/manager"; exit 77; }
  sleep 0.1
done
set +e
bash -euo pipefail "$1"
code=$?
systemctl --user stop fsm-exec.service fsm-exec-paper.service
systemctl --user exit
wait "$manager"
exit "$code"
"""


def script() -> str:
    """The document's own blocks, one after the other, with ports that are free."""
    blocks = [
        block.text for block in Document(DOCUMENT, DOCUMENT.read_text(encoding="utf-8")).blocks if block.kind == KIND
    ]
    assert len(blocks) == 3
    text = "".join(blocks)
    for port in ("8765", "8767"):
        assert port in text
        text = text.replace(port, str(free_port()))
    return text


def why_not() -> str | None:
    if os.geteuid() != 0 or not SYSTEMD.exists() or shutil.which("unshare") is None:
        return "it needs root, unshare and an installed systemd"
    if not os.access(GROUPS if GROUPS.is_dir() else GROUPS.parent, os.W_OK):
        return "it needs control groups that can be written to"
    return None


def join(group: Path) -> None:
    """In the new process: what is below it is the manager's own."""
    (group / "cgroup.procs").write_text("0")


def test_the_document_leads_from_nothing_to_a_supervised_engine(tmp_path: Path) -> None:
    """A new home, a checkout, nothing installed: in the end an engine that was killed runs again and has worked what
    was submitted to its end."""
    if (why := why_not()) is not None:
        pytest.skip(why)
    checkout, home = tmp_path / "checkout", tmp_path / "home"
    shutil.copytree(ROOT, checkout, ignore=NOT_COPIED)
    home.mkdir(mode=0o700)
    (home / "document").write_text(script(), encoding="utf-8")
    (home / "manager.sh").write_text(MANAGER, encoding="utf-8")
    kept = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")  # nothing of a login, nor of the tests
    given = {name: value for name, value in os.environ.items() if name in kept or name.startswith("PIP_")}
    group = (GROUPS if GROUPS.is_dir() else GROUPS.parent) / f"fsm-exec-test-{os.getpid()}"
    group.mkdir()
    try:
        done = subprocess.run(
            [*APART, "bash", str(home / "manager.sh"), str(home / "document")],
            cwd=checkout,
            env={**given, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
            preexec_fn=lambda: join(group),
        )
    finally:
        for inner in sorted(group.rglob("*"), reverse=True):
            if inner.is_dir():
                inner.rmdir()
        group.rmdir()
    if done.returncode == 77:
        pytest.skip(f"a user's own systemd does not run here: {done.stdout[-300:]}")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "NRestarts=1" in done.stdout
    assert "StatusText=running" in done.stdout
    assert "e000001 accepted" in done.stdout
    with closing(sqlite3.connect(home / ".local/share/fsm-exec/paper.sqlite")) as database:
        ((state,),) = database.execute("SELECT state FROM execution_state WHERE execution_id = 'e000001'")
    assert state in ("filled", "cancelled")
