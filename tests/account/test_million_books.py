"""A million random accounts against the oracle, in parts that workers share."""

from __future__ import annotations

from random import SystemRandom

import pytest

from tests.account.judge import judge_cases
from tests.account.test_random_books import check_no_kind_is_rare

PARTS = 10
CASES = 100_000


@pytest.mark.parametrize("part", range(PARTS))
def test_a_million_random_books_are_as_the_oracle_says(part: int) -> None:
    """Ten parts of a hundred thousand: figures, decisions, what follows from fills, what ends in `reducing`."""
    seed = f"{part}-{SystemRandom().getrandbits(32)}"
    print(f"seed {seed}")  # noqa: T201
    check_no_kind_is_rare(judge_cases(seed, CASES), CASES)
