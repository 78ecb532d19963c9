"""A process that saves alerts and delivers them, made to be killed: forked from one that has imported everything.

    python -m tests.runtime.killed_delivery URL DATABASE SAVED

For each line on stdin a process is forked, whose id is answered; it says `ready`, saves alerts and delivers them until
it is killed, and adds each alert to the file SAVED once it is durable. After the line `last` it saves none, and ends
when nothing is pending any more. The end of each is answered with its status.
"""

from __future__ import annotations

import io
import os
import sys
from itertools import count
from pathlib import Path

import trio

from fsm_exec.channels.apprise_channel import AppriseChannel
from fsm_exec.core.alerts.alerts import Alert
from fsm_exec.core.alerts.settings import AlertSettings, ChannelSettings
from fsm_exec.runtime.alerts.delivery import open_delivery
from fsm_exec.runtime.alerts.notifier import AlertSetup
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.runtime.logs import open_log
from fsm_exec.store import open_live_store

PAUSE_S = 0.002


def main() -> None:
    url, database, saved = sys.argv[1:]
    channel = AppriseChannel(url)  # before the fork: its services are loaded
    for line in sys.stdin:
        announced, announce = os.pipe()  # the child says nothing before its id was answered
        child = os.fork()
        if child == 0:
            try:
                os.read(announced, 1)
                trio.run(deliver, channel, Path(database), Path(saved), line.strip())
            finally:
                os._exit(1)
        os.write(1, f"{child}\n".encode())
        os.write(announce, b"!")
        os.close(announced)
        os.close(announce)
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


async def deliver(channel: AppriseChannel, database: Path, saved: Path, round_name: str) -> None:
    wall = WallClock(system_us())
    settings = AlertSettings(
        channels={"hook": ChannelSettings(url_file="-", text="{text}", max_messages_per_minute=600)}
    )
    setup = AlertSetup(settings, {"hook": channel}, "demo", "engine.sqlite")
    acknowledged = os.open(saved, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    store_opened = open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us())
    async with store_opened as store, open_delivery(store, setup, wall, open_log(io.StringIO(), wall)):
        os.write(1, b"ready\n")
        if round_name == "last":
            while await store.count_pending_alerts():  # noqa: ASYNC110 - no event says so
                await trio.sleep(0.05)
            os._exit(0)
        for number in count():
            text = f"{round_name}-{number}"
            alert = Alert(kind="failure", subject=text, text=text, at_us=wall.now_us(), stands=False)
            await store.save_alerts([alert])
            os.write(acknowledged, f"{text}\n".encode())
            await trio.sleep(PAUSE_S * (number % 5))


if __name__ == "__main__":
    main()
