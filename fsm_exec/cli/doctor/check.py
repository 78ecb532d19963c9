"""One line of `fsm-exec doctor`: what was looked at, how it stands, and what to do."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Verdict: TypeAlias = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True):
    """`text` has the remedy where there is one."""

    name: str
    verdict: Verdict
    text: str
