"""Completion in the shells themselves, by the scripts that the manual tells a user to load."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.support import environment

SCRIPTS = Path(sys.executable).parent
VARIABLE = "_FSM_EXEC_COMPLETE"
BASH = """
eval "$(_FSM_EXEC_COMPLETE=bash_source fsm-exec)"
COMP_WORDS=({words}); COMP_CWORD={last}; _fsm_exec_completion fsm-exec; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = """_FSM_EXEC_COMPLETE=fish_source fsm-exec | source; complete --do-complete "{line}" """
ZSH = """autoload -Uz compinit; compinit -u; eval "$(_FSM_EXEC_COMPLETE=zsh_source fsm-exec)"; PS1='ready:'"""
WAIT_S = 120


def shell_environment() -> dict[str, str]:
    return {**environment(), "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb"}


def complete_in(shell: str, *words: str) -> list[str]:
    """Return what the shell offers for the last of the words."""
    script = {
        "bash": BASH.format(words=" ".join(f"'{word}'" for word in ("fsm-exec", *words)), last=len(words)),
        "fish": FISH.format(line=" ".join(("fsm-exec", *words))),
    }[shell]
    arguments = ["bash", "--norc", "-c"] if shell == "bash" else ["fish", "--no-config", "-c"]
    done = subprocess.run([*arguments, script], env=shell_environment(), capture_output=True, text=True, check=True)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (("sta",), ["standby", "status"]),
        (("methods", "a"), ["add"]),
        (("list", "--sta"), ["--state"]),
        (("list", "--state", "fi"), ["filled"]),
    ],
)
def test_a_command_an_option_and_a_word_are_completed(shell: str, words: tuple[str, ...], offers: list[str]) -> None:
    """By bash and by fish, where it is installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert complete_in(shell, *words) == offers


def test_zsh_completes_what_is_typed(tmp_path: Path) -> None:
    """On a terminal, where it is installed: the tab key writes the rest of the word."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**shell_environment(), "ZDOTDIR": str(tmp_path), "HOME": str(tmp_path)},
        start_new_session=True,
    )
    try:
        os.write(master, ZSH.encode() + b"\n")
        read_until(master, "ready:", times=2)  # as it is typed, and as it is shown
        os.write(master, b"fsm-exec stat\t")
        read_until(master, "status")
    finally:
        shell.kill()
        shell.wait()
        os.close(slave)
        os.close(master)


def read_until(terminal: int, text: str, *, times: int = 1) -> None:
    """Read what the terminal shows until it has the text so often."""
    shown = ""
    ends = time.monotonic() + WAIT_S
    while shown.count(text) < times:
        ready, _, _ = select.select([terminal], [], [], max(0.0, ends - time.monotonic()))
        assert ready, shown
        shown += os.read(terminal, 65_536).decode(errors="replace")


def test_powershell_has_its_script() -> None:
    """It registers a completer of its own; tried where it was written, in click."""
    done = subprocess.run(
        [SCRIPTS / "fsm-exec"],
        env={**environment(), VARIABLE: "powershell_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Register-ArgumentCompleter" in done.stdout
    answered = subprocess.run(
        [SCRIPTS / "fsm-exec"],
        env={**environment(), VARIABLE: "powershell_complete", "COMP_WORDS": "fsm-exec sta", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "status" in answered.stdout


def test_the_list_of_commands_is_completed_without_loading_them() -> None:
    """All of them take a second, and a shell waits."""
    done = subprocess.run(
        [SCRIPTS / "fsm-exec"],
        env={
            **environment(),
            VARIABLE: "bash_complete",
            "COMP_WORDS": "fsm-exec ",
            "COMP_CWORD": "1",
            "PYTHONPROFILEIMPORTTIME": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "plain,submit" in done.stdout
    assert "fsm_exec.cli.command_list" in done.stderr
    assert "fsm_exec.cli.daemon" not in done.stderr
