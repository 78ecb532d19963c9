"""The address of a place in a bucket, spelt as Litestream spells a replica's."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from fsm_exec.core.errors import UserError

SCHEME: Final = "s3"
PATH_STYLE: Final = ("forcePathStyle", "force-path-style")  # which we take in any case


class S3Address(msgspec.Struct, frozen=True):
    """A prefix of a bucket. `endpoint` and `region` empty: what the environment says, or Amazon's own."""

    bucket: str
    prefix: str
    endpoint: str = ""
    region: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}://{self.bucket}/{self.prefix}"


def read_address(url: str) -> S3Address:
    """Read `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`. Raises UserError."""
    parts = urlsplit(url)
    bucket, prefix = parts.netloc, unquote(parts.path).strip("/")
    if not bucket or "@" in bucket or ":" in bucket:
        raise UserError(
            f"lease {url!r} names no bucket; give s3://BUCKET/PREFIX, and ?endpoint=https://HOST:PORT for a store "
            "that is not Amazon's; credentials do not stand in it"
        )
    if not prefix or any(part in ("", ".", "..") for part in prefix.split("/")):
        raise UserError(f"lease {url!r} names no prefix; give s3://{bucket}/PREFIX, one of its own to each pair")
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    endpoint, region = given.pop("endpoint", ""), given.pop("region", "")
    for name in PATH_STYLE:
        given.pop(name, None)
    if given:
        raise UserError(f"lease {url!r} has {min(given)}=; only endpoint= and region= may follow the prefix")
    where = urlsplit(endpoint)
    if endpoint and (where.scheme not in ("http", "https") or not where.hostname or where.username is not None):
        raise UserError(f"lease {url!r}: endpoint={endpoint} is no address of a store; give https://HOST:PORT")
    return S3Address(bucket, prefix, endpoint, region)
