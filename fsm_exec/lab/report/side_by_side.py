"""Executions side by side: what several methods did with the same episode, one picture after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fsm_exec.lab.report.execution import PICTURE_AND_COST, execution_sections
from fsm_exec.lab.report.page import Section


def side_by_side_sections(database: Path, execution_ids: Sequence[str]) -> list[Section]:
    """The picture and the cost of each execution. Raises UserError and CorruptSnapshot as `execution_sections`."""
    found = []
    for execution_id in execution_ids:
        _, facts, sections = execution_sections(database, execution_id, None)
        method, _, _ = dict(facts)["method"].partition(":")  # without its settings
        found += [
            section._replace(title=f"{execution_id}, {method}. {section.title}")
            for section in sections[:PICTURE_AND_COST]
        ]
    return found
