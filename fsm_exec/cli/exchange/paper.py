"""`fsm-exec paper` serves the paper exchange on sockets, for any client that speaks the exchange's wire.

It has two clocks: signatures, rate buckets and pings know the wall; matching, expiry and every time on the wire are the
exchange's own, which begins at the wall's now and runs `--speed` times as fast. At speed 1 a client need not know of
it. Above, the exchange runs ahead of its clients: an `expiration_time` is exchange time, and a client that wants to
give one asks `/exchange/user_data_timestamp` what time it is there.
"""

from __future__ import annotations

import errno
import os
import shutil
import string
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import click
import msgspec
import trio

from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exchange.paper_file import PaperReady, publish_ready
from fsm_exec.cli.exchange.reward_options import parse_rewards, reward_options
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.recordings import load_tape, say_without_trades
from fsm_exec.core.errors import UserError, first_of
from fsm_exec.core.values.units import Outcome
from fsm_exec.kalshi.private_file import read_private
from fsm_exec.kalshi.translate import is_ticker
from fsm_exec.lab.experiment.tapes import count_trades
from fsm_exec.paper.faults import FaultPlan, FaultProfile, load_fault_profile
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.fill_models import FILL_MODELS, FillModel
from fsm_exec.paper.server.auth import Credentials
from fsm_exec.paper.server.hosting import LOOPBACK
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.profiles import DEFAULT_PROFILE
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.incentives import DailyRewards
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.paper_session import PLAY_CASH_E6, PaperExchange
from fsm_exec.runtime.clock import WallClock, keep_synchronized, system_us

GENERATED_MARKET = "KXPAPER-DEMO-A"
GENERATED_EVENT = GENERATED_MARKET.rpartition("-")[0]
EVENT_MARKETS_MAX = 10
GENERATED_TAPE_S = 4 * 3_600  # a trading day's worth, and drawn in a second or two
PORT_MAX = 65_535
KEY_BYTES_MAX = 64 * 1_024
SPEED_MAX = 1_000
SUBACCOUNT_MAX = 63
SHARD_MAX = 1_000


@click.command()
@click.option("--recording", type=click.Path(path_type=Path), help="Play this recording.")
@click.option("--profile", help="Play generated flow of this profile.")
@click.option("--market", help=f"The ticker of a generated market.  [default: {GENERATED_MARKET}]")
@click.option(
    "--event-of",
    type=click.IntRange(1, EVENT_MARKETS_MAX),
    default=1,
    help=f"So many generated markets in one event, {GENERATED_EVENT}, of which at most one settles yes.  [default: 1]",
)
@click.option("--independent", is_flag=True, help="The markets of the event do not exclude each other.")
@click.option("--port", type=click.IntRange(0, PORT_MAX), default=0, help="Of REST.  [default: a free one]")
@click.option("--ws-port", type=click.IntRange(0, PORT_MAX), default=0, help="Of the stream.  [default: a free one]")
@click.option(
    "--fill-model",
    type=click.Choice(FILL_MODELS),
    default="recorded",
    show_default=True,
    help="Which recorded limit orders cross to ours.",
)
@click.option("--seed", type=int, default=5, show_default=True, help="Makes the flow, the ids and the faults.")
@click.option("--faults", help="What goes wrong: a profile in the box, or a TOML file.")
@click.option(
    "--speed",
    type=click.IntRange(1, SPEED_MAX),
    default=1,
    show_default=True,
    help="How much faster than the wall the exchange's time runs. Above 1 its times (ts_ms, expiration_time, as_of) "
    "run ahead of a client's clock: GET /exchange/user_data_timestamp tells them.",
)
@click.option(
    "--result",
    type=click.Choice(["yes", "no"]),
    help="Settle the market at the end of its tape: of an event's, the first, and the others no.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="The private key of its account; made if it is not there. With it and the same --seed and ports, an exchange "
    "that is started again still knows its clients.",
)
@click.option(
    "--subaccounts",
    type=click.IntRange(0, SUBACCOUNT_MAX),
    default=0,
    show_default=True,
    help="Numbered subaccounts of its account, each with as much play money.",
)
@click.option("--shard", type=click.IntRange(0, SHARD_MAX), default=0, show_default=True, help="That has its markets.")
@reward_options
@click.option("--host", default=LOOPBACK, show_default=True, help="The address to listen at.")
def paper(
    recording: Path | None,
    profile: str | None,
    market: str | None,
    event_of: int,
    independent: bool,
    port: int,
    ws_port: int,
    fill_model: str,
    seed: int,
    faults: str | None,
    speed: int,
    result: str | None,
    key: Path | None,
    subaccounts: int,
    shard: int,
    liquidity_reward: str | None,
    volume_reward: str | None,
    host: str,
) -> None:
    """Serve a paper exchange until interrupted. Prints one JSON line when it is ready."""
    address = _parse_host(host)
    if port and port == ws_port:
        raise UserError(f"--port and --ws-port are both {port}; give two different ports")
    what_goes_wrong = None if faults is None else load_fault_profile(faults)
    if event_of > 1 and (recording is not None or market is not None):
        raise UserError("--event-of names its generated markets itself; leave --recording and --market out")
    if event_of == 1 and independent:
        raise UserError("--independent is said of the markets of an event; give --event-of 2 or more")
    tapes = _generate_event(event_of, profile, seed) if event_of > 1 else [_load_tape(recording, profile, market, seed)]
    fills = cast("FillModel", fill_model)
    if fills == "trades" and not count_trades(tapes[0]):
        raise UserError("--fill-model trades: the tape holds no trades, so nothing would fill a resting order")
    rewards = parse_rewards(liquidity_reward, volume_reward)
    outcome = cast("Outcome | None", result)
    exclusive = event_of > 1 and not independent
    key_path = None if key is None else Path(os.path.abspath(key))
    try:
        serving = partial(_serve, tapes, fills, exclusive, what_goes_wrong, seed, speed, outcome, key_path, rewards)
        trio.run(serving, subaccounts, shard, address, port, ws_port)
    except* OSError as group:
        raise _socket_error(group, address, port, ws_port) from group


