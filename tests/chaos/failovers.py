"""Kills the host of the engine again and again; the standby takes over, and the exchange's books are compared.

    python -m tests.chaos.failovers --failovers 50 --seed 1

A chain has one paper exchange (`fsm-exec paper`), two hosts, a share and the real Litestream. While an engine leads,
its user submits under keys and remembers which were acknowledged. Then its host ends, in one of the ways of WAYS; the
other host, which followed, takes over and is followed in its turn. At the end everything is ended, and: no execution
bought more than it was to (doubled), nothing rests and every order is known (orphaned), every acknowledged key is in
the last database or reported as lost by key. Prints how long it took until work was accepted again; exit 0 only if
nothing is wrong. The seed draws the plans; what the processes make of them in real time differs from run to run.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio

from fsm_exec.cli.exchange.paper_file import PaperReady
from fsm_exec.control.client import Client
from fsm_exec.control.schema import Submission
from fsm_exec.core.errors import ExecError
from fsm_exec.core.market.client_order_id import parse_order_name
from tests.chaos.books import Books, compared, load_books
from tests.chaos.states import unfinished
from tests.standby.hosts import Host, Started

MARKET: Final = "KXPAIR-26DEC31-A"
LEASE_S: Final = 4
WAYS: Final = ("host", "host", "engine", "copy first", "frozen", "by command")
"""How a host ends: engine and Litestream killed at once; the engine alone; Litestream first, and the engine while it
goes on without; both stopped, and awake again once the other leads; replaced by command while it lives."""
WORK_S: Final = (1.0, 4.0)
END_S: Final = 120.0
METHODS: Final = ("simple_limit", "simple_limit", "market", "deadline_walker", "twap")


class Failover(msgspec.Struct, frozen=True):
    """`way` the host ended, and the seconds from then until the other accepted work."""

    way: str
    took_s: float


class Outcome(msgspec.Struct, kw_only=True):
    """What a chain came to. `lost` are keys that were acknowledged and reported as lost, `wrong` has a line for each
    thing that must not be."""

    name: str
    failovers: list[Failover] = []
    acknowledged: int = 0
    lost: int = 0
    fills: int = 0
    orders: int = 0
    wrong: list[str] = []


class Chain:
    """One exchange and two hosts, in `directory`."""

    def __init__(self, directory: Path, seed: int, failovers: int, say: Callable[[str], None]) -> None:
        self._directory, self._failovers, self._say = directory, failovers, say
        self._seed = seed
        self._dice = random.Random(f"failovers:{seed}")
        self._started: list[trio.Process] = []
        self._keys: set[str] = set()
        self._tasks = 0
        self.outcome = Outcome(name=f"seed {seed}")

    async def run(self) -> Outcome:
        """All failovers, the end, the comparison."""
        self._directory.mkdir()
        (self._directory / "share").mkdir()
        config = self._directory / "config.toml"
        leads, follows = (Host(self._directory, name, config, self._started, MARKET) for name in ("a", "b"))
        try:
            paper = await self._open_exchange(config)
            engine = await leads.serve()
            for number in range(self._failovers):
                engine, leads, follows = await self._fail_over(number, engine, leads, follows)
            await self._end_all(engine, leads)
            await self._compare(leads.database, paper)
        finally:
            for process in self._started:
                if process.poll() is None:
                    process.kill()
                await process.wait()
        return self.outcome

    async def _open_exchange(self, config: Path) -> PaperReady:
        host = Host(self._directory, "exchange", config, self._started, MARKET)
        drawn = ("--profile", "liquid", "--seed", str(self._seed))
        started = await host.start("paper", "paper", "--market", MARKET, *drawn)
        with trio.fail_after(END_S):
            while not started.lines():
                assert started.process.poll() is None, started.said
                await trio.sleep(0.02)
        paper = msgspec.json.decode(started.lines()[0], type=PaperReady)
        write_config(config, paper, self._directory / "share")
        return paper

    async def _fail_over(self, number: int, engine: Started, leads: Host, follows: Host) -> tuple[Started, Host, Host]:
        """Let the leading host end; return the engine of the other, and the hosts with their parts exchanged."""
        way = self._dice.choice(WAYS)
        copier = await leads.replicate()
        await wait_for(lambda: any(leads.replica.rglob("*.ltx")))
        standby = None
        if way != "by command":
            standby = await follows.follow(leads.replica, name=f"standby{number}")
            await standby.wait_line(b'"executions":')
        await self._use(engine)
        if way == "copy first":
            copier.kill()
            await self._use(engine)
        began = time.monotonic()
        if way in ("host", "copy first"):
            await leads.die()
        elif way == "engine":
            engine.process.kill()
        elif way == "frozen":
            for process in (engine.process, copier):
                process.send_signal(signal.SIGSTOP)
        else:
            standby = await follows.follow(leads.replica, "--take-over", name=f"standby{number}")
        assert standby is not None
        await standby.wait_ready()
        took_s = time.monotonic() - began
        self.outcome.failovers.append(Failover(way, took_s))
        self._say(f"{self.outcome.name}, {number + 1}: {way}, {took_s:.1f} s")
        if way == "frozen":
            for process in (engine.process, copier):
                process.send_signal(signal.SIGCONT)
        if way in ("frozen", "by command"):
            code = await engine.wait_end()
            if code != 1:
                self.outcome.wrong.append(f"{way}: the replaced engine ended with {code}: {engine.said[-300:]}")
        await leads.die()
        return standby, follows, leads

    async def _use(self, engine: Started) -> None:
        """Be its user for a while."""
        with trio.move_on_after(self._dice.uniform(*WORK_S)):
            while True:
                key = f"k{self._dice.getrandbits(60)}"
                method, rests = self._dice.choice(METHODS), self._dice.randrange(2)
                limit = self._dice.randint(10, 30) if rests else self._dice.randint(45, 70)
                wanted = {
                    "key": key,
                    "ticker": MARKET,
                    "outcome": self._dice.choice(("yes", "no")),
                    "quantity": str(self._dice.choice((1, 5, 20))),
                    "method": method,
                    "target_price": f"0.{limit:02}",
                    "worst_price": f"0.{limit:02}",
                    "horizon_s": self._dice.choice((5, 20, 900)),
                }
                submission = msgspec.convert(wanted, Submission)
                with suppress(ExecError), trio.CancelScope(shield=True):
                    await engine.ask(partial(submit, submission=submission))
                    self._keys.add(key)
                await trio.sleep(self._dice.uniform(0.05, 0.4))

    async def _end_all(self, engine: Started, leads: Host) -> None:
        """Everything is ended by its user, and the last engine comes to rest."""
        with trio.move_on_after(END_S):
            while names := unfinished(leads.database):
                for name in names:
                    with suppress(ExecError):
                        await engine.ask(partial(cancel, name=name))
                await trio.sleep(1)
        await trio.sleep(2)  # what has ended is reckoned
        engine.process.send_signal(signal.SIGTERM)
        if (code := await engine.wait_end()) != 0:
            self.outcome.wrong.append(f"the last engine ended with {code}: {engine.said[-300:]}")

    async def _compare(self, database: Path, paper: PaperReady) -> None:
        """Compare keys and books."""
        known, lost, lost_ids = load_keys(database)
        self.outcome.acknowledged = len(self._keys)
        self.outcome.lost = len(self._keys & lost)
        unsaid = self._keys - known - lost
        self.outcome.wrong += [f"lost unsaid: {key}" for key in sorted(unsaid)]
        books = await load_books(paper)
        for order in books.orders.orders:
            if order.status == "resting":
                self.outcome.wrong.append(f"orphan: {order.client_order_id} rests")
        verdict = compared(database, _without(books, lost_ids))
        self.outcome.orders, self.outcome.fills = verdict.orders, verdict.fills
        self.outcome.wrong += verdict.wrong


def write_config(path: Path, paper: PaperReady, share: Path) -> None:
    """Write the configuration that both hosts have."""
    names = ("rest_url", "ws_url", "api_key_id", "private_key_path")
    given = "".join(f'{name} = "{getattr(paper, name)}"\n' for name in names)
    pair = f'[standby]\nlease = "{share.as_uri()}"\nlease_s = {LEASE_S}\n'
    path.write_text(f'environment = "paper"\n{given}{pair}', encoding="utf-8")


def load_keys(database: Path) -> tuple[set[str], set[str], set[str]]:
    """The keys that the database knows, those it reports as lost, and the ids that the lost ones had."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        known = {key for (key,) in connection.execute("SELECT key FROM submissions")}
        lost = dict(connection.execute("SELECT key, accepted_as FROM lost_submissions"))
    return known, set(lost), set(lost.values())


