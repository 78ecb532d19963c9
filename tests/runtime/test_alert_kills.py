"""A process that is killed while it saves and delivers alerts loses none of them."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from fsm_exec.store.maintenance.integrity import check_database
from tests.cli.support import ROOT, environment
from tests.webhook import SECRET, Webhook, webhook

THEN_S = 0.01  # so long at most a process lives on after the webhook was asked
LIFE_MAX_S = 1.0
SHARE_OF_REFUSALS = 0.2  # of the lives, in which the webhook answers 503
SEED = 20_261_130


def _wait_for_requests(hook: Webhook, asked: int) -> None:
    """Wait until the webhook was asked so often, for a while: one that refuses is not asked again at once."""
    until_s = time.monotonic() + LIFE_MAX_S
    while hook.asked < asked and time.monotonic() < until_s and hook.status == 200:
        time.sleep(0.0005)


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.heavy)])
def test_each_alert_arrives_at_least_once_over_kills(tmp_path: Path, kills: int) -> None:
    """Killed at any moment around saves and deliveries, with a webhook that is slow or refuses now and then: whatever
    was durable arrives, nothing arrives that was never saved, and the database is sound."""
    rng = random.Random(SEED)
    database, saved = tmp_path / "engine.sqlite", tmp_path / "saved"
    with webhook() as hook:
        command = [sys.executable, "-m", "tests.runtime.killed_delivery", hook.url, str(database), str(saved)]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as forker:
            assert forker.stdin is not None
            assert forker.stdout is not None
            for number in range(kills):
                hook.status = 503 if rng.random() < SHARE_OF_REFUSALS else 200
                hook.delay_s = rng.choice((0.0, 0.0, 0.005, 0.02))
                forker.stdin.write(f"life-{number}\n")
                forker.stdin.flush()
                child = int(forker.stdout.readline())
                assert forker.stdout.readline() == "ready\n"
                _wait_for_requests(hook, hook.asked + rng.randrange(4))
                time.sleep(rng.random() * THEN_S)
                os.kill(child, signal.SIGKILL)
                assert forker.stdout.readline() == f"{-signal.SIGKILL}\n"
            hook.status, hook.delay_s = 200, 0.0
            forker.stdin.write("last\n")
            forker.stdin.flush()
            forker.stdout.readline()
            assert [forker.stdout.readline(), forker.stdout.readline()] == ["ready\n", "0\n"]
            forker.stdin.close()
        arrived = hook.lines
    durable = saved.read_text(encoding="utf-8").split()
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT text, state FROM alerts ORDER BY id").fetchall()
    texts = [text for text, _ in rows]
    assert hook.asked > kills, f"seed {SEED}"
    assert set(durable) <= set(texts), f"seed {SEED}"
    assert sorted(set(arrived)) == sorted(texts), f"seed {SEED}"
    assert {state for _, state in rows} == {"delivered"}
    assert check_database(database, every=True).findings == []
    assert SECRET.encode() not in database.read_bytes()
