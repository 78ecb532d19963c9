"""Methods of an experiment, by name: those of each algorithm there is, and any with settings of its own.

`deadline_walker[a0=0.7;g=3]` is the algorithm of that name with two settings changed and the rest as they are by
default. The text is the method: experiments store it as its full name, so results say what was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fsm_exec.algorithms import Method
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import suggestion
from fsm_exec.plugins import installed

_WITH_SETTINGS = re.compile(r"([a-z][a-z0-9_]*)\[([^\[\]]*)\]", re.ASCII)
_BETWEEN_NAMES = re.compile(r",(?![^\[]*\])")
_INTEGER = re.compile(r"-?[0-9]{1,15}", re.ASCII)


def resolve(name: str) -> Method:
    """The method `NAME`, `NAME@VERSION` or `ALGORITHM[SETTING=VALUE;...]`. Raises UserError for one there is not, for
    settings it does not have, and for values out of bounds."""
    match = _WITH_SETTINGS.fullmatch(name)
    if match is None:
        return _by_name(name)
    family = installed().family(match[1])
    settings: dict[str, object] = {}
    for part in match[2].split(";"):
        key, value = _setting(part, name)
        if key in settings:
            raise UserError(f"method {name!r}: {key} is set twice; give it once")
        settings[key] = value
    return family.method(name, 1, settings)


def _by_name(name: str) -> Method:
    """An algorithm with its defaults, which is version 1 of the method of its name. Raises UserError."""
    algorithm, at, version = name.partition("@")
    known = installed().names
    if algorithm not in known or (at and version != "1"):
        nearly = suggestion(algorithm, known)
        raise UserError(f"unknown method {name!r}{nearly} choose one of: {', '.join(sorted(known))}")
    return installed().family(algorithm).method(algorithm, 1, {})


def full_name(name: str) -> str:
    """Return a method's name as it is stored: NAME@VERSION, or the text itself if that states its settings. Raises as
    `resolve`."""
    found = resolve(name)
    return name if _WITH_SETTINGS.fullmatch(name) else found.full_name


def split_names(text: str) -> list[str]:
    """Names separated by commas; a comma between brackets is no separator (nor between settings: `resolve` says so)."""
    return [part.strip() for part in _BETWEEN_NAMES.split(text)]


def same_as(name: str, others: Iterable[str]) -> str | None:
    """Which of the others is the same algorithm with the same settings, however written. Raises as `resolve`."""
    found = resolve(name)
    for other in others:
        known = resolve(other)
        if (known.algorithm, known.config) == (found.algorithm, found.config):
            return other
    return None


def with_settings(algorithm: str, settings: dict[str, str]) -> str:
    """The name of an algorithm with these settings."""
    return f"{algorithm}[{';'.join(f'{key}={value}' for key, value in settings.items())}]"


def _setting(text: str, name: str) -> tuple[str, object]:
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals and value) or "," in text:
        raise UserError(f"method {name!r}: {text!r} is no setting; give SETTING=VALUE, separated by semicolons")
    if value in ("true", "false"):
        return key, value == "true"
    return key, int(value) if _INTEGER.fullmatch(value) else value  # other numbers are decimals, and read from text