def _without(books: Books, lost_ids: set[str]) -> Books:
    """The books without what executions bought that no database has."""
    orders = [
        order
        for order in books.orders.orders
        if (named := parse_order_name(order.client_order_id)) is None or named.execution_id not in lost_ids
    ]
    ids = {order.order_id for order in orders}
    fills = tuple(fill for fill in books.fills.fills if fill.order_id in ids)
    return Books(
        msgspec.structs.replace(books.orders, orders=tuple(orders)), msgspec.structs.replace(books.fills, fills=fills)
    )


def submit(client: Client, submission: Submission) -> None:
    client.submit(submission)


def cancel(client: Client, name: str) -> None:
    client.cancel(name)


async def wait_for(holds: Callable[[], bool]) -> None:
    """Wait for other processes."""
    with trio.fail_after(END_S):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.05)


def fail_over_again_and_again(
    failovers: int, seed: int, directory: Path, *, chains: int, say: Callable[[str], None]
) -> list[Outcome]:
    """So many failovers, in chains that run at the same time."""
    shares = [failovers // chains + (number < failovers % chains) for number in range(chains)]
    outcomes: list[Outcome] = []

    async def one(number: int, share: int) -> None:
        outcomes.append(await Chain(directory / f"chain{number}", seed * 1_000 + number, share, say).run())

    async def all_of_them() -> None:
        async with trio.open_nursery() as nursery:
            for number, share in enumerate(shares):
                nursery.start_soon(one, number, share)

    trio.run(all_of_them)
    return outcomes


def table(outcomes: list[Outcome]) -> str:
    """Way x failovers x time, and what is wrong."""
    done = [failover for outcome in outcomes for failover in outcome.failovers]
    lines = [f"{'way':<12}{'failovers':>10}{'median s':>10}{'worst s':>10}"]
    for way in (*dict.fromkeys(WAYS), "all"):
        took = [one.took_s for one in done if way in ("all", one.way)]
        if took:
            lines.append(f"{way:<12}{len(took):>10}{statistics.median(took):>10.1f}{max(took):>10.1f}")
    wrong = [f"{outcome.name}: {line}" for outcome in outcomes for line in outcome.wrong]
    kinds = Counter(line.split(": ")[1] for line in wrong)
    keys, lost = sum(one.acknowledged for one in outcomes), sum(one.lost for one in outcomes)
    lines += [
        f"(from the end of the host until work is accepted; the lease is {LEASE_S} s)",
        f"{keys} acknowledged submissions, {lost} of them lost in the lag and reported by key",
        f"compared: {sum(o.orders for o in outcomes)} orders, {sum(o.fills for o in outcomes)} fills",
        f"{len(wrong)} differences {dict(kinds) if kinds else ''}".rstrip(),
        *wrong,
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="failovers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--failovers", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chains", type=int, default=2, help="exchanges and pairs at the same time")
    parser.add_argument("--keep", action="store_true", help="leave the databases and logs")
    options = parser.parse_args()
    say: Callable[[str], None] = partial(print, file=sys.stderr, flush=True)
    directory = Path(tempfile.mkdtemp(prefix="fsm-exec-failovers-"))
    began = time.monotonic()
    try:
        outcomes = fail_over_again_and_again(options.failovers, options.seed, directory, chains=options.chains, say=say)
    finally:
        if options.keep:
            say(f"left in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    sys.stdout.write(f"seed {options.seed}\n{table(outcomes)}\n{time.monotonic() - began:.0f} s\n")
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
