"""axe-core knows what a screen reader and weak eyes need; it is fetched once with npm, into a folder git ignores."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.support import ROOT
from tests.web.browser.pages import Visit

PACKAGE: Final = "axe-core@4"
FOLDER: Final = ROOT / ".axe-core"
FETCH_S: Final = 120
GRAVE: Final = ("serious", "critical")


def load_axe() -> str:
    """Its script. The test is skipped where it cannot be had."""
    script = FOLDER / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("no npm on this machine to fetch axe-core with")
        FOLDER.mkdir(exist_ok=True)
        try:
            done = subprocess.run(
                [npm, "pack", PACKAGE, "--silent", "--pack-destination", str(FOLDER)],
                capture_output=True,
                text=True,
                timeout=FETCH_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"axe-core could not be fetched within {FETCH_S} s")
        if done.returncode != 0:
            pytest.skip(f"axe-core could not be fetched: {done.stderr.strip()[-200:]}")
        _take_out(FOLDER / done.stdout.split()[-1], script)
    return script.read_text(encoding="utf-8")


def _take_out(archive: Path, script: Path) -> None:
    with tarfile.open(archive) as packed:
        found = packed.extractfile("package/axe.min.js")
        assert found is not None, archive
        whole = script.with_suffix(".part")
        whole.write_bytes(found.read())
        whole.rename(script)


def find_faults(visit: Visit, axe: str) -> list[str]:
    """The serious and critical faults of the page as it is now, each with where it is."""
    visit.page.evaluate(axe)
    found: dict[str, Any] = visit.value("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]
