"""Where a call goes: to which subaccount of the account, and to which shard of the exchange (wire/README.md 6.5, 12).

The primary subaccount, 0, is what the exchange takes where none is named; but of listings it then shows those of all,
so there, and there alone, 0 is said too. Where nothing is known of a subaccount (None), nothing is sent.

A write about a market of another shard than the first names its shard; without it the exchange would find it by the
ticker, at the cost of tokens in the bucket of every shard.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

SUBACCOUNT_MAX: Final = 63
ANY_PART: Final = "{}"
_ORDERS, _GROUP = "/portfolio/events/orders", "/portfolio/order_groups/{}"

SUBACCOUNT_IN_QUERY: Final = frozenset(
    {
        ("GET", "/portfolio/balance"),
        ("GET", "/portfolio/positions"),
        ("GET", "/portfolio/fills"),
        ("GET", "/portfolio/settlements"),
        ("GET", "/portfolio/orders"),
        ("GET", "/portfolio/orders/queue_positions"),
        ("GET", "/portfolio/order_groups"),
        ("GET", _GROUP),
        ("GET", "/historical/fills"),
        ("GET", "/historical/orders"),
        ("GET", "/historical/positions"),
        ("DELETE", _ORDERS),
        ("DELETE", f"{_ORDERS}/{{}}"),
        ("POST", f"{_ORDERS}/{{}}/amend"),
        ("POST", f"{_ORDERS}/{{}}/decrease"),
        ("DELETE", _GROUP),
        ("PUT", f"{_GROUP}/limit"),
        ("PUT", f"{_GROUP}/reset"),
        ("PUT", f"{_GROUP}/trigger"),
    }
)
"""Calls that take a subaccount as a parameter of the query. Those whose body has it: create, batches, a new group."""
OMITTED_MEANS_ALL: Final = frozenset(
    {
        ("GET", "/portfolio/fills"),
        ("GET", "/portfolio/settlements"),
        ("GET", "/portfolio/orders"),
        ("GET", "/portfolio/order_groups"),
        ("GET", _GROUP),
        ("GET", "/historical/fills"),
        ("GET", "/historical/orders"),
        ("DELETE", _ORDERS),
    }
)
"""Those of them that are about all subaccounts where none is named; all others are about the primary one then."""
_LITERAL: Final = {path for _, path in SUBACCOUNT_IN_QUERY} | {f"{_ORDERS}/batched", f"{_GROUP[:-3]}/create"}


class Address(NamedTuple):
    """Where one write goes; None: not said."""

    subaccount: int | None = None
    exchange_index: int | None = None


NOWHERE: Final = Address()


class Routes:
    """The subaccount of all calls (None: not known), and the shards of the markets whose terms were read."""

    def __init__(self, subaccount: int | None = None) -> None:
        self.subaccount = subaccount
        self._shards: dict[str, int] = {}

    def note_shard(self, ticker: str, exchange_index: int) -> None:
        """Remember the shard of a market, as its terms say."""
        if exchange_index:
            self._shards[ticker] = exchange_index
        else:
            self._shards.pop(ticker, None)

    def address(self, ticker: str) -> Address:
        """Return where a write about a market goes."""
        return Address(self.subaccount or None, self._shards.get(ticker))

    def query(self, method: str, path: str) -> dict[str, str]:
        """Return the parameters that a call has because of its subaccount."""
        calls = SUBACCOUNT_IN_QUERY if self.subaccount else OMITTED_MEANS_ALL
        if self.subaccount is None or not is_one_of(calls, method, path):
            return {}
        return {"subaccount": str(self.subaccount)}


def is_one_of(calls: AbstractSet[tuple[str, str]], method: str, path: str) -> bool:
    """Whether a call is one of a table's. `path` is without the API's prefix."""
    if path in _LITERAL:
        return (method, path) in calls
    parts = path.split("/")
    return any((method, "/".join([*parts[:at], ANY_PART, *parts[at + 1 :]])) in calls for at in (3, 4))
