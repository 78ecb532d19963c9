"""The configuration: where it is found, what it may hold, and what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm_exec.cli import config
from fsm_exec.cli.config import CONFIG_VARIABLE, load_config
from fsm_exec.control.limits import ControlLimits
from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.environment import DEMO, PRODUCTION

DEMO_TEXT = 'environment = "demo"\napi_key_id = "k-1"\nprivate_key_path = "key.pem"\n'
PAPER_URLS = 'rest_url = "http://127.0.0.1:9/trade-api/v2"\nws_url = "ws://127.0.0.1:8/trade-api/ws/v2"\n'


def written(directory: Path, text: str | bytes) -> Path:
    path = directory / "config.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_configuration_says_which_exchange_and_whose_key(tmp_path: Path) -> None:
    """The key's path is relative to the file, whatever the working directory."""
    loaded = load_config(written(tmp_path, DEMO_TEXT))
    assert loaded.exchange == DEMO
    assert loaded.key_path == tmp_path / "key.pem"
    assert (loaded.config.allow_real_money, loaded.config.max_clock_skew_ms) == (False, 5_000)


def test_limits_have_defaults_and_can_be_set_one_by_one(tmp_path: Path) -> None:
    """What `serve` accepts at most, with the unit in each name."""
    assert load_config(written(tmp_path, DEMO_TEXT)).config.limits == ControlLimits()
    loaded = load_config(written(tmp_path, DEMO_TEXT + "[limits]\nmax_notional_dollars = 50\n"))
    assert loaded.config.limits == ControlLimits(max_notional_dollars=50)


def test_the_option_wins_over_the_variable_and_that_over_the_users_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is looked at only if the one before is not given."""
    here, there, home = (tmp_path / name for name in ("here", "there", "home"))
    for directory in (here, there, home):
        directory.mkdir()
        written(directory, DEMO_TEXT)
    monkeypatch.setattr(config, "user_config_directory", lambda: home)
    variables = {CONFIG_VARIABLE: str(there / "config.toml")}
    assert load_config(here / "config.toml", variables).path.parent == here
    assert load_config(None, variables).path.parent == there
    assert load_config(None, {}).path.parent == home
    assert load_config(None, {CONFIG_VARIABLE: ""}).path.parent == home


def test_the_users_directory_is_the_platforms() -> None:
    """It is a directory of this program's own."""
    pytest.importorskip("platformdirs", reason="platformdirs is not installed; it is among the dependencies")
    assert config.user_config_directory().name == "fsm-exec"


def test_production_needs_both_words(tmp_path: Path) -> None:
    """Environment and permission; either alone is refused."""
    both = DEMO_TEXT.replace("demo", "production") + "allow_real_money = true\n"
    assert load_config(written(tmp_path, both)).exchange == PRODUCTION
    with pytest.raises(UserError, match="real money"):
        load_config(written(tmp_path, DEMO_TEXT.replace("demo", "production")))
    for name in ("demo", "paper"):
        with pytest.raises(UserError, match="remove it"):
            load_config(written(tmp_path, both.replace("production", name) + (PAPER_URLS if name == "paper" else "")))


def test_a_paper_exchange_is_on_this_machine(tmp_path: Path) -> None:
    """Its addresses are given, both, and no other environment takes any."""
    text = DEMO_TEXT.replace("demo", "paper")
    assert load_config(written(tmp_path, text + PAPER_URLS)).exchange.name == "paper"
    for wrong in (text, text + PAPER_URLS.split("\n")[0], DEMO_TEXT + PAPER_URLS):
        with pytest.raises(UserError):
            load_config(written(tmp_path, wrong))
    with pytest.raises(UserError, match="not on this machine"):
        load_config(written(tmp_path, text + PAPER_URLS.replace("127.0.0.1", "192.0.2.1")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "environment",
        DEMO_TEXT + "allow_real_mony = true\n",
        DEMO_TEXT.replace("demo", "live"),
        DEMO_TEXT + 'allow_real_money = "yes"\n',
        DEMO_TEXT + "max_clock_skew_ms = 0\n",
        DEMO_TEXT + "max_clock_skew_ms = 5.5\n",
        DEMO_TEXT + "[limits]\nmax_notional_dollars = 0\n",
        DEMO_TEXT + "[limits]\nmax_notional = 5\n",
        DEMO_TEXT + 'private_key = "-----BEGIN PRIVATE KEY-----"\n',
        DEMO_TEXT.replace('"k-1"', "7"),
        b"\xff\xfe",
        b"a = " + b"[" * 5_000,
        b"#" * (config.CONFIG_MAX_BYTES + 1),
    ],
    ids=lambda text: str(text[:30]),
)
def test_an_unusable_configuration_is_refused_by_name(tmp_path: Path, text: str | bytes) -> None:
    """One sentence with the file and what to do."""
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    """A missing file, a directory, a path that is none."""
    for path in (tmp_path / "none.toml", tmp_path, Path("a\0b")):
        with pytest.raises(UserError, match="configuration"):
            load_config(path)


def test_a_mark_of_byte_order_and_a_lines_end_are_read(tmp_path: Path) -> None:
    """What an editor put before the text, and what was copied with the id."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + DEMO_TEXT.replace('"k-1"', '"k-1\\n"').encode())
    assert load_config(path).config.api_key_id == "k-1"


@pytest.mark.parametrize("given", ["", " ", "k\\n1", "k\\r\\nX: 1", "\\u202ek"])
def test_an_id_that_is_none_is_said_with_its_file(tmp_path: Path, given: str) -> None:
    """When the configuration is read, not at the first signature."""
    path = tmp_path / "config.toml"
    path.write_text(DEMO_TEXT.replace("k-1", given), encoding="utf-8")
    with pytest.raises(UserError, match=f"configuration {path}: the API key id"):
        load_config(path)
