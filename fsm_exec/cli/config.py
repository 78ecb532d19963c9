"""The one configuration file says which exchange, whose key, which limits. It is TOML; unknown keys are refused.

The file is looked for in this order: `--config`, `FSM_EXEC_CONFIG`, `config.toml` in the platform's user directory.
Secrets are paths of files, never values; a path is relative to the configuration's own directory. Limits carry their
unit in the name.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec

from fsm_exec.cli.logs.settings import LogSettings
from fsm_exec.control.limits import ControlLimits
from fsm_exec.core.account.limits import RiskLimits, check_limits
from fsm_exec.core.alerts.settings import AlertSettings, check_alert_settings
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.field_names import suggest_name
from fsm_exec.kalshi import environment
from fsm_exec.kalshi.environment import Environment, EnvironmentName
from fsm_exec.kalshi.routes import SUBACCOUNT_MAX
from fsm_exec.kalshi.signing import check_key_id
from fsm_exec.recordings.tape_writer import TapeSettings
from fsm_exec.runtime.archivist import ArchiveSettings
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.order_lease import LeaseSettings
from fsm_exec.standby.settings import StandbySettings

CONFIG_VARIABLE: Final = "FSM_EXEC_CONFIG"
FILE_NAME: Final = "config.toml"
CONFIG_MAX_BYTES: Final = 1024 * 1024
EXAMPLE: Final = 'environment = "demo", api_key_id = "..." and private_key_path = "key.pem"'


DEFAULT_RISK: Final = {
    "max_worst_case_market_dollars": 5_000,
    "max_worst_case_event_dollars": 5_000,
    "max_worst_case_series_dollars": 10_000,
    "max_worst_case_account_dollars": 10_000,
    "max_submissions_per_minute": 600,
    "max_writes_per_minute": 6_000,
}


class PageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[page]`: the port of the page that `serve` shows a browser; 0: a free one."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[telemetry]`: the collector that a span of each execution is sent to; without an endpoint, none is."""

    endpoint: str | None = None
    headers_file: str | None = None


