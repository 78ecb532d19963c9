"""The versions of the methods that ship, and which of them a bare name means.

An algorithm that is not listed has one version, of its defaults. What a version is never changes: an execution that
began with it goes on with it, whichever the name means by then. A better configuration is a new version here, and
becomes what the name means when it has won on tapes that it was not fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VERSIONS: Final[Mapping[str, Mapping[int, Mapping[str, object]]]] = {
    "deadline_walker": {
        1: {},
        2: {
            "down_ticks": 1,
            "write_budget": 20,
            "taking": {},
            "fast": {},
            "fast_taking": {
                "imbalance_e6": 25_000,
                "flow_e6": 0,
                "trend_ppm": 50_000,
                "value_2s_e6": 21_000,
                "value_6s_e6": 19_000,
                "value_15s_e6": 17_000,
                "value_30s_e6": 15_000,
                "value_60s_e6": 15_000,
                "value_110s_e6": 14_000,
                "value_180s_e6": 13_000,
            },
        },
    },
}
"""Settings by name and version; those left out have their defaults."""

NAME_MEANS: Final[Mapping[str, int]] = {
    "deadline_walker": 1,
}
"""The version of a bare name; 1 where none is stated."""


def versions_of(algorithm: str) -> Mapping[int, Mapping[str, object]]:
    """The settings of each version of the method of an algorithm's own name, oldest first."""
    return VERSIONS.get(algorithm, {1: {}})


def version_meant(name: str) -> int:
    """Which version the bare name of an algorithm means."""
    return NAME_MEANS.get(name, 1)
