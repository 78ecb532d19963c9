"""The document on writing an algorithm: the text of its package is run as it stands there."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from fsm_exec.algorithms import AnyFamily
from fsm_exec.lab.algorithm_checks.checking import PROPERTIES, check_algorithm
from fsm_exec.plugins import GROUP
from tests.algorithms.package import NAME, write_package


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyFamily]:
    """What the entry point of the package leads to."""
    project = tomllib.loads((write_package(tmp_path) / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, target),) = project["entry-points"][GROUP].items()
    module, _, attribute = target.partition(":")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        found = getattr(import_module(module), attribute)
        assert found.name == name == NAME
        yield found
    finally:
        del sys.modules[module]


def test_the_example_is_thirty_lines_and_keeps_every_rule(family: AnyFamily, tmp_path: Path) -> None:
    """All properties on fifty tapes with faults and restarts."""
    text = (tmp_path / f"{NAME}.py").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 30
    verdicts = list(check_algorithm(family, 50, 1))
    assert [verdict.why for verdict in verdicts] == [None] * len(PROPERTIES)
