"""The fitted table of the estimator, as it is kept in a file: what it rests on, and the weights.

A value is `constant + sum of weights_ppm x features / 10^6`, the features of `core/costs/market_features.py` in their
order. Costs come out in 10^-5 dollars per contract; a chance as the normal distribution's share below the value, which
is in millionths of its standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import msgspec

from fsm_exec.core.costs.market_features import FEATURES
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import PPM

TABLE_VERSION = 1


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A weighted sum of the features."""

    constant: int
    weights_ppm: tuple[int, ...]

    def value(self, features: Sequence[int]) -> int:
        weighed = sum(weight * feature for weight, feature in zip(self.weights_ppm, features, strict=True))
        return self.constant + weighed // PPM


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was met in the fit, both ends included."""

    low: int
    high: int

    def holds(self, value: int) -> bool:
        return self.low <= value <= self.high


class EstimateCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One method at one horizon. `executions` is how many it was fitted on. `cost` is the mean, `low` and `high` are
    the ends of the interval; `filled`, `complete` and `resting` as in `core/costs/estimate.py`."""

    horizon_us: int
    executions: int
    cost: Weights
    low: Weights
    high: Weights
    filled: Weights
    complete: Weights
    resting: Weights


class MethodTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One method. `settings` is a hash of its algorithm and configuration. The ranges say where the table may be used,
    in the outcome that is bought; `room_e4` is how far the worst price was above the mid. `cells` ascend in their
    horizons."""

    settings: str
    quantity_e2: Range
    spread_e4: Range
    mid_e5: Range
    room_e4: Range
    cells: tuple[EstimateCell, ...]


class TapeSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A tape, or a database of executions, that the fit used; `fingerprint` shows whether it is still the same."""

    name: str
    kind: str
    first_us: int
    last_us: int
    executions: int
    fingerprint: str


class EstimateTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of it. `methods` goes by full names, NAME@VERSION; `conditions` are those of the lab's experiment."""

    version: int
    fitted_on: date
    features: tuple[str, ...]
    conditions: dict[str, str]
    sources: tuple[TapeSource, ...]
    methods: dict[str, MethodTable]


def decode_table(text: bytes, where: str) -> EstimateTable:
    """Read a table and check that it can be used. `where` names the file in the UserError raised otherwise."""
    try:
        table = msgspec.json.decode(text, type=EstimateTable)
    except msgspec.DecodeError as error:
        raise UserError(f"{where} is no table of estimates ({one_line(str(error))}); fit it again") from error
    why = _why_unusable(table)
    if why is not None:
        raise UserError(f"{where}: {why}; fit it again")
    return table


def encode_table(table: EstimateTable) -> bytes:
    """Write a table as JSON text for people to read; the same table gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(table, order="sorted"), indent=1) + b"\n"


def _why_unusable(table: EstimateTable) -> str | None:
    if table.version != TABLE_VERSION:
        return f"it is of version {table.version}, not {TABLE_VERSION}"
    if table.features != FEATURES:
        return f"it weighs {', '.join(table.features) or 'nothing'}, not {', '.join(FEATURES)}"
    for name, method in table.methods.items():
        if not method.cells:
            return f"method {name} has no horizon"
        if any(cell.horizon_us <= 0 or cell.executions <= 0 for cell in method.cells):
            return f"method {name} has a horizon or a number of executions that is not above 0"
        if any(later.horizon_us <= earlier.horizon_us for earlier, later in pairwise(method.cells)):
            return f"the horizons of method {name} do not ascend"
        for cell in method.cells:
            for weights in (cell.cost, cell.low, cell.high, cell.filled, cell.complete, cell.resting):
                if len(weights.weights_ppm) != len(FEATURES):
                    return f"method {name} has {len(weights.weights_ppm)} weights, not {len(FEATURES)}"
    return None
