"""Documents say what is so: links lead somewhere, files, tests, commands and options that they name exist."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import click
import msgspec
import pytest

from fsm_exec.cli.config import Config
from fsm_exec.cli.main import cli
from fsm_exec.cli.setup.setting_words import SETTINGS, TABLES
from tests.house.documents import KINDS, ROOT, Document, documents
from tests.house.test_docstrings import known

EXAMPLE = Config(environment="demo", api_key_id="k", private_key_path="key.pem")
README_MAX = 14_000  # bytes: the front page is read whole, or not at all
ALL = pytest.mark.parametrize("document", documents(), ids=str)


def test_the_front_page_is_short() -> None:
    """What does not fit has a folder it is about."""
    assert len((ROOT / "README.md").read_bytes()) <= README_MAX


def test_each_setting_is_said_in_words() -> None:
    """A setting of the configuration stands in the file that `fsm-exec init` writes, with what it is."""
    named = set(Config.__struct_fields__)
    tables = {name for name in named if isinstance(getattr(EXAMPLE, name), msgspec.Struct)}
    below = {
        f"{table}.{name}"
        for table in tables
        for name in getattr(EXAMPLE, table).__struct_fields__
        if not isinstance(getattr(getattr(EXAMPLE, table), name), dict)
    }
    wrong = (set(TABLES) ^ tables) | (set(SETTINGS) ^ ((named - tables) | below))
    assert wrong == set(), "say each in fsm_exec/cli/setup/setting_words.py, and nothing that is none"


@ALL
def test_links_lead_somewhere(document: Document) -> None:
    """To a file of the repository, and to a heading in it if one is named."""
    assert [link for link in document.links if not leads_somewhere(document, link)] == []


@ALL
def test_files_and_tests_that_are_named_exist(document: Document) -> None:
    """A path in backticks is one of the repository, of the package or of the document's folder, and so is the name
    behind it: `core/execution/advance.py:advance`, `tests/FILE::NAME`. `...` in a test's name is any text."""
    lost = []
    for span in document.spans:
        path, name = re.split(r"::?", f"{span}::", maxsplit=2)[:2]
        if re.fullmatch(r"[\w./-]+\.(?:py|sql|md|toml|cjs)", path) and "/" in path and "NNNN" not in path:
            places = [base / path for base in (ROOT, ROOT / "fsm_exec", document.path.parent)]
            found = [place for place in places if place.exists()]
            if not found or (name and not name.startswith("test_") and not defines(found[0], name)):
                lost.append(span)
        elif re.fullmatch(r"(?:fsm_exec|states|tests)(?:/\w+)+/?", path) and not (ROOT / path).exists():
            lost.append(span)
        named = re.fullmatch(r"(test_[\w.]+)(?:\[.*\])?", name or path)
        if named and not (list((ROOT / "tests").rglob(named[1])) if named[1].endswith(".py") else is_a_test(named[1])):
            lost.append(span)
    assert lost == []


@ALL
def test_names_of_the_code_exist(document: Document) -> None:
    """A class, a method or a called function in backticks is one; words of the wire and of other programs are not asked
    for, and neither is what a test of a chapter runs."""
    if document.path.parent.name == "wire":
        return
    spans = [span for span in document.spans if re.fullmatch(r"[A-Z][a-z]+[A-Z]\w*(?:\.\w+)*|\w+\([^()`]*\)", span)]
    names = {span: set(re.sub(r"\(.*", "", span).split(".")) for span in spans}
    assert [span for span, parts in names.items() if not parts <= known()] == []


@ALL
def test_commands_that_are_named_exist_with_their_options(document: Document) -> None:
    """Those of `fsm-exec` as its own parser knows them; modules and tests that are to be run are there."""
    wrong = [f"{' '.join(command)}: {why}" for command in document.commands() if (why := fault_of(command))]
    assert wrong == []


def test_the_container_is_made_of_what_there_is() -> None:
    """What its file copies exists, and the commands it runs are taken by the program."""
    text = (ROOT / "fsm_exec/cli/setup/Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    copied = [word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert copied
    assert [word for word in copied if not (ROOT / word).exists()] == []
    commands = [json.loads(words) for words in re.findall(r"CMD (\[.*\])$", text, re.MULTILINE)]
    assert len(commands) == 2
    for words in commands:
        assert fault_of_click(cli, words[1:] if words[0] == "fsm-exec" else words) is None


@ALL
def test_blocks_say_what_becomes_of_them(document: Document) -> None:
    """Run, kept running, not run and why, or no command at all."""
    assert [block.kind for block in document.blocks if not KINDS.fullmatch(block.kind)] == []


def leads_somewhere(document: Document, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.path.parent / path).resolve() if path else document.path
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in Document(target, target.read_text(encoding="utf-8")).anchors


def defines(path: Path, name: str) -> bool:
    """Whether the module has it, a method by its class."""
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for part in name.split("."):
        kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = [node for node in body if isinstance(node, kinds) and node.name == part]
        if not found:
            return False
        body = found[0].body
    return True


def is_a_test(name: str) -> bool:
    pattern = name.replace("...", "*")
    return any(fnmatchcase(test, pattern) for test in names_of_tests())


@cache
def names_of_tests() -> frozenset[str]:
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.add(node.name)
    return frozenset(found)


def fault_of(command: Sequence[str]) -> str | None:
    match command:
        case ["fsm-exec", *words]:
            return fault_of_click(cli, list(words))
        case ["python", "-m", "pytest", *words] | ["pytest", *words]:
            return fault_of_pytest(words)
        case ["python", "-m", ("venv" | "pip" | "build"), *_] | ["python", ("-" | "-c"), *_]:
            return None
        case ["python", "-m", str(module), *words]:
            path = (ROOT / module.replace(".", "/")).with_suffix(".py")
            return fault_of_module(path, words)
        case ["python", str(script), *_]:
            return None if (ROOT / script).exists() or "." not in script else f"no file {script}"
        case _:
            return None


def fault_of_click(command: click.Command, words: list[str]) -> str | None:
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return f"no command {words[0]!r}"
        command, words = found, words[1:]
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    room = sum(99 if part.nargs == -1 else part.nargs for part in command.params if isinstance(part, click.Argument))
    while words:
        word, words = words[0], words[1:]
        if not re.match(r"--?[a-z]", word):
            room -= 1
            continue
        name, _, value = word.partition("=")
        if name in ("--help", "-h", "--version"):
            continue
        option = options.get(name)
        if not isinstance(option, click.Option):
            return f"no option {name}"
        if not option.is_flag and not option.count:
            value, words = (value, words) if value else (words[0] if words else "", words[1:])
            if isinstance(option.type, click.Choice) and value.islower() and value not in option.type.choices:
                return f"{name} knows no {value!r}"
    return None if room >= 0 else "too many words"


def fault_of_pytest(words: Sequence[str]) -> str | None:
    takes_one = {"-n", "-m", "-k", "--dist", "-p"}
    words = [word for place, word in enumerate(words) if place == 0 or words[place - 1] not in takes_one]
    for word in words:
        if word.startswith("-") or word.isupper():
            continue
        path, _, name = word.partition("::")
        if not (ROOT / path).exists():
            return f"no {path}"
        if name and not is_a_test(name):
            return f"no test {name}"
    return None


def fault_of_module(path: Path, words: Sequence[str]) -> str | None:
    if not path.exists():
        return f"no module {path.relative_to(ROOT)}"
    text = path.read_text(encoding="utf-8")
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    return next((f"no option {flag}" for flag in flags if f'"{flag}"' not in text), None)
