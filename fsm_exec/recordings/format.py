"""The format `kalshi-ws-recording/1`: gzipped JSON Lines of WebSocket frames with their times of receipt.

First line {"header": {"format", "ticker", "price_level_structure", "fee_type"?, "fee_multiplier"?, "note"?}}, then
{"recv_us", "frame"} a line.
Plain (not gzipped) files are read too.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fsm_exec.core.market.fees import FeeWords, fee_words
from fsm_exec.core.market.terms import MarketTerms

FORMAT: Final = "kalshi-ws-recording/1"
PART: Final = ".part"  # ends the name of a recording that is not whole, or not yet: it is read as far as it goes


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the frames are of. The fees are those of the market when it was recorded, as its series states them; without
    them they are not known."""

    format: str
    ticker: str
    price_level_structure: str
    fee_type: str | None = None
    fee_multiplier: str | None = None
    note: str | None = None

    def with_fees(self, fees: FeeWords | None) -> Header:
        """The header with these fees; None: they are not known."""
        if fees is None:
            return self
        return msgspec.structs.replace(self, fee_type=fees.fee_type, fee_multiplier=fees.multiplier)


def header_of(terms: MarketTerms, structure: str) -> Header:
    """The header of a market's recording; `structure` is the name of its grid."""
    header = Header(format=FORMAT, ticker=terms.ticker, price_level_structure=structure)
    return header.with_fees(fee_words(terms.fees))


class HeaderLine(msgspec.Struct, kw_only=True):
    header: Header


def header_line(header: Header) -> bytes:
    """The first line of a recording, without its end."""
    return msgspec.json.encode(HeaderLine(header=header))


def frame_line(recv_us: int, frame: str | bytes) -> bytes:
    """A frame as it came, on one line, without its end."""
    raw = frame.encode() if isinstance(frame, str) else frame
    return b'{"recv_us":%d,"frame":%b}' % (recv_us, msgspec.json.format(raw, indent=-1))
