"""Who may ask: signatures, the time window, and keys."""

from __future__ import annotations

import base64
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fsm_exec.paper.server.auth import KeyType
from tests.paper.support import START_US, Stage, staged

PATH = "/trade-api/v2/portfolio/balance"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged("memory") as stage:
        yield stage


@pytest.mark.parametrize("key_type", ["rsa", "ed25519"])
async def test_both_kinds_of_key_sign(stage: Stage, key_type: KeyType) -> None:
    """RSA-PSS and plain Ed25519; the query is not signed."""
    member = stage.new_member(key_type=key_type)
    answer = await stage.call("GET", "/portfolio/orders", member=member, query={"limit": "5"})
    assert answer.status_code == 200


@pytest.mark.parametrize("salt", [0, 16, 20, 32, 64, padding.PSS.MAX_LENGTH])
async def test_a_salt_may_have_any_length(stage: Stage, salt: Any) -> None:  # noqa: ANN401 - a number or a marker
    """The signature itself says which; the library's own default is the longest that fits."""
    member = stage.new_member(key_type="rsa")
    key = serialization.load_pem_private_key(member.credentials.private_key_pem, None)
    assert isinstance(key, RSAPrivateKey)
    headers = member.headers("GET", PATH)
    message = f"{headers['KALSHI-ACCESS-TIMESTAMP']}GET{PATH}".encode()
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    headers["KALSHI-ACCESS-SIGNATURE"] = base64.b64encode(key.sign(message, pss, hashes.SHA256())).decode()
    assert (await stage.http.get("/portfolio/balance", headers=headers)).status_code == 200
    wrong = base64.b64encode(key.sign(message + b" ", pss, hashes.SHA256())).decode()
    assert (await refusal(stage, {**headers, "KALSHI-ACCESS-SIGNATURE": wrong}))[0] == 401


async def refusal(stage: Stage, headers: dict[str, str]) -> tuple[int, str, str | None]:
    answer = await stage.http.get("/portfolio/balance", headers=headers)
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("details")


async def test_without_a_signature(stage: Stage) -> None:
    """signature_is_missing_from_headers."""
    assert await refusal(stage, {}) == (401, "signature_is_missing_from_headers", None)


@pytest.mark.parametrize(("off_s", "passes"), [(-10, True), (10, True), (-30, False), (30, False)])
async def test_the_time_window(stage: Stage, off_s: int, passes: bool) -> None:
    """Ten seconds either way pass, thirty do not."""
    headers = stage.member.headers("GET", PATH, at_ms=START_US // 1_000 + off_s * 1_000)
    answer = await stage.http.get("/portfolio/balance", headers=headers)
    assert answer.status_code == (200 if passes else 401)
    assert passes or answer.json()["error"]["code"] == "header_timestamp_expired"


@pytest.mark.parametrize("stamp", ["", "now", "-1", "9" * 40, "٣"])
async def test_a_timestamp_that_is_none(stage: Stage, stamp: str) -> None:
    """Expired, whatever it is."""
    headers = {**stage.member.headers("GET", PATH), "KALSHI-ACCESS-TIMESTAMP": stamp}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer = await stage.http.get("/portfolio/balance", headers=raw)
    assert answer.json()["error"]["code"] == "header_timestamp_expired"


async def test_an_unknown_key(stage: Stage) -> None:
    """NOT_FOUND."""
    headers = {**stage.member.headers("GET", PATH), "KALSHI-ACCESS-KEY": "nobody"}
    assert await refusal(stage, headers) == (401, "authentication_error", "NOT_FOUND")


async def test_a_signature_of_something_else(stage: Stage) -> None:
    """Of another path, of another member, or no base64 at all."""
    wrong = "INCORRECT_API_KEY_SIGNATURE"
    other = stage.member.headers("GET", "/trade-api/v2/portfolio/fills")
    assert await refusal(stage, other) == (401, "authentication_error", wrong)
    theirs = stage.new_member().headers("GET", PATH)["KALSHI-ACCESS-SIGNATURE"]
    mixed = {**stage.member.headers("GET", PATH), "KALSHI-ACCESS-SIGNATURE": theirs}
    assert await refusal(stage, mixed) == (401, "authentication_error", wrong)
    broken = {**stage.member.headers("GET", PATH), "KALSHI-ACCESS-SIGNATURE": "###"}
    assert await refusal(stage, broken) == (401, "authentication_error", wrong)


async def test_a_private_key_is_written_for_its_owner_alone(stage: Stage, tmp_path: Path) -> None:
    """Mode 0600, never over another file, never in a repr."""
    credentials = stage.member.credentials
    path = tmp_path / "key.pem"
    credentials.write_private_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == credentials.private_key_pem
    with pytest.raises(FileExistsError):
        credentials.write_private_key(path)
    assert "PRIVATE" not in repr(credentials)
