"""What the lab has shown of the methods that walk: which of them cost less than one limit at the mid, and where.

The evidence is the cells of comparisons: those that ship (`shown/`, a file for each product, as `fsm-exec compare
--json` printed it; the commands stand in this folder's README), or of the results of one's own. A method is better on a
product if in every cell there, each a quantity and a horizon, the whole 95 % interval of its difference lies below
zero. What counts are the products that are traded, where the lab has measured any of them, and else all that it has
measured: nothing is concluded from gold for an index.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Final, NamedTuple

import msgspec

from fsm_exec.lab.figure_texts import decimal_text, interval, signed
from fsm_exec.lab.products import ALL_PRODUCTS

SHIPPED: Final = "shown"
BASELINE: Final = "passive_mid"
WALKING: Final = frozenset({"dynamic_depth_walker", "seed_walker", "deadline_walker", "adaptive_limit", "follow"})
"""Algorithms that move their limits."""


class EvidenceCell(msgspec.Struct, frozen=True, kw_only=True):
    """What of a comparison's cell is evidence (lab.experiment.summary.Cell)."""

    product: str
    quantity: str
    horizon: int
    method: str
    delta: str
    delta_low: str | None
    delta_high: str | None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """`baseline` is what the differences are held against."""

    baseline: str
    cells: list[EvidenceCell]


class Proposal(NamedTuple):
    """`method` None: none that walks is shown to be better. `why` says by how much, and on which products."""

    method: str | None
    why: str


@cache
def load_shipped_evidence() -> Evidence:
    """Those of all its files."""
    files = sorted((resources.files(__package__) / SHIPPED).iterdir(), key=lambda file: file.name)
    found = [msgspec.json.decode(file.read_bytes(), type=Evidence) for file in files]
    return Evidence(baseline=found[0].baseline, cells=[cell for each in found for cell in each.cells])


def propose(evidence: Evidence, traded: Collection[str]) -> Proposal:
    """The walking method that the evidence shows to be better where it counts, the one that saves most; `traded` are
    series."""
    cells = [c for c in evidence.cells if c.product != ALL_PRODUCTS]
    measured = sorted({c.product for c in cells})
    counted = [product for product in measured if product in traded] or measured
    by_method: dict[str, list[EvidenceCell]] = {}
    for cell in cells:
        if cell.product in counted and cell.method != evidence.baseline and _algorithm(cell.method) in WALKING:
            by_method.setdefault(cell.method, []).append(cell)
    where = ", ".join(counted)
    if not by_method:
        return Proposal(None, f"the lab has measured no method that walks{f' ({where})' if where else ''}")
    costs = {method: sum(Decimal(c.delta) for c in own) / len(own) for method, own in by_method.items()}
    better = [
        method
        for method, own in by_method.items()
        if {c.product for c in own} == set(counted) and all(_is_better(c) for c in own)
    ]
    if better:
        best = min(better, key=lambda method: (costs[method], method))
        saved = signed(decimal_text(costs[best]))
        return Proposal(best, f"in the lab {best} cost {saved} c a contract against {evidence.baseline} ({where})")
    nearest = min(costs, key=lambda method: (costs[method], method))
    weakest = max(by_method[nearest], key=lambda c: Decimal(c.delta) if c.delta_high is None else Decimal(c.delta_high))
    span = interval(weakest.delta_low, weakest.delta_high, is_rough=False)
    return Proposal(
        None,
        f"no method that walks is shown to be cheaper in the lab ({where}): {nearest}, the nearest, "
        f"{signed(weakest.delta)} {span} c for {weakest.quantity} in {weakest.horizon} s",
    )


def _is_better(cell: EvidenceCell) -> bool:
    return cell.delta_high is not None and Decimal(cell.delta_high) < 0


def _algorithm(method: str) -> str:
    """Of NAME, NAME@VERSION or NAME[SETTING=VALUE;...]."""
    return method.partition("[")[0].partition("@")[0]
