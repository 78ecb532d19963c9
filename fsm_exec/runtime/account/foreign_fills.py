"""Fills of the account that no execution made: by hand, or by another program.

The stream tells of one as it is made, a listing shows it again, and the database counts it once. An order of ours that
has no answer yet has no id here, so a fill of an unknown order in its market may be its: a listing of orders says which
name that has. A fill of ours waits until its execution has it: what that may buy is reserved meanwhile. One that turns
out to be an execution's after it was saved is counted as that from then on.

A frame says which position there is after its fill. If that is not what our books come to, a frame before it was lost:
the market is in doubt, and the account is looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.account.rows import AccountFill, counts_about
from fsm_exec.core.errors import SaveRefused, VenueError
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import OrderOwner
from fsm_exec.core.journal.to_rows import row_matches
from fsm_exec.core.market.orders import FillReport
from fsm_exec.core.store_port import AccountStore, Store
from fsm_exec.core.values.units import CountE2
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.runtime.order_names import OrderNames

OVERLAP_US = 60_000_000  # by which our clock and the exchange's may differ
WAITING_MAX = 1_024  # beyond it the next look lists them again
SAME_TIME_US = 1_000  # a frame tells its time in ms
OURS_BOOKED_S = 0.1  # by then a fill of ours just before one by hand is durable, so no look is made for it


class ForeignFills:
    """`executions` are those at work."""

    def __init__(
        self,
        exchange: Exchange,
        store: Store,
        account: AccountStore,
        ledger: Ledger,
        names: OrderNames,
        executions: Callable[[], Iterable[Execution]],
        log: FilteringBoundLogger,
    ) -> None:
        self._exchange, self._store, self._account, self._ledger = exchange, store, account, ledger
        self._names, self._executions, self._log = names, executions, log
        self._undecided: dict[tuple[str, str], FillReport] = {}
        self._one_at_a_time = trio.Lock()
        self._saved: dict[tuple[str, str], FillReport] = {}  # since the last listing of orders
        self._send, self._receive = trio.open_memory_channel[FillReport](WAITING_MAX)

    def take(self, report: FillReport) -> None:
        """Take a fill that the stream tells of and that is of no order known here. Never waits."""
        try:
            self._send.send_nowait(report)
        except trio.WouldBlock:
            self._log.warning("fills_of_others_overflow", waiting=WAITING_MAX)

    async def run(self, reload: Callable[[], Awaitable[None]]) -> None:
        """Keep for ever what is taken, and `reload` the books after it. Raises StoreFailed."""
        async for report in self._receive:
            reports = [report, *self._waiting()]
            # From before they are booked: nobody may be judged by them in between.
            newest = {one.ticker: one for one in reports if self._ledger.was_read.is_set()}
            held = [ticker for ticker in newest if self._ledger.doubts.hold(ticker)]
            try:
                unsettled = await self.save_foreign(reports)
            except (VenueError, SaveRefused) as error:  # the next look lists them again
                self._log.warning("fill_of_others_not_kept", fill_id=report.fill_id, error=str(error))
                for ticker in held:
                    self._ledger.doubts.clear(ticker)
                continue
            for ticker, last in newest.items():
                await self._compare(last, is_booked=ticker not in unsettled)
            await reload()

    def _waiting(self) -> list[FillReport]:
        found: list[FillReport] = []
        with suppress(trio.WouldBlock):
            while True:
                found.append(self._receive.receive_nowait())
        return found

    async def _compare(self, report: FillReport, *, is_booked: bool) -> None:
        """Leave its market in doubt, and ask for a look, if our books do not come to the position that a frame says.
        One that is not booked is in no figure yet."""
        is_worked = any(one.terms.ticker == report.ticker for one in self._executions())
        for pause_s in (0, OURS_BOOKED_S) if is_worked else (0,):
            await trio.sleep(pause_s)
            if not is_booked or await self._agrees(report):
                self._ledger.doubts.clear(report.ticker)
                return
        self._log.warning("position_in_doubt", market=report.ticker, told=report.post_position_e2)
        self._ledger.doubts.ask_for_look()

    async def _agrees(self, report: FillReport) -> bool:
        if report.post_position_e2 is None:
            return True
        books = await self._account.load_books(report.ticker)
        return books.settlement is not None or report.post_position_e2 in counts_about(
            books, report.at_us, SAME_TIME_US
        )

    async def save_foreign(self, reports: Sequence[FillReport]) -> frozenset[str]:
        """Save those of these fills, and of earlier ones that were undecided, that no execution made. Return the
        markets with fills that our books do not have yet and that are ours, or may be. Raises VenueError, SaveRefused
        and StoreFailed."""
        look = self._ledger.look
        if look is None:
            return frozenset()  # the first look takes over what is held
        async with self._one_at_a_time:
            return await self._decide([one for one in reports if one.at_us > look.first_at_us])

    async def _decide(self, reports: Sequence[FillReport]) -> frozenset[str]:
        doubtful = self._doubtful()
        found = {(one.order_id, one.fill_id): one for one in (*self._undecided.values(), *reports)}
        owners = await self._store.load_owners(sorted({one.order_id for one in found.values()})) if found else {}
        unowned = {key: one for key, one in found.items() if one.order_id not in owners}
        undecided = {key: one for key, one in unowned.items() if one.ticker in doubtful and not self._is_of_others(one)}
        await self._save({key: one for key, one in unowned.items() if key not in undecided})
        self._undecided = undecided
        if undecided:
            undecided = await self._ours_among(undecided, doubtful)
            await self._save({key: one for key, one in self._undecided.items() if key not in undecided})
            self._undecided = undecided
        unbooked = (one for one in found.values() if _is_unbooked(one, owners))
        return frozenset(one.ticker for one in (*undecided.values(), *unbooked))

    async def _save(self, foreign: dict[tuple[str, str], FillReport]) -> None:
        if foreign:
            await self._account.save_account_fills([_account_fill(one) for one in foreign.values()])
            self._saved |= foreign
            self._ledger.stale.update(one.ticker for one in foreign.values())

    def filled_since(self, order_id: str, at_us: int) -> CountE2:
        """How much of an order is known to have been filled after that time of the exchange's."""
        made = (one for one in self._saved.values() if one.order_id == order_id and one.at_us > at_us)
        return CountE2(sum(one.count_e2 for one in made))

    def forget_until(self, at_us: int) -> None:
        """Forget for `filled_since` what was filled by then."""
        self._saved = {key: one for key, one in self._saved.items() if one.at_us > at_us}

    def _doubtful(self) -> dict[str, list[Execution]]:
        """The executions that may have an order at the exchange under an id that is not known here, by market."""
        found: dict[str, list[Execution]] = {}
        for execution in self._executions():
            if _names_in_doubt(execution):
                found.setdefault(execution.terms.ticker, []).append(execution)
        return found

    async def _ours_among(
        self, undecided: dict[tuple[str, str], FillReport], doubtful: Mapping[str, Sequence[Execution]]
    ) -> dict[tuple[str, str], FillReport]:
        """Leave out of `undecided` what is of no order of ours: by a listing of the orders placed since those in doubt.
        Raises VenueError."""
        asked = [one for ticker in {fill.ticker for fill in undecided.values()} for one in doubtful[ticker]]
        ours = {name for execution in asked for name in _names_in_doubt(execution)}
        since_us = min(execution.begun_us for execution in asked) - OVERLAP_US
        listing = await self._exchange.fetch_orders(since_us=since_us)
        if listing.unread:
            return undecided
        named = {order.order_id for order in listing.orders if order.client_order_id in ours}
        return {key: one for key, one in undecided.items() if one.order_id in named or one.at_us > listing.as_of_us}

    def _is_of_others(self, report: FillReport) -> bool:
        """Whether the order bears a name, and none of ours."""
        return bool(report.client_order_id) and self._names.owner_of(report.client_order_id or "") is None


def _names_in_doubt(execution: Execution) -> list[str]:
    return [child.client_order_id for child in execution.children if child.is_open and child.order_id is None]


def _is_unbooked(report: FillReport, owners: Mapping[str, OrderOwner]) -> bool:
    owner = owners.get(report.order_id)
    return owner is not None and not any(row_matches(row, report) for row in owner.fills)


def _account_fill(report: FillReport) -> AccountFill:
    return AccountFill(
        order_id=report.order_id,
        fill_id=report.fill_id,
        ticker=report.ticker,
        outcome=report.outcome,
        price_e4=report.price_e4,
        count_e2=report.count_e2,
        fee_e6=report.fee_e6,
        is_taker=report.is_taker,
        traded_at_us=report.at_us,
    )
