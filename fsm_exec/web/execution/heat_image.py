"""The book over time as a small picture: one point for each price and slice of time, the darker the more rests there.

It is a PNG whose colours are only tints: what lies under it shows through, so one picture does for light and dark, and
its size does not grow with the number of books.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Final

from fsm_exec.core.market.book import Ladder
from fsm_exec.lab.report.execution_books import Column
from fsm_exec.lab.report.execution_frame import Frame

SHADES: Final = 12
"""Of each side; the scale is that of the logarithm."""
BID_RGB: Final = (46, 124, 214)
ASK_RGB: Final = (226, 112, 28)
FAINTEST, STRONGEST = 34, 225
COLUMNS: Final = 480
FINE_ROWS: Final = 45
"""As many prices as can be told apart without being drawn larger than they are."""


def heat_image(columns: Sequence[Column], frame: Frame) -> str:
    """Return the picture as an address that holds it (`data:`); empty if no book is known."""
    if not columns:
        return ""
    largest = max((count for column in columns for side in column[2:] for _, count in side), default=100)
    scale = (SHADES - 1) / max(1.0, math.log10(max(largest, 100) / 100))
    height, span_us = len(frame.prices_e4), frame.until_us - frame.from_us
    empty = bytes(height)
    drawn = [empty] * COLUMNS
    for column in columns:
        first = (column.from_us - frame.from_us) * COLUMNS // span_us
        last = (column.until_us - frame.from_us) * COLUMNS // span_us
        points = _points(column, frame, scale, height)
        for number in range(max(0, first), min(COLUMNS, max(last, first + 1))):
            drawn[number] = points
    rows = [b"\0" + bytes(row) for row in zip(*drawn, strict=True)]
    return "data:image/png;base64," + base64.b64encode(_png(COLUMNS, height, b"".join(reversed(rows)))).decode()


def _points(column: Column, frame: Frame, scale: float, height: int) -> bytes:
    """The shade of each price of one column, 0 where nothing rests. Where the grid is so fine that a price would be a
    hair, it is drawn over its neighbours at which nothing rests."""
    found = bytearray(height)
    shades: dict[int, int] = {}
    for base, side in ((1, column.bids), (1 + SHADES, column.asks)):
        for row, count in _sums(side, frame).items():
            shades[row] = base + min(SHADES - 1, max(0, int(math.log10(max(count, 100) / 100) * scale)))
    for distance in range(height // FINE_ROWS, -1, -1):
        for row, shade in shades.items():
            for near in (row - distance, row + distance):
                if 0 <= near < height:
                    found[near] = shade
    return bytes(found)


def _sums(side: Ladder, frame: Frame) -> dict[int, int]:
    sums: dict[int, int] = {}
    for price, count in side:
        if frame.shows(price):
            row = frame.row(price)
            sums[row] = sums.get(row, 0) + count
    return sums


def _png(width: int, height: int, rows: bytes) -> bytes:
    tints = [FAINTEST + (STRONGEST - FAINTEST) * shade // (SHADES - 1) for shade in range(SHADES)]
    colours = bytes(3) + bytes(BID_RGB) * SHADES + bytes(ASK_RGB) * SHADES
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", colours),
        (b"tRNS", bytes([0, *tints, *tints])),
        (b"IDAT", zlib.compress(rows, 6)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
