"""The format `kalshi-ws-recording/1`: gzipped JSON Lines of WebSocket frames with their times of receipt.

First line {"header": {"format", "ticker", "price_level_structure", "note"?}}, then {"recv_us", "frame"} a line.
Plain (not gzipped) files are read too.
"""

from __future__ import annotations

from typing import Final

import msgspec

FORMAT: Final = "kalshi-ws-recording/1"
PART: Final = ".part"  # ends the name of a recording that is not whole, or not yet: it is read as far as it goes


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    format: str
    ticker: str
    price_level_structure: str
    note: str | None = None


class HeaderLine(msgspec.Struct, kw_only=True):
    header: Header


def header_line(header: Header) -> bytes:
    """The first line of a recording, without its end."""
    return msgspec.json.encode(HeaderLine(header=header))


def frame_line(recv_us: int, frame: str | bytes) -> bytes:
    """A frame as it came, on one line, without its end."""
    raw = frame.encode() if isinstance(frame, str) else frame
    return b'{"recv_us":%d,"frame":%b}' % (recv_us, msgspec.json.format(raw, indent=-1))
