"""What is held is counted, and weighed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fsm_exec.runtime.order_names import OrderNames
from tests.soak.month.checks import Sample, growth_findings
from tests.soak.sizes import sizes, weights

NAMES = "OrderNames._client_ids"


def test_what_hangs_on_a_root_is_counted_and_weighed() -> None:
    """Containers by their lengths, and by the bytes of the text that they hold; each thing once."""
    names = OrderNames("abcdefghij")
    before = weights(names)[NAMES]
    for number in range(1_000):
        names.learn(f"name-{number}", f"order-{number}")
    assert sizes(names, names)[NAMES] == 1_000
    text = sum(len(f"order-{number}") + len(f"name-{number}") for number in range(1_000))
    assert weights(names, names)[NAMES] - before > text


def test_bytes_that_grow_are_found_where_nothing_has_more_parts() -> None:
    """A container of as many things, each heavier every day, is a finding that names it."""
    day = Sample(
        held=Counter({"Engine.texts": 3}),
        weight=Counter({"Engine.texts": 1_000}),
        resident_bytes=0,
        tasks=1,
        files=1,
        rows={},
        database_bytes=0,
        cpu_s=0.0,
    )
    assert growth_findings([day] * 3) == []
    (found,) = growth_findings([day, day, replace(day, weight=Counter({"Engine.texts": 200_000}))])
    assert "from 1000 to 200000 bytes: [('Engine.texts', 199000)]" in found
