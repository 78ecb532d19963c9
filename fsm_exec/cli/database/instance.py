"""The instance of a database makes its order ids its own."""

from __future__ import annotations

import base64
import secrets


def draw_instance() -> str:
    """Draw ten base32 characters, once per database: the draw need not, and must not, repeat."""
    return base64.b32encode(secrets.token_bytes(7)).decode("ascii")[:10].lower()
