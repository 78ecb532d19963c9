"""Price grids by name (`price_level_structure`): the steps below, between and above two edges.

A market's own `price_ranges` are authoritative; these are what the names mean (wire/README.md 5.1).
"""

from __future__ import annotations

from collections.abc import Collection

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import ONE_DOLLAR_E4, PriceE4, PriceGrid, PriceRange

_STEPS: dict[str, tuple[int, int, int]] = {  # outer step, middle step, lower edge, in ten-thousandths of a dollar
    "linear_cent": (100, 100, 0),
    "deci_cent": (10, 10, 0),
    "tapered_deci_cent": (10, 100, 1_000),
    "center_whole_edge_half_cent": (50, 100, 1_000),
    "center_whole_edge_quint_cent": (20, 100, 1_000),
    "center_half_edge_half_cent": (50, 50, 0),
    "center_half_edge_quint_cent": (20, 50, 1_000),
    "center_half_edge_deci_cent": (10, 50, 1_000),
    "center_quint_edge_quint_cent": (20, 20, 0),
    "center_quint_edge_deci_cent": (10, 20, 1_000),
    "center_centi_edge_centi_cent": (1, 1, 0),
    "center_deci_edge_centi_cent": (1, 10, 100),
}


def grid_of(structure: str) -> PriceGrid:
    """Return the grid of a structure's name. Raises UserError for a name whose steps are not known."""
    steps = _STEPS.get(structure)
    if steps is None:
        raise UserError(f"price level structure {structure[:40]!r} is not known; use one of {', '.join(_STEPS)}")
    outer, middle, edge = steps
    if not edge:
        return PriceGrid((PriceRange(PriceE4(0), ONE_DOLLAR_E4, PriceE4(middle)),))
    return PriceGrid(
        (
            PriceRange(PriceE4(0), PriceE4(edge), PriceE4(outer)),
            PriceRange(PriceE4(edge), PriceE4(ONE_DOLLAR_E4 - edge), PriceE4(middle)),
            PriceRange(PriceE4(ONE_DOLLAR_E4 - edge), ONE_DOLLAR_E4, PriceE4(outer)),
        )
    )


def structure_of(grid: PriceGrid) -> str | None:
    """Return the name of the structure that has these steps, or None for a grid without a name."""
    return next((name for name in _STEPS if grid_of(name) == grid), None)


def coarsest_structure(prices: Collection[PriceE4]) -> str:
    """The name of the grid with the fewest prices on which all these are: a market's own is at least as fine. Raises
    UserError if they are on none."""
    for structure in sorted(_STEPS, key=_number_of_prices):
        grid = grid_of(structure)
        if all(grid.contains(price) for price in prices):
            return structure
    raise UserError("its prices are on no known grid; use another recording")


def _number_of_prices(structure: str) -> int:
    return sum((each.end_e4 - each.start_e4) // each.step_e4 for each in grid_of(structure).ranges)
