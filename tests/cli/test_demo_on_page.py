"""`demo --web`: the run is played on the live page, behind the guard of every page, and stays until Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.support import COMMAND, environment, folded, run

WITHIN_S = 120


def told(file: Path) -> str:
    """What the browser was given, once it was started."""
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        if file.exists() and (text := file.read_text()).endswith("\n"):
            return text.strip()
        time.sleep(0.05)
    raise AssertionError("no browser was opened")


def ended_on(person: httpx.Client) -> str:
    """Both lists: on a busy machine an execution of the demo may come to its deadline before it is filled."""
    return "".join(person.get(f"/executions?state={state}").text for state in ("filled", "cancelled"))


def test_the_run_is_played_on_the_live_page(tmp_path: Path) -> None:
    """A browser is let in once, sees executions come and end, and the methods; the page outlives the run, and Ctrl-C
    ends it with the exit code of the run and the picture drawn."""
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > link\n')
    browser.chmod(0o700)
    process = subprocess.Popen(
        [*COMMAND, "demo", "--web", "--speed", "40", "--executions", "4", "--db", "d.sqlite"],
        cwd=tmp_path,
        env={**environment(), "BROWSER": f"{browser} %s"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        link = told(tmp_path / "link")
        origin, found, _ = link.partition("/enter?code=")
        assert found
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", origin)
        with httpx.Client(base_url=origin, headers={"Sec-Fetch-Site": "none"}, timeout=30) as person:
            assert person.get("/").status_code == 401
            assert person.get(link).status_code == 200
            desk = person.get("/")
            assert "demo on a paper exchange" in desk.text
            until = time.monotonic() + WITHIN_S
            while "e000004" not in (ended := ended_on(person)) and time.monotonic() < until:
                time.sleep(0.3)
            assert "e000004" in ended
            assert person.get("/executions/e000001").status_code == 200
            methods = person.get("/methods").text
            assert "deadline_walker@1" in methods
            assert "passive_mid@1" in methods
        assert process.poll() is None, "the page stays"
        assert process.stderr is not None
        assert process.stderr.readline() == "The page stays until Ctrl-C.\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WITHIN_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (0, "")
    assert "no difference" in out
    assert out.endswith("Picture: d-picture.html\n")
    assert all(execution.is_ended for execution in folded(tmp_path / "d.sqlite"))


@pytest.mark.parametrize(
    ("with_it", "named"), [(("--crash",), "--web and --crash"), (("--speed", "max"), "--speed max")]
)
def test_what_does_not_go_with_a_page_is_refused(tmp_path: Path, with_it: tuple[str, ...], named: str) -> None:
    """One line, before anything is made."""
    done = run(tmp_path, "demo", "--web", *with_it)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert named in done.stderr
    assert list(tmp_path.iterdir()) == []