async def _serve(
    tapes: Sequence[Tape],
    fill_model: FillModel,
    exclusive: bool,
    faults: FaultProfile | None,
    seed: int,
    speed: int,
    result: Outcome | None,
    key: Path | None,
    rewards: DailyRewards | None,
    subaccounts: int,
    shard: int,
    address: str,
    port: int,
    ws_port: int,
) -> None:
    """Serve until a signal."""
    with trio.open_signal_receiver(*ending_signals()) as signals, _private_directory() as directory:
        wall = WallClock(system_us())
        at = PaperExchange.starting_at(system_us(), seed=seed, speed=speed, signatures_by=wall)
        key_path = directory / "key.pem" if key is None else key
        account, credentials = _open_account(at, key_path)
        if key is not None:  # its clients may remember the ids of an exchange before this one
            at.exchange.ids.begin_life(str(system_us()))
        for _ in range(subaccounts):
            at.exchange.open_subaccount(account, PLAY_CASH_E6)
        plan = None if faults is None else FaultPlan(faults, seed)
        async with (
            at.on_loopback(port=port, ws_port=ws_port, address=address, faults=plan) as served,
            trio.open_nursery() as nursery,
        ):
            players = [at.play(tape, fill_model=fill_model, exchange_index=shard) for tape in tapes]
            if rewards is not None:
                for player in players:
                    for program in rewards.programs(player.ticker, at.exchange.timeline.now_us()):
                        at.exchange.incentives.add(program)
            if exclusive:
                at.exchange.exclusive_events.add(tapes[0].header.event)
            nursery.start_soon(keep_synchronized, wall, _ignore_jump)
            nursery.start_soon(_settle_at_end, at.exchange, players, result)
            if not ip_address(address).is_loopback:
                say(f"fsm-exec: warning: other machines can reach {address}; its key lets them trade", err=True)
            tickers = [player.ticker for player in players]
            ready = PaperReady(served.rest_url, served.ws_url, credentials.api_key_id, str(key_path), tickers)
            with publish_ready(ready) as is_published:
                _announce(ready, with_hint=is_published)
                await anext(aiter(signals))
            nursery.cancel_scope.cancel()


