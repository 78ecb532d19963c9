"""The names of this database's orders: which execution an order belongs to, and what it is called.

An order is ours if its client order id names this database's instance, or if an execution of it has the order under
another name: that of the database it was copied from.
"""

from __future__ import annotations

from collections.abc import Iterable

from fsm_exec.core.market.client_order_id import order_prefix, parse_order_name
from fsm_exec.core.market.orders import FillReport


class OrderNames:
    """The names of the orders of executions in memory, by the exchange's order id. `instance` is the database's."""

    def __init__(self, instance: str) -> None:
        self._prefix = order_prefix(instance)
        self._client_ids: dict[str, str] = {}  # by the exchange's order id
        self._adopted: dict[str, str] = {}  # execution by client order id: orders a copy had under its old name

    def owner_of(self, client_order_id: str) -> str | None:
        """Return the id of the execution an order of this database belongs to; None for any other order."""
        if not client_order_id.startswith(self._prefix):
            return self._adopted.get(client_order_id)
        return client_order_id.removeprefix(self._prefix).split("-", 1)[0]

    def name_of(self, report: FillReport) -> str | None:
        """Return the client order id of a fill's order, or None while it is not known."""
        return report.client_order_id or self._client_ids.get(report.order_id)

    def knows(self, order_id: str) -> bool:
        """Return whether this exchange order id is, or was, one of an execution in memory."""
        return order_id in self._client_ids

    def ids_of(self, client_order_id: str) -> tuple[str, ...]:
        """Return the ids under which the exchange has named this order: one, unless a message was wrong."""
        return tuple(order_id for order_id, name in self._client_ids.items() if name == client_order_id)

    def learn(self, client_order_id: str, order_id: str) -> None:
        """Record that the exchange calls this order of ours `order_id`."""
        self._client_ids[order_id] = client_order_id
        if not client_order_id.startswith(self._prefix):
            named = parse_order_name(client_order_id)
            if named is not None:
                self._adopted[client_order_id] = named.execution_id

    def forget(self, order_ids: Iterable[str]) -> None:
        """Remove the orders of an execution that has left memory: the store knows their owners."""
        for order_id in order_ids:
            name = self._client_ids.pop(order_id, None)
            if name is not None:
                self._adopted.pop(name, None)
