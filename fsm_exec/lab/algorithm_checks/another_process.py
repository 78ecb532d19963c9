"""Asks an algorithm again, in a process of its own and in reverse order: only what is in the arguments may matter.

What it kept from earlier questions, in a module or in an object, is another there; so is the order of a set of text.
Run as a module it is that process: it reads the questions from its input and writes the answers to its output.
"""

from __future__ import annotations

import os
import pickle  # between two processes of our own; nothing from outside is ever read so
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec

from fsm_exec.algorithms import AnyFamily, Method

WITHIN_S: Final = 120


class Question(NamedTuple):
    """Which of the two functions was asked, of a method with which settings, and with what."""

    function: str
    settings: Mapping[str, object]
    arguments: tuple[Any, ...]


class ReplayFailed(Exception):
    """The other process could not ask; the message says why."""


def recording(
    method: Method, settings: Mapping[str, object], questions: list[Question], answers: list[bytes]
) -> Method:
    """The same method; what it is asked and what it answers is added to the lists."""

    def note(function: str, *arguments: Any) -> Any:  # noqa: ANN401 - whatever it is asked
        answer = getattr(method, function)(*arguments)
        questions.append(Question(function, dict(settings), arguments))
        answers.append(as_bytes(answer))
        return answer

    return replace(
        method,
        plan_bound=lambda goal, view: note("plan", goal, view),
        replan_bound=lambda progress, view: note("replan", progress, view),
    )


def as_bytes(answer: object) -> bytes:
    """Comparable, with the kind of each wish."""
    parts = answer if isinstance(answer, tuple) else (answer,)
    return msgspec.json.encode([[type(part).__name__, part] for part in parts])


def ask_again(family: AnyFamily, questions: Sequence[Question]) -> list[bytes]:
    """The answers, in the order of the questions. Raises NotAsked."""
    try:
        asked = pickle.dumps((family, list(questions)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ReplayFailed(f"its functions and its Config must stand at the top of a module: {error}") from error
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "random"}
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=asked, capture_output=True, check=False, env=environment,
        timeout=WITHIN_S,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ReplayFailed(f"asked in another process it fails: {said[-1] if said else done.returncode}")
    answers: list[bytes] = pickle.loads(done.stdout)
    return answers


def main() -> None:
    """The other process."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the algorithm prints is not an answer
    family, questions = pickle.load(sys.stdin.buffer)
    answers = [_answer(family, question) for question in reversed(questions)]
    with out:
        out.write(pickle.dumps(answers[::-1]))


def _answer(family: AnyFamily, question: Question) -> bytes:
    method = family.method(family.name, 1, question.settings)
    return as_bytes(getattr(method, question.function)(*question.arguments))


if __name__ == "__main__":
    main()
