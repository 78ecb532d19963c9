"""Exact numbers: text in, integers inside, the same text out; and the grids of every published tick structure."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.errors import UnitError
from fsm_exec.core.values.units import (
    COUNT_MAX_E2,
    LINEAR_CENT,
    CountE2,
    MoneyE6,
    PriceE4,
    PriceGrid,
    PriceRange,
    ceil_div,
    complement,
    format_count,
    format_fixed,
    format_money,
    format_price,
    in_outcome,
    opposite,
    parse_change,
    parse_count,
    parse_fixed,
    parse_money,
    parse_price,
    rounded_ratio,
)

# Steps below the lower edge, between the edges and above the upper edge, and the edges (wire/README.md 5.1).
STRUCTURES = {
    "linear_cent": (100, 100, 100, 1_000, 9_000),
    "deci_cent": (10, 10, 10, 1_000, 9_000),
    "tapered_deci_cent": (10, 100, 10, 1_000, 9_000),
    "center_whole_edge_half_cent": (50, 100, 50, 1_000, 9_000),
    "center_whole_edge_quint_cent": (20, 100, 20, 1_000, 9_000),
    "center_half_edge_half_cent": (50, 50, 50, 1_000, 9_000),
    "center_half_edge_quint_cent": (20, 50, 20, 1_000, 9_000),
    "center_half_edge_deci_cent": (10, 50, 10, 1_000, 9_000),
    "center_quint_edge_quint_cent": (20, 20, 20, 1_000, 9_000),
    "center_quint_edge_deci_cent": (10, 20, 10, 1_000, 9_000),
    "center_centi_edge_centi_cent": (1, 1, 1, 1_000, 9_000),
    "center_deci_edge_centi_cent": (1, 10, 1, 100, 9_900),
}


def grid_of(structure: str) -> PriceGrid:
    below, middle, above, low, high = STRUCTURES[structure]
    ranges = ((0, low, below), (low, high, middle), (high, 10_000, above))
    return PriceGrid(tuple(PriceRange(PriceE4(a), PriceE4(b), PriceE4(step)) for a, b, step in ranges))


def prices_of(structure: str) -> set[int]:
    """The same grid, said naively."""
    below, middle, above, low, high = STRUCTURES[structure]
    ticks = {*range(below, low + 1, below), *range(low, high + 1, middle), *range(high, 10_000, above)}
    return ticks - {0, 10_000}


@given(st.integers(-(10**18), 10**18), st.integers(0, 9))
def test_fixed_point_text_round_trips(value: int, decimals: int) -> None:
    """Every integer has one text, and the text gives it back; it is what Decimal says it is."""
    text = format_fixed(value, decimals) if decimals else format_fixed(value, decimals).rstrip("0")
    if decimals and len(text.lstrip("-").split(".")[0]) <= 15:
        assert parse_fixed(text, decimals) == value
    with localcontext() as context:
        context.prec = 40
        assert Decimal(text) == Decimal(value).scaleb(-decimals)


@given(st.integers(0, 10_000), st.integers(0, COUNT_MAX_E2), st.integers(-(10**15), 10**15))
def test_prices_counts_and_money_round_trip(price: int, count: int, money: int) -> None:
    """With all their decimals, always."""
    assert parse_price(format_price(PriceE4(price))) == price
    assert parse_count(format_count(CountE2(count))) == count
    assert parse_money(format_money(MoneyE6(money))) == money
    assert parse_change(format_count(CountE2(-count))) == -count
    assert len(format_price(PriceE4(price))) == 6


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_fewer_or_more_zeros_mean_the_same(price: int, zeros: int) -> None:
    """`0.5`, `0.50` and `0.500000` are one price."""
    text = format_price(PriceE4(price))
    assert parse_price(text + "0" * zeros) == price
    short = text.rstrip("0").rstrip(".")
    assert parse_price(short) == price


NO_NUMBERS = ["", " ", "1 ", " 1", "+1", "1.", ".5", "1e2", "NaN", "inf", "-", "--1", "1_0", "1,0", "٣", "½", "0x1"]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "1" * 16, "0." + "0" * 13])
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    """No exponent, no sign but minus, no other alphabet's digits, no endless text."""
    for parse in (parse_price, parse_count, parse_change, parse_money):
        with pytest.raises(UnitError):
            parse(text)


