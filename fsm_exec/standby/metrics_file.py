"""Lag and lease in a file as Prometheus reads it, for the collector of text files of its node exporter."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from fsm_exec.core.values.units import US_PER_S
from fsm_exec.standby.follower import StandbySeen


def write_metrics(path: Path, seen: StandbySeen) -> None:
    """Write the file, whole or not at all; a disk that takes nothing stops no standby."""
    lines = []
    for name, value, help_text in (
        ("lag_seconds", None if seen.lag_us is None else seen.lag_us / US_PER_S, "how far the copy is behind"),
        ("lease_left_seconds", seen.lease_left_s, "until this host takes over, unless the leader renews"),
        ("term", None if seen.record is None else seen.record.term, "the term of the leader"),
        ("notes", seen.notes, "submissions that the copy does not have yet"),
        ("troubles", len(seen.why), "what does not work"),
    ):
        if value is not None:
            full = f"fsm_exec_standby_{name}"
            lines += [f"# HELP {full} {help_text}", f"# TYPE {full} gauge", f"{full} {value}"]
    with suppress(OSError):
        partial = path.with_name(f"{path.name}.new")
        partial.write_text("\n".join(lines) + "\n", encoding="ascii")
        os.replace(partial, path)
