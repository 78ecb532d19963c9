"""The units that let systemd start, watch and restart a daemon: a user's own, or the system's.

A user's manager may not take as much away from a service as the system's, so a unit of the system has more of it
(`units/only_system.txt`). The templates lie in `units`; a test has them verified by systemd itself.
"""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final, Literal, TypeAlias

from fsm_exec.cli.setup.pair_units import PairUnits
from fsm_exec.cli.setup.private_files import save_new
from fsm_exec.control.paths import data_directory, ensure_directory, state_directory
from fsm_exec.core.errors import UserError

Manager: TypeAlias = Literal["user", "system"]
DAEMON: Final = "fsm-exec.service"
PAPER: Final = "fsm-exec-paper.service"
STANDBY: Final = "fsm-exec-standby.service"
COPYING: Final = "fsm-exec-litestream.service"
READABLE: Final = 0o644  # no secret is in a unit
DIRECTORIES: Final = ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that say where files lie: a service has none of a login's."""


def save_units(
    manager: Manager,
    config: Path,
    environment: str,
    paper: Sequence[str] | None,
    pair: PairUnits,
    *,
    follows: bool = False,
) -> tuple[dict[str, Path], list[str]]:
    """Save the unit of the daemon that works `config`, with the arguments `paper` that of its exchange, and in a pair
    that of Litestream; where this host `follows`, that of the standby alone. Return where they lie, and the commands
    that start them. Raises UserError, for one that is there already too."""
    directory = _user_units() if manager == "user" else config.parent
    ensure_directory(directory)
    for own in (state_directory(), data_directory()):
        ensure_directory(own)  # a service that may write nowhere else cannot make them itself
    serve = [*program(), "serve", "--config", str(config)]
    after = PAPER if paper else ""
    names = (*DIRECTORIES, *pair.variables)
    wanted = {DAEMON: unit_text(DAEMON, manager, serve, environment, after=after, written=pair.written, names=names)}
    if paper:
        wanted[PAPER] = unit_text(PAPER, manager, [*program(), *paper], environment)
    if pair.copying:
        wanted[COPYING] = unit_text(COPYING, manager, pair.copying, environment, written=pair.copied, names=names)
    if follows:
        if not (pair.copying and pair.lease):
            raise UserError("a standby needs lease and replica: give both in the table [standby]")
        follow = [*program(), "standby", "--config", str(config), "--litestream", pair.copying[0]]
        wanted = {STANDBY: unit_text(STANDBY, manager, follow, environment, written=pair.written, names=names)}
    there = [directory / name for name in wanted if os.path.lexists(directory / name)]
    if there:
        raise UserError(f"{there[0]} is there already and stays as it is; remove it to have it written anew")
    places = {}
    for name, text in wanted.items():
        places[name] = directory / name
        save_new(places[name], text.encode(), mode=READABLE)
    return places, _commands(manager, places)


def unit_text(
    name: str,
    manager: Manager,
    command: Sequence[str],
    environment: str,
    *,
    after: str = "",
    written: Sequence[Path] = (),
    names: Sequence[str] = DIRECTORIES,
) -> str:
    """Return the text of a unit that runs `command`, and starts the unit `after` with it, before itself. It may write
    to the directories `written`, beside the daemon's own; variables of `names` are as they are here."""
    units = resources.files("fsm_exec.cli.setup") / "units"
    only_system = Template((units / "only_system.txt").read_text(encoding="utf-8")).substitute(
        user=getpass.getuser(),
        written=" ".join(_word(str(one)) for one in (state_directory(), data_directory(), *written)),
    )
    variables = [f"Environment={_word(f'{name}={os.environ[name]}')}" for name in names if os.environ.get(name)]
    return Template((units / name).read_text(encoding="utf-8")).substitute(
        environment=environment,
        after=f" {after}" if after else "",
        command=" ".join(_word(word, in_command=True) for word in command),
        variables="\n".join(variables),
        only_system=only_system.rstrip() if manager == "system" else "",
        target="default.target" if manager == "user" else "multi-user.target",
    )


def program() -> tuple[str, ...]:
    """Return how this very installation is started, whatever the path of a service is."""
    script = Path(sys.executable).with_name("fsm-exec")
    return (str(script),) if os.access(script, os.X_OK) else (sys.executable, "-m", "fsm_exec")


def _word(text: str, *, in_command: bool = False) -> str:
    """Return a word as systemd reads it. Raises UserError for one that no unit can have."""
    if any(ord(one) < ord(" ") for one in text):
        raise UserError(f"{text!r} cannot stand in a unit; give another path")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if in_command:
        escaped = escaped.replace("$", "$$")
    return f'"{escaped}"' if any(one in text for one in " \"'\\;$") else escaped


def _user_units() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "systemd" / "user"


def _commands(manager: Manager, places: dict[str, Path]) -> list[str]:
    names = " ".join(sorted(places))
    if manager == "user":
        return [
            f"systemctl --user daemon-reload && systemctl --user enable --now {names}",
            "loginctl enable-linger    # or it ends with your last login",
        ]
    files = " ".join(shlex.quote(str(path)) for _, path in sorted(places.items()))
    return [
        f"sudo install -m 644 {files} /etc/systemd/system/",
        f"sudo systemctl daemon-reload && sudo systemctl enable --now {names}",
    ]
