"""`fsm-exec methods` keeps named, versioned, immutable choices of an algorithm and its configuration.

A file for `add` is TOML or JSON: `algorithm = "NAME"` and a table `config`; `--set KEY=VALUE` comes on top of it. It
may say the method's `name`, and what speaks for it (`evidence`, read by people only): that of `fsm-exec tune` does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.algorithms import Method
from fsm_exec.algorithms.algorithm_types import flat_settings
from fsm_exec.algorithms.catalogue import Catalogue, first_rows, row_of
from fsm_exec.algorithms.registry import Origin
from fsm_exec.algorithms.versions import version_meant
from fsm_exec.cli.console import Page
from fsm_exec.cli.database.damage import say_damage
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import SaveRefused, UserError
from fsm_exec.core.journal.rows import MethodRow
from fsm_exec.core.values.field_names import suggest_name
from fsm_exec.lab.experiment.methods import with_settings
from fsm_exec.plugins import installed
from fsm_exec.runtime.system_time import system_us
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads import observations
from fsm_exec.store.reads.method_rows import add_method, read_methods

FILE_MAX_BYTES = 65_536
_JSON: msgspec.json.Decoder[object] = msgspec.json.Decoder(object, float_hook=str)


class MethodStore(Protocol):
    async def load_methods(self) -> list[MethodRow]: ...
    async def save_methods(self, rows: Sequence[MethodRow], at_us: int) -> None: ...


class MethodFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    algorithm: str
    config: dict[str, object] = {}
    name: str | None = None
    evidence: dict[str, object] = {}


class MethodSpec(msgspec.Struct, frozen=True):
    """The method that `add` is to make, from file and options together."""

    name: str
    algorithm: str
    config: dict[str, object]


def method_finder(database: Path | None) -> Callable[[str], Method]:
    """Return a function from NAME or NAME@VERSION to a method of this database, or of those that ship and are
    installed. A name that was not asked for before is looked up in the file, so a method added while an engine runs is
    found. The function raises UserError for one that does not exist, AlgorithmMissing for one whose package is not
    installed, CorruptSnapshot for one that its algorithm does not take any more."""

    known: dict[str, Method] = {}

    def find(name: str) -> Method:
        method = known.get(name)
        if method is None:
            method = _load_catalogue(database).find(name)
            if method.full_name == name:  # what it is never changes; a name alone may get a newer version
                known[name] = method
        return method

    return find


def stored_method_finder(database: Path) -> Callable[[str], Method]:
    """As `method_finder`, for a database that is not open in this process: read once, without changing a byte of it,
    whatever its schema. Raises UserError for a file that is no database of fsm-exec."""
    with open_read_only(database) as looked:
        return Catalogue(observations.load_methods(looked.connection), installed()).find


async def save_shipped_methods(store: MethodStore, at_us: int) -> None:
    """Write the methods of each algorithm that a database does not have yet: an execution's method is then found in its
    own database, whatever ships or is installed later."""
    there = {(row.name, row.version) for row in await store.load_methods()}
    missing = [row for row in first_rows(installed()) if (row.name, row.version) not in there]
    if missing:
        with suppress(SaveRefused):  # another process that opened it at the same moment was faster
            await store.save_methods(missing, at_us)


def _load_catalogue(database: Path | None) -> Catalogue:
    return Catalogue(read_methods(database) if database is not None else (), installed())


_db = click.option(
    "--db", type=click.Path(path_type=Path), help="A database; without one, only what ships or is installed."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


@click.group()
def methods() -> None:
    """List, show and add methods: an algorithm with its configuration, by name and version."""


@methods.command("list")
@_db
@_json
def list_methods(db: Path | None, as_json: bool) -> None:
    """Every method and version, with what differs from the algorithm's defaults."""
    damage: list[str] = []
    rows = Catalogue(read_methods(db, damage) if db is not None else (), installed()).rows
    say_broken_packages()
    if as_json:
        say_json({"methods": [_shown(row) for row in rows]})
        say_damage(damage)
        return
    table = Table(box=SIMPLE_HEAD)
    for heading in ("method", "algorithm", "differs from its defaults"):
        table.add_column(heading, overflow="fold")
    if any(row.distribution is not None for row in rows):
        table.add_column("package", overflow="fold")
    families = installed().usable()
    for row in rows:
        family = families.get(row.algorithm)
        note = " (not installed)" if family is None else " (lab only)" if family.lab_only else ""
        differs = ", ".join(f"{key} {value}" for key, value in _differences(row).items())
        package = [_package(row) or ""] if len(table.columns) > 3 else []
        table.add_row(f"{row.name}@{row.version}", row.algorithm + note, differs, *package)
    Page().print(table)
    say_damage(damage)


def say_broken_packages() -> None:
    """Print a line on stderr for each algorithm that an installed package offers and that cannot be used."""
    for why in installed().broken().values():
        say(f"fsm-exec: {why}", err=True)


@methods.command()
@click.argument("name")
@_db
@_json
def show(name: str, db: Path | None, as_json: bool) -> None:
    """The whole configuration of NAME or NAME@VERSION, and what `fsm-exec compare --methods` calls it."""
    row = _load_catalogue(db).row(name)
    if as_json:
        say_json(_shown(row))
        return
    package = _package(row)
    say(f"{row.name}@{row.version}: {row.algorithm}" + (f" of the package {package}" if package else ""))
    differs = _differences(row)
    for key, value in flat_settings(_config(row)).items():
        say(f"  {key} = {value}{'  (not the default)' if key in differs else ''}")
    if row.algorithm in installed().usable():
        say(f"in experiments: {_in_experiments(row)}")
    else:
        say(f"not installed here: pip install {package}" if package else "not installed here")


