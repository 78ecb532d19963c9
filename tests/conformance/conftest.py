"""Clients that were not written here, in an interpreter of their own: found, not assumed.

They need Python 3.13 or newer. The interpreter is looked for on PATH and among pyenv's versions; their packages are
installed once into a cache in the temporary directory. Without an interpreter, or without a network for the first
installation, the tests are skipped and say why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NEWEST, OLDEST = 19, 13
PACKAGES = ("kalshi-python-sync==3.34.0", "kalshi-sdk==22.4.0")
INSTALL_S = 300
SCRIPT_S = 120

Run = Callable[[str, dict[str, Any]], dict[str, str]]


def _interpreter() -> str | None:
    """A Python of at least 3.13 that runs, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [f"python3.{minor}" for minor in range(NEWEST, OLDEST - 1, -1)]
    found = [path for name in names if (path := shutil.which(name)) is not None]
    found += [str(path) for name in names for path in sorted(pyenv.glob(f"*/bin/{name}"))]
    for path in found:
        if subprocess.run([path, "-c", "import ssl, venv"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def _python_of(home: Path) -> Path:
    return home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture(scope="session")
def newer_python() -> Path:
    """The interpreter of a virtual environment in which the clients are installed."""
    base = _interpreter()
    if base is None:
        pytest.skip("no Python 3.13 or newer: the official client needs one (looked on PATH and in pyenv's versions)")
    version = subprocess.run([base, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    key = "-".join(package.replace("==", "-") for package in PACKAGES)
    home = Path(tempfile.gettempdir()) / f"fsm-exec-conformance-{os.getuid()}" / f"{version}-{key}"
    done = home / "installed"
    if not done.exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([base, "-m", "venv", str(home)], check=True, capture_output=True)
        install = [str(_python_of(home)), "-m", "pip", "install", "--quiet", *PACKAGES]
        try:
            answer = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"the clients could not be installed within {INSTALL_S} s")
        if answer.returncode != 0:
            pytest.skip(f"the clients could not be installed: {answer.stderr.strip().splitlines()[-1:]}")
        done.touch()
    return _python_of(home)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A running exchange: what it printed when it was ready."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(HERE / "serve.py"), str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, "the exchange did not start"
            yield msgspec.json.decode(line)
        finally:
            process.communicate()
    assert process.returncode == 0


@pytest.fixture
def run(newer_python: Path) -> Run:
    """Run one of the scripts against an exchange; it answers with what each of its checks found, "ok" if all was
    well."""

    def run(script: str, exchange: dict[str, Any]) -> dict[str, str]:
        answer = subprocess.run(
            [str(newer_python), "-W", "error::ResourceWarning", str(HERE / script), msgspec.json.encode(exchange)],
            capture_output=True,
            text=True,
            timeout=SCRIPT_S,
            check=False,
            env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        )
        assert answer.returncode == 0, answer.stderr[-4_000:]
        return msgspec.json.decode(answer.stdout.splitlines()[-1], type=dict[str, str])

    return run
