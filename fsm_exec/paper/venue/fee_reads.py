"""The bodies of the listings of changes of fees that are announced."""

from __future__ import annotations

from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.paging import Page, newest_first


def series_fee_changes(exchange: Exchange, series: str | None, *, past_too: bool) -> dict[str, object]:
    """Those of one series, or of all."""
    now_us = exchange.timeline.now_us()
    return {
        "series_fee_change_arr": [
            {
                "id": change.change_id,
                "series_ticker": change.series,
                "fee_type": change.fee_type,
                "fee_multiplier": change.multiplier,
                "scheduled_ts": rfc3339(change.at_us),
            }
            for change in exchange.fees.series_changes
            if series in (None, change.series) and (past_too or change.at_us > now_us)
        ]
    }


def event_fee_changes(exchange: Exchange, page: Page, event: str | None) -> dict[str, object]:
    """Those to come, of one event or of all, the last announced first."""
    now_us = exchange.timeline.now_us()
    listed = list(enumerate(exchange.fees.event_changes, 1))
    found, cursor = newest_first(
        listed, page, lambda item: event in (None, item[1].event) and item[1].at_us > now_us, lambda item: item[0]
    )
    series_of = {market.header.event: market.header.series for market in exchange.markets.values()}
    return {
        "event_fee_changes": [
            {
                "id": change.change_id,
                "event_ticker": change.event,
                "series_ticker": series_of.get(change.event, ""),
                "fee_type_override": change.fee_type,
                "fee_multiplier_override": change.multiplier,
                "scheduled_ts": rfc3339(change.at_us),
            }
            for _, change in found
        ],
        "cursor": cursor,
    }