class FleetDaemon(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A daemon that `fleet` shows beside those that run here: its address on this machine, and what opens it."""

    url: str
    token_file: str | None = None


class FleetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[fleet]`: daemons by the names they are shown under."""

    daemons: dict[str, FleetDaemon] = {}


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The configuration as it is written. `rest_url` and `ws_url` belong to environment "paper" and to no other.
    `allow_real_money` goes with "production" and with nothing else. `subaccount` is the one that is worked, 0 the
    primary one. `[limits]` is what `serve` accepts at most, `[depth]` how it stores books of markets, `[risk]` what the
    account may lose; `risk_limits` has its defaults; `[page]` where its page is, `[alerts]` who hears of what,
    `[telemetry]` who takes spans, `[tapes]` whether the frames of worked markets are kept, `[archive]` when what is
    over moves into archives, `[execution]` how long its orders outlive this host, `[fleet]` the daemons that `fleet`
    shows, `[log]` how much of the log is kept."""

    environment: EnvironmentName
    api_key_id: str
    private_key_path: str
    allow_real_money: bool = False
    rest_url: str | None = None
    ws_url: str | None = None
    subaccount: Annotated[int, msgspec.Meta(ge=0, le=SUBACCOUNT_MAX)] = 0
    max_clock_skew_ms: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 5_000
    limits: ControlLimits = ControlLimits()
    depth: DepthSettings = DepthSettings()
    risk: RiskLimits = RiskLimits()
    page: PageSettings = PageSettings()
    alerts: AlertSettings = AlertSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    tapes: TapeSettings = TapeSettings()
    archive: ArchiveSettings = ArchiveSettings()
    standby: StandbySettings = StandbySettings()
    execution: LeaseSettings = LeaseSettings()
    log: LogSettings = LogSettings()
    fleet: FleetSettings = FleetSettings()

    def risk_limits(self) -> RiskLimits:
        """The limits of the account's risk: those that are written, and for the others what `serve` takes where nothing
        is said. Each can be raised, none of these left out; the brakes are off unless they are given."""
        missing = {name: value for name, value in DEFAULT_RISK.items() if getattr(self.risk, name) is None}
        return msgspec.structs.replace(self.risk, **missing)


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that can be used: the exchange it means, and the key's file."""

    path: Path
    config: Config
    exchange: Environment
    key_path: Path

    @property
    def account_digest(self) -> str:
        """What tells this account from others, in a file that other hosts see: the key's id does not stand in it."""
        named = f"{self.account_name}\0{self.exchange.rest_url}\0{self.config.api_key_id}"
        return hashlib.sha256(named.encode()).hexdigest()[:16]

    @property
    def account_name(self) -> str:
        """The name of the account that is worked: the exchange's, and behind it the subaccount if it is not the primary
        one. A database belongs to one account."""
        subaccount = self.config.subaccount
        return f"{self.exchange.name}-{subaccount}" if subaccount else self.exchange.name


def load_config(wanted: Path | None, variables: Mapping[str, str] | None = None) -> LoadedConfig:
    """Read the configuration. `variables` are the process's unless given. Raises UserError."""
    path = _config_path(wanted, os.environ if variables is None else variables)
    try:
        with path.open("rb") as file:
            text = file.read(CONFIG_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UserError(f"configuration {path}: there is none; {init_command(path)} writes one") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"configuration {path}: cannot be read ({reason}); give a TOML file that you may read"
        ) from error
    except ValueError as error:  # a path with a NUL in it
        raise UserError(f"configuration {str(path)!r}: is no path; give the path of a file") from error
    if len(text) > CONFIG_MAX_BYTES:
        raise UserError(f"configuration {path}: too large; give a TOML file")
    try:
        config = msgspec.toml.decode(text.removeprefix(codecs.BOM_UTF8), type=Config)  # an editor's mark is no text
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        advice = suggest_name(str(error), Config) or f"; correct it, it takes {EXAMPLE}"
        raise UserError(f"configuration {path}: {error}{advice}") from None
    config = msgspec.structs.replace(config, api_key_id=config.api_key_id.strip())  # copied with its line's end, say
    try:
        check_key_id(config.api_key_id)
        check_limits(config.risk)
        check_alert_settings(config.alerts)
        exchange = _choose_exchange(config)
    except UserError as error:
        raise UserError(f"configuration {path}: {error}") from error
    return LoadedConfig(path=path, config=config, exchange=exchange, key_path=_key_path(path, config))


def init_command(path: Path) -> str:
    """Return the command that writes a configuration to `path`."""
    at = "" if path == user_config_directory() / FILE_NAME else f" --config {shlex.quote(str(path))}"
    return f"fsm-exec init{at}"


def find_absent_config(wanted: Path | None, variables: Mapping[str, str] | None = None) -> Path | None:
    """Return where a configuration would be found if there was one; None: there is one, or one is named."""
    variables = os.environ if variables is None else variables
    if wanted is not None or variables.get(CONFIG_VARIABLE):
        return None
    path = _config_path(None, variables)
    return None if os.path.lexists(path) else path


def _config_path(wanted: Path | None, variables: Mapping[str, str]) -> Path:
    if wanted is not None:
        return wanted
    named = variables.get(CONFIG_VARIABLE)
    return Path(named) if named else user_config_directory() / FILE_NAME


def user_config_directory() -> Path:
    """Return where this platform keeps a user's configuration of this program."""
    import platformdirs  # only here: a command that is given its configuration needs no platform's opinion

    return platformdirs.user_config_path("fsm-exec", appauthor=False)


def _choose_exchange(config: Config) -> Environment:
    if config.environment == "paper":
        if config.allow_real_money:
            raise UserError('allow_real_money is set but the environment is "paper": remove it')
        if config.rest_url is None or config.ws_url is None:
            raise UserError('environment "paper" needs rest_url and ws_url: fsm-exec paper prints both')
        return environment.paper_environment(config.rest_url, config.ws_url)
    if config.rest_url is not None or config.ws_url is not None:
        raise UserError(f'rest_url and ws_url are for environment "paper" only; "{config.environment}" has its own')
    return environment.choose_environment(config.environment, allow_real_money=config.allow_real_money)


def _key_path(path: Path, config: Config) -> Path:
    try:
        return path.parent / Path(config.private_key_path).expanduser()
    except RuntimeError as error:  # a home directory that is not known
        raise UserError(f"configuration {path}: private_key_path: {error}; give the whole path") from error
