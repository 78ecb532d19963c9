"""The body of the listing of incentive programmes."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.values.units import format_count
from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.paging import Page, newest_first


class IncentiveQuery(NamedTuple):
    """What a listing is filtered by; `all` and None: by nothing."""

    status: str
    kind: str
    description: str | None


class IncentiveBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Money is in centi-cents. What a programme does not state is left out."""

    id: str
    market_id: str
    market_ticker: str
    incentive_type: str
    incentive_description: str
    start_date: str
    end_date: str
    period_reward: int
    paid_out: bool
    discount_factor_bps: int | None = None
    target_size_fp: str | None = None
    max_reward_per_account: int | None = None


class IncentivesPage(msgspec.Struct, kw_only=True):
    incentive_programs: list[IncentiveBody]
    next_cursor: str


def incentives_page(exchange: Exchange, page: Page, query: IncentiveQuery) -> IncentivesPage:
    now_us = exchange.timeline.now_us()

    def wanted(item: tuple[int, IncentiveProgram]) -> bool:
        program = item[1]
        return (
            query.status in ("all", _status(program, now_us))
            and query.kind in ("all", program.kind)
            and query.description in (None, program.description)
        )

    numbered = list(enumerate(exchange.incentives.programs, start=1))
    found, cursor = newest_first(numbered, page, wanted, lambda item: item[0])
    return IncentivesPage(incentive_programs=[_body(exchange, program) for _, program in found], next_cursor=cursor)


def _status(program: IncentiveProgram, now_us: int) -> str:
    if program.paid_out:
        return "paid_out"
    if now_us < program.start_us:
        return "upcoming"
    return "active" if program.is_running(now_us) else "closed"


def _body(exchange: Exchange, program: IncentiveProgram) -> IncentiveBody:
    return IncentiveBody(
        id=program.program_id,
        market_id=exchange.markets[program.ticker].market_id,
        market_ticker=program.ticker,
        incentive_type=program.kind,
        incentive_description=program.description,
        start_date=rfc3339(program.start_us),
        end_date=rfc3339(program.end_us),
        period_reward=program.reward_e4,
        paid_out=program.paid_out,
        discount_factor_bps=program.discount_bps,
        target_size_fp=None if program.target_e2 is None else format_count(program.target_e2),
        max_reward_per_account=program.max_reward_e4,
    )
