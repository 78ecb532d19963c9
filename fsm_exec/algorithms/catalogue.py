"""Methods by name and version: those of the algorithms there are, and those a database holds beside them.

A method never changes. Its configuration is kept whole, defaults included, so a later release with other defaults runs
an execution of today as it was accepted. Versions are whole numbers and count up: which of two is newer is no matter
of taste. NAME@VERSION is that very one; NAME is the newest of those a database was given, of what ships in
versions the one that `versions` states.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.algorithms.algorithm_types import Method
from fsm_exec.algorithms.registry import Origin, Registry
from fsm_exec.algorithms.versions import NAME_MEANS, versions_of
from fsm_exec.core.errors import AlgorithmMissing, CorruptSnapshot, UserError
from fsm_exec.core.journal.rows import MethodRow
from fsm_exec.core.text import suggestion

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
EXAMPLES: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "aggressive_nfl": (  # the reference design's example: walks on half the growth, a whole cent at once
        "dynamic_depth_walker",
        {"momentum_threshold_ppm": 50_000, "strong_momentum_ppm": 100_000, "step_e4": 100, "strong_step_e4": 100},
    ),
}


SHIPPED_ONLY: Final = Registry(SHIPPED_FAMILIES)


def row_of(method: Method, origin: Origin | None = None) -> MethodRow:
    """Return the method as the database keeps it; `origin` is the package its algorithm comes with, None if it
    ships."""
    config = msgspec.json.encode(method.config, order="deterministic").decode()
    return MethodRow(
        name=method.name,
        version=method.version,
        algorithm=method.algorithm,
        config=config,
        distribution=None if origin is None else origin.distribution,
        distribution_version=None if origin is None else origin.version,
    )


def first_rows(registry: Registry = SHIPPED_ONLY) -> tuple[MethodRow, ...]:
    """Every version of each usable algorithm's own name, and the examples."""
    families = registry.usable()
    own = [
        row_of(family.method(name, version, settings), registry.origin(name))
        for name, family in families.items()
        for version, settings in versions_of(name).items()
    ]
    examples = [families[algorithm].method(name, 1, settings) for name, (algorithm, settings) in EXAMPLES.items()]
    return (*own, *(row_of(method) for method in examples))


def check_own(name: str, registry: Registry = SHIPPED_ONLY) -> None:
    """Raises UserError for a name that a method of one's own cannot have: an algorithm's stays what it came as."""
    if NAME.fullmatch(name) is None:
        raise UserError(f"method name {name[:100]!r} is not of the form a-z, 0-9 and _, beginning with a letter")
    if name in registry.names:
        raise UserError(f"{name!r} is the name of an algorithm; give the method another name")


class Catalogue:
    """The methods of `registry`, with `rows` of a database before it where both have a name and version."""

    def __init__(self, rows: Iterable[MethodRow] = (), registry: Registry = SHIPPED_ONLY) -> None:
        self._registry = registry
        self._rows = {(row.name, row.version): row for row in (*first_rows(registry), *rows)}

    @property
    def rows(self) -> tuple[MethodRow, ...]:
        """By name and version."""
        return tuple(self._rows[key] for key in sorted(self._rows))

    def versions(self, name: str) -> tuple[MethodRow, ...]:
        """Oldest first; empty for an unknown name."""
        return tuple(row for row in self.rows if row.name == name)

    def row(self, name: str) -> MethodRow:
        """Return the row of NAME or NAME@VERSION. Raises UserError for one that does not exist."""
        base, at, version = name.partition("@")
        versions = self.versions(base)
        if not versions:
            known = ", ".join(sorted({row.name for row in self._rows.values()}))
            nearly = suggestion(base, (row.name for row in self._rows.values()))
            raise UserError(f"unknown method {name[:100]!r}{nearly} choose one of: {known}")
        if not at and base not in NAME_MEANS:
            return versions[-1]
        wanted = version if at else str(NAME_MEANS[base])
        for row in versions:
            if wanted == str(row.version):
                return row
        have = ", ".join(f"{base}@{row.version}" for row in versions)
        raise UserError(f"method {base!r} has no version {version[:20]!r}; it has: {have}")

    def find(self, name: str) -> Method:
        """The method itself. Raises UserError for one that does not exist, AlgorithmMissing for one whose algorithm
        cannot be had here as it was, CorruptSnapshot for a row that one of ours does not take any more."""
        row = self.row(name)
        try:
            family = self._registry.family(row.algorithm)
        except UserError as error:
            raise AlgorithmMissing(self._why_missing(row, error)) from error
        try:
            return family.method(row.name, row.version, msgspec.json.decode(row.config, type=dict[str, object]))
        except (UserError, msgspec.DecodeError) as error:
            why = f"method {row.name}@{row.version} cannot be read: {error}"
            if row.distribution is None:
                raise CorruptSnapshot(why) from error
            package = Origin(row.distribution, row.distribution_version or "").requirement
            raise AlgorithmMissing(f"{why}; it was made with another version: pip install {package}") from error

    def _why_missing(self, row: MethodRow, error: UserError) -> str:
        """Says what to install: the package the method was stored with, as far as it is known."""
        what = f"method {row.name}@{row.version} is of the algorithm {row.algorithm!r}"
        if row.algorithm in self._registry.names:  # a package offers it, and it cannot be used
            return f"{what}, which cannot be used: {error}"
        if row.distribution is None:
            return f"{what}, which no installed package has; install the one that had it, and start again"
        package = Origin(row.distribution, row.distribution_version or "").requirement
        return f"{what} of the package {package}, which is not installed; pip install {package}, and start again"

    def prepare_method(self, name: str, algorithm: str, settings: Mapping[str, object]) -> tuple[MethodRow, bool]:
        """The method of this name with this configuration, and whether it is new: the next version, or the newest as
        it is if nothing differs. Raises UserError for a bad name, an unknown algorithm, and settings it refuses."""
        check_own(name, self._registry)
        family = self._registry.family(algorithm)
        versions = self.versions(name)
        method = family.method(name, versions[-1].version + 1 if versions else 1, settings)
        row = row_of(method, self._registry.origin(algorithm))
        if versions and (versions[-1].algorithm, versions[-1].config) == (row.algorithm, row.config):
            return versions[-1], False
        return row, True
