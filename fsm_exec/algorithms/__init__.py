"""The algorithms, and the registry that finds one by the name of a method.

An algorithm is one file with a `Config` and two pure functions, `plan(goal, view, config)` and
`replan(progress, view, config)`. A method is a name, a version and a configuration; every algorithm ships one of its
own name at version 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from fsm_exec.algorithms import market, simple_limit
from fsm_exec.core.algorithm import Goal, Progress, Slice, Wish
from fsm_exec.core.errors import UserError
from fsm_exec.core.view import View

ConfigT = TypeVar("ConfigT", bound=msgspec.Struct)
ConfigIn = TypeVar("ConfigIn", bound=msgspec.Struct, contravariant=True)


class Plan(Protocol[ConfigIn]):
    def __call__(self, goal: Goal, view: View, config: ConfigIn) -> tuple[Slice, ...]: ...


class Replan(Protocol[ConfigIn]):
    def __call__(self, progress: Progress, view: View, config: ConfigIn) -> tuple[Wish, ...]: ...


@dataclass(frozen=True)
class Method(Generic[ConfigT]):
    """An algorithm bound to one configuration: a `core.algorithm.Algorithm`."""

    name: str
    version: int
    algorithm: str
    config: ConfigT
    plan_with: Plan[ConfigT]
    replan_with: Replan[ConfigT]

    @property
    def full_name(self) -> str:
        """NAME@VERSION, as executions store it."""
        return f"{self.name}@{self.version}"

    def plan(self, goal: Goal, view: View) -> tuple[Slice, ...]:
        return self.plan_with(goal, view, self.config)

    def replan(self, progress: Progress, view: View) -> tuple[Wish, ...]:
        return self.replan_with(progress, view, self.config)


AnyMethod = Method[simple_limit.Config] | Method[market.Config]

SHIPPED: dict[str, AnyMethod] = {
    "simple_limit": Method(
        "simple_limit", 1, "simple_limit", simple_limit.Config(), simple_limit.plan, simple_limit.replan
    ),
    "market": Method("market", 1, "market", market.Config(), market.plan, market.replan),
}


def method(name: str) -> AnyMethod:
    """The method `NAME` or `NAME@VERSION`. Raises UserError for one that does not exist."""
    base, at, version = name.partition("@")
    found = SHIPPED.get(base)
    if found is None or (at and version != str(found.version)):
        known = ", ".join(sorted(SHIPPED))
        raise UserError(f"unknown method {name!r}; choose one of: {known}")
    return found
