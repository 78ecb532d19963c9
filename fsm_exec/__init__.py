"""A durable execution engine for Kalshi on one machine; these names are its public surface.

To trade: `Client` or `AsyncClient`, which talk to the daemon (`fsm-exec serve`), what they take and answer, and the
errors they raise. To write an algorithm: what it sees, what it may wish for, and what it is built from. To try either
against an exchange in this process: `fsm_exec.testing`. Whoever reads the code starts at `core.execution.execution`.

The names are loaded when they are first used: the commands need few of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsm_exec.algorithms.algorithm_types import Family as Family
    from fsm_exec.algorithms.algorithm_types import Settings as Settings
    from fsm_exec.algorithms.toolkit import ClosingSettings as ClosingSettings
    from fsm_exec.algorithms.toolkit import apportion as apportion
    from fsm_exec.algorithms.toolkit import cap_to_grid as cap_to_grid
    from fsm_exec.algorithms.toolkit import lowest_price as lowest_price
    from fsm_exec.algorithms.toolkit import offers_within as offers_within
    from fsm_exec.algorithms.toolkit import price_between as price_between
    from fsm_exec.algorithms.toolkit import rest_at as rest_at
    from fsm_exec.algorithms.toolkit import single_slice as single_slice
    from fsm_exec.algorithms.toolkit import slices_of as slices_of
    from fsm_exec.algorithms.toolkit import tick_above as tick_above
    from fsm_exec.algorithms.toolkit import to_nearest as to_nearest
    from fsm_exec.algorithms.toolkit import touch as touch
    from fsm_exec.control.account_schema import AccountSeen as AccountSeen
    from fsm_exec.control.account_schema import ClosedMarket as ClosedMarket
    from fsm_exec.control.account_schema import CloseWanted as CloseWanted
    from fsm_exec.control.account_schema import Closing as Closing
    from fsm_exec.control.account_schema import PositionSeen as PositionSeen
    from fsm_exec.control.account_schema import PositionsSeen as PositionsSeen
    from fsm_exec.control.account_schema import ProfitSeen as ProfitSeen
    from fsm_exec.control.account_schema import ProfitTable as ProfitTable
    from fsm_exec.control.account_schema import RiskSeen as RiskSeen
    from fsm_exec.control.client import AsyncClient as AsyncClient
    from fsm_exec.control.client import Client as Client
    from fsm_exec.control.client_errors import ControlError as ControlError
    from fsm_exec.control.client_errors import DaemonAbsent as DaemonAbsent
    from fsm_exec.control.client_errors import DaemonFailed as DaemonFailed
    from fsm_exec.control.client_errors import Refused as Refused
    from fsm_exec.control.event_parser import Step as Step
    from fsm_exec.control.market_schema import Estimate as Estimate
    from fsm_exec.control.market_schema import EstimateWanted as EstimateWanted
    from fsm_exec.control.market_schema import MarketBook as MarketBook
    from fsm_exec.control.market_schema import MarketLine as MarketLine
    from fsm_exec.control.market_schema import MarketList as MarketList
    from fsm_exec.control.schema import Accepted as Accepted
    from fsm_exec.control.schema import Acknowledged as Acknowledged
    from fsm_exec.control.schema import EdgeGiven as EdgeGiven
    from fsm_exec.control.schema import ExecutionDetail as ExecutionDetail
    from fsm_exec.control.schema import ExecutionSummary as ExecutionSummary
    from fsm_exec.control.schema import FillSeen as FillSeen
    from fsm_exec.control.schema import QuarantineSeen as QuarantineSeen
    from fsm_exec.control.schema import Status as Status
    from fsm_exec.control.schema import Submission as Submission
    from fsm_exec.control.schema import Transition as Transition
    from fsm_exec.core.algorithm.algorithm import Action as Action
    from fsm_exec.core.algorithm.algorithm import AmendAction as AmendAction
    from fsm_exec.core.algorithm.algorithm import CancelAction as CancelAction
    from fsm_exec.core.algorithm.algorithm import CloseAction as CloseAction
    from fsm_exec.core.algorithm.algorithm import GiveUpAction as GiveUpAction
    from fsm_exec.core.algorithm.algorithm import Goal as Goal
    from fsm_exec.core.algorithm.algorithm import PlaceAction as PlaceAction
    from fsm_exec.core.algorithm.algorithm import Progress as Progress
    from fsm_exec.core.algorithm.algorithm import Slice as Slice
    from fsm_exec.core.algorithm.algorithm import SliceProgress as SliceProgress
    from fsm_exec.core.algorithm.algorithm import TransferAction as TransferAction
    from fsm_exec.core.algorithm.algorithm import Working as Working
    from fsm_exec.core.algorithm.market_view import MarketView as MarketView
    from fsm_exec.core.errors import ExecError as ExecError
    from fsm_exec.core.errors import UserError as UserError
    from fsm_exec.core.values.units import CountE2 as CountE2
    from fsm_exec.core.values.units import PriceE4 as PriceE4
    from fsm_exec.core.values.units import PriceGrid as PriceGrid

_HOMES = {
    "fsm_exec.algorithms.toolkit": (
        "ClosingSettings",
        "cap_to_grid",
        "apportion",
        "price_between",
        "lowest_price",
        "rest_at",
        "slices_of",
        "tick_above",
        "to_nearest",
        "touch",
        "single_slice",
        "offers_within",
    ),
    "fsm_exec.algorithms.algorithm_types": ("Family", "Settings"),
    "fsm_exec.control.account_schema": (
        "AccountSeen",
        "CloseWanted",
        "ClosedMarket",
        "Closing",
        "PositionSeen",
        "PositionsSeen",
        "ProfitSeen",
        "ProfitTable",
        "RiskSeen",
    ),
    "fsm_exec.control.client": ("AsyncClient", "Client"),
    "fsm_exec.control.client_errors": ("ControlError", "DaemonAbsent", "DaemonFailed", "Refused"),
    "fsm_exec.control.event_parser": ("Step",),
    "fsm_exec.control.market_schema": ("Estimate", "EstimateWanted", "MarketBook", "MarketLine", "MarketList"),
    "fsm_exec.control.schema": (
        "Accepted",
        "EdgeGiven",
        "ExecutionDetail",
        "ExecutionSummary",
        "FillSeen",
        "QuarantineSeen",
        "Status",
        "Submission",
        "Acknowledged",
        "Transition",
    ),
    "fsm_exec.core.algorithm.algorithm": (
        "CloseAction",
        "GiveUpAction",
        "Goal",
        "PlaceAction",
        "Progress",
        "AmendAction",
        "Slice",
        "SliceProgress",
        "TransferAction",
        "Action",
        "CancelAction",
        "Working",
    ),
    "fsm_exec.core.errors": ("ExecError", "UserError"),
    "fsm_exec.core.values.units": ("CountE2", "PriceE4", "PriceGrid"),
    "fsm_exec.core.algorithm.market_view": ("MarketView",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)

if not TYPE_CHECKING:  # to a type checker a name that is not above must be an error

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(home), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
