"""A paper exchange in a process of its own, on two ports, whose books move when they are told to.

    python moving_exchange.py MARKETS

It says in one line how it is reached and as whom. Every line it reads is the number of a market: a bid of other people
comes to stand one cent above the best there, and the next time it is taken off again: one change of one level, so one
frame. It ends with its input.
"""

from __future__ import annotations

import sys

import msgspec
import trio

from fsm_exec.core.values.units import CountE2, MoneyE6, parse_price
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.tapes.tape import BookDelta
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper_session import PaperExchange
from fsm_exec.runtime.clock import system_us

SPARE = "KXWIRE-26OCT01-SPARE"
YES = tuple((f"0.{cents}", "40") for cents in range(49, 39, -1))
NO = tuple((f"0.{cents}", "40") for cents in range(40, 30, -1))
ABOVE = parse_price("0.5000")
SIZE = CountE2(4_000)
CASH = MoneyE6(10**13)


class Reached(msgspec.Struct, frozen=True):
    """What the process says first."""

    rest_url: str
    ws_url: str
    api_key_id: str
    private_key_pem: str
    tickers: tuple[str, ...]
    spare: str


async def serve(markets: int) -> None:
    """Serve so many markets, and a spare one, until the input ends."""
    paper = PaperExchange.starting_at(system_us(), tier=TIERS["prestige"])
    _, credentials = paper.gate.open_account(CASH, "ed25519")
    tickers = tuple(f"KXWIRE-26OCT01-{number:02}" for number in range(markets))
    for ticker in (*tickers, SPARE):
        paper.open_market(ticker, yes=YES, no=NO)
    raised = [False] * markets
    async with paper.on_loopback(latency=NO_LATENCY) as host:
        pem = credentials.private_key_pem.decode()
        said = Reached(host.rest_url, host.ws_url, credentials.api_key_id, pem, tickers, SPARE)
        sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
        sys.stdout.flush()
        async for line in trio.wrap_file(sys.stdin):
            number = int(line)
            size = CountE2(-SIZE if raised[number] else SIZE)
            raised[number] = not raised[number]
            paper.exchange.apply(tickers[number], BookDelta("yes", ABOVE, size))


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]))
