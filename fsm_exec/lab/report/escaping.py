"""Text in a page: nothing in it is markup, and nothing foreign turns the direction of writing or hides."""

from __future__ import annotations

import html

from fsm_exec.core.text import clean


def escape(text: str) -> str:
    """Escape text for HTML or an attribute's value."""
    return html.escape(clean(text))
