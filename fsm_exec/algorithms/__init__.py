"""The algorithms that ship, and what others are written with.

An algorithm is one file with a `Config` and two pure functions, `plan(goal, view, config)` and
`replan(progress, view, config)`. One of ours is listed once, in `SHIPPED_FAMILIES`; one of an installed package is
found by its entry point (`fsm_exec.plugins`). Each has a method of its own name at version 1, of the defaults; which
have later versions, and what a bare name means, is said in `versions`.
"""

from __future__ import annotations

from fsm_exec.algorithms import (
    adaptive_limit,
    basic,
    close,
    deadline_walker,
    dynamic_depth_walker,
    follow,
    join_bid,
    market,
    marketable,
    passive_mid,
    reference_walker,
    simple_limit,
    static_fraction,
    twap,
    volume_weighted,
)
from fsm_exec.algorithms.algorithm_types import AnyFamily, Family, Method, Settings
from fsm_exec.algorithms.versions import version_meant, versions_of
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import suggestion

__all__ = ["SHIPPED", "SHIPPED_FAMILIES", "AnyFamily", "AnyMethod", "Family", "Method", "Settings", "method"]

AnyMethod = Method

_LISTED: tuple[AnyFamily, ...] = (
    Family("simple_limit", simple_limit.Config, simple_limit.plan, simple_limit.replan),
    Family("market", market.Config, market.plan, market.replan),
    Family("close", close.Config, close.plan, close.replan),
    Family("passive_mid", passive_mid.Config, passive_mid.plan, passive_mid.replan),
    Family("join_bid", join_bid.Config, join_bid.plan, join_bid.replan),
    Family("marketable", marketable.Config, marketable.plan, marketable.replan),
    Family("static_fraction", static_fraction.Config, static_fraction.plan, static_fraction.replan),
    Family("follow", follow.Config, follow.plan, follow.replan),
    Family("basic", basic.Config, basic.plan, basic.replan),
    Family("adaptive_limit", adaptive_limit.Config, adaptive_limit.plan, adaptive_limit.replan),
    Family("twap", twap.Config, twap.plan, twap.replan),
    Family("volume_weighted", volume_weighted.Config, volume_weighted.plan, volume_weighted.replan),
    Family("dynamic_depth_walker", dynamic_depth_walker.Config, dynamic_depth_walker.plan, dynamic_depth_walker.replan),
    Family("seed_walker", reference_walker.Config, reference_walker.plan, reference_walker.replan, lab_only=True),
    Family("deadline_walker", deadline_walker.Config, deadline_walker.plan, deadline_walker.replan),
)
SHIPPED_FAMILIES: dict[str, AnyFamily] = {family.name: family for family in _LISTED}
SHIPPED_VERSIONS: dict[str, Method] = {
    shipped.full_name: shipped
    for name, family in SHIPPED_FAMILIES.items()
    for shipped in (family.method(name, version, settings) for version, settings in versions_of(name).items())
}
"""All that ship, by NAME@VERSION."""

SHIPPED: dict[str, Method] = {name: SHIPPED_VERSIONS[f"{name}@{version_meant(name)}"] for name in SHIPPED_FAMILIES}
"""What each bare name means."""


def method(name: str) -> Method:
    """The method `NAME` or `NAME@VERSION`. Raises UserError for one that does not exist."""
    found = SHIPPED.get(name) or SHIPPED_VERSIONS.get(name)
    if found is None:
        nearly = suggestion(name.partition("@")[0], SHIPPED)
        raise UserError(f"unknown method {name!r}{nearly} choose one of: {', '.join(sorted(SHIPPED))}")
    return found
