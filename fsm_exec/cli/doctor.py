"""`fsm-exec doctor` checks whether installation, configuration and account can do what they are for.

Each check is one line with its remedy. Later checks need earlier ones; what could not be checked is not listed as good.
Nothing is written to the exchange.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

import click
import msgspec
import trio

import fsm_exec
import states
from fsm_exec.cli.alert_channels import open_channels
from fsm_exec.cli.config import EXAMPLE, LoadedConfig, TelemetrySettings, find_absent_config, load_config
from fsm_exec.cli.exchange.access import access_of
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.telemetry import open_telemetry
from fsm_exec.control.risk_views import brakes_off
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.alerts.settings import AlertSettings
from fsm_exec.core.errors import UserError, VenueError, VenueRefused
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import US_PER_MS, US_PER_S, CountE2, Outcome, PriceE4, PriceGrid, format_money
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.session import connect

Verdict: TypeAlias = Literal["ok", "warn", "fail"]
STREAM_WAIT_S: Final = 15
NOTICED_MS: Final = 1_000  # certain differences above this are worth a word

LEVELS: Final = ("market", "event", "series", "account")
WORST_CASE: Final = "max_worst_case_{level}_dollars"

LOWEST_TIER: Final = "basic"
ADVANCED_TIER: Final = (
    "POST /account/api_usage_level/upgrade grants advanced for good and free, which triples what may be written (100 "
    "to 300 tokens a second)"
)

REFUSALS: Final = {
    "header_timestamp_expired": "the clocks differ; synchronise this machine's clock",
    "authentication_error": "the exchange knows no such key, or not with this signature; compare api_key_id and the "
    "key file with the exchange's page, and that both are of this environment",
}


class StreamProbe:
    """A listener and a log that notes whether a stream answers, and why it does not."""

    def __init__(self) -> None:
        self.answered = False
        self.why = ""
        self.anything = trio.Event()

    def heard(self) -> None:
        self.answered = True
        self.anything.set()

    def warning(self, event: str, **values: object) -> None:
        if event == "stream_lost":
            self.why = str(values.get("why", ""))
            self.anything.set()

    def debug(self, event: str, **values: object) -> None:
        """Not needed here."""

    info = exception = debug

    def connected(self) -> None:
        """Subscriptions were sent; the answer is what counts."""

    def disconnected(self, why: str) -> None:
        self.why = why

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None: ...
    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None: ...
    def book_gap(self, tickers: Sequence[str]) -> None: ...
    def book_broken(self, ticker: str) -> None: ...
    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None: ...
    def market_status(self, ticker: str, status: MarketStatus) -> None: ...
    def market_grid(self, ticker: str, grid: PriceGrid) -> None: ...
    def fill(self, report: FillReport) -> None: ...
    def order(self, report: OrderReport) -> None: ...


class Check(msgspec.Struct, frozen=True):
    name: str
    verdict: Verdict
    text: str


@click.command()
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(config_path: Path | None, as_json: bool) -> None:
    """Look at the installation, the configuration, the key and the exchange."""
    checks = list(_check_installation(config_path))
    loaded, key = _load_usable(config_path)
    if loaded is not None and key is not None:
        checks += trio.run(partial(check_account, loaded, key))
    if as_json:
        say_json({"checks": [msgspec.to_builtins(check) for check in checks]})
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            say(f"{check.verdict:<4}  {check.name:<{width}}  {check.text}")
    if any(check.verdict == "fail" for check in checks):
        sys.exit(EXIT_FAILED)


def _check_installation(config_path: Path | None) -> Iterator[Check]:
    yield states_check(Path(states.__file__ or ""), Path(fsm_exec.__file__ or ""))
    absent = find_absent_config(config_path)
    if absent is not None:
        text = f"there is none at {absent}; demo, paper and compare need none, an account needs one with {EXAMPLE}"
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


def _load_usable(config_path: Path | None) -> tuple[LoadedConfig | None, SigningKey | None]:
    try:
        loaded = load_config(config_path)
        return loaded, SigningKey.load(loaded.key_path)
    except UserError:
        return None, None  # reported already


async def check_account(loaded: LoadedConfig, key: SigningKey) -> list[Check]:
    """Check the account at the exchange. The checks end early where nothing further could be learned."""
    wall, heard = WallClock(system_us()), StreamProbe()
    async with connect(access_of(loaded, key), wall, log=heard) as client:
        reachable = await _check_reachability(client)
        if reachable.verdict == "fail":
            return [reachable]
        checks = [reachable, await _check_clock(client, wall, loaded.config.max_clock_skew_ms)]
        signed, tier = await _check_signature(client)
        checks.append(signed)
        if signed.verdict != "fail":
            checks += [await _check_tier(client, tier)]
            checks += [await _check_balance_access(client), await _check_scopes(client, loaded.config.api_key_id)]
            checks.append(await _check_stream(client, heard))
        return checks


async def _check_reachability(client: KalshiClient) -> Check:
    try:
        status = await client.public.fetch_status()
    except VenueError as error:
        return Check("exchange", "fail", f"{error}; check the network and the address")
    if status.exchange_active is not False and status.trading_active is not False:
        return Check("exchange", "ok", "reachable, and it trades")
    resume = status.exchange_estimated_resume_time
    pause = "trading is paused" if status.exchange_active else "the exchange is paused"
    return Check("exchange", "warn", f"reachable; {pause}" + (f" until about {resume[:40]}" if resume else ""))


async def _check_clock(client: KalshiClient, wall: WallClock, limit_ms: int) -> Check:
    before_us = wall.now_us()
    try:
        second_us = await client.public.fetch_clock_us()
    except VenueError as error:
        return Check("clock", "warn", f"not compared: {error}")
    if second_us is None:
        return Check("clock", "warn", "not compared: the exchange sends no time")
    return clock_check(before_us, wall.now_us(), second_us, limit_ms)


def clock_check(before_us: int, after_us: int, second_us: int, limit_ms: int) -> Check:
    """Compare our clock with a second of the exchange's, current at some time between `before_us` and `after_us`.

    The exchange gives whole seconds, so all that is known is a span; the check fails only if the whole span is beyond
    the limit.
    """
    least_us, most_us = before_us - (second_us + US_PER_S), after_us - second_us
    least_ms, most_ms = least_us // US_PER_MS, most_us // US_PER_MS
    text = f"ours is between {least_ms} and {most_ms} ms ahead of the exchange's"
    if most_ms < -limit_ms or least_ms > limit_ms:
        return Check("clock", "fail", f"{text}; synchronise it, signatures are refused beyond some 10 s")
    if most_ms < -NOTICED_MS or least_ms > NOTICED_MS:
        return Check("clock", "warn", f"{text}; synchronise it")
    return Check("clock", "ok", text)


async def _check_signature(client: KalshiClient) -> tuple[Check, str | None]:
    """Check the signature; the second is the account's tier, as far as it is told."""
    try:
        limits = await client.account.fetch_limits()
    except VenueRefused as error:
        return Check("signature", "fail", REFUSALS.get(error.code, str(error))), None
    except VenueError as error:
        return Check("signature", "fail", str(error)), None
    rates = ", ".join(
        f"{name} not told" if bucket is None else f"{name} {bucket.refill_rate}/s up to {bucket.bucket_capacity}"
        for name, bucket in (("read", limits.read), ("write", limits.write))
    )
    tier = None if limits.usage_tier is None else one_line(limits.usage_tier[:40])
    return Check("signature", "ok", f"accepted; tier {tier or 'not told'}, tokens: {rates}"), tier


