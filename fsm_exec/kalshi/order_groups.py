"""Order groups: orders that may fill only so much together in any 15 s, or are cancelled all at once (wire/README.md
4.3)."""

from __future__ import annotations

from fsm_exec.core.errors import VenueRefused
from fsm_exec.core.market.account import GroupAnswer, GroupChanged, GroupCreateAnswer, GroupCreated, OrderGroup
from fsm_exec.core.values.units import CountE2, format_count, parse_count
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import Endpoints, decode
from fsm_exec.kalshi.translate import ImpossibleRequest, Malformed, malformed_as
from fsm_exec.wire import client_bodies, writes

GROUPS = "/portfolio/order_groups"
LIMIT_MIN_E2, LIMIT_MAX_E2 = CountE2(100), CountE2(100_000_000)  # 1 to 1,000,000 contracts


class KalshiGroups:
    """Writes raise only ImpossibleRequest, before sending; reads raise VenueError. `exchange_index` is the shard whose
    orders a group holds."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def create(self, limit_e2: CountE2, *, exchange_index: int = 0) -> GroupCreateAnswer:
        """Create a group: it takes orders of its shard alone. An answer that gets lost leaves a group behind
        that is never used, which is harmless."""

        def made(content: bytes) -> GroupCreated:
            return GroupCreated(translate.order_id_of(decode(content, client_bodies.GroupMade).order_group_id))

        body = writes.CreateGroup(
            contracts_limit_fp=_limit(limit_e2).contracts_limit_fp,
            exchange_index=exchange_index or None,
            subaccount=self._endpoints.routes.subaccount or None,
        )
        return await self._endpoints.send_write("group_make", "POST", f"{GROUPS}/create", made, body=body)

    async def set_limit(self, group_id: str, limit_e2: CountE2, *, exchange_index: int = 0) -> GroupAnswer:
        """Set the group's limit. One that the fills of the last 15 s exceed already triggers the group."""
        return await self._change("PUT", group_id, "/limit", _limit(limit_e2), exchange_index)

    async def reset(self, group_id: str, *, exchange_index: int = 0) -> GroupAnswer:
        """Set the group's counter to zero; a triggered group takes orders again."""
        return await self._change("PUT", group_id, "/reset", {}, exchange_index)

    async def trigger(self, group_id: str, *, exchange_index: int = 0) -> GroupAnswer:
        """Cancel all orders of the group; it takes no more until it is reset."""
        return await self._change("PUT", group_id, "/trigger", {}, exchange_index)

    async def delete(self, group_id: str, *, exchange_index: int = 0) -> GroupAnswer:
        """Delete the group, which cancels its orders too."""
        return await self._change("DELETE", group_id, "", None, exchange_index)

    async def fetch(self, group_id: str, *, exchange_index: int = 0) -> OrderGroup:
        """Fetch one group, with the ids of its orders."""
        translate.check_group_id(group_id)
        query = {"exchange_index": str(exchange_index)} if exchange_index else None
        body = decode(await self._endpoints.fetch(f"{GROUPS}/{group_id}", query), client_bodies.Group)
        return OrderGroup(
            group_id=group_id,
            limit_e2=_limit_of(group_id, body.contracts_limit_fp),
            cancels_by_itself=bool(body.is_auto_cancel_enabled),
            order_ids=tuple(body.orders or ()),
            exchange_index=body.exchange_index or 0,
        )

    async def exists(self, group_id: str, *, exchange_index: int = 0) -> bool:
        """Ask whether there is such a group. Raises VenueError, but not because there is none."""
        try:
            await self.fetch(group_id, exchange_index=exchange_index)
        except VenueRefused as refused:
            if refused.status != 404:
                raise
            return False
        return True

    async def fetch_all(self) -> tuple[OrderGroup, ...]:
        page = decode(await self._endpoints.fetch(GROUPS), client_bodies.Groups)
        return tuple(
            OrderGroup(
                group_id=row.id,
                limit_e2=_limit_of(row.id, row.contracts_limit_fp),
                cancels_by_itself=bool(row.is_auto_cancel_enabled),
                exchange_index=row.exchange_index or 0,
            )
            for row in page.order_groups
            if row.id
        )

    async def _change(self, method: str, group_id: str, action: str, body: object, exchange_index: int) -> GroupAnswer:
        """A group of another shard than the first is only found on its own (wire/README.md 4.3)."""
        translate.check_group_id(group_id)
        query = {"exchange_index": str(exchange_index)} if exchange_index else None

        def changed(content: bytes) -> GroupChanged:
            if not isinstance(decode(content, dict), dict) or b"error" in content:
                raise Malformed("the answer is not the empty object")
            return GroupChanged(group_id)

        return await self._endpoints.send_write(
            "group_change", method, f"{GROUPS}/{group_id}{action}", changed, query=query, body=body
        )


def _limit(limit_e2: CountE2) -> writes.GroupLimit:
    """Return the body that sets a limit of 1 to 1,000,000 contracts (wire/README.md 4.3). Only the decimal text is
    sent: two fields would have to agree. Raises ImpossibleRequest."""
    if not LIMIT_MIN_E2 <= limit_e2 <= LIMIT_MAX_E2:
        raise ImpossibleRequest(f"a group's limit of {limit_e2} (10^-2 contracts): 1 to 1,000,000 contracts")
    return writes.GroupLimit(contracts_limit_fp=format_count(limit_e2))


def _limit_of(group_id: str, text: str | None) -> CountE2 | None:
    with malformed_as(f"order group {group_id[:40]}"):
        return None if text is None else parse_count(text)
