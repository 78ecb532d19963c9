"""`fsm-exec methods`: named, versioned, immutable; in a real database, read and written while others have it open."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from fsm_exec.algorithms import SHIPPED_FAMILIES, SHIPPED_VERSIONS
from fsm_exec.algorithms.catalogue import EXAMPLES, Catalogue, first_rows, row_of
from fsm_exec.algorithms.versions import version_meant
from fsm_exec.cli.database.methods import method_finder, methods, save_shipped_methods
from fsm_exec.core.errors import CorruptSnapshot, UserError
from fsm_exec.core.journal.rows import MethodRow
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.store import open_live_store
from fsm_exec.store.files.migrations import SCHEMA, migrate
from tests.cli.support import run

T0_US = 1_700_000_000_000_000


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    path = tmp_path / "engine.sqlite"
    async with open_live_store(path, draw_instance=lambda: "abcdefghij", at_us=T0_US) as store:
        await save_shipped_methods(store, T0_US)
    return path


def asked(*arguments: str | Path) -> Any:  # noqa: ANN401 - whatever the document is
    """The JSON document of `methods ARGUMENTS`."""
    result = CliRunner().invoke(methods, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def refused(*arguments: str | Path) -> str:
    result = CliRunner().invoke(methods, [*map(str, arguments)])
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def stored(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT name, version, algorithm, config FROM methods ORDER BY 1, 2").fetchall()


async def test_what_ships_is_written_once(database: Path) -> None:
    """Every version of each algorithm's own method and the examples, with the whole configuration; opening again adds
    nothing."""
    first = stored(database)
    shipped = {tuple(name.split("@")) for name in SHIPPED_VERSIONS} | {(name, "1") for name in EXAMPLES}
    assert {(name, str(version)) for name, version, *_ in first} == shipped
    assert {name for name, _ in shipped} == {*SHIPPED_FAMILIES, *EXAMPLES}
    async with open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=T0_US + 1) as store:
        await save_shipped_methods(store, T0_US + 1)
    assert stored(database) == first
    walker = dict(
        zip(("algorithm", "config"), next(row[2:] for row in first if row[0] == "aggressive_nfl"), strict=True)
    )
    assert walker["algorithm"] == "dynamic_depth_walker"
    assert json.loads(walker["config"])["walk_interval_s"] == 4


async def test_a_database_of_before_is_given_the_versions_that_came_since(tmp_path: Path) -> None:
    """It has the first walker, stored before there was a second: that row stays, the second is added, and an execution
    that began with either finds its own."""
    path = tmp_path / "before.sqlite"
    old = next(row for row in first_rows() if (row.name, row.version) == ("deadline_walker", 1))
    old = msgspec.structs.replace(old, config=old.config.replace('"a0":"0.6"', '"a0":"0.55"'))
    async with open_live_store(path, draw_instance=lambda: "abcdefghij", at_us=T0_US) as store:
        await store.save_methods([old], T0_US)
        await save_shipped_methods(store, T0_US + 1)
    rows = {version: config for name, version, _, config in stored(path) if name == "deadline_walker"}
    assert rows[1] == old.config
    assert json.loads(rows[2])["taking"]["every_s"] == 1
    find = method_finder(path)
    assert [find(f"deadline_walker@{version}").version for version in (1, 2)] == [1, 2]
    assert find("deadline_walker").version == version_meant("deadline_walker")


async def test_a_method_is_found_by_name_and_by_version(database: Path) -> None:
    """NAME is the newest; NAME@VERSION that very one; bound to its algorithm with its own configuration."""
    added = asked("add", "slow", "--db", database, "--algorithm", "dynamic_depth_walker", "--set", "walk_interval_s=30")
    assert (added["version"], added["added"], added["config"]["walk_interval_s"]) == (1, True, 30)
    again = asked("add", "slow", "--db", database, "--algorithm", "dynamic_depth_walker", "--set", "walk_interval_s=60")
    assert (again["version"], again["added"]) == (2, True)
    find = method_finder(database)
    assert [find(name).full_name for name in ("slow", "slow@1", "slow@2")] == ["slow@2", "slow@1", "slow@2"]
    assert getattr(find("slow@1").config, "walk_interval_s") == 30  # noqa: B009 - the type is the algorithm's own
    assert find("aggressive_nfl").algorithm == "dynamic_depth_walker"
    assert method_finder(None)("aggressive_nfl@1").full_name == "aggressive_nfl@1"


async def test_the_same_configuration_again_changes_nothing(database: Path) -> None:
    """However it is written: settings left out are their defaults. A changed one is the next version, the earlier
    rows stay as they are."""
    asked("add", "mine", "--db", database, "--algorithm", "simple_limit")
    before = stored(database)
    again = asked("add", "mine", "--db", database, "--algorithm", "simple_limit")
    assert (again["version"], again["added"]) == (1, False)
    assert stored(database) == before
    other = asked("add", "mine", "--db", database, "--algorithm", "market")
    assert (other["version"], other["added"]) == (2, True)
    assert [row for row in stored(database) if row[:2] != ("mine", 2)] == before


async def test_an_example_that_ships_can_be_given_a_next_version(tmp_path: Path) -> None:
    """Also in a database that has not been given what ships: version 1 is written beside it."""
    path = tmp_path / "bare.sqlite"
    async with open_live_store(path, draw_instance=lambda: "abcdefghij", at_us=T0_US):
        pass
    added = asked("add", "aggressive_nfl", "--db", path, "--algorithm", "dynamic_depth_walker", "--set", "max_walks=3")
    assert added["version"] == 2
    assert [row[:2] for row in stored(path)] == [("aggressive_nfl", 1), ("aggressive_nfl", 2)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.toml", 'algorithm = "deadline_walker"\n[config]\na0 = 0.35\nup_ticks = 2\n'),
        ("m.json", '{"algorithm": "deadline_walker", "config": {"a0": 0.35, "up_ticks": 2}}'),
    ],
)
async def test_a_file_of_either_kind(database: Path, tmp_path: Path, name: str, text: str) -> None:
    """Fractions stay decimals; an option comes on top."""
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    added = asked("add", "patient", "--db", database, "--file", file, "--set", "down_ticks=4")
    assert (added["config"]["a0"], added["config"]["up_ticks"], added["config"]["down_ticks"]) == ("0.35", 2, 4)


async def test_what_an_algorithm_refuses_is_refused(database: Path, tmp_path: Path) -> None:
    """Unknown keys, wrong types, values out of bounds, bad names and files; nothing is stored."""
    before = stored(database)
    walker = ("--db", database, "--algorithm", "dynamic_depth_walker")
    assert "walk_intervall_s" in refused("add", "m", *walker, "--set", "walk_intervall_s=4")
    assert "walk_interval_s" in refused("add", "m", *walker, "--set", "walk_interval_s=0")
    assert "walk_interval_s" in refused("add", "m", *walker, "--set", "walk_interval_s=four")
    assert "levels" in refused("add", "m", *walker, "--set", "levels=3")
    assert "KEY=VALUE" in refused("add", "m", *walker, "--set", "levels")
    assert "choose one of" in refused("add", "m", "--db", database, "--algorithm", "nothing")
    assert "form" in refused("add", "Mine!", *walker)
    assert "name of an algorithm" in refused("add", "market", "--db", database, "--algorithm", "market")
    assert "give --file or --algorithm" in refused("add", "m", "--db", database)
    bad = tmp_path / "m.toml"
    for text in ("algorithm = ", "[config]\n", 'algorithm = "market"\nextra = 1\n'):
        bad.write_text(text, encoding="utf-8")
        assert str(bad) in refused("add", "m", "--db", database, "--file", bad)
    assert str(tmp_path) in refused("add", "m", "--db", database, "--file", tmp_path)
    assert stored(database) == before


async def test_list_and_show(database: Path) -> None:
    """Everything, or one whole configuration; for people, what differs from the defaults."""
    listed = asked("list", "--db", database)["methods"]
    assert [(m["name"], m["version"]) for m in listed] == [(row[0], row[1]) for row in stored(database)]
    assert asked("list")["methods"] == listed
    assert asked("show", "aggressive_nfl@1", "--db", database) in listed
    shown = CliRunner().invoke(methods, ["show", "aggressive_nfl"]).output
    assert "step_e4 = 100  (not the default)" in shown
    assert "max_walks = 10\n" in shown
    table = CliRunner().invoke(methods, ["list"]).output
    assert "aggressive_nfl@1" in table
    assert "lab only" in table


async def test_what_is_shown_of_a_method_is_its_name_in_experiments(database: Path) -> None:
    """The lab has no database: under the text that `show` gives it makes the very same method of any that was added."""
    walker, settings = ("--algorithm", "deadline_walker"), ("--set", "a0=0.61", "--set", "up_ticks=3")
    added = asked("add", "mine", "--db", database, *walker, *settings)
    assert added["in_experiments"] == "deadline_walker[a0=0.61;up_ticks=3]"
    for row in asked("list", "--db", database)["methods"]:
        same, found = resolve(row["in_experiments"]), method_finder(database)(f"{row['name']}@{row['version']}")
        assert (same.algorithm, same.config) == (found.algorithm, found.config)
    shown = CliRunner().invoke(methods, ["show", "mine", "--db", str(database)]).output
    assert shown.splitlines()[-1] == "in experiments: deadline_walker[a0=0.61;up_ticks=3]"


async def test_what_does_not_exist_is_said(database: Path, tmp_path: Path) -> None:
    """The names, or the versions, there are."""
    assert "aggressive_nfl" in refused("show", "nobody", "--db", database)
    assert "market@1" in refused("show", "market@7", "--db", database)
    assert str(tmp_path / "none") in refused("list", "--db", tmp_path / "none")


def test_a_row_that_its_algorithm_does_not_take_any_more_is_named() -> None:
    """It is never taken for another configuration."""
    rows = [
        MethodRow(name="old", version=1, algorithm="simple_limit", config='{"gone":1}'),
        MethodRow(name="older", version=1, algorithm="forgotten", config="{}"),
    ]
    for row in rows:
        with pytest.raises(CorruptSnapshot, match=f"{row.name}@1"):
            Catalogue(rows).find(row.name)


def test_every_shipped_row_is_read_back_as_it_was() -> None:
    """A configuration survives its own text, byte for byte."""
    for row in first_rows():
        assert row_of(Catalogue().find(f"{row.name}@{row.version}")) == row


def test_the_command_says_what_is_wrong_on_one_line(tmp_path: Path) -> None:
    """Exit 2 and no traceback."""
    done = run(tmp_path, "methods", "show", "nobody")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fsm-exec: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_methods_of_before_packages_were_kept_are_those_that_ship(tmp_path: Path) -> None:
    """A database of the schema before: migrated, its rows are as they were, of no package, and found."""
    path = tmp_path / "old.sqlite"
    before = SCHEMA[:9]
    with closing(sqlite3.connect(path)) as connection:
        migrate(connection, None, before)
        connection.execute(
            "INSERT INTO methods (name, version, algorithm, config, created_at) VALUES (?, ?, ?, ?, ?)",
            ("mine", 3, "join_bid", '{"closing_lead_s":4}', "2026-01-01T00:00:00.000000Z"),
        )
        connection.commit()
        migrate(connection, None)
    shown = asked("show", "mine@3", "--db", path)
    assert (shown["distribution"], shown["distribution_version"]) == (None, None)
    assert (shown["config"], method_finder(path)("mine").full_name) == ({"closing_lead_s": 4}, "mine@3")
