"""The lease record says which engine leads: one object beside the copies of the database, changed by conditional writes
alone.

Each change of the leader raises the term. The record holds what a second host needs: who leads, of which database, and
until when unless it is renewed. Nothing here reads a clock or a network.

Whether a lease has run out is judged by how long the record has not changed, on the judge's own clock: two hosts may
disagree about the time, and `expires_at` is for people.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S

FORMAT: Final = 1
LEASE_S: Final = 30
MARGIN_SHARE: Final = 6  # a lease counts as run out a sixth of itself after its end: a renewal may be on its way


class LeaseHolder(msgspec.Struct, frozen=True, kw_only=True):
    """An engine, or a standby about to become one. `name` is drawn by each process; `instance` that of its database,
    empty for a standby that has none yet. `account` tells one account of an exchange from another, and nothing else."""

    name: str
    host: str
    pid: int
    database: str
    instance: str = ""
    account: str = ""

    def __str__(self) -> str:
        return f"{self.database} on {self.host} (process {self.pid})"


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Who leads. `term` grows by one with each new leader, and is never given twice. `renewed_at` and `expires_at` are
    ISO 8601 UTC by the leader's clock. `beat` is the time of the newest sign of life that the leader's database holds:
    a copy without it is behind; empty: there is none yet."""

    format: int
    term: int
    holder: LeaseHolder
    lease_s: int
    renewed_at: str
    expires_at: str
    beat: str = ""

    def is_of(self, holder: LeaseHolder) -> bool:
        """Whether it names this very process, or another one on the same database file, whose lock its successor has:
        that one is dead."""
        theirs = self.holder
        return theirs.name == holder.name or (bool(holder.instance) and theirs.instance == holder.instance)


def renewed_record(term: int, holder: LeaseHolder, lease_s: int, now_us: int, beat: str = "") -> LeaseRecord:
    """Return the record of a leader that is well now."""
    return LeaseRecord(
        format=FORMAT,
        term=term,
        holder=holder,
        lease_s=lease_s,
        renewed_at=to_iso(now_us),
        expires_at=to_iso(now_us + lease_s * US_PER_S),
        beat=beat,
    )


def encode_record(record: LeaseRecord) -> bytes:
    """Encode a record as people can read it, too."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def decode_record(text: bytes, where: str) -> LeaseRecord:
    """Decode a record. Raises UserError for what is none, naming `where` it stands."""
    try:
        record = msgspec.json.decode(text, type=LeaseRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{where} is no lease record ({error}); give a place of its own to each pair of engines"
        ) from None
    if record.format != FORMAT:
        raise UserError(f"{where} is a lease record of format {record.format}; use the fsm-exec that wrote it")
    return record


class ExpiryWatch:
    """Judges whether the record has run out, by the judge's own clock."""

    def __init__(self) -> None:
        self._seen: str | None = None
        self._since_s = 0.0

    def left_s(self, tag: str, record: LeaseRecord, now_s: float) -> float:
        """Return for how many seconds more the leader may be alive; 0 or less: its lease has run out. `tag` tells one
        state of the record from another, `now_s` is any clock that does not go back."""
        if tag != self._seen:
            self._seen, self._since_s = tag, now_s
        return self._since_s + record.lease_s + record.lease_s / MARGIN_SHARE - now_s

    def begin_anew(self) -> None:
        """Count from the next sight of the record: while it could not be read, its leader may have been unable to
        renew it, too."""
        self._seen = None
