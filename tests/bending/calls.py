"""Everything the engine asks of an exchange, row by row: what can be down.

A request that a client makes and that no row names fails `test_outages.py`, and so does a call of
`core.exchange_port.Exchange` that no row covers: a new one cannot be forgotten.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final, Literal, NamedTuple, TypeAlias

from tests.bending import frames, requests
from tests.bending.bends import Bends, Frame, Request, Rule

How: TypeAlias = Literal["503", "no answer"]
ORDERS: Final = "/portfolio/events/orders"


class Call(NamedTuple):
    """One request, by its method and path (patterns of the shell), or frames of the stream by their type."""

    name: str
    method: str = ""
    path: str = ""
    frames: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()  # calls of core.exchange_port.Exchange

    def names(self, request: Request) -> bool:
        return bool(self.method) and fnmatchcase(request.method, self.method) and fnmatchcase(request.path, self.path)


CALLS: Final = (
    Call("the exchange's own time", "GET", "/exchange/user_data_timestamp", covers=("fetch_orders", "fetch_fills")),
    Call("the listing of orders", "GET", "/portfolio/orders", covers=("fetch_orders",)),
    Call("the listing of fills", "GET", "/portfolio/fills", covers=("fetch_fills",)),
    Call("the listing of markets", "GET", "/markets", covers=("fetch_markets", "fetch_market_facts")),
    Call("one market", "GET", "/markets/*", covers=("fetch_market_terms",)),
    Call("the listing of events", "GET", "/events", covers=("fetch_markets",)),
    Call("one event", "GET", "/events/*", covers=("fetch_markets", "fetch_market_terms", "fetch_event_shape")),
    Call("one series", "GET", "/series/*", covers=("fetch_markets", "fetch_market_terms")),
    Call("the account's limits and costs", "GET", "/account/*"),
    Call("the account's positions", "GET", "/portfolio/positions", covers=("fetch_positions",)),
    Call("the account's settlements", "GET", "/portfolio/settlements", covers=("fetch_settlements",)),
    Call("the account's balance", "GET", "/portfolio/balance", covers=("fetch_balance",)),
    Call("the programmes that pay", "GET", "/incentive_programs", covers=("fetch_incentives",)),
    Call("new orders", "POST", ORDERS, covers=("place",)),
    Call("amends", "POST", f"{ORDERS}/*/amend", covers=("amend",)),
    Call("cancels", "DELETE", f"{ORDERS}/*", covers=("cancel", "cancel_batch")),
    Call("frames of the book", frames=("orderbook_*",), covers=("stream",)),
    Call("frames of trades", frames=("trade",), covers=("stream",)),
    Call("frames of our orders", frames=("user_order*",), covers=("stream",)),
    Call("frames of our fills", frames=("fill",), covers=("stream",)),
    Call("frames of the market's life", frames=("market_lifecycle*", "event_lifecycle*"), covers=("stream",)),
    Call("acknowledgements of subscriptions", frames=("subscribed", "unsubscribed", "ok"), covers=("stream",)),
)
ASK_NOTHING: Final = frozenset({"budget", "stream_trouble", "volume_24h", "watch", "unwatch"})
"""Calls of the port that send no request of their own."""
OF_A_SURFACE: Final = frozenset({"search_markets", "fetch_order_book", "fetch_queue_positions"})
"""Calls that somebody makes who looks for a market, at a book or at an execution, never the engine."""

ALL_READS, ALL_WRITES, THE_STREAM, A_SILENT_STREAM, EVERYTHING = (
    "all reads",
    "all writes",
    "the stream",
    "the stream, open and silent",
    "everything",
)
TOGETHER: Final = (ALL_READS, ALL_WRITES, THE_STREAM, A_SILENT_STREAM, EVERYTHING)
DOWN: Final = (*(call.name for call in CALLS), *TOGETHER)
"""What is down, one at a time."""
CANCELS_DOWN: Final = frozenset({"cancels", ALL_WRITES, EVERYTHING})


class Outage:
    """What is down from now on, until its end. `met` says how many requests and frames it cost."""

    def __init__(self, bends: Bends, what: str, how: How) -> None:
        bend = requests.error(503, "service_unavailable") if how == "503" else requests.drop()
        self._rules: list[Rule[Request] | Rule[Frame]] = []
        call = next((call for call in CALLS if call.name == what), None)
        if call is not None and call.method:
            self._rules.append(bends.on_request(bend, call.method, call.path))
        if what == ALL_READS:
            self._rules.append(bends.on_request(bend, "GET"))
        if what == ALL_WRITES:
            self._rules.append(bends.on_request(bend, "[!G]*"))
        if what == EVERYTHING:
            self._rules.append(bends.on_request(bend))
        types = ("*",) if what == A_SILENT_STREAM else () if call is None else call.frames
        self._rules += [bends.on_frame(frames.drop(), type_of) for type_of in types]
        if what in (THE_STREAM, EVERYTHING):
            self._rules.append(bends.on_handshake(requests.cut()))
            bends.cut_streams()

    @property
    def met(self) -> int:
        return sum(rule.bent for rule in self._rules)

    def end(self) -> None:
        for rule in self._rules:
            rule.end()
