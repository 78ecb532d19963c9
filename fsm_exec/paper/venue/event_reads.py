"""The bodies of public reads of events and series: what groups markets, and whose fees they have."""

from __future__ import annotations

from typing import NamedTuple

from fsm_exec.core.values.units import CountE2, format_count
from fsm_exec.paper import errors
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.paging import ANY_TIME, Page, Span, newest_first
from fsm_exec.paper.venue.public_reads import market_body

EVENT_STATUSES = ("unopened", "open", "closed", "settled")


class EventQuery(NamedTuple):
    """What a listing of events may be asked beside its page. `nested`: each event holds its markets."""

    close: Span = ANY_TIME
    updated: Span = ANY_TIME
    nested: bool = False
    milestones: bool = False


class SeriesQuery(NamedTuple):
    """`tags`: a series has none here, so any one of them finds nothing."""

    category: str | None = None
    tags: tuple[str, ...] = ()
    updated: Span = ANY_TIME
    volume: bool = False


def events_page(exchange: Exchange, page: Page, asked: EventQuery) -> dict[str, object]:
    """The events in the order in which their first markets were opened, the last one first. None has a milestone."""
    listed = list(enumerate(_by_event(exchange).items(), 1))

    def wanted(item: tuple[int, tuple[str, list[PaperMarket]]]) -> bool:
        event, markets = item[1]
        return (
            page.names(event)
            and (page.series is None or markets[0].header.series == page.series)
            and page.status in (None, _status(markets))
            and any(asked.close.holds(market.close_us) for market in markets)
            and asked.updated.holds(_updated_us(markets))
        )

    found, cursor = newest_first(listed, page, wanted, lambda item: item[0])
    body: dict[str, object] = {"events": [_event(exchange, markets, nested=asked.nested) for _, (_, markets) in found]}
    if asked.milestones:
        body["milestones"] = []
    return {**body, "cursor": cursor}


def combos_page() -> dict[str, object]:
    """There are no combos here."""
    return {"events": [], "cursor": ""}


def event_body(exchange: Exchange, event: str, *, nested: bool, without_markets: bool) -> dict[str, object]:
    """The event with its markets beside it, or in it, or nowhere."""
    markets = markets_of(exchange, event)
    beside = [] if nested or without_markets else [market_body(market) for market in markets]
    return {"event": _event(exchange, markets, nested=nested), "markets": beside}


def event_metadata(exchange: Exchange, event: str) -> dict[str, object]:
    """Pictures and colours: there are none here, but each market is named."""
    details = [{"market_ticker": m.ticker, "image_url": "", "color_code": ""} for m in markets_of(exchange, event)]
    return {"image_url": "", "market_details": details, "settlement_sources": []}


def markets_of(exchange: Exchange, event: str) -> list[PaperMarket]:
    """At least one: an event is its markets. Raises ApiError 404."""
    markets = _by_event(exchange).get(event)
    if markets is None:
        raise errors.not_found("event")
    return markets


def series_body(exchange: Exchange, series: str, *, volume: bool) -> dict[str, object]:
    markets = _by_series(exchange).get(series)
    if markets is None:
        raise errors.not_found("series")
    return {"series": _series(exchange, markets, volume=volume)}


def series_list(exchange: Exchange, asked: SeriesQuery) -> dict[str, object]:
    """A series has one category here."""
    return {
        "series": [
            _series(exchange, markets, volume=asked.volume)
            for markets in _by_series(exchange).values()
            if not asked.tags
            and asked.category in (None, markets[0].header.category)
            and asked.updated.holds(_updated_us(markets))
        ]
    }


def _by_event(exchange: Exchange) -> dict[str, list[PaperMarket]]:
    found: dict[str, list[PaperMarket]] = {}
    for market in exchange.markets.values():
        found.setdefault(market.header.event, []).append(market)
    return found


def _by_series(exchange: Exchange) -> dict[str, list[PaperMarket]]:
    found: dict[str, list[PaperMarket]] = {}
    for market in exchange.markets.values():
        found.setdefault(market.header.series, []).append(market)
    return found


def _status(markets: list[PaperMarket]) -> str:
    """An event is open while one of its markets is, and settled when all are: no source has the exact rule."""
    states = {market.status for market in markets}
    if states & {"active", "inactive"}:
        return "open"
    if states == {"finalized"}:
        return "settled"
    return "unopened" if states == {"initialized"} else "closed"


def _updated_us(markets: list[PaperMarket]) -> int:
    return max(market.updated_us for market in markets)


def _event(exchange: Exchange, markets: list[PaperMarket], *, nested: bool) -> dict[str, object]:
    """Where the markets exclude each other, the real exchange also gives collateral back to who holds several of them;
    this one does not."""
    header = markets[0].header
    is_exclusive = header.event in exchange.exclusive_events
    body: dict[str, object] = {
        "event_ticker": header.event,
        "series_ticker": header.series,
        "sub_title": "",
        "title": header.title,
        "category": header.category,
        "collateral_return_type": "MECNET" if is_exclusive else "",
        "mutually_exclusive": is_exclusive,
        "settlement_sources": [],
        "last_updated_ts": rfc3339(_updated_us(markets)),
        "exchange_index": markets[0].exchange_index,
    }
    fee_type, multiplier = exchange.fees.of_event(header.event)
    if fee_type is not None:
        body |= {"fee_type_override": fee_type}
    if multiplier is not None:
        body |= {"fee_multiplier_override": multiplier}
    return {**body, "markets": [market_body(market) for market in markets]} if nested else body


def _series(exchange: Exchange, markets: list[PaperMarket], *, volume: bool) -> dict[str, object]:
    header = markets[0].header
    fee_type, multiplier = exchange.fees.of_series(markets[0])
    body: dict[str, object] = {
        "ticker": header.series,
        "frequency": "custom",
        "title": header.series,
        "category": header.category,
        "categories": [header.category],
        "tags": [],
        "settlement_sources": [],
        "contract_url": "",
        "contract_terms_url": "",
        "fee_type": fee_type,
        "fee_multiplier": multiplier,
        "additional_prohibitions": [],
        "last_updated_ts": rfc3339(_updated_us(markets)),
        "exchange_index": markets[0].exchange_index,
    }
    traded = format_count(CountE2(sum(market.volume_e2 for market in markets)))
    return {**body, "volume_fp": traded} if volume else body
