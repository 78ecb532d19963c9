"""The package of the document on algorithms, written out word for word."""

from __future__ import annotations

from pathlib import Path

from tests.house.documents import ROOT, Document

DOCUMENT = ROOT / "fsm_exec" / "algorithms" / "README.md"
NAME = "bid_follower"


def write_package(directory: Path, version: str = "1.0") -> Path:
    """The document's module and its project file; returns the directory."""
    blocks = {block.kind: block.text for block in Document(DOCUMENT, DOCUMENT.read_text(encoding="utf-8")).blocks}
    directory.mkdir(exist_ok=True)
    (directory / f"{NAME}.py").write_text(blocks["python"], encoding="utf-8")
    project = blocks["toml"].replace('version = "1.0"', f'version = "{version}"')
    (directory / "pyproject.toml").write_text(project, encoding="utf-8")
    return directory
