"""A word that is nearly right gets the right one, in one line, wherever a name is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm_exec.core.text import suggestion
from tests.cli.invoking import invoke

NEARLY = [
    (("dmeo",), "No such command 'dmeo'; did you mean demo? see: fsm-exec --help"),
    (("methods", "sho"), "Did you mean 'show'? see: fsm-exec methods --help"),
    (("demo", "--profile", "indxx"), "no profile 'indxx'; did you mean index? give one of: thin,"),
    (("demo", "--algorithm", "twpa"), "unknown method 'twpa'; did you mean twap? choose one of: "),
    (("demo", "--faults", "everythin"), "did you mean everything? give one of "),
    (("compare", "--tape", "indx:1"), "no profile 'indx', and no such file; did you mean index?"),
    (
        ("compare", "--tape", "thin:1", "--methods", "deadlinewalker,market"),
        "did you mean deadline_walker? choose one of: ",
    ),
    (
        ("compare", "--tape", "thin:1", "--methods", "twap[slicez=3],market"),
        "did you mean slices? its settings are ",
    ),
    (("methods", "show", "twpa"), "did you mean twap? "),
    (("algorithms", "check", "twpa"), "unknown algorithm 'twpa'; did you mean twap? choose one of: "),
    (
        ("methods", "add", "mine", "--algorithm", "tawp", "--db", "none/of.sqlite"),
        "unknown algorithm 'tawp'; did you mean twap? choose one of: ",
    ),
    (
        ("methods", "add", "mine", "--algorithm", "twap", "--set", "nope=1", "--db", "none/of.sqlite"),
        "unknown field `nope`; its settings are closing_lead_s, fruitless_max, interval_s, retry_ms, slices, spre",
    ),
    (("list", "--state", "fild"), "'cancelled'; did you mean filled? see: fsm-exec list --help"),
    (("compare", "--tape", "thin:1", "--fill-model", "trade"), "did you mean trades? see: fsm-exec compare --help"),
    (("zzzzqqq",), "No such command 'zzzzqqq'; see: fsm-exec --help"),
]


@pytest.mark.parametrize(("arguments", "says"), NEARLY)
def test_what_may_have_been_meant_is_said(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """With exit code 2 and nothing on the output; what is near nothing gets no guess."""
    done = invoke(tmp_path, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr


CONFIGURED = 'api_key_id = "x"\nprivate_key_path = "k.pem"\n'
WRITTEN = [
    ('enviroment = "demo"', "unknown field `enviroment`; did you mean environment?"),
    ('environment = "demmo"', "'demmo' - at `$.environment`; did you mean demo?"),
    ('environment = "demo"\n[limits]\nmax_horizn_s = 5', "did you mean max_horizon_s?"),
    ('environment = "demo"\n[rsk]\nx = 5', "unknown field `rsk`; did you mean risk?"),
    ('environment = "demo"\n[alerts.channels.me]\nurl_fil = "x"', "did you mean url_file?"),
    ('environment = "demo"\n[page]\nzzz = 1', "unknown field `zzz` - at `$.page`; give one of: port"),
    ('environment = "demo"\n[page]\nport = "x"', "correct it, it takes environment = "),
]


@pytest.mark.parametrize(("lines", "says"), WRITTEN)
def test_so_is_a_key_of_the_configuration(tmp_path: Path, lines: str, says: str) -> None:
    """In the table it stands in; where nothing is near, all there are."""
    (tmp_path / "c.toml").write_text(CONFIGURED + lines, encoding="utf-8")
    done = invoke(tmp_path, "serve", "--config", "c.toml")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr


FILES = [
    (("methods", "add", "--db", "a.sqlite", "--file", "wrong.toml"), "did you mean algorithm?"),
    (("demo", "--faults", "wrong.toml"), "give one of: writes, reads, frames"),
]


@pytest.mark.parametrize(("arguments", "says"), FILES)
def test_and_a_key_of_any_other_file(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """A method's, a profile's of faults."""
    (tmp_path / "wrong.toml").write_text('algoritm = "twap"\n', encoding="utf-8")
    done = invoke(tmp_path, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr


def test_a_guess_is_only_made_where_it_is_likely() -> None:
    """By letters alike, whatever their case; a name that is long past any is none."""
    assert suggestion("TWAP", ("twap", "market")) == "; did you mean twap?"
    assert suggestion("x" * 10_000, ("twap",)) == ";"
    assert suggestion("", ("twap",)) == ";"
