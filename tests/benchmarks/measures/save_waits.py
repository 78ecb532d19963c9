"""How long saves wait while somebody looks at a big database, beside an idle one.

    python save_waits.py DATABASE ELSEWHERE --rounds 5 --seconds 3 [--inside]

Saves come one after the other. `idle`: nobody looks. `looked at`: a list and a detail every 50 ms in this process, as
the daemon's API reads and encodes them, and beside it `fsm-exec review` and `fsm-exec db backup`, one after the other
without a pause; with --inside only what is in this process. `elsewhere` is the same work on another database: what it
costs to share the cores, the interpreter and the disk, since no save can wait for a read of another database. Prints
milliseconds, of all rounds together.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from fsm_exec.core.journal.rows import ExecutionSave, JournalRow
from fsm_exec.runtime.clock import system_us
from fsm_exec.store import SqliteStore, open_live_store
from fsm_exec.store.reads.api_queries import Filter

LOOK_EVERY_S = 0.05
SNAPSHOT = b'{"n":"' + b"x" * 2_600 + b'"}'
EVENT = b'{"n":"' + b"x" * 600 + b'"}'
KINDS = ("idle", "elsewhere", "looked at")


async def measure(database: Path, elsewhere: Path, rounds: int, seconds: float, *, inside: bool) -> dict[str, float]:
    """Return p50 and p99 of each kind, in milliseconds."""
    waits: dict[str, list[float]] = {kind: [] for kind in KINDS}
    drawn = random.Random(1)
    async with _opened(database) as store, _opened(elsewhere) as other:
        first = f"s{system_us()}"
        for number in range(rounds):
            for kind in KINDS:
                looked_at = {"idle": None, "elsewhere": other, "looked at": store}[kind]
                path = elsewhere if kind == "elsewhere" else database
                async with trio.open_nursery() as nursery:
                    if looked_at is not None:
                        nursery.start_soon(_look, looked_at, drawn)
                        if not inside:
                            nursery.start_soon(_look_from_outside, path)
                        await trio.sleep(1)  # until the programs have begun to read
                    waits[kind] += await _save(store, f"{first}-{number}-{kind[:1]}", seconds)
                    nursery.cancel_scope.cancel()
    figures = {}
    for kind, each in waits.items():
        each.sort()
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            figures[f"{kind} {name}"] = 1_000 * each[int(part * len(each))]
        figures[f"{kind} saves"] = len(each)
    return figures


@asynccontextmanager
async def _opened(path: Path) -> AsyncIterator[SqliteStore]:
    async with open_live_store(path, draw_instance=lambda: "bbbbbbbbbb", at_us=system_us()) as store:
        yield store


async def _save(store: SqliteStore, name: str, seconds: float) -> list[float]:
    waits: list[float] = []
    until = trio.current_time() + seconds
    while trio.current_time() < until:
        save = _save_of(f"{name}-{len(waits)}")
        began = time.perf_counter()
        await store.save(save)
        waits.append(time.perf_counter() - began)
    return waits


def _save_of(execution_id: str) -> ExecutionSave:
    at_us = system_us()
    journal = JournalRow(
        seq=1, at_us=at_us, event_type="Woken", event=EVENT, intents=b"[]", steps="split -> walking", version=1
    )
    return ExecutionSave(
        execution_id=execution_id,
        ticker="KXGROWTH-1",
        outcome="yes",
        method="simple_limit@1",
        state="walking",
        reason=None,
        target_quantity="10.00",
        target_price="0.5000",
        accepted_at_us=at_us,
        deadline_us=at_us + 45_000_000,
        snapshot_version=1,
        snapshot=SNAPSHOT,
        journal=journal,
        children=(),
        fills=(),
        reserved="5.180000",
    )


async def _look(store: SqliteStore, drawn: random.Random) -> None:
    """List and show for ever, as the API does."""
    filters = [Filter(limit=51), Filter(limit=51, unfinished=True), Filter(limit=51, quarantined=True)]
    filters += [Filter(limit=51, state=state) for state in ("filled", "cancelled", "pending")]
    while True:
        msgspec.json.encode(await store.load_listing(drawn.choice(filters)))
        msgspec.json.encode(await store.load_detail(f"e{drawn.randint(1, 10_000):06d}", 10))
        await trio.sleep(LOOK_EVERY_S)


async def _look_from_outside(database: Path) -> None:
    target = database.with_name(f"{database.name}.copy")
    program = [sys.executable, "-m", "fsm_exec"]
    while True:
        for command in (["review", str(database), "--json"], ["db", "backup", str(target), "--db", str(database)]):
            try:
                done = await trio.run_process(
                    [*program, *command], stdout=subprocess.DEVNULL, capture_stderr=True, check=False
                )
                assert done.returncode in (0, 1), done.stderr.decode()
            finally:
                for left in database.parent.glob(f"{target.name}*"):
                    left.unlink()


def main() -> None:
    """Print the figures as one JSON document."""
    parser = argparse.ArgumentParser()
    parser.add_argument("database", type=Path)
    parser.add_argument("elsewhere", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--inside", action="store_true")
    given = parser.parse_args()
    figures = trio.run(
        lambda: measure(given.database, given.elsewhere, given.rounds, given.seconds, inside=given.inside)
    )
    shares = [(f"{kind} p99", "idle p99") for kind in KINDS[1:]]
    print(msgspec.json.encode({"figures": figures, "shares": shares}).decode())  # noqa: T201 - for whoever compares


if __name__ == "__main__":
    main()
