"""Clients that were not written here, in interpreters of their own: found, not assumed.

Those in Python need 3.13 or newer, looked for on PATH and among pyenv's versions; the one in TypeScript needs Node 18
or newer, with npm. Their packages are installed once into a cache in the temporary directory. Without an interpreter,
or without a network for the first installation, the tests are skipped and say why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NEWEST, OLDEST = 19, 13
PACKAGES = ("kalshi-python-sync==3.34.0", "kalshi-python-async==3.34.0", "kalshi-sdk==22.4.0", "pykalshi==2.0.0")
NODE_OLDEST = 18
NODE_PACKAGE = "kalshi-typescript@3.30.0"
INSTALL_S = 300
SCRIPT_S = 120


class Node(NamedTuple):
    """The program, and where its scripts find the client."""

    program: str
    modules: Path


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


def _cache(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"fsm-exec-conformance-{os.getuid()}" / name


def _install(home: Path, *commands: Sequence[str]) -> None:
    """Run the commands, once for each `home`; skips the test if they cannot be."""
    done = home / "installed"
    if done.exists():
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    for command in commands:
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False, cwd=home)
        except subprocess.TimeoutExpired:
            pytest.skip(f"the clients could not be installed within {INSTALL_S} s")
        if answer.returncode != 0:
            pytest.skip(f"the clients could not be installed: {answer.stderr.strip().splitlines()[-1:]}")
    done.touch()


@pytest.fixture(scope="session")
def newer_python() -> Path:
    """The interpreter of a virtual environment in which the clients are installed."""
    base = _interpreter()
    if base is None:
        pytest.skip("no Python 3.13 or newer: the official client needs one (looked on PATH and in pyenv's versions)")
    version = subprocess.run([base, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    key = "-".join(package.replace("==", "-") for package in PACKAGES)
    home = _cache(f"{version}-{key}")
    python = _python_of(home / "venv")
    _install(
        home,
        [base, "-m", "venv", str(home / "venv")],
        [str(python), "-m", "pip", "install", "--quiet", *PACKAGES],
    )
    return python


@pytest.fixture(scope="session")
def node() -> Node:
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        pytest.skip("no node and npm on PATH: the client in TypeScript needs both")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_OLDEST:
        pytest.skip(f"node {version} is too old: the client in TypeScript needs {NODE_OLDEST}")
    home = _cache(f"{version}-{NODE_PACKAGE}")
    _install(home, [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), NODE_PACKAGE])
    return Node(program, home / "node_modules")


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
    """Run one of the Python scripts against an exchange; it answers with what each of its checks found, "ok" if all
    was well."""
    return partial(_run, [str(newer_python), "-W", "error::ResourceWarning"], {})


@pytest.fixture
def run_node(node: Node) -> Run:
    """The same for a script of Node."""
    return partial(_run, [node.program], {"NODE_PATH": str(node.modules)})


def _run(command: list[str], more: dict[str, str], script: str, exchange: dict[str, Any]) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    answer = subprocess.run(
        [*command, str(HERE / script), msgspec.json.encode(exchange)],
        capture_output=True,
        text=True,
        timeout=SCRIPT_S,
        check=False,
        env={**environment, **more},
    )
    assert answer.returncode == 0, answer.stderr[-4_000:]
    return msgspec.json.decode(answer.stdout.splitlines()[-1], type=dict[str, str])
