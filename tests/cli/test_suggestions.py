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
    (("zzzzqqq",), "No such command 'zzzzqqq'; see: fsm-exec --help"),
]


@pytest.mark.parametrize(("arguments", "says"), NEARLY)
def test_what_may_have_been_meant_is_said(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """With exit code 2 and nothing on the output; what is near nothing gets no guess."""
    done = invoke(tmp_path, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr


def test_a_guess_is_only_made_where_it_is_likely() -> None:
    """By letters alike, whatever their case; a name that is long past any is none."""
    assert suggestion("TWAP", ("twap", "market")) == "; did you mean twap?"
    assert suggestion("x" * 10_000, ("twap",)) == ";"
    assert suggestion("", ("twap",)) == ";"
