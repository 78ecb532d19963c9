"""`fsm-exec standby` and `serve` with a lease: wrong input is one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from fsm_exec.standby.command_notes import load_halt_note
from fsm_exec.standby.places.file_place import FilePlace
from tests.cli.exchange import site
from tests.cli.invoking import invoke


def beside(directory: Path) -> list[Path]:
    """What is there of a database x.sqlite."""
    return list(directory.glob("x.sqlite*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("standby",), "needs the lease record: give --lease"),
        (("standby", "--lease", "file:///nowhere/at/all"), "needs a copy to follow: give --from"),
        (("standby", "--lease", "http://x/", "--from", "file:///x"), "is no place for a lease record"),
        (("standby", "--lease", "file:///tmp", "--from", "nowhere/at/all"), "--from nowhere/at/all is no directory"),
        (
            ("standby", "--lease", "file:///tmp", "--from", "sftp://me:hidden@host/path"),
            "--from has a password in its URL",
        ),
        (("standby", "--lease", "s3://bucket", "--from", "/tmp"), "names no prefix; give s3://bucket/PREFIX"),
        (("standby", "--lease", "file:///tmp", "--from", "/tmp", "--litestream", "no"), "--litestream no is not there"),
        (("serve", "--take-over"), "--take-over needs a lease record"),
        (("serve", "--without-lease", "--take-over"), "--without-lease excludes"),
    ],
)
async def test_wrong_input_is_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """Exit code 2, nothing on standard output, and no database is made."""
    async with site(tmp_path) as at:
        done = invoke(tmp_path, *words, "--config", str(at.config), "--db", str(tmp_path / "x.sqlite"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr
    assert "hidden" not in done.stderr
    assert not beside(tmp_path)


async def test_a_program_that_is_no_litestream_is_one_line(tmp_path: Path) -> None:
    """Exit code 2, and nothing is left beside the database that was to be."""
    (tmp_path / "pair").mkdir()
    pair = (tmp_path / "pair").as_uri()
    words = ("--lease", pair, "--from", pair, "--litestream", "/bin/true", "--db", tmp_path / "x.sqlite")
    async with site(tmp_path) as at:
        code, said, complained = await at.run("standby", "--config", at.config, *words)
    assert (code, said, complained.count("\n")) == (2, "", 1), complained
    assert "/bin/true does not say a version" in complained
    assert not beside(tmp_path)


@pytest.mark.parametrize("words", [("standby", "--from", "file:///x"), ("serve",)])
async def test_a_share_that_is_not_mounted_is_a_failure(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Exit code 1, which a service manager tries again: it may be mounted a moment later."""
    absent = (tmp_path / "share").as_uri()
    async with site(tmp_path) as at:
        done = invoke(
            tmp_path, *words, "--lease", absent, "--config", str(at.config), "--db", str(tmp_path / "x.sqlite")
        )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "mount the share" in done.stderr
    assert not (tmp_path / "x.sqlite").exists()


def test_a_halt_without_a_daemon_is_noted_beside_the_record(tmp_path: Path) -> None:
    """Exit code 1 and one line, and the note is there; with the place gone one line says that too, and without a lease
    record only that no daemon runs."""
    share = tmp_path / "share"
    share.mkdir()
    noted = invoke(tmp_path, "halt", "--lease", share.as_uri())
    alone = invoke(tmp_path, "halt")
    gone = invoke(tmp_path, "halt", "--lease", (tmp_path / "no").as_uri())
    assert [(done.returncode, done.stderr.count("\n")) for done in (noted, alone, gone)] == [(1, 1)] * 3
    assert "the halt is noted" in noted.stderr
    halt = trio.run(load_halt_note, FilePlace(share))
    assert halt is not None
    assert (halt.halted, halt.instance) == (True, "")
    assert "noted" not in alone.stderr
    assert "nor can the halt be noted" in gone.stderr
