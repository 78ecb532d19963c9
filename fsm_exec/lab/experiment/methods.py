"""Methods of an experiment, by name: those of each algorithm there is, and any with settings of its own.

`deadline_walker[a0=0.7;g=3]` is the algorithm of that name with two settings changed and the rest as they are by
default; `deadline_walker@2[...]` has the rest as in that version. The text is the method: experiments store it as its
full name, so results say what was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fsm_exec.algorithms import Method
from fsm_exec.algorithms.versions import version_meant, versions_of
from fsm_exec.core.errors import UserError
from fsm_exec.core.text import suggestion
from fsm_exec.plugins import installed

_WITH_SETTINGS = re.compile(r"([a-z][a-z0-9_]*)(?:@([0-9]{1,9}))?\[([^\[\]]*)\]", re.ASCII)
_BETWEEN_NAMES = re.compile(r",(?![^\[]*\])")
_INTEGER = re.compile(r"-?[0-9]{1,15}", re.ASCII)


def resolve(name: str) -> Method:
    """The method `NAME`, `NAME@VERSION`, `ALGORITHM[SETTING=VALUE;...]` or `NAME@VERSION[SETTING=VALUE;...]`. Raises
    UserError for one there is not, for settings it does not have, and for values out of bounds."""
    match = _WITH_SETTINGS.fullmatch(name)
    if match is None:
        return _by_name(name)
    family = installed().family(match[1])
    settings: dict[str, object] = {}
    for part in match[3].split(";"):
        key, value = _setting(part, name)
        if key in settings:
            raise UserError(f"method {name!r}: {key} is set twice; give it once")
        settings[key] = value
    base = {} if match[2] is None else _settings_of(match[1], match[2])
    return family.method(name, 1, {**base, **settings})


def _by_name(name: str) -> Method:
    """A version of an algorithm's own method. Raises UserError."""
    algorithm, at, version = name.partition("@")
    known = installed().names
    if algorithm not in known:
        nearly = suggestion(algorithm, known)
        raise UserError(f"unknown method {name!r}{nearly} choose one of: {', '.join(sorted(known))}")
    number = version if at else str(version_meant(algorithm))
    settings = _settings_of(algorithm, number)
    return installed().family(algorithm).method(algorithm, int(number), settings)


def _settings_of(algorithm: str, version: str) -> Mapping[str, object]:
    """The settings of a version of an algorithm's own method. Raises UserError."""
    versions = versions_of(algorithm)
    for number, settings in versions.items():
        if version == str(number):
            return settings
    have = ", ".join(f"{algorithm}@{number}" for number in versions)
    raise UserError(f"unknown method {algorithm}@{version[:20]}: choose one of: {have}")


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
