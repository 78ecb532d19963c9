"""The checks that need no network: the package, the configuration and what it names, the key's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import fsm_exec
import states
from fsm_exec.cli.alert_channels import open_channels
from fsm_exec.cli.config import LoadedConfig, TelemetrySettings, find_absent_config, init_command, load_config
from fsm_exec.cli.doctor.check import Check
from fsm_exec.cli.telemetry import open_telemetry
from fsm_exec.control.risk_views import brakes_off
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.alerts.settings import AlertSettings
from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.signing import SigningKey

LEVELS: Final = ("market", "event", "series", "account")
WORST_CASE: Final = "max_worst_case_{level}_dollars"


def check_installation(config_path: Path | None) -> Iterator[Check]:
    yield states_check(Path(states.__file__ or ""), Path(fsm_exec.__file__ or ""))
    absent = find_absent_config(config_path)
    if absent is not None:
        text = f"there is none at {absent}; {init_command(absent)} writes one (demo, paper and compare need none)"
        yield Check("configuration", "warn", text)
        return
    try:
        loaded = load_config(config_path)
    except UserError as error:
        yield Check("configuration", "fail", str(error))
        return
    money = "REAL MONEY" if loaded.exchange.name == "production" else "play money"
    yield Check("configuration", "ok", f"{loaded.path}: {loaded.exchange.name}, {money}, {loaded.exchange.rest_url}")
    yield risk_check(loaded.config.risk_limits())
    yield alerts_check(loaded.config.alerts, loaded.path.parent)
    if loaded.config.telemetry != TelemetrySettings():
        yield telemetry_check(loaded.config.telemetry, loaded.path.parent)
    try:
        key = SigningKey.load(loaded.key_path)
    except UserError as error:
        yield Check("key file", "fail", str(error))
        return
    yield Check("key file", "ok", f"{loaded.key_path}: {key.kind}, readable by this user alone")


def risk_check(limits: RiskLimits) -> Check:
    """Say what the account may lose by the configuration, and which brakes are off."""
    given = [f"{level} {dollars}" for level in LEVELS if (dollars := getattr(limits, WORST_CASE.format(level=level)))]
    text = f"worst case in dollars: {', '.join(given) or 'no limit'}"
    off = brakes_off(limits)
    if not off:
        return Check("risk", "ok", f"{text}; all brakes are set")
    return Check("risk", "warn" if not given else "ok", f"{text}; brakes off: {', '.join(off)}, set them in [risk]")


def alerts_check(settings: AlertSettings, directory: Path) -> Check:
    """Say through which channels alerts are told, and whether each could be opened. Nothing is sent."""
    try:
        channels = open_channels(settings, directory)
    except UserError as error:
        return Check("alerts", "fail", str(error))
    if not channels:
        return Check("alerts", "ok", "stored and shown, and told nobody; name a channel in [alerts]")
    quiet = f"; quiet hours {settings.quiet_hours} {settings.time_zone}" if settings.quiet_hours else ""
    return Check("alerts", "ok", f"told through {', '.join(channels)}{quiet}; try them: fsm-exec alerts --test")


def telemetry_check(settings: TelemetrySettings, directory: Path) -> Check:
    """Say where spans are sent, and whether the collector could be opened. Nothing is sent."""
    try:
        open_telemetry(settings.endpoint, settings.headers_file, directory)
    except UserError as error:
        return Check("telemetry", "fail", str(error))
    return Check("telemetry", "ok", f"a span of each execution is sent to {settings.endpoint}")


def states_check(states_file: Path, package_file: Path) -> Check:
    """Check that the tables are those that ship with this engine: another package of that name would be used without a
    warning."""
    beside = package_file.resolve().parent.parent / "states"
    found = states_file.resolve().parent
    if found == beside:
        return Check("states", "ok", f"loaded from {found}, beside fsm_exec")
    text = f"loaded from {found}, not from {beside}; remove the other package, or start from another directory"
    return Check("states", "fail", text)


def load_usable(config_path: Path | None) -> tuple[LoadedConfig | None, SigningKey | None]:
    try:
        loaded = load_config(config_path)
        return loaded, SigningKey.load(loaded.key_path)
    except UserError:
        return None, None  # reported already
