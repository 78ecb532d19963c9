"""The channels of the configuration, opened: an address is read from its file, which is its owner's alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fsm_exec.channels.apprise_channel import AppriseChannel
from fsm_exec.channels.command_channel import CommandChannel
from fsm_exec.core.alerts.channel_port import Channel
from fsm_exec.core.alerts.settings import AlertSettings, ChannelSettings
from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.private_file import read_private

URL_BYTES_MAX: Final = 4_096


def open_channels(settings: AlertSettings, directory: Path) -> dict[str, Channel]:
    """Open the channels; paths are relative to `directory`, the configuration's. Raises UserError, which never tells an
    address."""
    return {name: _open_channel(name, one, directory) for name, one in settings.channels.items()}


def _open_channel(name: str, channel: ChannelSettings, directory: Path) -> Channel:
    if channel.url_file is None:
        return CommandChannel(channel.command)
    what = f"alerts.channels.{name}.url_file"
    try:
        path = directory / Path(channel.url_file).expanduser()
    except RuntimeError as error:  # a home directory that is not known
        raise UserError(f"{what}: {error}; give the whole path") from error
    content = read_private(
        path,
        what,
        bytes_max=URL_BYTES_MAX + 1,
        if_absent="write the channel's address into it",
        if_others_may=f"run: chmod 600 {path}",
    )
    try:
        lines = content.decode().split("\n") if len(content) <= URL_BYTES_MAX else []
    except UnicodeDecodeError:
        lines = []
    found = [line.strip() for line in lines if line.strip()]
    if len(found) != 1:
        raise UserError(f"{what} {path}: holds no address or more than one; give one line as apprise takes it")
    try:
        return AppriseChannel(found[0])
    except UserError as error:
        raise UserError(f"{what} {path}: {error}") from None