def _open_account(at: PaperExchange, key_path: Path) -> tuple[Account, Credentials]:
    """Open an account with the key of a file, or with a new one, which is written there. Raises UserError."""
    if os.path.lexists(key_path):
        absent, others = "give another path", f"run: chmod 600 {key_path}"
        pem = read_private(key_path, "--key", bytes_max=KEY_BYTES_MAX, if_absent=absent, if_others_may=others)
        try:
            return at.gate.open_account(PLAY_CASH_E6, private_key_pem=pem)
        except UserError as error:
            raise UserError(f"--key {key_path}: {error}; give another path") from None
    account, credentials = at.gate.open_account(PLAY_CASH_E6)
    try:
        credentials.write_private_key(key_path)
    except OSError as error:
        raise UserError(f"--key {key_path}: cannot be written ({error.strerror}); give another path") from None
    return account, credentials


def _ignore_jump(_: int) -> None:
    """Ignore jumps: signatures are compared with the corrected wall; the exchange's own time has no part in it."""


async def _settle_at_end(exchange: Exchange, players: Sequence[TapePlayer], result: Outcome | None) -> None:
    """Wait until all tapes have ended, which closes their markets; with a result, settle the first one so and the
    others no."""
    for player in players:
        await player.ended.wait()
    for player, each in zip(players, [result, *["no"] * (len(players) - 1)], strict=True):
        if result is not None and exchange.markets[player.ticker].status == "closed":
            exchange.determine_market(player.ticker, cast("Outcome", each))


def _announce(ready: PaperReady, *, with_hint: bool) -> None:
    say_json(ready)
    if with_hint and sys.stderr.isatty():
        say(f"an engine for it: fsm-exec serve --paper {ready.rest_url}", err=True)


def _generate_event(count: int, profile: str | None, seed: int) -> list[Tape]:
    """Generate the tapes of an event's markets, the first one being that of a market alone. Their crowds know nothing
    of each other: their prices need not add up to a dollar. Raises UserError."""
    tapes = []
    for number, letter in enumerate(string.ascii_uppercase[:count]):
        ticker = f"{GENERATED_EVENT}-{letter}"
        tape = generate(seed + number, GENERATED_TAPE_S, profile=profile or DEFAULT_PROFILE, ticker=ticker)
        header = msgspec.structs.replace(tape.header, title=f"Generated market {letter}")
        tapes.append(msgspec.structs.replace(tape, header=header))
    return tapes


def _load_tape(recording: Path | None, profile: str | None, market: str | None, seed: int) -> Tape:
    """Load what the market plays. Raises UserError."""
    if recording is not None:
        if profile is not None:
            raise UserError("--recording and --profile are two tapes for one market; give one of them")
        tape = load_tape(recording)
        say_without_trades(recording, tape)
        if market is not None and market != tape.header.ticker:
            raise UserError(f"--market {market[:60]!r}: the recording is of {tape.header.ticker}; leave --market out")
        return tape
    ticker = GENERATED_MARKET if market is None else market
    if not is_ticker(ticker):
        raise UserError(f"--market {ticker[:60]!r} is no ticker; give capital letters, digits and dashes")
    return generate(seed, GENERATED_TAPE_S, profile=profile or DEFAULT_PROFILE, ticker=ticker)


def _parse_host(host: str) -> str:
    """Parse an address to listen at. Raises UserError for a name: what it stands for may change."""
    if host == "localhost":
        return LOOPBACK
    try:
        return str(ip_address(host))
    except ValueError:
        raise UserError(f"--host {host[:60]!r} is no IP address; give one of this machine, as {LOOPBACK}") from None


@contextmanager
def _private_directory() -> Iterator[Path]:
    """Make a directory that only this user can read; remove it afterwards."""
    path = Path(tempfile.mkdtemp(prefix="fsm-exec-paper-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _socket_error(group: BaseExceptionGroup[OSError], address: str, port: int, ws_port: int) -> UserError | OSError:
    """Return the error of a port or an address that cannot be had in plain words; any other as it is."""
    error = first_of(group)
    asked = ", ".join(f"{name} {number}" for name, number in (("--port", port), ("--ws-port", ws_port)) if number)
    match error.errno:
        case errno.EADDRINUSE:
            return UserError(f"{asked}: in use already; give another port, or none for a free one")
        case errno.EACCES:
            return UserError(f"{asked}: this user may not listen there; give a port above 1023")
        case errno.EADDRNOTAVAIL:
            return UserError(f"--host {address}: not an address of this machine; give one that is")
        case _:
            return OSError(error.errno, os.strerror(error.errno or 0))
