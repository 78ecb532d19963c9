"""Authenticates members by the three access headers, checked as the exchange checks them (wire/README.md 2).

The signature is over timestamp + METHOD + path, without query and body: RSA-PSS with SHA-256 and a salt of any length,
as the signature itself says, or plain Ed25519. The timestamp must lie within the window around the wall clock.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import MoneyE6
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.rate_limit import BASIC, RateLimiter, Tier
from fsm_exec.paper.timing.clock import TimeSource
from fsm_exec.paper.venue.exchange import Exchange

KeyType: TypeAlias = Literal["rsa", "ed25519"]
WINDOW_MS = 15_000  # measured: 10 s passes, 30 s does not
TIMESTAMP_DIGITS_MAX = 16
KEY_HEADER = "kalshi-access-key"
TIMESTAMP_HEADER = "kalshi-access-timestamp"
SIGNATURE_HEADER = "kalshi-access-signature"
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)


class Credentials(msgspec.Struct, frozen=True):
    """A member's key pair. The private half is never kept by the exchange, and never shown by `repr`."""

    api_key_id: str
    private_key_pem: bytes

    def __repr__(self) -> str:
        return f"Credentials(api_key_id={self.api_key_id!r})"

    def write_private_key(self, path: Path) -> None:
        """Write the PEM to a new file that only its owner can read. Raises OSError, also if the file exists."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.private_key_pem)


class Authenticator:
    """The keys and rate limits of the exchange's members. `wall` is the clock signatures are checked against; `tier`
    holds for all members."""

    def __init__(self, exchange: Exchange, wall: TimeSource, *, tier: Tier = BASIC) -> None:
        self.rate_limiter = RateLimiter(wall, tier)
        self._exchange = exchange
        self._wall = wall
        self.skew_ms = 0  # how wrong the exchange's clock is: a fault
        self._keys: dict[str, tuple[RSAPublicKey | Ed25519PublicKey, Account]] = {}

    def open_account(
        self, cash: MoneyE6, key_type: KeyType = "rsa", private_key_pem: bytes | None = None
    ) -> tuple[Account, Credentials]:
        """Open an account with `cash`, and a fresh key pair unless one is given. Raises UserError for a key that is
        none."""
        private = _draw_key(key_type) if private_key_pem is None else _load_key(private_key_pem)
        account = self._exchange.add_account(cash)
        return account, self._add_key(account, private)

    def create_key(self, account: Account, key_type: KeyType = "rsa") -> Credentials:
        """Give an account one more key, a fresh one."""
        return self._add_key(account, _draw_key(key_type))

    def revoke_key(self, api_key_id: str) -> None:
        """Refuse from now on whoever signs with this key. Connections that are open stay. Raises KeyError for an
        unknown one."""
        del self._keys[api_key_id]

    def _add_key(self, account: Account, private: RSAPrivateKey | Ed25519PrivateKey) -> Credentials:
        api_key_id = self._exchange.ids.new("api_key")
        self._keys[api_key_id] = (private.public_key(), account)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Credentials(api_key_id, pem)

    def keys_of(self, account: Account) -> list[str]:
        """Return the ids of an account's keys."""
        return [key_id for key_id, (_, owner) in self._keys.items() if owner is account]

    def find_claimed(self, headers: Mapping[str, str]) -> Account | None:
        """Return the account a public request names, if there is one: only to charge it, nothing is checked."""
        return self.find_member(headers.get(KEY_HEADER, ""))

    def find_member(self, api_key_id: str) -> Account | None:
        """Return the account of a key; None if there is no such key."""
        known = self._keys.get(api_key_id)
        return None if known is None else known[1]

    def authenticate(self, headers: Mapping[str, str], method: str, path: str) -> Account:
        """Return the account that signed a request. `headers` have lower-case names. Raises ApiError 401."""
        signature = headers.get(SIGNATURE_HEADER)
        if not signature:
            raise _unauthorized("signature_is_missing_from_headers", "signature is missing from headers")
        stamp = headers.get(TIMESTAMP_HEADER, "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= TIMESTAMP_DIGITS_MAX):
            raise _unauthorized("header_timestamp_expired", "header timestamp expired")
        if abs(int(stamp) - self._wall.now_us() // 1_000 - self.skew_ms) > WINDOW_MS:
            raise _unauthorized("header_timestamp_expired", "header timestamp expired")
        known = self._keys.get(headers.get(KEY_HEADER, ""))
        if known is None:
            raise unknown_key()
        public, account = known
        if not _verifies(public, signature, f"{stamp}{method.upper()}{path}".encode()):
            raise _unauthorized("authentication_error", "authentication_error", "INCORRECT_API_KEY_SIGNATURE")
        return account


def _draw_key(key_type: KeyType) -> RSAPrivateKey | Ed25519PrivateKey:
    if key_type == "ed25519":
        return Ed25519PrivateKey.generate()
    return generate_private_key(public_exponent=65_537, key_size=2_048)


def _load_key(pem: bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        private = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise UserError("is no private key of RSA or Ed25519 as PEM without a passphrase")
    return private


def _verifies(public: RSAPublicKey | Ed25519PublicKey, signature: str, message: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(public, Ed25519PublicKey):
            public.verify(raw, message)
        else:
            public.verify(raw, message, _PSS, hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def unknown_key() -> ApiError:
    """The refusal of a key that no member has."""
    return _unauthorized("authentication_error", "authentication_error", "NOT_FOUND")


def _unauthorized(code: str, message: str, details: str | None = None) -> ApiError:
    return ApiError(401, code, message, details)
