"""Signs the headers of requests with a private key that never leaves this module.

The signed message (wire/README.md 2) is timestamp (unix milliseconds) + METHOD + path, where the path carries its
prefix and no query; the body is not signed. RSA keys sign with PSS (SHA-256, MGF1 with SHA-256, salt of 32 bytes),
Ed25519 keys plainly; the kind is read from the PEM. No error raised here carries bytes of the key, and no `repr` shows
it.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.private_file import read_private

PSS_SALT_BYTES = 32  # the length of a SHA-256 digest
KEY_FILE_MAX_BYTES = 64 * 1024  # an RSA key of 16,384 bits takes 13 KB
RSA_BITS_MIN = 2048  # shorter ones can be broken, and the shortest cannot even sign

KEY_HEADER = "KALSHI-ACCESS-KEY"
TIMESTAMP_HEADER = "KALSHI-ACCESS-TIMESTAMP"
SIGNATURE_HEADER = "KALSHI-ACCESS-SIGNATURE"
EXPIRED = "header_timestamp_expired"  # wire/README.md 2: the code of a 401 that says nothing but that two clocks differ


def ignore_expired_signature() -> None:
    """Do nothing about an expired signature, where the clock cannot be set anyway."""


class SigningKey:
    """A private key, RSA or Ed25519. Shows nothing of itself; copying and pickling are refused."""

    __slots__ = ("_private",)

    def __init__(self, private: RSAPrivateKey | Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Load the key of a PEM file. Raises UserError if the file cannot be read, others may touch it, or it holds no
        usable key."""
        pem = read_private(
            path,
            "key file",
            bytes_max=KEY_FILE_MAX_BYTES + 1,
            if_absent="check the path",
            if_others_may=f"run: chmod 600 {path}",
        )
        if len(pem) > KEY_FILE_MAX_BYTES:
            raise UserError(f"key file {path}: too large for a private key; give the PEM file Kalshi offered")
        return cls.from_pem(pem, f"key file {path}")

    @classmethod
    def from_pem(cls, pem: bytes, where: str = "private key") -> SigningKey:
        """Load the key from PEM bytes; `where` names their source in errors. Raises UserError."""
        # `from None`: the chained error of the library must not reach a log with anything of the key in it.
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except TypeError:
            raise UserError(f"{where}: is protected by a password; give an unprotected PEM file, mode 600") from None
        except (ValueError, UnsupportedAlgorithm):
            raise UserError(f"{where}: holds no private key in PEM form; give the file Kalshi offered") from None
        if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
            raise UserError(f"{where}: is neither RSA nor Ed25519; create a key of one of these kinds at Kalshi")
        if isinstance(private, RSAPrivateKey) and private.key_size < RSA_BITS_MIN:
            raise UserError(
                f"{where}: an RSA key of {private.key_size} bits is too short; create one of {RSA_BITS_MIN} at Kalshi"
            )
        key = cls(private)
        try:
            key.sign(b"")  # now, and not at the first order
        except Exception:  # of whatever kind: its text may quote the key
            raise UserError(f"{where}: cannot sign; give the file Kalshi offered") from None
        return key

    @classmethod
    def generate(cls) -> SigningKey:
        """Generate an Ed25519 key for a paper exchange. Ed25519 because it signs some ten times faster."""
        return cls(Ed25519PrivateKey.generate())

    def public_pem(self) -> bytes:
        """Return the public half, as an exchange keeps it."""
        return self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, message: bytes) -> bytes:
        if isinstance(self._private, Ed25519PrivateKey):
            return self._private.sign(message)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=PSS_SALT_BYTES)
        return self._private.sign(message, pss, hashes.SHA256())

    @property
    def kind(self) -> str:
        """The key's kind in words."""
        return "an RSA key" if isinstance(self._private, RSAPrivateKey) else "an Ed25519 key"

    def __repr__(self) -> str:
        return f"<SigningKey {'rsa' if isinstance(self._private, RSAPrivateKey) else 'ed25519'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is not copied or stored")


def check_key_id(key_id: str) -> None:
    """Raises UserError for an id that cannot stand in a header."""
    if not (key_id.isascii() and key_id.isprintable() and key_id.strip() == key_id and 0 < len(key_id) <= 200):
        raise UserError("the API key id is empty or has characters no id has; copy it again from Kalshi")


class Signer:
    """A key and its id at the exchange: makes the three headers of a request. Both may change while it is in use."""

    __slots__ = ("_key", "key_id")

    def __init__(self, key_id: str, key: SigningKey) -> None:
        """Raises UserError for an id that cannot stand in a header."""
        check_key_id(key_id)
        self.key_id = key_id
        self._key = key

    def change(self, key_id: str, key: SigningKey) -> None:
        """Sign with another key from now on. Raises UserError for an id that cannot stand in a header."""
        check_key_id(key_id)
        self.key_id, self._key = key_id, key

    def signed_headers(self, method: str, path: str, now_ms: int) -> dict[str, str]:
        """Return the headers of one request. `path` has the API's prefix and no query; `now_ms` is unix
        milliseconds."""
        message = f"{now_ms}{method.upper()}{path}".encode()
        return {
            KEY_HEADER: self.key_id,
            TIMESTAMP_HEADER: str(now_ms),
            SIGNATURE_HEADER: base64.b64encode(self._key.sign(message)).decode("ascii"),
        }

    def __repr__(self) -> str:
        return f"<Signer {self._key!r}>"
