"""What a service manager tries again: a start that the machine refuses fails, wrong words are wrong for good."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fsm_exec.cli.exit_codes import EXIT_FAILED, EXIT_USAGE
from fsm_exec.cli.setup.systemd import DAEMON, unit_text
from tests.cli.daemons import refused
from tests.cli.exchange import Site, site
from tests.cli.invoking import invoke


def absent_config(at: Site) -> None:
    at.config.unlink()


def absent_key(at: Site) -> None:
    at.write_config(private_key_path="share/key.pem")


def absent_address(at: Site) -> None:
    at.write_config(alerts={}, **{"alerts.channels.phone": {"url_file": "share/phone.url"}})


def wrong_config(at: Site) -> None:
    at.write_config(subaccount="one")


def open_key(at: Site) -> None:
    (at.directory / "key.pem").chmod(0o644)


async def started(at: Site, *words: str) -> tuple[int, str]:
    """The exit code and the line of a `serve` that must fail."""
    given = words or ("--db", str(at.directory / "engine.sqlite"))
    done = invoke(at.directory, "serve", "--config", str(at.config), *given)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1), done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("spoil", "words", "said"),
    [
        (absent_config, (), "there is none; fsm-exec init"),
        (absent_key, (), "cannot be read (No such file"),
        (absent_address, (), "cannot be read (No such file"),
        (None, ("--db", "share/engine.sqlite"), "No such file"),
        (None, ("--token-file", "share/token", "--db", "engine.sqlite"), "No such file"),
    ],
)
async def test_what_is_not_there_yet_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Site], None] | None,
    words: tuple[str, ...],
    said: str,
) -> None:
    """Exit code 1 under a service manager, 2 for a person, who gave a wrong path; the same line."""
    async with site(tmp_path) as at:
        if spoil is not None:
            spoil(at)
        by_hand, line = await started(at, *words)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        by_manager, same = await started(at, *words)
    assert (by_hand, by_manager) == (EXIT_USAGE, EXIT_FAILED)
    assert said in line
    assert line == same


async def test_a_replica_that_is_not_there_yet_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby begins before the share with its replica is mounted, too."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    words = ("--lease", tmp_path.as_uri(), "--from", "share/replica", "--db", "engine.sqlite")
    async with site(tmp_path) as at:
        done = invoke(tmp_path, "standby", "--config", str(at.config), *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (EXIT_FAILED, "", 1)
    assert "--from share/replica is no directory" in done.stderr


async def test_a_port_that_is_taken_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has it may be about to end."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    async with site(tmp_path) as at:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            words = ("--port", str(taken.getsockname()[1]), "--db", "engine.sqlite")
            code, said = await started(at, *words)
    assert code == EXIT_FAILED
    assert "in use already" in said


async def test_a_key_that_is_refused_at_the_start_is_tried_again(tmp_path: Path) -> None:
    """It may be this machine's clock, not set yet: a failure, whose line says what tells which it is."""
    async with site(tmp_path) as at:
        at.write_config(api_key_id="00000000-0000-0000-0000-000000000000")
        code, said = await refused(at, "--config", at.config, "--db", tmp_path / "engine.sqlite")
    assert code == EXIT_FAILED
    assert "the exchange answered 401" in said
    assert said.endswith("this machine's clock: fsm-exec doctor\n")


@pytest.mark.parametrize("spoil", [wrong_config, open_key])
async def test_what_no_start_mends_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Site], None]
) -> None:
    """Exit code 2, which the unit takes for the end."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    async with site(tmp_path) as at:
        spoil(at)
        assert (await started(at))[0] == EXIT_USAGE
    assert f"RestartPreventExitStatus={EXIT_USAGE}\n" in unit_text(DAEMON, "user", ["serve"], "paper")
