"""An exchange in a process of its own, for clients that were not written here: loopback, real clock, and a control
port, on which a client's script says what the market and the operator do.

Run as `python serve.py DIRECTORY`; the private keys go there. Prints one JSON line when ready. A control line is a
command and its words; the answer is `ok`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from fsm_exec.core.values.units import MoneyE6, Outcome, parse_change, parse_count, parse_price
from fsm_exec.paper.server.hosting import LOOPBACK
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Trade, tape_header
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper_session import PaperExchange
from fsm_exec.runtime.clock import system_us

TICKERS = ("KXTEST-26OCT01-A", "KXTEST-26OCT01-B", "KXTEST-26OCT02-A")
STRUCTURES = ("linear_cent", "tapered_deci_cent", "linear_cent")
YES = (("0.4400", "20.00"), ("0.4500", "10.00"))
NO = (("0.4700", "30.00"), ("0.4800", "5.00"))
CASH = {"rich": MoneyE6(1_000_000_000_000), "poor": MoneyE6(1_000_000), "other": MoneyE6(1_000_000_000)}


class Operator:
    """What a control line may ask."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._commands: dict[str, Callable[..., None]] = {
            "pause_trading": exchange.pause_trading,
            "resume_trading": exchange.resume_trading,
            "pause_exchange": exchange.pause_exchange,
            "resume_exchange": exchange.resume_exchange,
            "lose": exchange.publisher.lose_next,
            "delta": self._delta,
            "trade": self._trade,
            "close": exchange.close_market,
            "determine": exchange.determine_market,
        }

    def obey(self, line: str) -> None:
        command, *words = line.split()
        self._commands[command](*words)

    def _delta(self, ticker: str, outcome: str, price: str, change: str) -> None:
        side: Outcome = "yes" if outcome == "yes" else "no"
        self._exchange.apply(ticker, BookDelta(side, parse_price(price), parse_change(change)))

    def _trade(self, ticker: str, taker: str, yes_price: str, count: str) -> None:
        side: Outcome = "yes" if taker == "yes" else "no"
        self._exchange.apply(ticker, Trade(side, parse_price(yes_price), parse_count(count)))


async def main(directory: Path) -> None:
    paper = PaperExchange.starting_at(system_us(), seed=3, tier=TIERS["prestige"])
    opening = BookSnapshot(*(tuple((parse_price(p), parse_count(c)) for p, c in side) for side in (YES, NO)))
    for ticker, structure in zip(TICKERS, STRUCTURES, strict=True):
        paper.exchange.add_market(tape_header(ticker, structure, category="Testing"))
        paper.exchange.apply(ticker, opening)
    members = {}
    for name, cash in CASH.items():
        _, credentials = paper.gate.open_account(cash, "ed25519" if name == "poor" else "rsa")
        path = directory / f"{name}.pem"
        credentials.write_private_key(path)
        members[name] = {"api_key_id": credentials.api_key_id, "private_key_path": str(path)}
    operator = Operator(paper.exchange)

    async def control(stream: trio.SocketStream) -> None:
        raw = b""
        async for chunk in stream:
            *lines, raw = (raw + chunk).split(b"\n")
            for line in lines:
                operator.obey(line.decode())
                await stream.send_all(b"ok\n")

    async with paper.on_loopback(latency=NO_LATENCY) as host, trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host=LOOPBACK)
        ready = {
            "rest_url": host.rest_url,
            "ws_url": host.ws_url,
            "control_port": listeners[0].socket.getsockname()[1],
            "members": members,
            "markets": TICKERS,
        }
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        nursery.start_soon(trio.serve_listeners, control, listeners)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)  # whoever started us has gone
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
