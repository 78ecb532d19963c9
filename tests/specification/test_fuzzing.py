"""A machine that knows the tables asks the exchange for all they list, rightly and wrongly. Minutes; extra `fuzz`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.specification.fuzzing import fuzz
from tests.specification.openapi import document
from tests.specification.operations import OPERATIONS

SEED = 20_261_129
KNOWN = {name: ["x"] for name in ("ticker", "event_ticker", "series_ticker", "order_id", "order_group_id")}


def test_the_document_lists_every_operation() -> None:
    """Each once, with its own answer and the refusals."""
    paths = document(KNOWN)["paths"]
    made = {each["operationId"]: each for methods in paths.values() for each in methods.values()}
    assert set(made) == {operation.name for operation in OPERATIONS}
    assert set(made["CreateOrderV2"]["responses"]) == {"201", "400", "401", "403", "404", "409", "429"}


@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="pip install -e '.[fuzz]' to fuzz")
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """No 5xx, no answer that the tables do not have, no call without a signature; the seed is in what is printed."""
    code, printed = fuzz(tmp_path, seconds=120, seed=SEED, examples=15)
    assert code == 0, printed
    assert f"Selected: {len(OPERATIONS)}/{len(OPERATIONS)}" in printed
    assert f"Seed: {SEED}" in printed
