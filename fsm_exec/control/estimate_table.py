"""The table of estimates that ships with the package, or another that `fsm-exec fit-estimate` wrote."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from fsm_exec.core.costs.estimate_table import EstimateTable, decode_table
from fsm_exec.core.errors import UserError

SHIPPED: Final = "estimate_table.json"


def load_estimate_table(path: Path | None = None) -> EstimateTable:
    """Read the table at `path`; None is the shipped one. Raises UserError for a file that cannot be read or used."""
    if path is None:
        return decode_table((resources.files(__package__) / SHIPPED).read_bytes(), f"the shipped {SHIPPED}")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}; give a file that fsm-exec fit-estimate wrote"
        ) from error
    return decode_table(text, str(path))
