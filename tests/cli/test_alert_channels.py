"""The channels of the configuration: real webhooks and programs, and what is refused before anything starts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import trio

from fsm_exec.channels.apprise_channel import AppriseChannel
from fsm_exec.channels.command_channel import CommandChannel
from fsm_exec.cli.alert_channels import open_channels
from fsm_exec.cli.doctor.installation import alerts_check
from fsm_exec.core.alerts.channel_port import Message
from fsm_exec.core.alerts.settings import AlertSettings, ChannelSettings
from fsm_exec.core.errors import NotDelivered, UserError
from tests.webhook import SECRET, webhook

TOLD = Message(title="fsm-exec demo: stream", text="it is silent\nand <b>loud</b> 100 %s \u20ac", is_urgent=True)


async def test_a_webhook_gets_the_whole_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As it is, with its urgency; what it refuses is said with the status, and no address is anywhere."""
    with webhook() as hook:
        channel = AppriseChannel(hook.url)
        await channel.send(TOLD)
        assert [(one["title"], one["message"], one["type"]) for one in hook.bodies] == [
            (TOLD.title, TOLD.text, "warning")
        ]
        hook.status = 500
        with pytest.raises(NotDelivered, match=r"^the service did not take it: HTTP status 500$"):
            await channel.send(TOLD)
    with pytest.raises(NotDelivered, match=r"^the service did not take it$"):
        await channel.send(TOLD)
    assert SECRET not in "".join(capfd.readouterr())
    assert SECRET not in repr(channel) + str(vars(channel))


async def test_a_webhook_that_hangs_holds_back_nothing_else() -> None:
    """The wait for it ends when it is cancelled, while its thread is still there."""
    with webhook() as hook:
        hook.delay_s = 1.0
        with trio.move_on_after(0.1) as waited:
            await AppriseChannel(hook.url).send(TOLD)
        assert waited.cancelled_caught
        hook.delay.set()


async def test_a_program_gets_the_text_on_its_input(tmp_path: Path) -> None:
    """Title and urgency in its environment; another exit code than 0, and no such program, are told."""
    out = tmp_path / "out"
    script = (
        "import json, os, sys; json.dump([sys.argv[1:], sys.stdin.read(), os.environ['FSM_EXEC_ALERT_TITLE'], "
        f"os.environ['FSM_EXEC_ALERT_URGENT']], open({str(out)!r}, 'w'))"
    )
    await CommandChannel([sys.executable, "-c", script, "$HOME; rm"]).send(TOLD)
    assert json.loads(out.read_bytes()) == [["$HOME; rm"], f"{TOLD.text}\n", TOLD.title, "1"]
    with pytest.raises(NotDelivered, match="exit code 3"):
        await CommandChannel([sys.executable, "-c", "raise SystemExit(3)"]).send(TOLD)
    with pytest.raises(NotDelivered, match="cannot be run: No such file"):
        await CommandChannel([str(tmp_path / "nothing")]).send(TOLD)


async def test_a_program_that_hangs_is_ended() -> None:
    """With the wait for it."""
    with trio.move_on_after(0.2) as waited:
        await CommandChannel([sys.executable, "-c", "import time; time.sleep(60)"]).send(TOLD)
    assert waited.cancelled_caught


async def test_what_a_program_that_hangs_has_started_is_ended_too(tmp_path: Path) -> None:
    """A script that waits for its own program: nothing of it is left to be joined by the next try's."""
    told = tmp_path / "pid"
    script = f'sleep 60 & echo $! > "{told}.new"; mv "{told}.new" "{told}"; wait'
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(CommandChannel(["/bin/sh", "-c", script]).send, TOLD)
            while not told.exists():  # noqa: ASYNC110 - nobody announces a process
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        child = Path(f"/proc/{told.read_text()[:-1]}/stat")
        while child.exists() and ") Z " not in child.read_text():  # noqa: ASYNC110, ASYNC240
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "cannot be read"),
        (f"json://127.0.0.1/{SECRET}", 0o644, "chmod 600"),
        ("", 0o600, "holds no address or more than one"),
        (f"json://127.0.0.1/{SECRET}\njson://127.0.0.1/{SECRET}", 0o600, "holds no address or more than one"),
        (f"nonsense://{SECRET}", 0o600, "apprise knows no such address"),
        (SECRET, 0o600, "apprise knows no such address"),
        (f"json://{SECRET}" + "x" * 5_000, 0o600, "holds no address or more than one"),
    ],
)
def test_a_channel_that_cannot_be_opened(tmp_path: Path, content: str | None, mode: int, words: str) -> None:
    """One line that names the channel and the file and never what is in it; `doctor` says the same."""
    path = tmp_path / "hook.url"
    if content is not None:
        path.write_text(content, encoding="utf-8")
        path.chmod(mode)
    settings = AlertSettings(channels={"phone": ChannelSettings(url_file="hook.url")})
    with pytest.raises(UserError) as refused:
        open_channels(settings, tmp_path)
    said = str(refused.value)
    assert words in said
    assert "alerts.channels.phone.url_file" in said
    assert SECRET not in said
    assert "\n" not in said
    assert alerts_check(settings, tmp_path).text == said


def test_doctor_says_who_is_told(tmp_path: Path) -> None:
    """Nobody, or the channels by name with the quiet hours."""
    assert "told nobody" in alerts_check(AlertSettings(), tmp_path).text
    path = tmp_path / "hook.url"
    path.write_text(f"json://127.0.0.1:{os.getpid()}/{SECRET}\n", encoding="utf-8")
    path.chmod(0o600)
    settings = AlertSettings(
        quiet_hours="22:00-07:00",
        channels={"phone": ChannelSettings(url_file="hook.url"), "pager": ChannelSettings(command=("true",))},
    )
    check = alerts_check(settings, tmp_path)
    assert (check.verdict, check.text) == (
        "ok",
        "told through phone, pager; quiet hours 22:00-07:00 UTC; try them: fsm-exec alerts --test",
    )
