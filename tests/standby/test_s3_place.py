"""A lease record in a bucket, by a real S3 server: what is wrong with a store is one line, and never no record."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from trio.testing import MockClock

from fsm_exec.cli.config import load_config
from fsm_exec.cli.doctor.standby_checks import check_standby
from fsm_exec.core.errors import UserError
from fsm_exec.standby.places.place import Place, PlaceChanged, PlaceUnreachable
from fsm_exec.standby.settings import lease_directory, open_place
from tests.cli.exchange import site
from tests.standby.s3_server import S3Server, s3_server

pytestmark = pytest.mark.usefixtures("s3_environment")


async def why_unreachable(place: Place) -> set[str]:
    """What every method of a place says of it."""
    said = set()
    for ask in (
        lambda: place.load("lease.json"),
        lambda: place.save("lease.json", b"2", None),
        lambda: place.save("lease.json", b"2", '"0123"'),
        lambda: place.load_names("keys"),
        lambda: place.delete("other.json"),
    ):
        with pytest.raises(PlaceUnreachable) as raised:
            await ask()
        assert "\n" not in str(raised.value)
        said.add(str(raised.value))
    return said


async def test_a_bucket_that_is_not_there_is_no_place_without_a_record(store: S3Server) -> None:
    """Its answer is a 404 like that of an object that is not there; every method says which it is."""
    said = await why_unreachable(open_place(store.url("p", bucket="other")))
    assert all("s3://other/p cannot be used: the store says NoSuchBucket" in line for line in said), said


async def test_an_unknown_key_is_refused_by_one_line() -> None:
    """A store that denies says why, in its own words."""
    with s3_server(denies=True) as server:
        said = await why_unreachable(open_place(server.url("p")))
    assert all("the store says InvalidAccessKeyId: The AWS Access Key Id you provided" in line for line in said), said


async def test_what_is_no_store_is_told_from_an_empty_one(tmp_path: Path) -> None:
    """Another HTTP server answers 404 too, without a store's words: that is no record's absence."""
    async with site(tmp_path) as at:
        url = f"s3://pair/p?endpoint={at.host.rest_url.removesuffix('/trade-api/v2')}"
        said = await why_unreachable(open_place(url))
    assert all("not as an S3 store does; is the endpoint right?" in line for line in said), said


async def test_a_server_that_is_gone_and_one_that_hangs(autojump_clock: MockClock) -> None:
    """A call ends within its limit with one line; when the server answers again, so does the place."""
    with s3_server() as server:
        place = open_place(server.url("p"))
        autojump_clock.autojump_threshold = float("inf")
        tag = await place.save("lease.json", b"1", None)
        server.process.send_signal(signal.SIGSTOP)
        autojump_clock.autojump_threshold = 0
        said = await why_unreachable(place)
        assert said == {"s3://pair/p did not answer within 60 s"}
        server.process.send_signal(signal.SIGCONT)
        autojump_clock.autojump_threshold = float("inf")
        stored = await place.load("lease.json")
        assert stored is not None
        assert (stored.content, stored.tag) == (b"1", tag)  # whatever became of the writes that nobody waited for
        server.process.kill()
        server.process.wait()
        said = await why_unreachable(place)
    assert all("s3://pair/p cannot be used: Connection refused" in line for line in said), said


async def test_an_object_that_is_gone_is_changed(store: S3Server) -> None:
    """A write over a state of what was deleted meanwhile is refused, though the store answers 404."""
    place = open_place(store.url("gone"))
    tag = await place.save("lease.json", b"1", None)
    await place.delete("lease.json")
    with pytest.raises(PlaceChanged):
        await place.save("lease.json", b"2", tag)


async def test_more_notes_than_a_page_has_are_listed(store: S3Server) -> None:
    """A store lists a thousand at a time; those of another folder, or another prefix, are not among them."""
    place, other = open_place(store.url("many")), open_place(store.url("many-others"))
    for one, name in ((other, "keys/x"), (place, "keys-old/x"), (place, "keys/b"), (place, "keys/a")):
        await one.save(name, b"1", None)
    assert await place.load_names("keys") == ["keys/a", "keys/b"]


@pytest.mark.parametrize(
    ("ignores", "verdict", "said"),
    [
        ("", "ok", "a write over another state is refused"),
        ("If-None-Match", "fail", "takes a write over what is there; use another place"),
        ("If-Match", "fail", "takes a write over another state; use another place"),
    ],
)
async def test_a_store_that_ignores_a_condition_is_found_by_the_doctor(
    tmp_path: Path, ignores: str, verdict: str, said: str
) -> None:
    """The check of the pair writes over another state: a store that takes it fails, and nothing of the probe stays."""
    with s3_server(ignores=ignores) as server:
        url = server.url("p")
        async with site(tmp_path) as at:
            at.write_config(standby={"lease": url})
            lease, *_ = await check_standby(load_config(at.config))
        assert (lease.name, lease.verdict) == ("lease", verdict)
        assert said in lease.text
        assert await open_place(url).load_names("") == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://key:secret@bucket/prefix", "credentials do not stand in it"),
        ("s3://bucket", "names no prefix; give s3://bucket/PREFIX"),
        ("s3://bucket/", "names no prefix"),
        ("s3://bucket/a/../b", "names no prefix"),
        ("s3://bucket/p?endpont=http://x", "has endpont="),
        ("s3://bucket/p?endpoint=minio:9000", "is no address of a store; give https://HOST:PORT"),
        ("s3://bucket/p?endpoint=http://me:secret@minio:9000", "is no address of a store"),
    ],
)
def test_a_wrong_address_is_one_line(url: str, said: str) -> None:
    """What is wrong, and what to give instead."""
    with pytest.raises(UserError) as raised:
        open_place(url)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_bucket_is_no_directory() -> None:
    """A unit need not be allowed to write it."""
    assert lease_directory("s3://bucket/prefix") is None


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library comes with an extra, and only a lease in a bucket needs it."""
    monkeypatch.delitem(sys.modules, "fsm_exec.standby.places.s3_place", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UserError, match=r"pip install 'fsm-exec\[s3\]'"):
        open_place("s3://bucket/prefix")


async def test_credentials_come_from_the_file_of_that_world(
    store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile of the shared file opens the store; a file or a profile that is named and is not there is one line, and
    what the file has is in none of them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    url = store.url("file")
    for text, said in (
        (None, "No such file or directory"),
        ("aws_access_key_id = secret", "no file of profiles"),
        ("[other]\naws_access_key_id = secret", r"under \[default\]"),
        ("[default]\naws_access_key_id = secret", r"under \[default\]"),
    ):
        if text is not None:
            file.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=said) as raised:
            open_place(url)
        assert "= secret" not in str(raised.value)
    file.write_text("[default]\naws_access_key_id = reader\naws_secret_access_key = not%secret\n", encoding="utf-8")
    await open_place(url).save("lease.json", b"1", None)
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(UserError, match=r"under \[other\]"):
        open_place(url)


async def test_credentials_of_litestream_open_the_place_too(
    store: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pair of variables is enough for both."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
        monkeypatch.setenv(name.replace("AWS", "LITESTREAM"), "given")
    monkeypatch.setenv("HOME", str(tmp_path))
    await open_place(store.url("litestream")).save("lease.json", b"1", None)
