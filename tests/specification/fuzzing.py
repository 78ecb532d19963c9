"""schemathesis against the paper exchange: every call the tables list, with what fits their types and what does not.

    python -m tests.specification.fuzzing --seconds 300 [--seed N]

It runs as a process of its own (extra `fuzz`) on an exchange in another. Its phases: examples, coverage of each bound
and type, fuzzing. Stateful testing is left out: the tables name no links. What it looks for: a 5xx, a status, a type
of content or a body that the tables do not have, a wrong request that is accepted, a signature that is not asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fsm_exec.paper.ids import named_id
from tests.specification.openapi import document

ROOT: Final = Path(__file__).parents[2]
SERVE: Final = ROOT / "tests" / "conformance" / "serve.py"
SERVED_SEED: Final = 3
PHASES: Final = "examples,coverage,fuzzing"
CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"
)
GIVEN: Final = "FSM_EXEC_FUZZED_KEY"  # what the hooks are told: JSON with the key's id and path


@contextmanager
def exchange(directory: Path) -> Iterator[dict[str, Any]]:
    """What a running exchange printed when it was ready."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(SERVE), str(directory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, "the exchange did not start"
            yield json.loads(line)
        finally:
            process.communicate()
    assert process.returncode == 0, "the exchange ended with an error"


def fuzz(directory: Path, *, seconds: int, seed: int, examples: int) -> tuple[int, str]:
    """schemathesis's exit code and what it printed."""
    with exchange(directory) as given:
        ticker = given["markets"][0]
        known = {
            "ticker": [*given["markets"], ticker.rpartition("-")[0]],
            "event_ticker": [ticker.rpartition("-")[0]],
            "series_ticker": [ticker.partition("-")[0]],
            # The exchange's ids follow from its seed: these are the first orders and groups that are made here.
            "order_id": [named_id(f"{SERVED_SEED}:order:{number}") for number in range(1, 6)],
            "order_group_id": [named_id(f"{SERVED_SEED}:group:{number}") for number in range(1, 4)],
            "price": ["0.30", "0.4500", "0.53"],
            "count": ["1", "2.50", "40"],
        }
        file = directory / "openapi.json"
        file.write_text(json.dumps(document(known)), encoding="utf-8")
        root = given["rest_url"].removesuffix("/trade-api/v2")
        options = [f"--max-time={seconds}", f"--seed={seed}", f"--max-examples={examples}", "--continue-on-failure"]
        choices = [f"--phases={PHASES}", f"--checks={CHECKS}", "--warnings=off", "--suppress-health-check=all"]
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(file), f"--url={root}", *options, *choices]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.specification.signing_hooks",
            GIVEN: json.dumps(given["members"]["rich"]),
        }
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return done.returncode, done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--examples", type=int, default=100, help="per operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        code, printed = fuzz(Path(directory), seconds=options.seconds, seed=options.seed, examples=options.examples)
    sys.stdout.write(printed)
    return code


if __name__ == "__main__":
    sys.exit(main())
