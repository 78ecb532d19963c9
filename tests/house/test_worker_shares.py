"""The lists that say which tests are heavy, shared out or begun first name what is there."""

from __future__ import annotations

from tests.conftest import HEAVY_FOLDERS, HEAVY_MODULES, TESTS
from tests.worker_shares import BEGUN_FIRST, SHARED_OUT, place_of, share_of


def test_every_module_and_folder_of_the_lists_is_there() -> None:
    """A module that was renamed would be run where it takes others' time, and nobody would know."""
    named = (*HEAVY_FOLDERS, *HEAVY_MODULES, *BEGUN_FIRST, *SHARED_OUT)
    assert [name for name in named if not (TESTS / name).exists()] == []


def test_what_is_shared_out_needs_nothing_built_for_a_module() -> None:
    """It would be built once for each test, where it was built once."""
    texts = {name: (TESTS / name).read_text(encoding="utf-8") for name in SHARED_OUT}
    assert [name for name, text in texts.items() if 'scope="module"' in text] == []


def test_a_test_of_a_long_module_is_a_share_of_its_own() -> None:
    """All others go by modules, and the longest modules begin."""
    assert (
        share_of("tests/bending/test_false_fills.py::test_a[b::c]") == "tests/bending/test_false_fills.py::test_a[b::c]"
    )
    assert share_of("tests/core/test_units.py::test_a[b::c]") == "tests/core/test_units.py"
    assert place_of("lab/test_simulation.py") < place_of("lab/test_report.py") < place_of("core/test_units.py")
