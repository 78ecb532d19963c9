"""Limits that are none, and limits that contradict each other: one clear line that names the key."""

from __future__ import annotations

import sys
import zoneinfo
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from fsm_exec.core.account.brake import day_of
from fsm_exec.core.account.limits import RiskLimits, check_limits, shape_under
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.account import EventShape

NUMBERS = [name for name in RiskLimits.__struct_fields__ if not name.endswith("_series") and name != "time_zone"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 2.5, True, "10", 10**13])
def test_a_number_that_is_no_limit(name: str, value: object) -> None:
    """Zero, below zero, no number, not finite, not whole, too large: refused by name, made in Python or read."""
    with pytest.raises(UserError, match=f"risk.{name} is ") as raised:
        check_limits(RiskLimits(**{name: value}))  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert({name: value}, RiskLimits)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"daily_loss_dollars": 10, "daily_loss_halt_dollars": 9}, "risk.daily_loss_halt_dollars"),
        ({"drawdown_dollars": 10, "drawdown_halt_dollars": 9}, "risk.drawdown_halt_dollars"),
        ({"only_series": ("A", "B"), "never_series": ("B",)}, "both name B"),
        ({"only_series": ()}, "risk.only_series is empty"),
        ({"only_series": ("",)}, "risk.only_series"),
        ({"never_series": "KXBTCD"}, "risk.never_series"),
        ({"time_zone": "Mars/Olympus"}, "risk.time_zone"),
        ({"time_zone": ""}, "risk.time_zone"),
        ({"time_zone": "../../etc/passwd"}, "risk.time_zone"),
        ({"time_zone": 3}, "risk.time_zone"),
        ({"return_below_percent": 101}, "risk.return_below_percent"),
        ({"return_below_percent": None}, "risk.return_below_percent"),
    ],
)
def test_limits_that_cannot_be(values: dict[str, Any], words: str) -> None:
    """Contradictions and names of nothing."""
    with pytest.raises(UserError, match=words):
        check_limits(RiskLimits(**values))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"daily_loss_dollars": 10, "daily_loss_halt_dollars": 10},
        {"daily_loss_halt_dollars": 1},
        {"max_worst_case_market_dollars": 10, "max_worst_case_event_dollars": 5},
        {"only_series": ("A",), "never_series": ("B",)},
        {"time_zone": "America/New_York", "return_below_percent": 100},
    ],
)
def test_limits_that_can_be(values: dict[str, Any]) -> None:
    """A halt at the first threshold, a market's limit above its event's, and both lists beside each other."""
    check_limits(RiskLimits(**values))


def test_whether_there_is_a_brake_and_any_limit() -> None:
    """A zone and a percentage limit nothing."""
    assert not RiskLimits(time_zone="Asia/Tokyo", return_below_percent=10, exhaustive_series=("S",)).limits_anything
    assert RiskLimits(max_executions=1).limits_anything
    assert not RiskLimits(max_executions=1).has_brake
    assert RiskLimits(drawdown_halt_dollars=1).has_brake


def test_an_event_is_exhaustive_where_the_configuration_says_so() -> None:
    """By series; the exchange states nothing of it."""
    shape = EventShape(event="E", series="S", mutually_exclusive=True, tickers=("A",))
    assert shape_under(shape, RiskLimits(exhaustive_series=("S",))).exhaustive
    assert not shape_under(shape, RiskLimits(exhaustive_series=("T",))).exhaustive


def test_utc_needs_no_database_of_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither the platform nor a package has zones there are still days; another zone is refused in one line."""
    for name in {"tzdata", *(name for name in sys.modules if name.startswith("tzdata."))}:
        monkeypatch.setitem(sys.modules, name, None)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=())
    ZoneInfo.clear_cache()
    try:
        check_limits(RiskLimits())
        assert day_of(0, "UTC") == "1970-01-01"
        with pytest.raises(UserError, match="no known time zone"):
            check_limits(RiskLimits(time_zone="Asia/Tokyo"))
    finally:
        zoneinfo.reset_tzpath(to=before)
