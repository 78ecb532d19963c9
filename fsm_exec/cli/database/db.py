"""`fsm-exec db`: check, back up, restore and migrate a database. Nothing here ever overwrites or deletes one."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from fsm_exec.cli.database.default_database import resolve_database
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.system_time import system_us
from fsm_exec.store.files.file_modes import restrict_modes
from fsm_exec.store.files.locks import database_lock
from fsm_exec.store.maintenance.backups import DatabaseCopy, copy_database, migrate_database
from fsm_exec.store.maintenance.integrity import Finding, IntegrityReport, check_database, is_damage

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
    """Check, back up, restore or migrate a database."""


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
        done = migrate_database(path)
    if as_json:
        say_json({"db": str(path), "before": done.before, "after": done.after, "copy": _text(done.copy)})
    elif done.copy is None:
        say(f"{path} has schema version {done.after} already; nothing was done")
    else:
        say(f"{path}: schema version {done.before} -> {done.after}; as it was: {done.copy}")


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
        _say(copied.target, copied.report)
    if copied.report.findings:
        sys.exit(EXIT_FAILED)


def _say(path: Path, report: IntegrityReport) -> None:
    for finding in report.findings:
        say(f"{finding.execution_id or 'database'}: {' '.join(finding.what.split())}")
    versions = ", ".join(f"{count} of version {version}" for version, count in report.snapshots.items()) or "none"
    verdict = f"{len(report.findings)} things are wrong" if report.findings else "sound"
    say(
        f"{path}: {verdict}; schema version {report.schema_version}, {report.executions} executions "
        f"(snapshots: {versions}), {report.folded} held against their journal"
    )
