"""Foreign text, made fit to be shown: what an exchange, a file or a caller wrote may hold a terminal's own commands.

One rule for every surface. Whatever does not print (control characters of both ranges, ESC and BEL among them, marks
that turn the direction of writing, characters without width, lone surrogates, what is not assigned) is shown as `?`;
every kind of space and line end as a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MARK: Final = "?"
_PLAIN: Final = re.compile(r"[ -~]*")
_WORD: Final = re.compile(r"[!-~]*")
_ESCAPED: Final = re.compile(r"[^ -~\n]")


FAILURE_CHARS_MAX = 1_000


def clean(text: str) -> str:
    """On one line, of the same length."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(char if char.isprintable() else " " if char.isspace() else MARK for char in text)


def one_line(text: str) -> str:
    """As `clean`, and every run of spaces is one."""
    if _WORD.fullmatch(text):
        return text
    return " ".join(clean(text).split())


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return `; did you mean twap?` for what is nearly one of `known`, else `;`: to go on a message with."""
    from difflib import get_close_matches  # seldom needed, and not free to load

    nearest = get_close_matches(given[:100].lower(), sorted(known), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ";"


def describe_failure(failure: BaseException) -> str:
    """Return its type and its message on one line of a bounded length: an algorithm of others may raise anything."""
    message = one_line(str(failure)[: 4 * FAILURE_CHARS_MAX])
    shown = message if len(message) <= FAILURE_CHARS_MAX else f"{message[:FAILURE_CHARS_MAX]}..."
    return f"{type(failure).__name__}: {shown}"


def clean_lines(text: str) -> str:
    """As `clean`, of text of our own that has several lines."""
    return "\n".join(clean(line) for line in text.split("\n"))


def escaped_json(text: str) -> str:
    """JSON without a character that does not print: each becomes its escape, so nothing is lost."""
    if text.isascii() and "\x7f" not in text:  # the rest of what does not print is escaped in any JSON
        return text

    def escape(found: re.Match[str]) -> str:
        char = found[0]
        if char.isprintable():
            return char
        code = ord(char)
        if code < 0x1_0000:
            return f"\\u{code:04x}"
        high, low = divmod(code - 0x1_0000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"

    return _ESCAPED.sub(escape, text)
