"""`fsm-exec db`: check, back up, restore, migrate, archive. Nothing here ever overwrites or deletes a database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from fsm_exec.cli.database.default_database import resolve_database
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.since import parse_since_us
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.system_time import system_us
from fsm_exec.store.archive.archive_files import archive_directory
from fsm_exec.store.archive.offline import ArchiveReport, archive_database
from fsm_exec.store.files.file_modes import restrict_modes
from fsm_exec.store.files.locks import database_lock
from fsm_exec.store.maintenance.backups import DatabaseCopy, copy_database, migrate_database
from fsm_exec.store.maintenance.integrity import Finding, IntegrityReport, check_database, is_damage

PROGRESS_EACH: Final = 10_000  # executions

_db = click.option(
    "--db",
    "path",
    type=click.Path(path_type=Path),
    callback=lambda _, __, value: resolve_database(value),
    help="The database.  [default: this user's]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")


@click.group()
def db() -> None:
    """Check, back up, restore, migrate or archive a database."""


@db.command("check")
@_db
@click.option("--all", "every", is_flag=True, help="Fold finished executions too, not only the unfinished.")
@_json
def check_command(path: Path, every: bool, as_json: bool) -> None:
    """Look for damage: pages, references, snapshots, and executions that are not what their journal says.

    Changes nothing, and may be used while an engine runs. Exit 1 if anything is wrong.
    """
    try:
        report = check_database(path, every=every)
    except UserError as error:
        if not is_damage(error):
            raise
        if as_json:
            say_json({"db": str(path), "findings": [Finding(None, str(error))]})
        else:
            say(f"database: {error}")
        sys.exit(EXIT_FAILED)
    if as_json:
        say_json({"db": str(path), **msgspec.structs.asdict(report)})
    else:
        _say(path, report)
    if report.findings:
        sys.exit(EXIT_FAILED)


@db.command()
@click.argument("target", type=click.Path(path_type=Path))
@_db
@_json
def backup(target: Path, path: Path, as_json: bool) -> None:
    """Copy the database to the new file TARGET, and check the copy. An engine may go on writing meanwhile."""
    copied = copy_database(path, target)
    _report_copy(path, copied, as_json, f"backup of {path}")


@db.command()
@click.argument("source", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--db", "path", required=True, type=click.Path(path_type=Path), help="The new database's path.")
@_json
def restore(source: Path, path: Path, as_json: bool) -> None:
    """Make a new database at a new path from BACKUP. Stop the engine of the old one first: two would trade at once."""
    with database_lock(path, what="fsm-exec db restore", since=to_iso(system_us())):
        copied = copy_database(source, path)
    _report_copy(source, copied, as_json, f"restored from {source}")
    if not as_json:
        name = copied.instance
        say(
            "At its next opening it draws a new instance: what was ordered after the backup is not in it, so no order "
            "id of before is used again."
        )
        say(
            f"Orders of the old instance {name} then count as another engine's: they are reported and left alone, and "
            f"the engine starts only with --other-engine-is-gone {name}. Be sure that the old engine has stopped."
        )


@db.command()
@_db
@_json
def migrate(path: Path, as_json: bool) -> None:
    """Bring the database to this program's schema; a copy is made beside it first. Its engine must be stopped.

    An engine does the same when it opens a database. Snapshots and journals need no migration: they keep the version
    they were written under, and are raised when they are read.
    """
    with database_lock(path, what="fsm-exec db migrate", since=to_iso(system_us())):
        for line in restrict_modes(path):
            say(f"fsm-exec: {line}", err=True)
        done = migrate_database(path, lambda line: say(f"fsm-exec: {line}", err=True))
    if as_json:
        say_json({"db": str(path), "before": done.before, "after": done.after, "copy": _text(done.copy)})
    elif done.copy is None:
        say(f"{path} has schema version {done.after} already; nothing was done")
    else:
        say(f"{path}: schema version {done.before} -> {done.after}; as it was: {done.copy}")


@db.command()
@_db
@click.option(
    "--before",
    required=True,
    metavar="DATE",
    help="Move what ended before then: 2026-10-01, 2026-10-01T12:00:00Z, or how many days ago.",
)
@_json
def archive(path: Path, before: str, as_json: bool) -> None:
    """Move executions that have ended into archives beside the database, with all that is of them.

    `show`, `list`, `replay`, `report` and `review` find them there. Only what is over moves: its cost is reckoned, and
    its market has settled. Its engine must be stopped. May be killed at any moment and started again.
    """
    before_us = parse_since_us("--before", before)
    with database_lock(path, what="fsm-exec db archive", since=to_iso(system_us())):
        for line in restrict_modes(path):
            say(f"fsm-exec: {line}", err=True)
        shown = _Progress(as_json=as_json)
        done = archive_database(path, before_us, to_iso(system_us()), shown.say)
    if as_json:
        say_json({"db": str(path), "directory": str(archive_directory(path)), **msgspec.structs.asdict(done)})
    else:
        _say_archived(path, before_us, done)
    if done.refused:
        sys.exit(EXIT_FAILED)


class _Progress:
    """Says now and then how many have moved."""

    def __init__(self, *, as_json: bool) -> None:
        self._is_quiet, self._next = as_json, PROGRESS_EACH

    def say(self, moved: int) -> None:
        if not self._is_quiet and moved >= self._next:
            self._next = moved + PROGRESS_EACH
            say(f"fsm-exec: {moved} executions moved", err=True)


def _say_archived(path: Path, before_us: int, done: ArchiveReport) -> None:
    count = sum(done.moved.values())
    if count:
        where = ", ".join(f"{name} {moved}" for name, moved in done.moved.items())
        say(f"{path}: {count} executions moved into {archive_directory(path)} ({where})")
    else:
        say(f"{path}: nothing moved")
    if done.before != to_iso(before_us):
        say(f"only what ended before {done.before}: later ones may still be listed by the exchange at a start")
    for why, many in sorted(done.stayed.items()):
        say(f"{many} stay: {why}")
    for execution_id, why in sorted(done.refused.items()):
        say(f"{execution_id} stays: {why}")
    if count:
        say(f"The file keeps its size and fills again; to shrink it, with its engine stopped: sqlite3 {path} VACUUM")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _report_copy(source: Path, copied: DatabaseCopy, as_json: bool, what: str) -> None:
    if as_json:
        document = {
            "source": str(source),
            "target": str(copied.target),
            "bytes": copied.bytes,
            "source_instance": copied.instance,
            "check": copied.report,
        }
        say_json(document)
    else:
        say(f"{what}: {copied.target} ({copied.bytes} bytes)")
        if copied.report.archives:
            say(
                f"not in it: {_archives_text(copied.report.archives)}; copy {archive_directory(source)} too, as "
                f"{archive_directory(copied.target)}"
            )
        _say(copied.target, copied.report)
    if copied.report.findings:
        sys.exit(EXIT_FAILED)


def _archives_text(archives: dict[str, int]) -> str:
    return f"{sum(archives.values())} executions in {len(archives)} archives"


def _say(path: Path, report: IntegrityReport) -> None:
    for finding in report.findings:
        say(f"{finding.execution_id or 'database'}: {' '.join(finding.what.split())}")
    versions = ", ".join(f"{count} of version {version}" for version, count in report.snapshots.items()) or "none"
    verdict = f"{len(report.findings)} things are wrong" if report.findings else "sound"
    say(
        f"{path}: {verdict}; schema version {report.schema_version}, {report.executions} executions "
        f"(snapshots: {versions}), {report.folded} held against their journal"
    )
    if report.archives and archive_directory(path).exists():
        say(f"beside it, in {archive_directory(path)}: {_archives_text(report.archives)}")
