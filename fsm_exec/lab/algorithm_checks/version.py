"""One version of an algorithm's own method as a family of its own, whose defaults are that version's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fsm_exec.algorithms import AnyFamily, Method
from fsm_exec.algorithms.versions import versions_of
from fsm_exec.core.errors import UserError
from fsm_exec.plugins import installed


@dataclass(frozen=True)
class VersionFamily:
    """What is not set is as in the version, whatever the algorithm's defaults are."""

    family: AnyFamily
    settings: Mapping[str, object]

    @property
    def name(self) -> str:
        return self.family.name

    @property
    def lab_only(self) -> bool:
        return self.family.lab_only

    def method(self, name: str, version: int, settings: Mapping[str, object]) -> Method:
        """As `Family.method`. Raises UserError."""
        return self.family.method(name, version, {**self.settings, **settings})


def family_named(name: str) -> AnyFamily:
    """The algorithm NAME, or NAME@VERSION with that version's settings for defaults. Raises UserError."""
    algorithm, at, version = name.partition("@")
    family = installed().family(algorithm)
    if not at:
        return family
    versions = {str(number): settings for number, settings in versions_of(algorithm).items()}
    if version not in versions:
        have = ", ".join(f"{algorithm}@{number}" for number in versions)
        raise UserError(f"unknown version {version[:20]!r} of {algorithm}; it has: {have}")
    return VersionFamily(family, versions[version])
