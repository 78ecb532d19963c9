"""What the lab may be quoted for: a method that walks is proposed only where every cell of it lies below zero."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.lab.evidence import Evidence, EvidenceCell, load_shipped_evidence, propose
from fsm_exec.lab.experiment.stored_comparison import load_evidence
from tests.lab.report_sources import experiment

INDEX, GOLD = "INX", "KXGOLD15M"


def cell(product: str, method: str, delta: str, high: str | None, horizon: int = 45) -> EvidenceCell:
    """With an interval that reaches up to `high`."""
    return EvidenceCell(
        product=product, quantity="20", horizon=horizon, method=method, delta=delta, delta_low="-9.0000",
        delta_high=high,
    )  # fmt: skip


SHOWN = [
    cell(INDEX, "passive_mid@1", "0.0000", "0.0000"),
    cell(INDEX, "deadline_walker@1", "-0.2000", "-0.1000"),
    cell(INDEX, "deadline_walker@1", "-0.2400", "-0.1000", 180),
    cell(INDEX, "dynamic_depth_walker@1", "0.0000", "0.0600"),
    cell(INDEX, "static_fraction@1", "-0.9000", "-0.8000"),
    cell(GOLD, "deadline_walker@1", "-0.2200", "0.0800"),
    cell("all", "deadline_walker@1", "-0.2200", "-0.0100"),
]


def evidence(*more: EvidenceCell) -> Evidence:
    return Evidence(baseline="passive_mid@1", cells=[*SHOWN, *more])


def test_what_was_shown_where_it_was_traded_is_proposed() -> None:
    """On the index, where the other walker is not better; a method that does not walk is none of the question."""
    found = propose(evidence(), {INDEX})
    assert found.method == "deadline_walker@1"
    assert found.why == "in the lab deadline_walker@1 cost -0.22 c a contract against passive_mid@1 (INX)"


def test_a_mean_below_zero_is_not_enough() -> None:
    """On gold the interval reaches above zero: nothing is proposed, and how near it came is said."""
    found = propose(evidence(), {GOLD})
    assert found.method is None
    assert found.why == (
        "no method that walks is shown to be cheaper in the lab (KXGOLD15M): deadline_walker@1, the nearest, "
        "-0.22 [-9.00, +0.08] c for 20 in 45 s"
    )


@pytest.mark.parametrize("traded", [set(), {"KXNBAGAME"}, {INDEX, GOLD}])
def test_nothing_is_concluded_from_one_product_for_another(traded: set[str]) -> None:
    """Where nothing was measured, or both were traded, a method must be better on all: pooled figures do not count."""
    assert propose(evidence(), traded).method is None
    everywhere = evidence(cell(GOLD, "follow@1", "-0.1000", "-0.0500"), cell(INDEX, "follow@1", "-0.1000", "-0.0500"))
    assert propose(everywhere, traded).method == "follow@1"


def test_one_cell_that_is_not_better_is_enough_against_it() -> None:
    """So is one in which nothing can be said; and without any method that walks there is nothing to propose."""
    for high in ("0.0000", None):
        worse = cell(INDEX, "deadline_walker@1", "-0.5000", high, 300)
        assert propose(evidence(worse), {INDEX}).method is None
    nothing = propose(Evidence(baseline="passive_mid@1", cells=SHOWN[:1]), {INDEX})
    assert nothing == (None, "the lab has measured no method that walks (INX)")


def test_the_shipped_evidence_can_be_asked() -> None:
    """Of index and gold; the reference design's walker is proposed on neither, nor where nothing was measured."""
    shipped = load_shipped_evidence()
    assert {INDEX, GOLD} <= {c.product for c in shipped.cells}
    assert shipped.baseline == "passive_mid"
    for traded in ({INDEX}, {GOLD}, set[str]()):
        found = propose(shipped, traded)
        assert found.method is None or "depth" not in found.method
        assert found.why


def test_results_of_ones_own_can_be_asked(tmp_path: Path) -> None:
    """The cells are those that `compare` prints; what is no result is refused."""
    experiment(tmp_path)
    own = load_evidence(tmp_path)
    assert own.baseline == "passive_mid@1"
    assert propose(own, set()).method is None  # the drawn walker is a tenth of a cent dearer
    with pytest.raises(UserError, match="cannot read"):
        load_evidence(tmp_path / "none")
