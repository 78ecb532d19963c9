"""What core and the runtime need of the database, as protocols: one for executions, one for what is watched of
markets, one for the account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.rows import (
    AccountFill,
    AccountLook,
    Adjustment,
    Difference,
    MarketBooks,
    Opening,
    RiskLogRow,
    StoredAccount,
)
from fsm_exec.core.account.stored_reservation import StoredReservation
from fsm_exec.core.alerts.alerts import AlertChange, AlertState, Delivery, StoredAlert
from fsm_exec.core.costs.rows import (
    BookRow,
    ChildMetricsRow,
    MarkoutDue,
    MarkoutRow,
    MetricsRow,
    OpenForecast,
    RewardRow,
)
from fsm_exec.core.epochs import EpochGroup, StoredEpochs
from fsm_exec.core.journal.rows import (
    ExecutionSave,
    JournalRow,
    LostSubmission,
    OrderOwner,
    StartPoint,
    StoredExecution,
)
from fsm_exec.core.market.account import EventShape, Settlement
from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.signals.forecasts import Forecast


class Store(Protocol):
    """The database. Each call returns when it is durable; a failed save raises StoreFailed and the engine halts."""

    @property
    def instance(self) -> str: ...

    @property
    def epoch(self) -> str:
        """That of this opening, in the names of all orders that are new in it; see core.market.client_order_id."""
        ...

    @property
    def lost(self) -> str | None:
        """What the database had acknowledged and does not have, in one line; None: nothing says so."""
        ...

    async def save(self, save: ExecutionSave) -> None: ...
    async def save_market(self, terms: MarketTerms, at_us: int) -> None: ...
    async def save_book(self, row: BookRow) -> None: ...
    async def save_metrics(self, row: MetricsRow, at_us: int, children: Sequence[ChildMetricsRow] = ()) -> None: ...
    async def save_note(self, execution_id: str, note: str) -> None:
        """Keep what is to be said of an execution beside its reason."""
        ...

    async def quarantine(self, execution_id: str, why: str | None, at_us: int) -> None:
        """Mark an execution as quarantined; None: it is not any more."""
        ...

    async def save_alerts(self, changes: Sequence[AlertChange]) -> None:
        """Keep alerts of facts that are saved nowhere else; those of a quarantine are saved with it."""
        ...

    async def watch(self) -> None:
        """Raise StoreFailed once a save has failed, whoever's it was, and DatabaseLost once the database is not where
        it was opened."""
        ...

    async def load_start(self) -> StartPoint: ...
    async def load_unfinished(self) -> list[StoredExecution]: ...
    async def load_unscored(self) -> list[StoredExecution]:
        """Those that have ended, and whose cost was not computed before the process ended."""
        ...

    async def load_lately_filled(self) -> list[StoredExecution]:
        """Those that have ended and have one of the newest thousand fills."""
        ...

    async def load_execution(self, execution_id: str) -> StoredExecution | None: ...
    async def load_owners(self, order_ids: Sequence[str]) -> dict[str, OrderOwner]:
        """Find the owners of orders by the exchange's order id; orders of no execution here are not in the answer."""
        ...

    async def find_unknown_orders(self, names: Sequence[str]) -> list[str]:
        """Those of these client order ids under which no order was ever saved here."""
        ...

    async def load_all_lost(self) -> list[LostSubmission]:
        """What other hosts had accepted and was lost with them, the newest first."""
        ...

    async def load_deadline_book(self, execution_id: str) -> BookRow | None:
        """The newest book an execution was priced by."""
        ...

    async def load_executions(self) -> list[StoredExecution]: ...
    async def load_journal(self, execution_id: str) -> list[JournalRow]: ...
    async def load_metrics(self, execution_id: str) -> MetricsRow | None: ...


class ObservationStore(Protocol):
    """Each save returns when it is durable; it raises SaveRefused for rows the database does not take and StoreFailed
    when the store cannot go on."""

    async def save_book(self, row: BookRow) -> None: ...
    async def save_markouts(self, rows: Sequence[MarkoutRow], at_us: int) -> None: ...
    async def save_forecasts(self, execution_id: str, ticker: str, forecasts: Sequence[Forecast]) -> None: ...
    async def complete_forecasts(self, happened: Sequence[tuple[int, int | None]], at_us: int) -> None:
        """(number, what came in millionths) of each; None: it was missed."""
        ...

    async def load_open_forecasts(self, due_by_us: int | None) -> list[OpenForecast]:
        """Those that are due by then and wait for what comes; None: all."""
        ...

    async def load_due_markouts(self, since_us: int) -> list[MarkoutDue]:
        """Fills made since then that are without some of their markouts."""
        ...

    async def load_unsettled_markets(self) -> list[str]:
        """Markets with fills whose settlement is not stored."""
        ...

    async def load_unsettled_fills(self, ticker: str) -> list[MarkoutDue]: ...
    async def load_recent_books(self, ticker: str, since_us: int) -> list[BookRow]:
        """Load the books of this market that were taken at an interval, oldest first."""
        ...

    async def forget_books(self, before_us: int, at_most: int) -> int:
        """Delete books taken at an interval or at a decision before then, the oldest first; how many were."""
        ...

    def on_saved(self, listener: Callable[[ExecutionSave], None]) -> None:
        """Call `listener` with every step of every execution once it is durable."""
        ...


