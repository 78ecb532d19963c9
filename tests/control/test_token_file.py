"""The token's file: made for its owner alone, and refused when anybody else may have read it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from fsm_exec.control.token import ensure_token, read_token
from fsm_exec.core.errors import UserError


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, a token of 256 bits, the same at the next start, and nothing left beside it."""
    path = tmp_path / "token"
    before = os.umask(0)
    try:
        token = ensure_token(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(token) == 43
    assert ensure_token(path) == token == read_token(path)
    assert [p.name for p in tmp_path.iterdir()] == ["token"]
    assert ensure_token(tmp_path / "another") != token


def test_two_that_make_it_at_once_have_one(tmp_path: Path) -> None:
    """A whole file or none: nobody reads half a token."""
    path, found = tmp_path / "token", list[str]()
    threads = [threading.Thread(target=lambda: found.append(ensure_token(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {read_token(path)}
    assert [p.name for p in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620, 0o777])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """One line with the path, the mode and the remedy; the token is not in it, and the file is left as it is."""
    path = tmp_path / "token"
    token = ensure_token(path)
    path.chmod(mode)
    for look in (read_token, ensure_token):
        with pytest.raises(UserError, match=f"{mode:03o}") as refused:
            look(path)
        assert str(path) in str(refused.value)
        assert "remove it" in str(refused.value)
        assert token not in str(refused.value)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_is_no_token_file_is_refused(tmp_path: Path) -> None:
    """A link, a directory, a pipe, an empty file, a short or odd token, a missing file and an impossible path."""
    good = tmp_path / "good"
    ensure_token(good)
    (tmp_path / "link").symlink_to(good)
    (tmp_path / "directory").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, content in {"empty": "", "short": "abc\n", "odd": "a b" * 20, "long": "a" * 1_000}.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    for name in ("link", "directory", "pipe", "empty", "short", "odd", "long", "missing", "no\0name", "good/below"):
        with pytest.raises(UserError, match="token file") as refused:
            read_token(tmp_path / name)
        assert "\n" not in str(refused.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """Whoever owns it may open it to others at any time."""
    path = tmp_path / "token"
    ensure_token(path)
    os.chown(path, 1, 1)
    with pytest.raises(UserError, match="another user"):
        read_token(path)


def test_a_directory_that_cannot_take_it_is_one_line(tmp_path: Path) -> None:
    """A missing directory is not made: whoever names a path has a reason."""
    with pytest.raises(UserError, match="cannot be made"):
        ensure_token(tmp_path / "missing" / "token")