async def _check_tier(client: KalshiClient, tier: str | None) -> Check:
    """Say whether a better tier is to be had for nothing. It is the owner's to ask for: nothing is sent."""
    if tier is None:
        return Check("tier", "ok", "not told")
    if tier.lower() != LOWEST_TIER:
        return Check("tier", "ok", f"{tier}: above the lowest, the next ones are earned by volume")
    try:
        names = await client.account.fetch_newest_order_names()
    except VenueError as error:
        return Check("tier", "warn", f"{tier}; {ADVANCED_TIER}; the last orders were not read: {error}")
    if any(parse_order_name(name) for name in names):
        return Check("tier", "ok", f"{tier}; {ADVANCED_TIER}, now: one of your last 100 orders came by the API")
    return Check("tier", "ok", f"{tier}; {ADVANCED_TIER}, once one of your last 100 orders came by the API")


async def _check_balance_access(client: KalshiClient) -> Check:
    try:
        balance = await client.account.fetch_balance()
        held = [position for position in await client.account.fetch_positions() if position.count_e2]
    except VenueRefused as error:
        return Check("account", "fail", f"may not be read: {error}; give the key the scope read")
    except VenueError as error:
        return Check("account", "warn", f"not read: {error}")
    positions = "1 position" if len(held) == 1 else f"{len(held)} positions"
    return Check("account", "ok", f"{format_money(balance.available_e6)} dollars available, {positions} held")


async def _check_scopes(client: KalshiClient, api_key_id: str) -> Check:
    try:
        rows = await client.account.fetch_api_keys()
    except VenueError as error:
        return Check("permissions", "warn", f"the exchange does not tell: {error}")
    scopes = next((row.scopes for row in rows if row.api_key_id == api_key_id), None)
    if scopes is None:
        return Check("permissions", "warn", "the exchange does not tell the scopes of this key")
    shown = ", ".join(scope[:40] for scope in scopes[:20]) or "none"
    if not {"write", "write::trade"} & set(scopes):
        return Check("permissions", "warn", f"{shown}: this key may not trade; give it write::trade")
    return Check("permissions", "ok", shown)


async def _check_stream(client: KalshiClient, heard: StreamProbe) -> Check:
    """Check the handshake, and the answer to the subscriptions."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.stream, heard, ())
        with trio.move_on_after(STREAM_WAIT_S):
            await heard.anything.wait()
        nursery.cancel_scope.cancel()
    if heard.answered:
        return Check("stream", "ok", "connected and subscribed")
    return Check("stream", "fail", f"no answer: {heard.why or f'nothing in {STREAM_WAIT_S} s'}")
