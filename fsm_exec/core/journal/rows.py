"""Rows that the store keeps of executions, and what it gives back of them: text as people and SQL read it."""

from __future__ import annotations

import msgspec

from fsm_exec.core.values.units import Outcome


class JournalRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One step of one execution. `event` and `intents` are JSON; `steps` is one line of state changes for people.
    `version` is that of `core.journal.upcasting` under which it was written."""

    seq: int
    at_us: int
    event_type: str
    event: bytes
    intents: bytes
    steps: str
    version: int


class SnapshotPart(msgspec.Struct, frozen=True, gc=False):
    """A part of a snapshot, by its name within its execution (`core.journal.parts`). `body` is JSON; `checksum` covers
    execution, name and body."""

    name: str
    body: bytes
    checksum: str


class PartsTotal(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How many parts a snapshot has, and the sum of their checksums."""

    count: int
    checksum: str


class ChildRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of `split_orders`, replaced whole. Text as people and SQL read it (decimal strings)."""

    client_order_id: str
    level: int
    attempt: int
    state: str
    status: str
    order_id: str | None
    price: str
    quantity: str
    filled_quantity: str
    time_in_force: str
    walks: int


class FillRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A row of `fills`: one by (order_id, fill_id), the name it was first counted by; `late` marks one after its
    order's end. `trade_id` and `listed_id` are its trade's name and the listing's own, where they are known and, of the
    latter, where it is another than `fill_id`."""

    order_id: str
    fill_id: str
    client_order_id: str
    price: str
    quantity: str
    fee: str
    is_taker: bool
    late: bool
    traded_at_us: int
    trade_id: str | None = None
    listed_id: str | None = None


class FillGone(msgspec.Struct, frozen=True, gc=False):
    """The key of a row of `fills` that is there no more: it was taken back."""

    order_id: str
    fill_id: str


class SubmissionRow(msgspec.Struct, frozen=True, gc=False):
    """A row of `submissions`: the caller's own key, and the request as JSON with numbers in their full form."""

    key: str
    request: bytes


class LostSubmission(msgspec.Struct, frozen=True, gc=False):
    """A row of `lost_submissions`: what an engine on another host accepted under a key and this database does not have.
    `accepted_as` is the execution's id there. `bought`: contracts that the exchange executed for it, decimal; None: not
    known. Times are ISO 8601 UTC."""

    key: str
    accepted_as: str
    instance: str
    ticker: str
    outcome: str
    quantity: str
    noted_at: str
    bought: str | None
    reported_at: str


class EdgeFigures(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a row of `edges` says beside the order: the model's figures, if there was an edge, and the contracts traded
    in 24 hours as the exchange last said. Decimal strings; None is unknown."""

    model_probability: str | None = None
    expected_value: str | None = None
    volume_24h: str | None = None


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `edges` for what was refused before anything was sent; `refusal` is the word the caller got. A
    second one under the same key takes the place of the first."""

    at_us: int
    key: str
    ticker: str
    outcome: Outcome
    method: str
    quantity: str
    target_price: str | None
    edge: EdgeFigures
    refusal: str


class ExecutionSave(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One durable transition: the snapshot, its journal row and the rows that changed, in one transaction. `fills` are
    new, `corrected` were there, `gone` were taken back. `refusal` is what the exchange last refused with. `parts` of
    the snapshot are new or changed, `gone_parts` are there no more; `clears_parts`: before them, whatever parts are
    stored go. `parts_total`, of all its parts, is for whoever makes the next save: it lies in the snapshot.
    `reserved` is what the execution may still cost, in dollars. `submission` goes with the first save of an execution
    that was submitted under a key; `edge` with every first save, whose row of `edges` it completes."""

    execution_id: str
    ticker: str
    outcome: Outcome
    method: str
    state: str
    reason: str | None
    target_quantity: str
    target_price: str | None
    accepted_at_us: int
    deadline_us: int
    snapshot_version: int
    snapshot: bytes
    journal: JournalRow
    children: tuple[ChildRow, ...]
    fills: tuple[FillRow, ...]
    reserved: str
    corrected: tuple[FillRow, ...] = ()
    gone: tuple[FillGone, ...] = ()
    refusal: str | None = None
    clears_parts: bool = False
    parts: tuple[SnapshotPart, ...] = ()
    gone_parts: tuple[str, ...] = ()
    parts_total: PartsTotal | None = None
    submission: SubmissionRow | None = None
    edge: EdgeFigures | None = None


class MethodRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `methods`: written once, never changed. `config` is JSON. `distribution` is the package its algorithm
    came with when it was written, and its version; None: the algorithm ships with fsm-exec."""

    name: str
    version: int
    algorithm: str
    config: str
    distribution: str | None = None
    distribution_version: str | None = None


class StoredExecution(msgspec.Struct, frozen=True, kw_only=True):
    """`damage`: its row cannot be read, and why; then the rest is only what could be."""

    execution_id: str
    state: str
    quarantine: str | None
    snapshot_version: int
    snapshot: bytes
    parts: tuple[SnapshotPart, ...] = ()
    damage: str | None = None


class StartPoint(msgspec.Struct, frozen=True):
    """The highest number an execution of this database was ever given, and when one of them last moved; if none ever
    did, when the database got its instance."""

    number: int
    last_saved_us: int


class OrderOwner(msgspec.Struct, frozen=True):
    """Whose an order is, and which of its fills are stored."""

    execution_id: str
    client_order_id: str
    fills: tuple[FillRow, ...]
