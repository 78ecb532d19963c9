"""Drawing a database's instance: what makes its order ids its own."""

from __future__ import annotations

import base64
import secrets


def draw_instance() -> str:
    """Ten base32 characters. Drawn once per database, so it need not, and must not, repeat."""
    return base64.b32encode(secrets.token_bytes(7)).decode("ascii")[:10].lower()
