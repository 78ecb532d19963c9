"""What the account may lose, for the control API: the limits and what is used of them, the brake, and the ways back."""

from __future__ import annotations

from typing import Final

from msgspec.structs import asdict

from fsm_exec.control.account_schema import RiskLimitSeen, RiskMove, RiskSeen
from fsm_exec.control.api_errors import Refusal, conflict
from fsm_exec.control.schema import RiskStanding
from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import Exposure, loss_e6
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import CountE2, MoneyE6, format_count, format_money
from fsm_exec.runtime.account.account import Account
from fsm_exec.runtime.engine import Engine
from fsm_exec.store import SqliteStore

BRAKES: Final = ("daily_loss_dollars", "daily_loss_halt_dollars", "drawdown_dollars", "drawdown_halt_dollars")
USER: Final = "user"
NO_LIMITS: Final = frozenset({"return_below_percent", "time_zone"})
"""Settings of the limits that limit nothing themselves."""


class RiskViews:
    """An engine without an account has no limits, and says so."""

    def __init__(self, engine: Engine, store: SqliteStore) -> None:
        self._engine, self._store = engine, store

    def standing(self) -> RiskStanding | None:
        """Return how the brake stands, and why; None if the engine keeps no account."""
        account = self._engine.account
        if account is None:
            return None
        state = account.risk
        return RiskStanding(
            state=state.state,
            why=state.why,
            since=_since(state),
            worst_case=_loss(account.exposure().account_e6),
            account_read=account.ledger.was_read.is_set(),
        )

    async def risk(self, moves: int) -> RiskSeen:
        """Return what may be lost, what of each limit is used, and how the brake stands. Raises Refusal."""
        account = self._account()
        state, limits, exposure = account.risk, account.limits, account.exposure()
        log = await self._store.load_risk_log(moves) if moves else []
        return RiskSeen(
            state=state.state,
            why=state.why,
            since=_since(state),
            worst_case=_loss(exposure.account_e6),
            events={event: _loss(worst) for event, worst in sorted(exposure.by_event.items()) if loss_e6(worst)},
            daily_loss=format_money(MoneyE6(state.daily_loss_e6)),
            drawdown=format_money(MoneyE6(state.drawdown_e6)),
            day=state.day,
            time_zone=limits.time_zone,
            limits=[
                RiskLimitSeen(limit=name, allowed=_allowed(value), used=self._used(name, exposure, account))
                for name, value in asdict(limits).items()
                if name not in NO_LIMITS
            ],
            brakes_off=brakes_off(limits),
            moves=[
                RiskMove(
                    at=to_iso(row.at_us),
                    moved_from=row.moved_from,
                    moved_to=row.moved_to,
                    moved_by=row.moved_by,
                    who=row.who,
                    why=row.why,
                )
                for row in log
            ],
        )

    async def resume(self, *, accept_loss: bool, who: str = USER) -> RiskSeen:
        """Return to `active`. `who` asked for it, by the name that the log of the brake keeps. Raises UserError if the
        loss is still too large, or there is nothing to return from."""
        await self._account().resume(accept_loss=accept_loss, who=who)
        return await self.risk(1)

    async def reduce(self, *, who: str = USER) -> RiskSeen:
        """Go from `halted` to `reducing`. Raises UserError if it is not halted."""
        await self._account().reduce(who)
        return await self.risk(1)

    def _account(self) -> Account:
        if self._engine.account is None:
            raise self._none()
        return self._engine.account

    @staticmethod
    def _none() -> Refusal:
        return conflict("this engine keeps no account, so no limit of risk holds")

    def _used(self, name: str, exposure: Exposure, account: Account) -> str | None:
        """Return what is used of a limit, of the one that uses most where each has it."""
        worst: dict[str, int] = {
            "max_worst_case_account_dollars": exposure.account_e6,
            "max_worst_case_series_dollars": min(exposure.by_series.values(), default=0),
            "max_worst_case_event_dollars": min(exposure.by_event.values(), default=0),
            "max_worst_case_market_dollars": min(exposure.by_market.values(), default=0),
            "daily_loss_dollars": -account.risk.daily_loss_e6,
            "daily_loss_halt_dollars": -account.risk.daily_loss_e6,
            "drawdown_dollars": -account.risk.drawdown_e6,
            "drawdown_halt_dollars": -account.risk.drawdown_e6,
        }
        if name in worst:
            return _loss(worst[name])
        if name == "max_contracts_per_market":
            return format_count(CountE2(max(exposure.contracts_e2.values(), default=0)))
        if name == "max_executions":
            return str(len(self._engine.actors))
        return None


def brakes_off(limits: RiskLimits) -> list[str]:
    """Return the brakes that are not set, by their names in the configuration."""
    return [name for name in BRAKES if getattr(limits, name) is None]


def _since(state: RiskState) -> str | None:
    return to_iso(state.since_us) if state.since_us else None


def _loss(worst_e6: int) -> str:
    return format_money(MoneyE6(loss_e6(worst_e6)))


def _allowed(value: object) -> str | None:
    if value is None or value == ():
        return None
    return ", ".join(value) if isinstance(value, tuple) else str(value)