class RewardStore(Protocol):
    """What programmes pay; see ObservationStore for what the saves raise."""

    async def save_rewards(self, programs: Sequence[IncentiveProgram], rows: Sequence[RewardRow], at_us: int) -> None:
        """Keep programmes as they are listed now, and what executions have earned of them so far."""
        ...

    async def load_rewards(self, execution_id: str) -> list[RewardRow]:
        """What an execution has earned so far, as far as it is stored."""
        ...


class AlertStore(Protocol):
    """The alerts. Those of a fact that is saved are saved with it."""

    async def save_alerts(self, changes: Sequence[AlertChange]) -> None: ...
    async def save_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """Keep how alerts fared with channels."""
        ...

    async def settle_alerts(self, alert_ids: Sequence[int], state: AlertState, at_us: int) -> None:
        """Keep that these alerts are pending no more."""
        ...

    async def forget_alerts(self, before_us: int, at_most: int) -> int:
        """Delete alerts that are pending no more since before then, the oldest first; how many were."""
        ...

    async def load_pending_alerts(
        self, after_id: int, at_most: int, *, is_urgent: bool | None = None
    ) -> list[StoredAlert]:
        """Load the oldest alerts that are pending, after `after_id`, None: urgent or not; damaged ones are left out."""
        ...

    async def load_deliveries(self, alert_ids: Sequence[int]) -> list[Delivery]: ...
    def on_alerts(self, listener: Callable[[], None]) -> None:
        """Call `listener` when something that may have caused an alert is durable."""
        ...


class EpochStore(Protocol):
    """The epochs of the database and their order groups. Each save may be made again with the same result; it raises
    StoreFailed."""

    @property
    def epoch_number(self) -> int:
        """That of this opening among all."""
        ...

    async def load_epochs(self) -> StoredEpochs: ...
    async def save_groups(self, groups: Sequence[EpochGroup]) -> None:
        """Keep groups as they stand now, by their ids."""
        ...

    async def begin_fencing(self) -> None:
        """Keep that all epochs before this one are to be fenced."""
        ...

    async def end_fencing(self) -> None:
        """Keep that none of the epochs that were to be fenced can have a live order."""
        ...

    async def save_halt(self, at_us: int, why: str | None) -> None:
        """Keep that the engine halts, and why; None: it does not any more."""
        ...


class AccountStore(Protocol):
    """Each save returns when it is durable, and may be made again with the same result; it raises SaveRefused for rows
    the database does not take and StoreFailed when the store cannot go on."""

    async def save_account_fills(self, fills: Sequence[AccountFill]) -> None:
        """Keep fills whose order no execution has; one under a known (order_id, fill_id) takes its place."""
        ...

    async def save_settlements(self, settlements: Sequence[Settlement]) -> None:
        """Keep settlements, one a market."""
        ...

    async def save_look(
        self,
        look: AccountLook,
        openings: Sequence[Opening] = (),
        adjustments: Sequence[Adjustment] = (),
        differences: Sequence[Difference] = (),
    ) -> None:
        """Keep a look at the account with all that came of it, in one transaction."""
        ...

    async def save_risk(self, state: RiskState, log: RiskLogRow | None) -> None:
        """Keep the brake and, if it moved, how, in one transaction."""
        ...

    async def save_event_shape(self, shape: EventShape, at_us: int) -> None:
        """Keep what an event says of its markets (not `exhaustive`, which the configuration says)."""
        ...

    async def load_account(self) -> StoredAccount:
        """Everything that is known of the account. What is damaged is left out, and named in it."""
        ...

    async def load_books(self, ticker: str) -> MarketBooks:
        """All entries of one market; of an unknown one, none. Raises DamagedRow."""
        ...

    async def load_reservation(self, execution_id: str) -> StoredReservation:
        """What the row of an execution says that it may still cost, for one whose snapshot cannot be read."""
        ...

    async def load_differences(self) -> list[Difference]:
        """All that were ever found, the oldest first."""
        ...

    async def load_risk_log(self, at_most: int) -> list[RiskLogRow]:
        """The newest moves of the brake, the newest first."""
        ...
