"""Reads the programmes that pay for resting orders and for volume (wire/README.md 16)."""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from fsm_exec.core.market.incentives import IncentiveListing, IncentiveProgram
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import parse_count
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import Endpoints, decode, log_left_out
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import Malformed, malformed_as
from fsm_exec.wire.markets import IncentiveRow, IncentiveTicker
from fsm_exec.wire.raw_listings import RawIncentivesPage

PATH: Final = "/incentive_programs"
PAGE_ROWS: Final = 10_000  # the documented maximum
ROWS_AT_ONCE: Final = 100
WHOLE_BPS: Final = 10_000
TEXT_MAX: Final = 200
WORD_MAX: Final = 40


async def fetch_incentives(endpoints: Endpoints, log: Log) -> IncentiveListing:
    """Fetch the programmes that run now. Of a row that cannot be read the market is unclear, with a line in the log.
    Raises VenueError: also for a row that names no market, and for a listing that may have been cut."""
    raws: list[msgspec.Raw] = []

    def take(content: bytes) -> str | None:
        page = decode(content, RawIncentivesPage)
        raws.extend(page.incentive_programs)
        if not page.next_cursor and len(page.incentive_programs) >= PAGE_ROWS:
            raise Malformed(f"GET {PATH}: a full page without a cursor: there may be more")
        return page.next_cursor

    await endpoints.fetch_pages(PATH, {"status": "active"}, take, rows=PAGE_ROWS)
    programs: dict[str, IncentiveProgram] = {}
    unclear: set[str] = set()
    for number, raw in enumerate(raws, start=1):
        try:
            found = _program(decode(raw, IncentiveRow))
        except Malformed as error:
            log_left_out(log, raw, error)
            unclear.add(decode(raw, IncentiveTicker).market_ticker)
        else:
            programs[found.program_id] = found
        if number % ROWS_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()  # the whole exchange's take a tenth of a second: nothing waits so long
    return IncentiveListing(programs=tuple(programs.values()), unclear=frozenset(unclear))


def _program(row: IncentiveRow) -> IncentiveProgram:
    with malformed_as(f"programme {row.id[:40]}"):
        discount = row.discount_factor_bps
        if row.period_reward < 0 or not (discount is None or 0 <= discount <= WHOLE_BPS):
            raise Malformed(f"a reward of {row.period_reward} and a discount of {discount}")
        found = IncentiveProgram(
            program_id=one_line(row.id[:TEXT_MAX]),
            ticker=row.market_ticker,
            kind=one_line(row.incentive_type[:WORD_MAX]),
            start_us=translate.time_us(row.start_date),
            end_us=translate.time_us(row.end_date),
            reward_e4=row.period_reward,
            paid_out=bool(row.paid_out),
            description=one_line((row.incentive_description or "")[:TEXT_MAX]),
            discount_bps=discount,
            target_e2=parse_count(row.target_size_fp) if row.target_size_fp else None,
            max_reward_e4=row.max_reward_per_account,
        )
        if found.end_us <= found.start_us:
            raise Malformed("it ends before it starts")
        return found
