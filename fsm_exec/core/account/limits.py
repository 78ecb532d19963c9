"""The limits of the account's risk: the table `[risk]` of the configuration.

Dollars and contracts are whole; what is not given is not limited. A worst case is a loss: a limit of 100 dollars is
passed when more than 100 dollars can be lost.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import asdict, replace

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.account import EventShape

DOLLAR_E6: Final = 1_000_000
AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
Percent = Annotated[int, msgspec.Meta(ge=1, le=100)]


class RiskLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of them; None: no limit.

    `no_new_within_s_of_close` is in seconds before the close or the expected determination, whichever comes first.
    `exhaustive_series`: one market of each of their mutually exclusive events always ends YES. `daily_loss_dollars` and
    `drawdown_dollars` lead to `reducing`, the `halt` ones to `halted`. Below `return_below_percent` of the first ones a
    person may return to `active`. A day is a calendar day of `time_zone`.
    """

    max_worst_case_market_dollars: AtLeastOne | None = None
    max_worst_case_event_dollars: AtLeastOne | None = None
    max_worst_case_series_dollars: AtLeastOne | None = None
    max_worst_case_account_dollars: AtLeastOne | None = None
    max_contracts_per_market: AtLeastOne | None = None
    max_executions: AtLeastOne | None = None
    max_submissions_per_minute: AtLeastOne | None = None
    max_writes_per_minute: AtLeastOne | None = None
    no_new_within_s_of_close: AtLeastOne | None = None
    only_series: tuple[str, ...] | None = None
    never_series: tuple[str, ...] = ()
    exhaustive_series: tuple[str, ...] = ()
    daily_loss_dollars: AtLeastOne | None = None
    daily_loss_halt_dollars: AtLeastOne | None = None
    drawdown_dollars: AtLeastOne | None = None
    drawdown_halt_dollars: AtLeastOne | None = None
    return_below_percent: Percent = 50
    time_zone: str = "UTC"

    @property
    def has_brake(self) -> bool:
        """Whether any loss leads anywhere."""
        thresholds = (self.daily_loss_dollars, self.daily_loss_halt_dollars)
        return any(one is not None for one in (*thresholds, self.drawdown_dollars, self.drawdown_halt_dollars))

    @property
    def limits_anything(self) -> bool:
        """Whether a request could be refused by any of it."""
        return replace(self, return_below_percent=50, time_zone="UTC", exhaustive_series=()) != RiskLimits()


def check_limits(limits: RiskLimits) -> None:
    """Raises UserError, one line that names the key, for a limit that is none and for two that contradict each other.

    The types are checked here too: a struct made in Python is not checked by its decoder."""
    for name, value in asdict(limits).items():
        if name.endswith("_series"):
            _check_series(name, value)
        elif name == "time_zone":
            zone_of(value)
        elif value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**12):
            raise UserError(f"risk.{name} is {value!r}: give a whole number, 1 or more, or leave it out for no limit")
    if not 1 <= (limits.return_below_percent or 0) <= 100:
        raise UserError(f"risk.return_below_percent is {limits.return_below_percent}: give 1 to 100")
    for kind in ("daily_loss", "drawdown"):
        first, second = getattr(limits, f"{kind}_dollars"), getattr(limits, f"{kind}_halt_dollars")
        if first is not None and second is not None and second < first:
            raise UserError(
                f"risk.{kind}_halt_dollars ({second}) is below risk.{kind}_dollars ({first}): it would halt before it "
                "reduces; raise it or leave the other out"
            )
    both = sorted(set(limits.only_series or ()) & set(limits.never_series))
    if both:
        raise UserError(f"risk.only_series and risk.never_series both name {both[0]}: take it out of one of them")


def _check_series(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, tuple) or not all(isinstance(one, str) and one for one in value):
        raise UserError(f"risk.{name} is no list of series: write it as {name} = ['KXBTCD', 'KXHIGHNY']")
    if name == "only_series" and not value:
        raise UserError("risk.only_series is empty and would allow nothing: name a series, or leave it out")


def zone_of(time_zone: str) -> tzinfo:
    """The time zone of that name. Raises UserError if there is none. UTC needs no database of zones."""
    if time_zone == "UTC":
        return UTC
    try:
        return ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        raise UserError(
            f"risk.time_zone {str(time_zone)[:60]!r} is no known time zone: give one like 'America/New_York' or 'UTC'"
        ) from None


def shape_under(shape: EventShape, limits: RiskLimits) -> EventShape:
    """The shape with `exhaustive` as the configuration says it."""
    return replace(shape, exhaustive=shape.series in limits.exhaustive_series)
