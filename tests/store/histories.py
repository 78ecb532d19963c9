"""Real executions in real databases: the golden histories saved step by step, as an engine saves them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import trio

from fsm_exec.core.costs.metrics import compute_metrics
from fsm_exec.core.execution.advance import apply
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.journal.snapshot import decode_entry
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.store import open_virtual_store
from tests.golden.histories import HISTORIES

INSTANCE = "aaaaaaaaaa"
AT_US = 1_681_149_700_000_000


def saves_of(name: str, execution_id: str) -> tuple[list[ExecutionSave], Execution]:
    """Every save of the named history under another id, first to last, and what it comes to."""
    execution, total, saves = None, None, []
    for fact, wishes in HISTORIES[name]().journal:
        event, intents = decode_entry(renamed(fact, execution_id), renamed(wishes, execution_id))
        step = apply(execution, event, intents)
        assert step is not None
        saves.append(save_of(execution, event, step, total))
        execution, total = step.execution, saves[-1].parts_total
    assert execution is not None
    return saves, execution


def renamed(text: bytes, execution_id: str) -> bytes:
    for before, after in (b'"', b'"'), (b"-", b"-"), (b'"', b":"):
        text = text.replace(before + b"e1" + after, before + execution_id.encode() + after)
    return text


def fill(path: Path, names: Iterable[str] = HISTORIES) -> dict[str, Execution]:
    """A database with these histories, the n-th as execution e<n>, closed cleanly; what each comes to."""
    executions: dict[str, Execution] = {}

    async def main() -> None:
        async with open_virtual_store(path, draw_instance=lambda: INSTANCE, at_us=AT_US) as store:
            for number, name in enumerate(names, start=1):
                saves, execution = saves_of(name, f"e{number}")
                for save in saves:
                    await store.save(save)
                executions[execution.execution_id] = execution
                if execution.is_ended and execution.limits is not None:
                    await store.save_metrics(compute_metrics(execution, None), AT_US)

    trio.run(main)
    return executions
