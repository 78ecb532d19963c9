"""Signed headers verify as the exchange verifies them, and the key stays where it is."""

from __future__ import annotations

import base64
import copy
import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from fsm_exec.core.errors import UserError, VenueRefused, VenueUnavailable
from fsm_exec.kalshi.signing import Signer, SigningKey

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Network

PATH = "/trade-api/v2/portfolio/orders"
NOW_MS = 1_790_856_000_123


def pem_of(key: object, password: bytes | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = (
        serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    )
    assert isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.fixture
def key_file(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> Path:
    path = tmp_path / "kalshi.pem"
    path.write_bytes(pem_of(rsa_key))
    path.chmod(0o600)
    return path


def test_rsa_signature_is_pss_with_sha256_and_a_salt_of_32(rsa_key: rsa.RSAPrivateKey, key_file: Path) -> None:
    """An RSA key signs timestamp + METHOD + path with the exact PSS parameters of the exchange, and no others."""
    headers = Signer("key-1", SigningKey.load(key_file)).signed_headers("get", PATH, NOW_MS)
    signature = base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"], validate=True)
    message = f"{NOW_MS}GET{PATH}".encode()

    def verify(salt: int, signed: bytes) -> None:
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
        rsa_key.public_key().verify(signature, signed, pss, hashes.SHA256())

    verify(32, message)
    with pytest.raises(InvalidSignature):
        verify(20, message)
    with pytest.raises(InvalidSignature):
        verify(32, message + b"?limit=1")
    assert headers["KALSHI-ACCESS-KEY"] == "key-1"
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == str(NOW_MS)


def test_ed25519_signs_the_same_message_plainly() -> None:
    """An Ed25519 key signs the very same bytes."""
    private = ed25519.Ed25519PrivateKey.generate()
    headers = Signer("key-1", SigningKey.from_pem(pem_of(private))).signed_headers("DELETE", PATH, NOW_MS)
    private.public_key().verify(base64.b64decode(headers["KALSHI-ACCESS-SIGNATURE"]), f"{NOW_MS}DELETE{PATH}".encode())


def test_a_generated_key_can_be_known_by_its_public_half() -> None:
    """`public_pem` is what an exchange needs to verify."""
    key = SigningKey.generate()
    public = serialization.load_pem_public_key(key.public_pem())
    assert isinstance(public, ed25519.Ed25519PublicKey)
    public.verify(key.sign(b"message"), b"message")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o610])
def test_a_key_file_others_may_touch_is_refused_with_the_remedy(key_file: Path, mode: int) -> None:
    """Any right of group or world on the key file is refused, and the message is the command that helps."""
    key_file.chmod(mode)
    with pytest.raises(UserError, match=f"mode {mode:03o}.*chmod 600 "):
        SigningKey.load(key_file)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_ones_own_is_taken(key_file: Path, mode: int) -> None:
    """Modes 600 and 400 are fine."""
    key_file.chmod(mode)
    assert repr(SigningKey.load(key_file)) == "<SigningKey rsa>"


