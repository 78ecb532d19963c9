"""Families, configurations and methods: how an algorithm's file becomes something an execution can be worked with.

A family is an algorithm's file: its `Config` and its two functions. A method is a name, a version and a configuration
of a family, and is immutable; bound, it is a `core.algorithm.algorithm.Algorithm`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

import msgspec

from fsm_exec.core.algorithm.algorithm import Action, Goal, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import UserError
from fsm_exec.core.signals.signals import SIGNAL_NAMES
from fsm_exec.core.text import suggestion
from fsm_exec.core.values.field_names import find_wrong_name


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every `Config`. Units are in the names of fields, bounds in their types (`msgspec.Meta`) or in
    `__post_init__` (ValueError), so no configuration outside of them can be made."""

    @property
    def look_every_us(self) -> int | None:
        """How often time alone may change the actions; None: only the book and facts do."""
        return None

    @property
    def closing_lead_us(self) -> int | None:
        """How long before the deadline the closing leg begins; None: there is none."""
        return None

    @property
    def resting_at_most(self) -> int:
        """How many orders it may have at the exchange at once: the most that is ever to be cancelled."""
        return 1

    @property
    def takes_only(self) -> bool:
        """Whether each of its orders is immediate, so that none ever rests: it may then work what only closes."""
        return False

    @property
    def signals_read(self) -> frozenset[str] | None:
        """The smoothed signals its functions read, by their names in `Signals`, for only these are computed for its
        executions; None: all of them."""
        return None


SettingsT = TypeVar("SettingsT", bound=Settings)


@dataclass(frozen=True)
class Method:
    """A named, versioned, immutable choice of algorithm and configuration. `lab_only`: not to be run with money."""

    name: str
    version: int
    algorithm: str
    config: Settings
    lab_only: bool
    plan_bound: Callable[[Goal, MarketView], tuple[Slice, ...]]
    replan_bound: Callable[[Progress, MarketView], tuple[Action, ...]]

    @property
    def full_name(self) -> str:
        """NAME@VERSION, as executions store it."""
        return f"{self.name}@{self.version}"

    @property
    def look_every_us(self) -> int | None:
        return self.config.look_every_us

    @property
    def closing_lead_us(self) -> int | None:
        return self.config.closing_lead_us

    @property
    def resting_at_most(self) -> int:
        return self.config.resting_at_most

    @property
    def takes_only(self) -> bool:
        return self.config.takes_only

    @cached_property
    def signals_read(self) -> frozenset[str] | None:
        return self.config.signals_read

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        return self.plan_bound(goal, view)

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        return self.replan_bound(progress, view)


class AnyFamily(Protocol):
    """A family of whatever configuration."""

    @property
    def name(self) -> str: ...
    @property
    def lab_only(self) -> bool: ...
    def method(self, name: str, version: int, settings: Mapping[str, object]) -> Method: ...


@dataclass(frozen=True)
class Family(Generic[SettingsT]):
    """An algorithm: its name, the type of its configuration, and its two pure functions."""

    name: str
    config_type: type[SettingsT]
    plan: Callable[[Goal, MarketView, SettingsT], tuple[Slice, ...]]
    replan: Callable[[Progress, MarketView, SettingsT], tuple[Action, ...]]
    lab_only: bool = False

    def method(self, name: str, version: int, settings: Mapping[str, object]) -> Method:
        """The method of these settings; those left out have their defaults, and `GROUP.SETTING` is one of a group of
        settings. Raises UserError for an unknown key, a value of the wrong type or one out of bounds, and for a rhythm
        that the engine could not keep."""
        try:
            config = msgspec.convert(_grouped(settings), self.config_type)
        except msgspec.ValidationError as error:
            wrong = find_wrong_name(str(error), self.config_type)
            which = "" if wrong is None else f"{suggestion(*wrong)} its settings are {', '.join(sorted(wrong.known))}"
            raise UserError(f"method {name!r} ({self.name}): {error}{which}") from error
        for setting, least in (("look_every_us", 1), ("closing_lead_us", 1), ("resting_at_most", 0)):
            value = getattr(config, setting)
            if not (value is None and setting != "resting_at_most") and (type(value) is not int or value < least):
                raise UserError(f"method {name!r} ({self.name}): {setting} {value!r} is no whole number from {least}")
        read = config.signals_read
        if read is not None and (not isinstance(read, frozenset) or read - SIGNAL_NAMES):
            raise UserError(f"method {name!r} ({self.name}): signals_read {_unknown_signals(read)}")
        return self._bind(name, version, config)

    def _bind(self, name: str, version: int, config: SettingsT) -> Method:
        return Method(
            name=name,
            version=version,
            algorithm=self.name,
            config=config,
            lab_only=self.lab_only,
            plan_bound=lambda goal, view: self.plan(goal, view, config),
            replan_bound=lambda progress, view: self.replan(progress, view, config),
        )


def _unknown_signals(read: object) -> str:
    if not isinstance(read, frozenset):
        return f"is a {type(read).__name__}: give a frozenset of names of signals, or None"
    unknown = str(min(read - SIGNAL_NAMES, key=str))[:100]
    return f"names {unknown!r}, which is no signal{suggestion(unknown, SIGNAL_NAMES)} see fsm_exec.core.signals.signals"


def _grouped(settings: Mapping[str, object]) -> dict[str, object]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    grouped: dict[str, object] = {}
    for key, value in settings.items():
        group, dot, name = key.partition(".")
        if not dot:
            grouped[key] = value
            continue
        inside = grouped.get(group, {})
        grouped[group] = {**inside, name: value} if isinstance(inside, Mapping) else {name: value}
    return grouped


def flat_settings(config: Mapping[str, object]) -> dict[str, object]:
    """A stored configuration with the settings of each group as `GROUP.SETTING`."""
    flat: dict[str, object] = {}
    for key, value in config.items():
        flat |= {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, Mapping) else {key: value}
    return flat
