"""A month passes: books equal every day, alerts exactly those expected, and nothing grows. Here three days of it."""

from __future__ import annotations

from pathlib import Path

from tests.soak.month.month import live_through
from tests.soak.month.schedule import days_of


def test_days_pass_as_a_month_does(tmp_path: Path) -> None:
    """Three days, the second of 25 hours: each with its maintenance, pauses, twenty orders and a crash."""
    report = live_through(days_of(3, disk=False, failover=False), tmp_path)
    assert report.findings == []
    assert report.lives == 4
    assert report.fills > 60