def test_bad_key_files_are_user_errors_that_show_nothing_of_the_file(tmp_path: Path) -> None:
    """A missing file, a folder, rubbish, a protected key, a key of another kind: one line that names the file."""
    secret = b"c2VjcmV0IGtleSBtYXRlcmlhbA"
    bodies = {
        "rubbish.pem": secret,
        "torn.pem": b"-----BEGIN PRIVATE KEY-----\n" + secret + b"\n-----END PRIVATE KEY-----\n",
        "protected.pem": pem_of(ed25519.Ed25519PrivateKey.generate(), b"password"),
        "curve.pem": pem_of(ec.generate_private_key(ec.SECP256R1())),
        "large.pem": secret * 5_000,
        "empty.pem": b"",
    }
    for name, body in bodies.items():
        path = tmp_path / name
        path.write_bytes(body)
        path.chmod(0o600)
        with pytest.raises(UserError, match=name) as caught:
            SigningKey.load(path)
        text = str(caught.value) + repr(caught.value)
        assert secret.decode() not in text
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for path, says in (
        (tmp_path / "absent.pem", "cannot be read"),
        (tmp_path, "regular"),
        (Path("/dev/null"), "regular"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            SigningKey.load(path)
        assert "chmod" not in str(caught.value)


@pytest.mark.parametrize("bits", [1024, 2047])
def test_a_short_rsa_key_is_refused_at_load(tmp_path: Path, bits: int) -> None:
    """And not at the first order; what is refused says how long it must be."""
    path = tmp_path / "short.pem"
    path.write_bytes(pem_of(rsa.generate_private_key(public_exponent=65_537, key_size=bits)))
    path.chmod(0o600)
    with pytest.raises(UserError, match=f"short.pem: an RSA key of {bits} bits is too short; create one of 2048"):
        SigningKey.load(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a file away")
def test_a_key_file_of_another_user_is_refused(key_file: Path) -> None:
    """Whoever owns it may open it to others at any time; and whoever owns its directory may replace it."""
    os.chown(key_file, 1, 1)
    with pytest.raises(UserError, match="belongs to another user"):
        SigningKey.load(key_file)
    os.chown(key_file, 0, 0)
    os.chown(key_file.parent, 1, 1)
    try:
        with pytest.raises(UserError, match="its directory belongs to another user"):
            SigningKey.load(key_file)
    finally:
        os.chown(key_file.parent, 0, 0)


@pytest.mark.parametrize(
    ("mode", "taken"), [(0o700, True), (0o755, True), (0o1777, True), (0o775, False), (0o757, False)]
)
def test_a_key_file_that_others_may_replace_is_refused(key_file: Path, mode: int, taken: bool) -> None:
    """Its directory may not be written by group or world, unless it is sticky, as /tmp is; through a link as well."""
    link = key_file.parent.parent / f"link-{key_file.parent.name}"
    link.symlink_to(key_file)
    key_file.parent.chmod(mode)
    for path in (key_file, link):
        if taken:
            SigningKey.load(path)
            continue
        with pytest.raises(UserError, match=f"mode {mode:03o}.*chmod go-w {key_file.parent}$"):
            SigningKey.load(path)
    key_file.parent.chmod(0o700)


def test_a_key_shows_and_gives_nothing_of_itself(key_file: Path) -> None:
    """Neither repr nor str shows the key, and it can be neither copied nor pickled."""
    key = SigningKey.load(key_file)
    signer = Signer("key-1", key)
    body = key_file.read_text().splitlines()[1]
    for text in (repr(key), str(key), repr(signer), str(signer)):
        assert body not in text
        assert len(text) < 60
    for steal in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not copied or stored"):
            steal(key)


@pytest.mark.parametrize("key_id", ["", " x", "x\n", "x\r\nEvil: 1", "ключ", "x" * 201])
def test_a_key_id_that_is_no_header_value_is_refused(key_id: str) -> None:
    """A key id that would break the header is the user's error."""
    with pytest.raises(UserError, match="API key id"):
        Signer(key_id, SigningKey.generate())


@pytest.mark.parametrize(
    ("status", "code", "doubts"),
    [(401, "header_timestamp_expired", 2), (401, "authentication_error", 0), (400, "header_timestamp_expired", 0)],
)
async def test_an_expired_signature_puts_the_clock_in_doubt(
    kit: Kit, network: Network, status: int, code: str, doubts: int
) -> None:
    """Told at once, of a read and of a write alike; nothing is sent again for it."""
    network.answer(status, {"error": {"code": code, "message": "m"}})
    await kit.rest(network).place(kit.place())
    with pytest.raises((VenueRefused, VenueUnavailable)):
        await kit.rest(network).fetch_orders()
    assert (kit.doubts, len(network.requests)) == (doubts, 2)
