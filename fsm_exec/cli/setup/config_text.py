"""Writes a configuration as text: what was chosen as lines that hold, all else as lines that would change nothing.

A line that begins with `#` and a name shows the default, taken from the settings themselves; one that is off unless it
is given shows an example, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from fsm_exec.cli.config import Config
from fsm_exec.cli.setup.setting_words import NAMED_TABLES, SETTINGS, TABLES

HEAD: Final = """\
# Written by: fsm-exec init. What stands behind a "#" and a name holds without the line, or is off where it says so;
# take the "#" away to change it. Prices, counts and money are whole; the unit stands in the name.
# After a change: fsm-exec doctor, then start fsm-exec serve again.
"""
WORDS_FROM: Final = 44  # the column at which the words begin, where there is room
REQUIRED: Final = ("environment", "api_key_id", "private_key_path")
OFF: Final = "off; "


def config_text(chosen: Config) -> str:
    """Return the text that `load_config` reads as `chosen`."""
    required = {name: getattr(chosen, name) for name in REQUIRED}
    without = Config(**required)
    lines = [HEAD]
    tables = []
    for name in Config.__struct_fields__:
        value, default = getattr(chosen, name), getattr(without, name)
        if isinstance(value, msgspec.Struct):
            if name == "risk":  # what is not written of it has defaults of its own
                default = without.risk_limits()
            tables += [f"\n# {TABLES[name]}\n[{name}]", *_setting_lines(name, value, default)]
        else:
            lines.append(_setting_line(name, name, value, None if name in REQUIRED else default))
    return "\n".join([*lines, *tables]) + "\n"


def _setting_lines(table: str, value: msgspec.Struct, default: msgspec.Struct) -> Iterator[str]:
    channels: list[str] = []
    for name in value.__struct_fields__:
        place = f"{table}.{name}"
        mine, without = getattr(value, name), getattr(default, name)
        if isinstance(mine, Mapping):
            channels.append(f"\n{NAMED_TABLES[place].rstrip()}")
        else:
            yield _setting_line(place, name, mine, without)
    yield from channels  # a table of its own: after all that belongs to this one


def _setting_line(place: str, name: str, value: object, default: object) -> str:
    words = SETTINGS[place]
    if value is not None and value != default:
        return _beside(f"{name} = {toml_value(value)}", words.text)
    if default is not None:
        return _beside(f"#{name} = {toml_value(default)}", words.text)
    return _beside(f"#{name} = {words.example}", f"{OFF}{words.text}")


def _beside(line: str, words: str) -> str:
    return f"{line:<{WORDS_FROM}}  # {words}"


def toml_value(value: object) -> str:
    """Return a setting's value as TOML writes it; a text in JSON is one in TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple() | list():
            return f"[{', '.join(toml_value(one) for one in value)}]"
        case _:
            raise TypeError(f"a setting of type {type(value).__name__} is not written")
