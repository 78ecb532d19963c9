"""Open orders are described in words that are true whatever the exchange has said so far."""

from __future__ import annotations

from typing import Protocol


class OpenOrders(Protocol):
    """What the engine's own status and that of the API say of them."""

    @property
    def nothing_live(self) -> bool: ...
    @property
    def live_orders(self) -> int: ...
    @property
    def unknown_orders(self) -> int: ...
    @property
    def settling_orders(self) -> int: ...
    @property
    def loose_orders(self) -> int: ...


def describe_open_orders(status: OpenOrders) -> str:
    """Describe how many orders may be live. It never says that nothing is, unless the exchange has said so."""
    if status.nothing_live:
        return "nothing is live"
    if not status.live_orders:
        return "the exchange has not said yet what it holds"
    parts = {
        "not heard of": status.unknown_orders,
        "settling": status.settling_orders,
        "of quarantined executions or nobody's": status.loose_orders,
    }
    which = ", ".join(f"{number} {what}" for what, number in parts.items() if number)
    orders = "1 order" if status.live_orders == 1 else f"{status.live_orders} orders"
    return f"{orders} may be live" + (f" ({which})" if which else "")
