"""The list of commands: by what they are for, each with a whole sentence, within 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm_exec.cli.main import COMMANDS, GROUPS
from tests.cli.invoking import invoke


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
