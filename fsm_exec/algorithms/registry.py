"""Algorithms by name: those that ship, and those that installed packages offer.

A package's algorithm is an offer until it is asked for: its code is imported then, once. One that cannot be used says
why, whenever it is asked for, and is no matter to the others. What is installed, `fsm_exec.plugins` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from fsm_exec.algorithms.algorithm_types import AnyFamily
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import suggestion


class Origin(msgspec.Struct, frozen=True):
    """The distribution an algorithm comes with, as pip names it."""

    distribution: str
    version: str

    @property
    def requirement(self) -> str:
        """What to ask pip for."""
        return f"{self.distribution}=={self.version}"


class Offer(msgspec.Struct, frozen=True):
    """An algorithm that a package says it has. `load` raises UserError for one that cannot be used."""

    name: str
    origin: Origin
    load: Callable[[], AnyFamily]


class Registry:
    """The algorithms that ship and those that packages offer. A broken package raises only where its algorithm is asked
    for."""

    def __init__(self, shipped: Mapping[str, AnyFamily], offers: Iterable[Offer] = ()) -> None:
        self._shipped = dict(shipped)
        self._families: dict[str, AnyFamily] = dict(shipped)
        self._broken: dict[str, str] = {}
        self._offers: dict[str, Offer] = {}
        for offer in offers:
            self._take(offer)

    def _take(self, offer: Offer) -> None:
        who = offer.origin.requirement
        if offer.name in self._shipped:
            # Ours stays: what the database holds under this name was accepted with it.
            self._broken[f"{offer.name} ({offer.origin.distribution})"] = (
                f"the package {who} offers an algorithm {offer.name!r}, which ships with fsm-exec; "
                f"uninstall {offer.origin.distribution}, or have its algorithm renamed"
            )
        elif offer.name in self._offers:
            other = self._offers[offer.name].origin.requirement
            self._broken[offer.name] = (
                f"the packages {other} and {who} both offer an algorithm {offer.name!r}; uninstall one of them"
            )
        else:
            self._offers[offer.name] = offer

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that may be asked for, usable or not, those that ship first."""
        return (*self._shipped, *sorted(self._offers))

    def origin(self, name: str) -> Origin | None:
        """The package an algorithm comes with; None: it ships, or there is none of this name."""
        offer = self._offers.get(name)
        return None if offer is None else offer.origin

    def family(self, name: str) -> AnyFamily:
        """The algorithm of this name. Raises UserError for one there is not, and one that cannot be used."""
        if name in self._families:
            return self._families[name]
        if name in self._broken:
            raise UserError(self._broken[name])
        if name not in self._offers:
            nearly = suggestion(name, self.names)
            raise UserError(f"unknown algorithm {name[:100]!r}{nearly} choose one of: {', '.join(sorted(self.names))}")
        try:
            family = self._offers[name].load()
        except UserError as error:
            self._broken[name] = str(error)
            raise
        self._families[name] = family
        return family

    def usable(self) -> dict[str, AnyFamily]:
        """All that can be worked with, those that ship first. What cannot is in `broken` from now on."""
        for name in self._offers:
            if name not in self._broken:
                try:
                    self.family(name)
                except UserError as error:
                    self._broken[name] = str(error)
        return {name: self._families[name] for name in self.names if name in self._families}

    def broken(self) -> dict[str, str]:
        """What packages offer and cannot be used, and why, with the remedy: a line each. Loads all of them."""
        self.usable()
        return dict(sorted(self._broken.items()))
