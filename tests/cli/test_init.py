"""`fsm-exec init`: what it writes is read, changes nothing that is there, and says what is so."""

from __future__ import annotations

import os
import pty
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsm_exec.cli.config import Config, load_config
from fsm_exec.cli.setup.config_text import config_text
from fsm_exec.cli.setup.setting_words import NAMED_TABLES
from fsm_exec.cli.setup.systemd import program, unit_text
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.paths import data_directory
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.kalshi.signing import SigningKey
from tests.cli.invoking import invoke
from tests.cli.support import COMMAND, environment, run
from tests.cli.test_documents_run import free_port

BARE = Config(environment="demo", api_key_id="an-id", private_key_path="key.pem")
SHOWN = re.compile(r"^#(?=[a-z\[])", re.MULTILINE)
OFF = re.compile(r"^#[a-z].*# off; .*\n", re.MULTILINE)


def read(directory: Path, text: str) -> Config:
    path = directory / "read.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path).config


def test_a_written_configuration_is_read_as_what_was_chosen(tmp_path: Path) -> None:
    """Also with names that TOML must escape."""
    chosen = msgspec.structs.replace(
        BARE,
        private_key_path='a "key" \\ of \u00e4 \x7f.pem',
        limits=ControlLimits(max_notional_dollars=7),
        risk=RiskLimits(max_worst_case_account_dollars=55, never_series=("KXA", "KXB")),
    )
    assert read(tmp_path, config_text(chosen)) == chosen


def test_each_commented_line_is_the_default(tmp_path: Path) -> None:
    """With the "#" taken away from every line that is not off, the configuration means the same as the bare one."""
    text = config_text(BARE)
    for table in NAMED_TABLES.values():
        text = text.replace(table, "")
    opened = read(tmp_path, SHOWN.sub("", OFF.sub("", text)))
    assert msgspec.structs.replace(opened, risk=RiskLimits()) == BARE
    assert opened.risk == BARE.risk_limits()
    assert SHOWN.search(text) is not None


def test_each_example_of_what_is_off_is_taken(tmp_path: Path) -> None:
    """One by one, and a channel: none of them is refused, and none is what holds without it."""
    text = config_text(BARE)
    examples = [match[0] for match in OFF.finditer(text) if not match[0].startswith(("#rest_url", "#ws_url"))]
    assert len(examples) > 10
    for example in [*examples, *NAMED_TABLES.values()]:
        assert read(tmp_path, text.replace(example, SHOWN.sub("", example))) != BARE, example


def key_file(directory: Path) -> Path:
    """As a browser leaves it: readable by everybody."""
    path = directory / "downloaded.txt"
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    path.chmod(0o644)
    return path


