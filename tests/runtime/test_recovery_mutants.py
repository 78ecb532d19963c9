"""Would the tests of recovery notice? Each way to ask or answer listings wrongly fails at least five of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.sabotages import SABOTAGES, VARIABLE

RECOVERY = Path(__file__).with_name("test_recovery.py")
ROOT = Path(__file__).parents[2]
NOTICED_BY_MIN = 5


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_wrong_listing_is_noticed(sabotage: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By that many tests of the recovery file, each of which passes without it."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "tests.runtime.sabotages", str(RECOVERY)],
        cwd=ROOT,
        env=os.environ | {VARIABLE: sabotage},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"(\d+) failed", run.stdout)
    failed = int(found[1]) if found else 0
    with capsys.disabled():
        sys.stdout.write(f"\n{sabotage}: {run.stdout.splitlines()[-1]}\n")
    assert failed >= NOTICED_BY_MIN, run.stdout[-2_000:]
