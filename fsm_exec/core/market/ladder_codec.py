"""Ladders as the text of `order_book_snapshots`: JSON arrays of [price, count] as decimal strings, best first."""

from __future__ import annotations

import msgspec

from fsm_exec.core.market.book import Ladder
from fsm_exec.core.values.units import format_count, format_price, parse_count, parse_price

_ROWS = msgspec.json.Decoder(list[tuple[str, str]])


def encode_ladder(ladder: Ladder) -> bytes:
    return msgspec.json.encode([(format_price(price), format_count(count)) for price, count in ladder])


def decode_ladder(text: bytes) -> Ladder:
    """Raises msgspec.DecodeError and UnitError for anything else."""
    return tuple((parse_price(price), parse_count(count)) for price, count in _ROWS.decode(text))
