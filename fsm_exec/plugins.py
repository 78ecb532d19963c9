"""Algorithms of installed packages: the entry points of the group `fsm_exec.algorithms`, read once a process.

A package offers one with

    [project.entry-points."fsm_exec.algorithms"]
    bid_follower = "my_package:FAMILY"

and that is a `fsm_exec.algorithms.Family` of that very name. `fsm_exec/algorithms/README.md` tells how to write,
install and check one. What is wrong with a package is one line that names it and what to do; it stops nothing else.
"""

from __future__ import annotations

from functools import cache, partial
from importlib import metadata
from typing import Final

from fsm_exec.algorithms import SHIPPED_FAMILIES, AnyFamily, Family
from fsm_exec.algorithms.catalogue import NAME, row_of
from fsm_exec.algorithms.registry import Offer, Origin, Registry
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import one_line

GROUP: Final = "fsm_exec.algorithms"
NEVER_INSTALLED: Final = Origin("(a package without a name)", "0")


@cache
def installed() -> Registry:
    """What ships and what the packages of this environment offer. A process sees those that were there when it first
    asked: code that was imported once stays, so what is installed later needs a new process."""
    offers = [_offer(entry) for entry in metadata.entry_points(group=GROUP)]
    offers.sort(key=lambda offer: (offer.name, offer.origin.requirement))  # not as the directories happen to be read
    return Registry(SHIPPED_FAMILIES, offers)


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
    try:
        row_of(found.method(entry.name, 1, {}))
    except (Exception, SystemExit) as error:
        why = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{whose} has no configuration of defaults alone: {why}; {remedy}") from error
    return found
