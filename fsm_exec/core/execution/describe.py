"""Events, intents and requests in a few words for a person: `name value`, units turned into decimal strings."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fsm_exec.core.algorithm.algorithm import Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.execution.draft import StateChange
from fsm_exec.core.execution.events import tag_of
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import (
    US_PER_S,
    CountE2,
    MoneyE6,
    PriceE4,
    format_count,
    format_fixed,
    format_money,
    format_price,
)

OMITTED = frozenset({"at_us", "terms", "arrival", "execution_id", "instance", "effect_id", "ticker", "later"})
"""What stands elsewhere in the same line, or is too long for one."""
PPM_DIGITS = 6
US_DIGITS = 6
MID_DIGITS = 5
RATE_DIGITS = 10
YEAR_US = 366 * 86_400 * US_PER_S  # longer than any span kept here: above it a number of microseconds is a date


def describe(struct: msgspec.Struct) -> str:
    """`Place level 1, price 0.5100, count 10.00`; the name is that of its kind on disk."""
    fields = ", ".join(f"{name} {value}" for name, value in _values(struct))
    return f"{tag_of(struct)} {fields}".rstrip()


def short_id(client_order_id: str) -> str:
    """Slice and attempt: within one execution the rest of the id is always the same."""
    return "-".join(client_order_id.split("-")[-2:])


def describe_change(change: StateChange) -> str:
    subject = "execution" if change.machine == "execution" else short_id(change.subject)
    return f"{subject}: {change.source} -{change.trigger}-> {change.dest}"


def describe_all(structs: tuple[msgspec.Struct, ...]) -> list[str]:
    return [describe(struct) for struct in structs]


def _values(struct: msgspec.Struct) -> Iterator[tuple[str, str]]:
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if value is None or value is False or name in OMITTED:
            continue
        label, _, unit = name.rpartition("_")
        if name == "client_order_id":
            yield "order", short_id(value)
        elif isinstance(value, int) and unit in UNITS:
            yield label.replace("_", " "), UNITS[unit](value)
        elif isinstance(value, MarketView):
            yield "book", _book(value)
        elif isinstance(value, tuple):
            yield name, " + ".join(format_count(one.count_e2) for one in value if isinstance(one, Slice))
        elif isinstance(value, msgspec.Struct):
            yield name, f"({', '.join(f'{key} {text}' for key, text in _values(value))})"
        else:
            yield name.replace("_", " "), "yes" if value is True else " ".join(str(value).split())


def _book(view: MarketView) -> str:
    bid, ask = ("none" if price is None else format_price(price) for price in (view.best_bid, view.best_ask))
    return f"{bid}/{ask} {view.feed}" + ("" if view.status == "open" else f" {view.status}")


UNITS = {
    "e2": lambda value: format_count(CountE2(value)),
    "e4": lambda value: format_price(PriceE4(value)),
    "e5": lambda value: format_fixed(value, MID_DIGITS),
    "e10": lambda value: format_fixed(value, RATE_DIGITS),
    "e6": lambda value: format_money(MoneyE6(value)),
    "s": lambda value: to_iso(value * US_PER_S),
    "us": lambda value: to_iso(value) if value > YEAR_US else f"{format_fixed(value, US_DIGITS)} s",
    "ppm": lambda value: format_fixed(value, PPM_DIGITS),
}
