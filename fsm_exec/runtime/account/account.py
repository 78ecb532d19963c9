"""The account of an engine, as its owner sees it: what is let in, how it stands, and the way back from the brake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fsm_exec.core.account.brake import RiskState, ease, return_to_active
from fsm_exec.core.account.holding import Holding
from fsm_exec.core.account.limits import RiskLimits, check_limits
from fsm_exec.core.account.worst_case import Exposure
from fsm_exec.core.errors import LocalError
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.store_port import AccountStore
from fsm_exec.runtime.account.gate import Gate
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.runtime.account.poller import AccountPoller
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.submission import ExecutionRequest


class AccountDatabase(AccountStore, Protocol):
    """The account's part of the database, which also tells of every save of an execution."""

    def on_saved(self, listener: Callable[[ExecutionSave], None]) -> None:
        """Call `listener` with every step of every execution once it is durable."""
        ...

    def on_moved(self, listener: Callable[[str, Holding], None]) -> None:
        """Call `listener` with every execution that has moved into an archive: its market, and what its fills came
        to."""
        ...

    async def save_halt(self, at_us: int, why: str | None) -> None:
        """Keep that the engine is halted, or (None) that it is not any more."""
        ...


@dataclass(frozen=True)
class AccountSetup:
    """What an engine with an account is opened with."""

    store: AccountDatabase
    limits: RiskLimits

    def __post_init__(self) -> None:
        check_limits(self.limits)


class Account:
    """Made by `lifespan.open_engine` where it is given an AccountSetup."""

    def __init__(self, ledger: Ledger, gate: Gate, poller: AccountPoller, wall: WallClock) -> None:
        self.ledger, self._gate, self._poller, self._wall = ledger, gate, poller, wall

    @property
    def risk(self) -> RiskState:
        """The brake."""
        return self.ledger.risk

    @property
    def limits(self) -> RiskLimits:
        """The limits of the configuration."""
        return self.ledger.limits

    def exposure(self) -> Exposure:
        """The worst cases as they stand, with every reservation."""
        return self._gate.exposure()

    async def prepare(self, terms: MarketTerms) -> None:
        """Learn what is needed to judge a request for this market."""
        await self._gate.prepare(terms)

    def judge(self, request: ExecutionRequest, terms: MarketTerms) -> tuple[Exposure, Exposure]:
        """The worst cases as they stand and as they would with this request; nothing is reserved. Raises RiskRefused if
        it would not be let in."""
        return self.exposure(), self._gate.exposure_with(self._gate.judge(request, terms))

    def reserve(self, name: str, request: ExecutionRequest, terms: MarketTerms) -> None:
        """Let a request in and reserve what it may buy until `release`. Raises RiskRefused."""
        self._gate.reserve(name, request, terms)

    def release(self, name: str) -> None:
        """The request's execution is at work, or will not be."""
        self._gate.release(name)

    async def resume(self, *, accept_loss: bool = False, who: str = "user") -> None:
        """Return the brake to active; the engine stays halted until it is resumed. Raises UserError, StoreFailed."""
        after = return_to_active(self.risk, None, self._wall.now_us(), self.limits, accept_loss=accept_loss)
        await self._poller.move(after, who)

    async def reduce(self, who: str = "user") -> None:
        """Ease the brake from halted to reducing. Raises UserError and StoreFailed."""
        await self._poller.move(ease(self.risk, self._wall.now_us()), who)

    def require_no_halt(self) -> None:
        """Raises LocalError while the brake halts everything."""
        if self.risk.state == "halted":
            raise LocalError(f"risk is halted: {self.risk.why}; `risk resume` or `risk reduce` first")
