"""Raw logs of a WebSocket: one frame a line, bare or inside something else, with or without a time of receipt.

How a log is laid out is found from its first frames: which member of a line is the frame (the line itself, an object,
or text that is one), which is the time (a number in s, ms, us or ns, by its size, or text as ISO 8601). Without a time
of receipt the exchange's own times stand in: they are earlier, and say nothing about when a frame could be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.recordings.lines import Lines, is_cut
from fsm_exec.wire import ws

SAMPLE: Final = 200  # frames that show the layout
YEAR_2000_S, YEAR_2100_S = 946_684_800, 4_102_444_800
UNITS: Final = {"s": Decimal(1_000_000), "ms": Decimal(1_000), "us": Decimal(1), "ns": Decimal("0.001")}
FRAME_MEMBERS: Final = frozenset({"type", "id", "sid", "seq", "sending_ts_ms", "msg"})
RECEIPT_WORDS: Final = ("rec", "local", "arriv")  # in the name of a time of receipt, where there are several times
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Members = dict[str, msgspec.Raw]


class Layout(NamedTuple):
    """`frame` and `time` name members of a line; None: the line itself, and no time of receipt. `unit` is one of UNITS,
    or `text`."""

    frame: str | None
    time: str | None
    unit: str | None


class LogFrame(NamedTuple):
    """`at_us`: when it was received, or None if the log does not say."""

    at_us: int | None
    raw: bytes
    envelope: ws.Envelope


class LogCounts(msgspec.Struct):
    """What was in the lines of a log besides frames."""

    frames: int = 0
    other_lines: int = 0
    cut_off: bool = False


def find_layout(path: Path, time_name: str | None) -> Layout:
    """Find how a log is laid out. `time_name`: the member that is the time of receipt, where that is not plain. Raises
    UserError for a file without frames, and where the time is not to be told."""
    found: list[tuple[str | None, Members]] = []
    for _, line in Lines(path):
        members = _members_of(line)
        if members and (place := _frame_in(members)) is not None:
            found.append((place or None, members))
            if len(found) == SAMPLE:
                break
    if not found:
        raise UserError(f"log {path}: no line of it holds a frame of the exchange's WebSocket; give another file")
    frame = found[0][0]
    alike = [members for place, members in found if place == frame]
    times = {
        name: unit
        for name, value in alike[0].items()
        if name not in FRAME_MEMBERS and name != frame and (unit := _unit_of(value)) is not None
        and all(_unit_of(members.get(name)) == unit for members in alike)
    }  # fmt: skip
    if time_name is not None:
        if time_name not in times:
            raise UserError(f"log {path}: --time {time_name}: no unix time and no ISO 8601 is there in each line")
        return Layout(frame, time_name, times[time_name])
    received = [name for name in times if any(word in name.lower() for word in RECEIPT_WORDS)] or list(times)
    if len(received) > 1:
        raise UserError(f"log {path}: {', '.join(sorted(received))} may be the time of receipt; say which by --time")
    return Layout(frame, *((received[0], times[received[0]]) if received else (None, None)))


def read_frames(path: Path, layout: Layout, counts: LogCounts) -> Iterator[LogFrame]:
    """Read the frames of a log one by one, and count what else is in it. Raises UserError for a file that cannot be
    read."""
    lines = Lines(path)
    for _, line in lines:
        members = _members_of(line)
        raw = None if members is None else line.strip() if layout.frame is None else _raw_of(members.get(layout.frame))
        try:
            envelope = None if raw is None else ws.decode_envelope(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            envelope = None
        if members is None or raw is None or envelope is None:
            counts.cut_off |= is_cut(line)
            counts.other_lines += not is_cut(line)
            continue
        counts.frames += 1
        yield LogFrame(_time_in(members, layout), raw, envelope)
    counts.cut_off |= lines.cut_off


def _members_of(line: bytes) -> Members | None:
    """The members of a line by their names, of a list by their places; None if it is neither."""
    try:
        if line.lstrip().startswith(b"["):
            places = msgspec.json.decode(line, type=list[msgspec.Raw])
            return {str(place): value for place, value in enumerate(places)}
        return msgspec.json.decode(line, type=Members)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _frame_in(members: Members) -> str | None:
    """Where the frame is: the name of a member, "" for the line itself; None if there is none."""
    if _is_frame(members):
        return ""
    for name, value in members.items():
        raw = _raw_of(value)
        inner = None if raw is None else _members_of(raw)
        if inner is not None and _is_frame(inner):
            return name
    return None


def _is_frame(members: Members) -> bool:
    kind = members.get("type")
    return kind is not None and "msg" in members and bytes(kind)[1:-1].decode(errors="replace") in ws.FRAME_TYPES


def _raw_of(value: msgspec.Raw | None) -> bytes | None:
    """The text of a member that is an object, or text that may be one."""
    if value is None:
        return None
    raw = bytes(value)
    if raw.startswith(b'"'):
        raw = msgspec.json.decode(raw, type=str).encode()
    return raw if raw.lstrip().startswith(b"{") else None


def _time_in(members: Members, layout: Layout) -> int | None:
    value = None if layout.time is None else members.get(layout.time)
    if value is None or layout.unit is None:
        return None
    number = _number_of(value)
    if layout.unit == "text":
        return _parse_text(value)
    return None if number is None else int(number * UNITS[layout.unit])


def _unit_of(value: msgspec.Raw | None) -> str | None:
    """The unit of what may be a time of this century, by its size."""
    if value is None:
        return None
    if _parse_text(value) is not None:
        return "text"
    number = _number_of(value)
    return next(
        (
            name
            for name, factor in UNITS.items()
            if number is not None and YEAR_2000_S * 1_000_000 <= number * factor < YEAR_2100_S * 1_000_000
        ),
        None,
    )


def _number_of(value: msgspec.Raw) -> Decimal | None:
    try:
        number = Decimal(bytes(value).decode().strip('"'))
    except (InvalidOperation, UnicodeDecodeError):
        return None
    return number if number.is_finite() else None


def _parse_text(value: msgspec.Raw) -> int | None:
    """Microseconds of a text in ISO 8601; of one without a zone, as UTC."""
    raw = bytes(value)
    if not raw.startswith(b'"') or b"-" not in raw:
        return None
    try:
        at = datetime.fromisoformat(msgspec.json.decode(raw, type=str))
    except (ValueError, msgspec.DecodeError):
        return None
    since = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def exchange_time_us(envelope: ws.Envelope, message: ws.Message) -> int | None:
    """When the exchange sent a frame, or else when it happened, if the frame says so."""
    if envelope.sending_ts_ms is not None:
        return envelope.sending_ts_ms * 1_000
    match message:
        case ws.BookDelta(ts=str(text)) if (at_us := _parse_text(msgspec.Raw(msgspec.json.encode(text)))) is not None:
            return at_us
        case ws.BookDelta(ts_ms=int(ts_ms)) | ws.Trade(ts_ms=int(ts_ms)):
            return ts_ms * 1_000
        case ws.Trade(ts=int(ts)):
            return ts * 1_000_000
        case _:
            return None


def first_time_us(path: Path, layout: Layout) -> int | None:
    """The first time that a log knows: of receipt, or else of the exchange. Raises UserError."""
    for frame in read_frames(path, layout, LogCounts()):
        at_us = frame.at_us if layout.time is not None else _exchange_time(frame.envelope)
        if at_us is not None:
            return at_us
    return None


def _exchange_time(envelope: ws.Envelope) -> int | None:
    try:
        return exchange_time_us(envelope, ws.decode_message(envelope))
    except msgspec.DecodeError:
        return None


def in_order(paths: Sequence[Path], layouts: dict[Path, Layout]) -> list[tuple[Path, int]]:
    """The logs by the first time that each knows, with that time. Raises UserError for one without any."""
    begun = []
    for path in paths:
        first_us = first_time_us(path, layouts[path])
        if first_us is None:
            raise UserError(f"log {path}: no frame of it has a time, of receipt or of the exchange; give another file")
        begun.append((path, first_us))
    return sorted(begun, key=lambda one: one[1])
