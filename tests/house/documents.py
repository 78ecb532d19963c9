"""The documents of the repository, taken apart: links, anchors, commands, blocks. Nothing is run here.

A fenced block says by its first line what becomes of it in the tests:

    ```sh                       run, in the order of the document
    ```sh terminal              started in a terminal of its own, which is left open until the document's end
    ```sh not run: why          looked at only: its commands, options and files must exist
    ```python script            run as a script, in its turn
    ```python                   a part of a program; the chapter has a test of its own
    ```text                     what was printed

Ports 8765 and 8766 in a block that is run become free ones.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS = re.compile(r"sh|sh terminal|sh not run: \S.*|python|python script|toml|json|text")
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
PROGRAMS = ("fsm-exec", "pytest", "python")


@dataclass(frozen=True)
class Block:
    kind: str
    text: str

    @property
    def is_run(self) -> bool:
        return self.kind in ("sh", "sh terminal", "python script")

    @property
    def is_shell(self) -> bool:
        return self.kind.split(" ")[0] == "sh"


@dataclass(frozen=True)
class Document:
    path: Path
    text: str

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def blocks(self) -> list[Block]:
        return [Block(match[1].strip(), match[2]) for match in FENCE.finditer(self.text)]

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """The names a forge gives to the headings."""
        found: dict[str, int] = {}
        names = set()
        for heading in re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
            slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
            again = found.get(slug, 0)
            found[slug] = again + 1
            names.add(f"{slug}-{again}" if again else slug)
        return names

    @property
    def links(self) -> list[str]:
        """Targets of the links to files of the repository and to headings."""
        targets = re.findall(r"\]\(([^)\s]+)\)", self.prose)
        return [target for target in targets if not re.match(r"[a-z]+:", target)]

    @property
    def spans(self) -> list[str]:
        """What stands in backticks in the prose, on one line."""
        return [span.replace("\n", " ") for span in SPAN.findall(self.prose)]

    def commands(self) -> Iterator[list[str]]:
        """The words of each command of ours, in blocks of the shell and in the prose."""
        for block in self.blocks:
            if block.is_shell:
                yield from commands_in(block.text)
        for span in self.spans:
            for alternative in _alternatives(span):
                yield from commands_in(alternative)


def documents() -> list[Document]:
    """All that belong to the repository; `state_diagrams` are drawn, and have tests of their own."""
    found = [
        ROOT / "README.md",
        *(path for room in ("fsm_exec", "states", "tests") for path in (ROOT / room).rglob("*.md")),
    ]
    return [Document(path, path.read_text(encoding="utf-8")) for path in sorted(found)]


def commands_in(text: str) -> Iterator[list[str]]:
    """The commands of ours in a script, each as its words; those inside of `$(...)` too."""
    for line in text.replace("\\\n", "").splitlines():
        words: list[str] = []
        for word in [*_words_of(line), ";"]:
            for inner in re.findall(r"\$\((.*)\)", word):
                yield from commands_in(inner)
            if set(word) <= set("();&|<>$"):
                yield from _one_of_ours(words)
                words = []
            else:
                words.append(word)


def _words_of(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return list(lexer)


def _one_of_ours(words: list[str]) -> Iterator[list[str]]:
    words = list(dropwhile(re.compile(r"[A-Z_]+=.*").fullmatch, words))
    if words and (program := words[0].removeprefix(".venv/bin/").removesuffix("3")) in PROGRAMS:
        yield [program, *words[1:]]


def _alternatives(span: str) -> list[str]:
    """`methods list|show NAME [--db F]` is two commands, and what may be left out is there."""
    if not span.startswith(PROGRAMS):
        return []
    plain = span.replace("[--", "--").replace("]", "").replace("...", "")
    words = plain.split(" ")
    for place, word in enumerate(words):
        if re.fullmatch(r"[a-z]+(\|[a-z]+)+", word) and not words[place - 1].startswith("--"):
            return [" ".join([*words[:place], one, *words[place + 1 :]]) for one in word.split("|")]
    return [re.sub(r"\|\S+", "", plain)]
