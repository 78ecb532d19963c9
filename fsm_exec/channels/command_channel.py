"""A program as a channel: it is run for each message, which it gets on its standard input."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import trio

from fsm_exec.core.alerts.channel_port import Message
from fsm_exec.core.errors import NotDelivered

TITLE = "FSM_EXEC_ALERT_TITLE"
URGENT = "FSM_EXEC_ALERT_URGENT"


class CommandChannel:
    """Runs `command`, which takes the text from standard input and title and urgency (1 or 0) from its environment.
    Exit code 0 says that the message is taken. No shell is between."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)

    async def send(self, message: Message) -> None:
        """Run the program to its end; one that is cancelled is ended with all it started. Raises NotDelivered."""
        told = {TITLE: message.title.replace("\0", ""), URGENT: str(int(message.is_urgent))}
        try:
            done = await trio.run_process(
                self._command,
                stdin=f"{message.text}\n".encode(errors="replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | told,
                check=False,
                start_new_session=True,
                deliver_cancel=_end_all,
            )
        except OSError as error:
            raise NotDelivered(f"the command cannot be run: {error.strerror or type(error).__name__}") from None
        if done.returncode:
            raise NotDelivered(f"the command ended with exit code {done.returncode}")


async def _end_all(process: trio.Process) -> None:
    """End the program and what it runs: of a script that waits for a dead server, each try would leave one behind."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
