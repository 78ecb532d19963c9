"""What the exchange says of the account: reachable, clocks, signature, tier, balance, permissions, stream.

Later checks need earlier ones; what could not be checked is not listed as good. Nothing is written to the exchange.
"""

from __future__ import annotations

from typing import Final

import trio

from fsm_exec.cli.config import Config, LoadedConfig
from fsm_exec.cli.doctor.check import Check
from fsm_exec.cli.doctor.stream_probe import StreamProbe
from fsm_exec.cli.exchange.access import access_of
from fsm_exec.core.errors import VenueError, VenueRefused
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import US_PER_MS, US_PER_S, format_money
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.session import connect

STREAM_WAIT_S: Final = 15
NOTICED_MS: Final = 1_000  # certain differences above this are worth a word

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
            checks += [await _check_balance_access(client), await _check_scopes(client, loaded.config)]
            checks.append(await _check_stream(client, heard))
        return checks


async def _check_reachability(client: KalshiClient) -> Check:
    try:
        status = await client.public.fetch_status()
    except VenueError as error:
        return Check("exchange", "fail", f"{error}; check the network and the address, or wait where it is closed")
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


async def _check_scopes(client: KalshiClient, config: Config) -> Check:
    try:
        rows = await client.account.fetch_api_keys()
    except VenueError as error:
        return Check("permissions", "warn", f"the exchange does not tell: {error}")
    own = next((row for row in rows if row.api_key_id == config.api_key_id), None)
    if own is not None and own.subaccount is not None and own.subaccount != config.subaccount:
        why = f"this key may act on subaccount {own.subaccount} alone"
        return Check("permissions", "fail", f"{why}; write subaccount = {own.subaccount} in the configuration")
    scopes = None if own is None else own.scopes
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
