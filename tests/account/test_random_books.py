"""Random accounts against the oracle, a sample; `test_million_books.py` has a million."""

from __future__ import annotations

from collections import Counter
from random import SystemRandom

from tests.account.judge import judge_cases

KINDS = {  # the least share, in thousandths, in which each kind must come
    "admitted": 300,
    "refused": 100,
    "raises nothing": 100,
    "raises the market alone": 5,
    "raises the event alone": 5,
    "reduces once filled": 20,
    "exclusive": 300,
    "exhaustive": 100,
    "no shape": 50,
    "past a limit before": 50,
    "past a limit before, and let in": 10,
    "let in exactly at a limit": 4,
    "some end": 50,
    "some stay": 10,
    "some end, some stay": 5,
    "reduce-only": 50,
    "state": 50,
    "max_worst_case_market_dollars": 20,
    "max_worst_case_event_dollars": 20,
    "max_worst_case_series_dollars": 20,
    "max_worst_case_account_dollars": 20,
    "max_contracts_per_market": 5,
    "max_executions": 5,
    "max_submissions_per_minute": 5,
    "no_new_within_s_of_close": 5,
    "only_series": 2,
    "never_series": 2,
}


def test_random_books_are_as_the_oracle_says() -> None:
    """Figures, decisions and what follows from fills, in ten thousand cases of which no kind is rare."""
    seed = str(SystemRandom().getrandbits(32))
    print(f"seed {seed}")  # noqa: T201
    number = 10_000
    check_no_kind_is_rare(judge_cases(seed, number), number)


def check_no_kind_is_rare(seen: Counter[str], number: int) -> None:
    rare = {kind: seen[kind] for kind, share in KINDS.items() if seen[kind] * 1_000 < share * number}
    assert not rare, (rare, dict(seen))
