"""A month passes: books equal every day, alerts exactly those expected, nothing grows. Here two days of it, which have
everything that a month has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SMALL_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
MOUNT = 'mount -t tmpfs -o size=24m none "$0"'


def can_mount(directory: Path) -> bool:
    """Whether a process here may have a filesystem of its own."""
    try:
        return subprocess.run([*SMALL_DISK, MOUNT, directory], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def test_days_pass_as_a_month_does(tmp_path: Path) -> None:
    """A maintenance each night, pauses, forty orders, a night of 25 hours, two crashes, a new key, a disk that fills (a
    small one, where it can be had) and is freed, and a host that dies: nothing is found."""
    month = [sys.executable, "-m", "tests.soak.month.month", "--days", "2"]
    disk = tmp_path / "disk"
    disk.mkdir()
    if can_mount(disk):
        month = [*SMALL_DISK, f'{MOUNT} && exec "$@"', str(disk), *month, "--directory", str(disk)]
    done = subprocess.run(month, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("41 executions, "), done.stdout
    assert ", 0 findings" in done.stdout.splitlines()[-1]