@methods.command()
@click.argument("name", required=False)
@click.option("--db", required=True, type=click.Path(path_type=Path), help="The database to add it to.")
@click.option("--file", "path", type=click.Path(path_type=Path), help="TOML or JSON: algorithm, and a table config.")
@click.option("--algorithm", help="The algorithm, if no file says so.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting; may be repeated.")
@_json
def add(
    name: str | None, db: Path, path: Path | None, algorithm: str | None, settings: tuple[str, ...], as_json: bool
) -> None:
    """Add a method, or the next version of one. The same configuration again changes nothing.

    NAME may be left out if the file says one: `fsm-exec methods add --db DATABASE --file DIR/method.json` takes what
    `fsm-exec tune --out DIR` found. From then on `--method NAME` of `fsm-exec submit` means the newest version.
    """
    wanted = _spec_of(name, path, algorithm, settings)
    installed().family(wanted.algorithm).method(wanted.name, 1, wanted.config)  # refused before a database is touched
    is_new = False

    def decide(there: list[MethodRow]) -> tuple[MethodRow, Sequence[MethodRow]]:
        nonlocal is_new
        row, is_new = Catalogue(there, installed()).prepare_method(wanted.name, wanted.algorithm, wanted.config)
        missing = [
            r for r in _load_catalogue(None).versions(wanted.name) if not any(t.name == wanted.name for t in there)
        ]
        return row, [*missing, *([row] if is_new else [])]

    row = add_method(db, decide, system_us())
    if as_json:
        say_json({**_shown(row), "added": is_new})
    else:
        say(f"{row.name}@{row.version} {'added' if is_new else 'is there already, unchanged'}")


def _spec_of(name: str | None, path: Path | None, algorithm: str | None, settings: tuple[str, ...]) -> MethodSpec:
    """Combine file and options. Raises UserError."""
    given = _load_file(path) if path is not None else None
    if given is None and algorithm is None:
        raise UserError("give --file or --algorithm")
    called = name or (given.name if given is not None else None)
    if called is None:
        raise UserError("give the method a NAME: fsm-exec methods add NAME ...")
    if given is not None and algorithm is not None and algorithm != given.algorithm:
        raise UserError(f"--algorithm {algorithm} and the file's {given.algorithm} differ; give one of them")
    config = dict(given.config) if given is not None else {}
    config.update(_parse_setting(text) for text in settings)
    return MethodSpec(called, algorithm or (given.algorithm if given is not None else ""), config)


def _parse_setting(text: str) -> tuple[str, object]:
    """Parse KEY=VALUE; a value is a whole number, true, false, or text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UserError(f"--set {text[:60]!r} is not of the form KEY=VALUE")
    if value in ("true", "false"):
        return key, value == "true"
    return key, int(value) if value.removeprefix("-").isdecimal() and value.isascii() else value


def _load_file(path: Path) -> MethodFile:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
        if len(raw) > FILE_MAX_BYTES:
            raise UserError(f"{path} is larger than {FILE_MAX_BYTES} bytes; give a method's file")
        # A number with a fraction stays the text it is: weights are decimals.
        data = _JSON.decode(raw) if path.suffix == ".json" else tomllib.loads(raw.decode(), parse_float=str)
        return msgspec.convert(data, MethodFile)
    except msgspec.ValidationError as error:
        advice = suggest_name(str(error), MethodFile) or "; give TOML or JSON with algorithm and config"
        raise UserError(f"{path}: {error}{advice}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.MsgspecError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"{path}: {reason}; give TOML or JSON with algorithm and config") from error


def _config(row: MethodRow) -> dict[str, object]:
    return msgspec.json.decode(row.config, type=dict[str, object])


def _differences(row: MethodRow) -> dict[str, object]:
    """Return what differs from the defaults of the installed algorithm, a group's settings by `GROUP.SETTING`; nothing
    if it is not installed."""
    family = installed().usable().get(row.algorithm)
    if family is None:
        return {}
    defaults = flat_settings(_config(row_of(family.method(row.algorithm, 1, {}))))
    return {key: value for key, value in flat_settings(_config(row)).items() if defaults.get(key) != value}


def _package(row: MethodRow) -> str | None:
    """Return the package that the row was written with, as pip takes it; None: its algorithm ships."""
    return None if row.distribution is None else Origin(row.distribution, row.distribution_version or "").requirement


def _in_experiments(row: MethodRow) -> str:
    """Return the method as experiments name it: the lab knows no database, so it is the name of what ships, or the
    algorithm with the settings that differ."""
    for shipped in first_rows(installed()):
        if shipped.name == shipped.algorithm and (shipped.algorithm, shipped.config) == (row.algorithm, row.config):
            return (
                shipped.name if shipped.version == version_meant(shipped.name) else f"{shipped.name}@{shipped.version}"
            )
    settings = {key: _as_text(value) for key, value in _differences(row).items()}
    return with_settings(row.algorithm, settings)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(row: MethodRow) -> dict[str, object]:
    return {
        "name": row.name,
        "version": row.version,
        "algorithm": row.algorithm,
        "config": _config(row),
        "in_experiments": _in_experiments(row) if row.algorithm in installed().usable() else None,
        "distribution": row.distribution,
        "distribution_version": row.distribution_version,
    }