@pytest.mark.parametrize("text", ["-0.0001", "1.0001", "2", "0.00001", "0.12345"])
def test_a_price_off_its_scale_is_refused(text: str) -> None:
    """Between 0 and 1 dollar, four decimals."""
    with pytest.raises(UnitError):
        parse_price(text)


@pytest.mark.parametrize("text", ["-1", "1.005", "0.001", "10000000000.01"])
def test_a_count_off_its_scale_is_refused(text: str) -> None:
    """Never negative, two decimals, bounded."""
    with pytest.raises(UnitError):
        parse_count(text)


def test_a_change_may_be_negative_and_is_bounded() -> None:
    """A delta of the book."""
    assert parse_change("-3.50") == -350
    for text in ("-10000000000.01", "10000000000.01", "0.001"):
        with pytest.raises(UnitError):
            parse_change(text)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_grid_holds_exactly_its_ticks(structure: str) -> None:
    """`contains`, `floor` and `ceil` agree with the ticks written out, at every ten-thousandth; so does the mirror."""
    grid, ticks = grid_of(structure), prices_of(structure)
    mirrored_ticks = {10_000 - tick for tick in ticks}
    for seen, prices in ((grid, ticks), (grid.mirrored(), mirrored_ticks), (grid.seen_from("no"), mirrored_ticks)):
        best: int | None = None
        floors: dict[int, int | None] = {}
        for price in range(10_002):
            best = price if price in prices else best
            floors[price] = best
            assert seen.contains(PriceE4(price)) == (price in prices)
        best = None
        for price in range(10_001, -2, -1):
            best = price if price in prices else best
            assert seen.ceil(price) == best
            if price >= 0:
                assert seen.floor(price) == floors[price]
        assert seen.floor(-1) is None
    assert grid.mirrored().mirrored() == grid
    assert grid.seen_from("yes") is grid


@pytest.mark.parametrize("structure", STRUCTURES)
def test_whole_cents_are_valid_everywhere(structure: str) -> None:
    """Zero and one dollar are not."""
    grid = grid_of(structure)
    assert all(grid.contains(PriceE4(cents * 100)) for cents in range(1, 100))
    assert not grid.contains(PriceE4(0))
    assert not grid.contains(PriceE4(10_000))


def test_an_empty_grid_has_no_price() -> None:
    """None, never zero."""
    assert PriceGrid(()).floor(5_000) is None
    assert PriceGrid(()).ceil(5_000) is None
    assert LINEAR_CENT.floor(99) is None
    assert LINEAR_CENT.ceil(9_901) is None


@given(st.integers(0, 10_000))
def test_a_price_and_its_mirror_make_a_dollar(price: int) -> None:
    """Seen from the other outcome twice is seen from here."""
    assert complement(complement(PriceE4(price))) == price
    assert in_outcome(in_outcome(PriceE4(price), "no"), "no") == price
    assert in_outcome(PriceE4(price), "yes") == price
    assert (opposite("yes"), opposite("no")) == ("no", "yes")


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**12), st.integers(0, 8))
def test_a_ratio_is_rounded_to_the_nearest(numerator: int, denominator: int, decimals: int) -> None:
    """Within half a unit of the last place, with exactly that many places."""
    shown = rounded_ratio(numerator, denominator, decimals)
    assert -int(shown.as_tuple().exponent) == decimals
    error = abs(shown.scaleb(decimals) * denominator - Decimal(numerator).scaleb(decimals))
    assert 2 * error <= denominator * (1 + Decimal("1e-9"))


@given(st.integers(-(10**20), 10**20), st.integers(1, 10**9))
def test_ceil_div_rounds_up(numerator: int, denominator: int) -> None:
    """The least whole number that is not below the ratio."""
    result = ceil_div(numerator, denominator)
    assert (result - 1) * denominator < numerator <= result * denominator
