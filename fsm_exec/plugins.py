"""Algorithms of installed packages: the entry points of the group `fsm_exec.algorithms`, read once a process.

A package offers one with

    [project.entry-points."fsm_exec.algorithms"]
    bid_follower = "my_package:FAMILY"

and that is a `fsm_exec.algorithms.Family` of that very name. `fsm_exec/algorithms/README.md` tells how to write,
install and check one. What is wrong with a package is one line that names it and what to do; it stops nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import metadata
from typing import Final, TypeVar

from fsm_exec.algorithms import SHIPPED_FAMILIES, AnyFamily, Family, Method
from fsm_exec.algorithms.catalogue import NAME, row_of
from fsm_exec.algorithms.registry import Offer, Origin, Registry
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import one_line

R = TypeVar("R")

GROUP: Final = "fsm_exec.algorithms"
NEVER_INSTALLED: Final = Origin("(a package without a name)", "0")


@cache
def installed() -> Registry:
    """What ships and what the packages of this environment offer. A process sees those that were there when it first
    asked: code that was imported once stays, so what is installed later needs a new process."""
    offers = [_offer(entry) for entry in metadata.entry_points(group=GROUP)]
    offers.sort(key=lambda offer: (offer.name, offer.origin.requirement))  # not as the directories happen to be read
    return Registry(SHIPPED_FAMILIES, offers)


@dataclass(frozen=True)
class Guarded:
    """A family of others' code, which may raise anything: what is raised stays with the method, or the execution, that
    was asked about. Everything else an engine is prepared for; an exit would end its process."""

    family: AnyFamily

    @property
    def name(self) -> str:
        return self.family.name

    @property
    def lab_only(self) -> bool:
        return self.family.lab_only

    def method(self, name: str, version: int, settings: Mapping[str, object]) -> Method:
        """As `Family.method`. Raises UserError."""
        try:
            method = self.family.method(name, version, settings)
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            why = one_line(f"{type(error).__name__}: {error}")
            raise UserError(f"method {name!r} ({self.name}): its configuration raises {why}") from error
        return replace(
            method,
            plan_bound=partial(_without_exit, method.plan_bound),
            replan_bound=partial(_without_exit, method.replan_bound),
        )


def _without_exit(function: Callable[..., R], *arguments: object) -> R:
    try:
        return function(*arguments)
    except SystemExit as error:
        raise RuntimeError(f"the algorithm wants the process to exit ({error.code})") from error


def _offer(entry: metadata.EntryPoint) -> Offer:
    origin = NEVER_INSTALLED if entry.dist is None else Origin(entry.dist.name, entry.dist.version)
    return Offer(entry.name, origin, partial(_load, entry, origin))


def _load(entry: metadata.EntryPoint, origin: Origin) -> AnyFamily:
    """Raises UserError for whatever the package does instead of handing over a family of the right name."""
    whose = f"the algorithm {entry.name[:100]!r} of the package {origin.requirement}"
    remedy = f"install a version that works, or: pip uninstall {origin.distribution}"
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:  # its code runs here for the first time, and may do anything
        why = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{whose} cannot be imported from {entry.value}: {why}; {remedy}") from error
    if not isinstance(found, Family):
        raise UserError(f"{whose}: {entry.value} is a {type(found).__name__}, not an fsm_exec Family; {remedy}")
    if found.name != entry.name or NAME.fullmatch(entry.name) is None:
        raise UserError(
            f"{whose} calls itself {str(found.name)[:100]!r}: entry point and family have one name, of a-z, 0-9 and _; "
            f"{remedy}"
        )
    family = Guarded(found)
    try:
        row_of(family.method(entry.name, 1, {}))
    except UserError as error:
        raise UserError(f"{whose} has no configuration of defaults alone: {error}; {remedy}") from error
    return family
