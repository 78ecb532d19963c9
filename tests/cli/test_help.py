"""The list of commands: by what they are for, each with a whole sentence, within 80 columns, and at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from fsm_exec.cli.command_list import COMMANDS, GROUPS
from fsm_exec.cli.main import cli
from tests.cli.invoking import invoke
from tests.cli.support import environment

SENTENCE_MAX = 200
HEAVY = (
    "trio",
    "httpx",
    "sqlite3",
    "transitions",
    "structlog",
    "aiosqlite",
    "starlette",
    "asyncio",
    "importlib.metadata",
)
"""What takes longest to load, and nobody needs who lists executions."""
QUICK = {
    "fsm_exec.cli.main": (*HEAVY, "rich", "msgspec"),
    "fsm_exec.cli.daemon.status_commands": HEAVY,
    "fsm_exec.cli.daemon.submit": HEAVY,
    "fsm_exec.cli.daemon.control_commands": HEAVY,
    "fsm_exec.cli.daemon.market_commands": HEAVY,
    "fsm_exec.cli.daemon.account_commands": HEAVY,
}


def test_every_command_stands_in_one_group_with_a_whole_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trade, look, lab, care; nothing is cut."""
    monkeypatch.setenv("COLUMNS", "80")
    done = invoke(tmp_path, "--help")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")][1:] == list(GROUPS)
    assert [name for group in GROUPS.values() for name in group] == list(COMMANDS)
    listed = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert set(COMMANDS) <= set(listed)
    assert "..." not in done.stdout.replace("[ARGS]...", "")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """Its own first sentence, and its own name."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert (COMMANDS[name].summary, name) == (command.get_short_help_str(limit=SENTENCE_MAX), command.name)


@pytest.mark.parametrize("module", QUICK)
def test_what_is_asked_often_loads_little(module: str) -> None:
    """The list of commands, and what asks a daemon: no loop, no database, no second HTTP."""
    found = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sorted({set(QUICK[module])!r} & sys.modules.keys()))"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == ""
