"""Checks of a pair, as either host sees it: the lease record, conditional writes, clocks, the account, Litestream, the
replica and its lag."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Final

import trio

from fsm_exec.cli.config import LoadedConfig
from fsm_exec.cli.doctor.check import Check
from fsm_exec.control.paths import database_path
from fsm_exec.core.errors import ExecError
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.clock import system_us
from fsm_exec.standby.copy_reads import load_copy
from fsm_exec.standby.lag import LagMeter
from fsm_exec.standby.lease import RECORD
from fsm_exec.standby.lease_record import LeaseRecord, decode_record
from fsm_exec.standby.litestream import Litestream
from fsm_exec.standby.places.place import Place, PlaceChanged
from fsm_exec.standby.settings import open_place, source_url

CLOCKS_US: Final = 2 * US_PER_S
POLL_S: Final = 0.2
RESTORE_WITHIN_S: Final = 300.0


async def check_standby(loaded: LoadedConfig, litestream: Path | None = None) -> list[Check]:
    """Check the pair. Nothing but a probe beside the lease record is written, and deleted again."""
    settings = loaded.config.standby
    if not settings.lease:
        return [Check("lease", "fail", "none is configured; give lease in the table [standby], the same on both hosts")]
    try:
        place = open_place(settings.lease)
        writes = await _check_writes(place)
        stored = await place.load(RECORD)
        record = None if stored is None else decode_record(stored.content, settings.lease)
    except ExecError as error:
        return [Check("lease", "fail", str(error))]
    checks = [writes, *_check_leader(loaded, record)]
    if record is not None:
        checks.append(await _check_clocks(place, record))
    return [*checks, *await _check_copy(loaded, record, litestream)]


async def _check_writes(place: Place) -> Check:
    """Check that a write over another state is refused: without that two engines might both lead."""
    name = f"doctor-{secrets.token_hex(8)}"
    try:
        tag = await place.save(name, b"1", None)
        if await _takes_write(place, name, b"2", None):
            return Check("lease", "fail", f"{place.url} takes a write over what is there; use another place")
        await place.save(name, b"3", tag)
        if await _takes_write(place, name, b"4", tag):
            return Check("lease", "fail", f"{place.url} takes a write over another state; use another place")
        return Check("lease", "ok", f"{place.url} is reachable, and a write over another state is refused")
    finally:
        await place.delete(name)


async def _takes_write(place: Place, name: str, content: bytes, over: str | None) -> bool:
    try:
        await place.save(name, content, over)
    except PlaceChanged:
        return False
    return True


def _check_leader(loaded: LoadedConfig, record: LeaseRecord | None) -> list[Check]:
    if record is None:
        return [Check("leader", "warn", "no engine has led yet; start: fsm-exec serve")]
    late_us = system_us() - from_iso(record.expires_at)
    said = f"{record.holder} leads in term {record.term}, renewed at {record.renewed_at}"
    if late_us > 0:
        leader = Check("leader", "warn", f"{said}: its lease has run out {late_us // US_PER_S} s ago")
    else:
        leader = Check("leader", "ok", said)
    if record.holder.account != loaded.account_digest:
        return [
            leader,
            Check("pair", "fail", "the leader has another exchange, key or subaccount; give both hosts the same"),
        ]
    return [leader, Check("pair", "ok", "the leader has the same exchange, key and subaccount")]


async def _check_clocks(place: Place, record: LeaseRecord) -> Check:
    """Watch one renewal: its time, by the leader's clock, against ours."""
    with trio.move_on_after(record.lease_s / 3 + record.lease_s / 6 + 1):
        while True:
            await trio.sleep(POLL_S)
            now_us, stored = system_us(), await place.load(RECORD)
            found = record if stored is None else decode_record(stored.content, place.url)
            if found.renewed_at != record.renewed_at:
                ahead_us = now_us - from_iso(found.renewed_at)
                text = f"ours is about {ahead_us // 1_000} ms ahead of the leader's"
                if abs(ahead_us) > CLOCKS_US:
                    return Check("clocks", "warn", f"{text}; synchronise both, the lag is wrong by that")
                return Check("clocks", "ok", text)
    return Check("clocks", "warn", "not compared: the lease was not renewed while it was watched")


async def _check_copy(loaded: LoadedConfig, record: LeaseRecord | None, litestream: Path | None) -> list[Check]:
    replica = loaded.config.standby.replica
    if not replica:
        return [Check("replica", "warn", "no replica is configured; give replica in the table [standby]")]
    try:
        program = Litestream.find(litestream, database_path(loaded.account_name))
        found = Check("litestream", "ok", f"{program.path}, version {await program.load_version()}")
    except ExecError as error:
        return [Check("litestream", "fail", str(error))]
    with tempfile.TemporaryDirectory(prefix="fsm-exec-doctor-") as directory:
        copy = Path(directory) / "copy.sqlite"
        try:
            with trio.fail_after(RESTORE_WITHIN_S):
                await program.restore(source_url(replica), copy)
        except ExecError as error:
            return [found, Check("replica", "fail", f"{error}; is litestream replicate running beside the engine?")]
        except trio.TooSlowError:
            return [found, Check("replica", "fail", f"{replica} took longer than {RESTORE_WITHIN_S:g} s to be copied")]
        seen = load_copy(copy)
    if seen is None:
        return [found, Check("replica", "fail", f"{replica} is no copy of a database of this fsm-exec")]
    every_us = (30 if record is None else record.lease_s) * US_PER_S // 3
    lag_us = LagMeter().measure_us([seen.beat, seen.newest_step], every_us, system_us())
    text = f"{seen.executions} executions, instance {seen.instance}"
    if lag_us is None or record is None:
        return [found, Check("replica", "ok", f"{text}; how far it is behind is not known yet")]
    if lag_us > record.lease_s * US_PER_S:
        late = f"{text}; {lag_us // US_PER_S} s behind: is litestream replicate running beside the engine?"
        return [found, Check("replica", "warn", late)]
    return [found, Check("replica", "ok", f"{text}; {lag_us // 1_000} ms behind")]