def test_an_account_is_set_up_without_a_question(tmp_path: Path) -> None:
    """The key is copied for its owner alone, the limits are written, and nothing that is there is written again."""
    config = tmp_path / "made" / "config.toml"
    given = ("--api-key-id", "an-id", "--key-file", key_file(tmp_path), "--max-loss-dollars", "50")
    done = run(tmp_path, "init", "--demo", "--yes", "--offline", *given, "--max-order-dollars", "5", "--config", config)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "ok    key file" in done.stdout, done
    assert {path.name: path.stat().st_mode & 0o777 for path in config.parent.iterdir()} == {
        "config.toml": 0o600,
        "key.pem": 0o600,
    }
    assert config.parent.stat().st_mode & 0o777 == 0o700
    made = load_config(config).config
    assert (made.limits.max_notional_dollars, made.risk.max_worst_case_account_dollars) == (5, 50)
    SigningKey.load(config.with_name("key.pem"))
    before = config.read_bytes()
    again = run(tmp_path, "init", "--demo", "--yes", *given, "--config", config)
    assert (again.returncode, again.stdout) == (2, "")
    assert "is there already and stays as it is" in again.stderr
    assert config.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nobody can be asked; give --paper, --demo or --production"),
        (("--demo",), "nobody can be asked; give --api-key-id"),
        (("--demo", "--api-key-id", "k"), "nobody can be asked; give --key-file"),
        (("--demo", "--api-key-id", "k", "--key-file", "none.pem"), "--key-file none.pem: cannot be read"),
        (("--demo", "--api-key-id", "a\nb", "--key-file", "none.pem"), "has characters no id has"),
        (("--production", "--api-key-id", "k"), "trades with real money: give --allow-real-money too"),
        (("--demo", "--allow-real-money"), "--allow-real-money goes with --production, not with --demo"),
        (("--paper", "--api-key-id", "k"), "--paper makes both itself"),
        (("--demo", "--production", "--allow-real-money"), "--demo and --production exclude each other; give one"),
    ],
)
def test_what_is_missing_or_contradicts_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """One line, exit code 2, and nothing is written."""
    config = tmp_path / "made" / "config.toml"
    done = run(tmp_path, "init", "--offline", *arguments, "--config", config)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert not config.parent.exists()


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    """It is not taken for one that is there already."""
    done = run(tmp_path, "init", "--paper", "--yes", "--config", tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"is a directory; give the path of a file, as {tmp_path / 'config.toml'}" in done.stderr


def test_a_port_that_is_taken_is_said_in_the_words_of_init(tmp_path: Path) -> None:
    """No advice that init cannot follow: it has no free port of its own choice."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = ("--paper-port", str(taken.getsockname()[1]), "--paper-ws-port", str(free_port()))
        done = run(tmp_path, "init", "--paper", "--yes", *ports, "--config", tmp_path / "config.toml")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"--paper-port {ports[1]}" in done.stderr
    assert done.stderr.endswith("in use already; give another port\n")
    assert not (tmp_path / "config.toml").exists()


def test_a_paper_exchange_is_set_up_with_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is found sound on the exchange that its unit will serve, units lie where systemd looks, and a second
    run of it for the system's adds those without touching the rest."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config home"))
    ports = ("--paper-port", str(free_port()), "--paper-ws-port", str(free_port()))
    done = run(tmp_path, "init", "--paper", "--yes", *ports, "--systemd", "user")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "fail" not in {line.split()[0] for line in done.stdout.splitlines()}
    assert "ok    stream" in done.stdout
    config = tmp_path / "config home" / "fsm-exec" / "config.toml"
    units = tmp_path / "config home" / "systemd" / "user"
    assert sorted(path.name for path in units.iterdir()) == ["fsm-exec-paper.service", "fsm-exec.service"]
    verify("--user", *units.iterdir())
    before = config.read_bytes()
    again = run(tmp_path, "init", "--systemd", "system")
    assert (again.returncode, again.stderr) == (0, "")
    assert config.read_bytes() == before
    verify(*(config.with_name(name) for name in ("fsm-exec.service", "fsm-exec-paper.service")))
    assert f'--key "{config.with_name("paper-key.pem")}" --port {ports[1]} --ws-port {ports[3]}' in served(config)
    third = run(tmp_path, "init", "--systemd", "user")
    assert (third.returncode, "stays as it is" in third.stderr) == (2, True)


def test_the_unit_of_a_pair_may_write_its_lease(tmp_path: Path) -> None:
    """A system's unit may write to nothing else, and without its record a daemon of a pair does not start."""
    lease = tmp_path / "the share"
    lease.mkdir()
    config = tmp_path / "made" / "config.toml"
    config.parent.mkdir(mode=0o700)
    account = 'environment = "demo"\napi_key_id = "k"\nprivate_key_path = "key.pem"\n'
    config.write_text(f'{account}[standby]\nlease = "{lease.as_uri()}"\n', encoding="utf-8")
    done = run(tmp_path, "init", "--systemd", "system", "--config", config)
    assert (done.returncode, done.stderr) == (0, "")
    unit = config.with_name("fsm-exec.service")
    (line,) = (line for line in unit.read_text(encoding="utf-8").splitlines() if line.startswith("ReadWritePaths="))
    assert line.endswith(f' "{lease}"')
    verify(unit)


def test_the_unit_of_litestream_lies_beside_that_of_the_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a replica is configured it is written to from the daemon's own database, by a unit that systemd finds sound
    and that begins before the daemon's and stops with it; where the store is said stands in it, and no secret does.
    Without the program one line says so."""
    config = tmp_path / "made" / "config.toml"
    config.parent.mkdir(mode=0o700)
    account = 'environment = "demo"\napi_key_id = "k"\nprivate_key_path = "key.pem"\nsubaccount = 3\n'
    monkeypatch.setenv("AWS_PROFILE", "pair")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    share = tmp_path / "the share"
    share.mkdir()
    for replica, written in (("s3://bucket/a?region=eu-west-1", None), ((share / "a").as_uri(), share)):
        config.write_text(f'{account}[standby]\nreplica = "{replica}"\n', encoding="utf-8")
        done = invoke(tmp_path, "init", "--systemd", "system", "--config", str(config))
        assert (done.returncode, done.stderr) == (0, "")
        assert "/etc/systemd/system/" in done.stdout
        unit = config.with_name("fsm-exec-litestream.service")
        lines = unit.read_text(encoding="utf-8").splitlines()
        (command,) = (line for line in lines if line.startswith("ExecStart="))
        where = f"{data_directory() / 'demo-3.sqlite'} {replica.replace('%', '%%')}"
        assert command.endswith(f"/litestream replicate {where}")
        assert {"Before=fsm-exec.service", "PartOf=fsm-exec.service", "WantedBy=fsm-exec.service"} <= set(lines)
        assert ("Environment=AWS_PROFILE=pair" in lines) == (written is None)
        (writes,) = (line for line in lines if line.startswith("ReadWritePaths="))
        assert writes.endswith(f' "{written}"') == (written is not None)
        assert "very-secret" not in "".join(lines)
        verify(unit, config.with_name("fsm-exec.service"))
        for path in (unit, config.with_name("fsm-exec.service")):
            path.unlink()
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    done = invoke(tmp_path, "init", "--systemd", "system", "--config", str(config))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the program litestream is not on the path; install it" in done.stderr
    assert not list(config.parent.glob("*.service"))


def test_the_unit_of_a_second_host_follows(tmp_path: Path) -> None:
    """It is the only one that is written, of a configuration with both ends of the pair, and systemd finds it sound;
    whatever is missing for it is said in one line."""
    config = tmp_path / "made" / "config.toml"
    config.parent.mkdir(mode=0o700)
    account = 'environment = "demo"\napi_key_id = "k"\nprivate_key_path = "key.pem"\n'
    given = ("init", "--systemd", "system", "--standby", "--config", str(config))
    absent = invoke(tmp_path, *given)
    config.write_text(f'{account}[standby]\nlease = "{tmp_path.as_uri()}"\n', encoding="utf-8")
    for done, words in (
        (absent, "--standby goes with --systemd and a configuration that is there: fsm-exec init writes one"),
        (invoke(tmp_path, "init", "--standby", "--config", str(config)), "--standby goes with --systemd"),
        (invoke(tmp_path, *given), "a standby needs lease and replica: give both in the table [standby]"),
    ):
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert words in done.stderr
    config.write_text(f'{account}[standby]\nlease = "{tmp_path.as_uri()}"\nreplica = "s3://b/a"\n', encoding="utf-8")
    done = invoke(tmp_path, *given)
    assert (done.returncode, done.stderr) == (0, "")
    (unit,) = config.parent.glob("*.service")
    lines = unit.read_text(encoding="utf-8").splitlines()
    (command,) = (line for line in lines if line.startswith("ExecStart="))
    assert f"standby --config {config} --litestream /" in command
    assert {"Type=notify", "Restart=always", "Conflicts=fsm-exec.service"} <= set(lines)
    verify(unit)


def served(config: Path) -> str:
    return config.with_name("fsm-exec-paper.service").read_text(encoding="utf-8")


def verify(*arguments: str | Path) -> None:
    """By systemd itself, where it is installed."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    given = {**os.environ, "XDG_RUNTIME_DIR": os.environ.get("XDG_RUNTIME_DIR", "/tmp")}
    command = [analyze, "verify", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=given, timeout=300)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("manager", ["user", "system"])
def test_a_unit_reads_paths_with_anything_in_them(tmp_path: Path, manager: str) -> None:
    """Spaces, quotes, percents and dollars of a path are its own, not the unit's."""
    odd = tmp_path / 'a "b" 100% $HOME \\ c'
    odd.mkdir()
    command = [*program(), "serve", str(odd)]
    text = unit_text("fsm-exec.service", "user" if manager == "user" else "system", command, "paper")
    (tmp_path / "fsm-exec.service").write_text(text, encoding="utf-8")
    verify(*(["--user"] if manager == "user" else []), tmp_path / "fsm-exec.service")
    (line,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    assert line.endswith('a \\"b\\" 100%% $$HOME \\\\ c"')


def test_a_person_is_asked(tmp_path: Path) -> None:
    """At a terminal each thing that is missing is asked for; real money wants a word."""
    key = key_file(tmp_path)
    answers = ["production", "yes"]
    said = at_terminal(tmp_path, answers, "init", "--offline", "--config", str(tmp_path / "made" / "config.toml"))
    assert "Which exchange" in said
    assert 'Type "production" to go on' in said
    assert "nothing was written; fsm-exec init --demo trades with play money" in said
    assert not (tmp_path / "made").exists()
    answers = ["demo", "7", "70", "an-id", str(key)]
    said = at_terminal(tmp_path, answers, "init", "--offline", "--config", str(tmp_path / "made" / "config.toml"))
    made = load_config(tmp_path / "made" / "config.toml").config
    assert (made.environment, made.api_key_id, made.limits.max_notional_dollars) == ("demo", "an-id", 7)
    assert "next:" in said


def at_terminal(directory: Path, answers: list[str], *arguments: str) -> str:
    """What is seen at a terminal at which these answers are typed, one a question."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=directory,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    said = b""
    ends_by = time.monotonic() + 120
    try:
        while time.monotonic() < ends_by:
            try:
                more = os.read(ours, 65_536)
            except OSError:  # nobody has it open any more
                break
            said += more
        process.wait(120)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return said.decode()
