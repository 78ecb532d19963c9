"""One exchange, the bending proxy before it, one database, and one `fsm-exec serve` after another, each killed.

The proxy lives in this process, so a kill happens exactly there: when a request arrives and before it is sent on, when
the exchange has done it and nobody knows, in the middle of an answer, at a frame, at a read of the recovery, when the
write-ahead log has grown. While a life lasts its user submits and cancels, and the exchange troubles or lies as drawn.
The last life is calm: its user ends everything, quarantined ones too, and then the books are compared.
"""

from __future__ import annotations

import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import trio

from fsm_exec.core.errors import VenueError
from tests.bending.bends import Cut, Deliver, Forward, Frame, Reply, Request
from tests.bending.daemon import CONFIG, START_S, Daemons
from tests.bending.ledger import MISNAMED, Finding, compared, listed
from tests.bending.lies import LIES, TROUBLES
from tests.bending.proxy import bending_proxy
from tests.chaos.states import at_work, unfinished
from tests.chaos.zygote import Forked, Zygote

MARKET: Final = "KXBENT-26DEC31-A"
WHERE: Final = (
    "a write arrives",
    "a write is done",
    "half an answer",
    "an order's frame",
    "a fill's frame",
    "a frame of the book",
    "in recovery",
    "the log grows",
    "while it drains",
    "after a while",
    "any moment",
)
WEIGHTS: Final = (4, 4, 4, 3, 2, 1, 3, 3, 2, 2, 1)
LIFE_S, LONG_S, END_S = 7.0, 40.0, 150.0
"""How long a life waits for its moment; one that lasts a while, so that a lie has time to be found out; until all is at
rest at the end."""
AT_WORK_MAX: Final = 8
METHODS: Final = ("simple_limit", "market", "market", "hasty", "hasty", "adaptive_limit", "deadline_walker", "twap")
HASTY: Final = ("adaptive_limit", "interval_s=1", "steps_max=100", "step_e4=100")
CORRECTED_S: Final = 120.0  # after that what was said untruly must have been corrected
BOUND_S: Final = 75.0
"""From the moment its user ended everything, on a calm exchange, until it had: window, lag, pauses between looks."""


class Kill(NamedTuple):
    """Where the process died, what the exchange did to it until then, and the orders it left at work, by kind."""

    where: str
    moods: tuple[str, ...]
    met: Counter[str]


class Outcome(msgspec.Struct, kw_only=True):
    """`idle`: kills that found nothing at work, not counted. `quarantined` has execution and reason."""

    name: str
    kills: list[Kill] = []
    idle: int = 0
    wrong: list[Finding] = []
    quarantined: list[str] = []
    executions: int = 0
    orders: int = 0
    fills: int = 0
    slowest_end_s: float = 0.0
    corrected_s: float = 0.0
    misnamed: list[str] = []
    in_flight: int = 0


class Siege(Daemons):
    """Most lives meet an exchange with bad days; one that is `lying` also lies to each."""

    def __init__(self, zygote: Zygote, directory: Path, seed: int, *, lying: bool) -> None:
        super().__init__(zygote, directory)
        self._directory, self._seed, self._lying = directory, seed, lying
        self._dice = random.Random(f"siege:{seed}")
        self._mid_cents = 50
        self._moods: tuple[str, ...] = ()
        self._killed = trio.Event()
        self.outcome = Outcome(name=f"seed {seed}, {'lying' if lying else 'troubled'}")

    async def run(self, kills: int) -> Outcome:
        """Lives until so many kills have found an order at work; then the last one and the comparison."""
        self._directory.mkdir(parents=True)
        exchange = await self.paper(MARKET, self._seed)
        self._paper = self.told
        async with bending_proxy(self._paper.rest_url, self._paper.ws_url) as proxy:
            self._bends = proxy.bends
            proxy.config(self._paper, self._directory / CONFIG)
            await self._settle_in()
            while len(self.outcome.kills) < kills and self.lives < 3 * kills + 5:
                await self._live()
            await self._last_life()
        exchange.signal(signal.SIGTERM)
        return self.outcome

    # One life.

    async def _settle_in(self) -> None:
        """A first life: a method of our own, and an order that rests."""
        process = await self.serve()
        url = await self.ready(process, START_S)
        assert url is not None, process.err.read_text()
        name, *settings = HASTY
        chosen = [word for setting in settings for word in ("--set", setting)]
        added = await self.fork(
            ["methods", "add", "hasty", "--algorithm", name, *chosen, "--db", self.database.name], "methods"
        )
        assert await self.ended(added, START_S) == 0, added.err.read_text()
        await self.kill(process)

    async def _live(self) -> None:
        where = self._dice.choices(WHERE, WEIGHTS)[0]
        self._bends.calm()
        self._bends.asked.clear()
        self._bends.told.clear()
        self._moods = self._draw_moods()
        self._killed = trio.Event()
        process = await self.serve()
        self._arm(where, process)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._use, process, where, nursery.cancel_scope)
            if where == "the log grows":
                nursery.start_soon(self._at_growth, process)
            with trio.move_on_after(LONG_S + 3):  # a start takes its time
                await self.ended(process, START_S)
            nursery.cancel_scope.cancel()
        died = where if self._killed.is_set() or where == "after a while" else "any moment"
        status = await self.kill(process)
        if status != -signal.SIGKILL and where != "while it drains":
            said = process.err.read_text()[-300:]
            self.outcome.wrong.append(Finding("wrong", f"life {self.lives} ended with {status}: {said}"))
        self.outcome.in_flight += any(
            asked.ended_s is None and asked.request.method != "GET" for asked in self._bends.asked
        )
        met = at_work(self.database)
        if met:
            self.outcome.kills.append(Kill(died, self._moods, met))
        else:
            self.outcome.idle += 1

    def _draw_moods(self) -> tuple[str, ...]:
        """Up to two bad days of the exchange, none to one life in three; and a lie or two, if it lies."""
        names = self._dice.sample(sorted(TROUBLES), self._dice.randrange(3))
        if self._lying:
            names += self._dice.sample(sorted(LIES), self._dice.randrange(1, 3))
        menu = {**TROUBLES, **LIES}
        for name in names:
            menu[name](self._bends, self._dice)
        return tuple(names)

    def _arm(self, where: str, process: Forked) -> None:
        """The rule that kills; outermost, for it is the newest."""
        dice, bends = self._dice, self._bends

        def kill() -> None:
            self._killed.set()
            process.signal(signal.SIGKILL)

        async def on_arrival(request: Request, forward: Forward) -> Reply:
            kill()
            return await forward(request)  # what has left a dying process arrives

        async def when_done(request: Request, forward: Forward) -> Reply:
            reply = await forward(request)
            kill()
            return reply

        async def half_way(request: Request, forward: Forward) -> Reply:
            raise Cut(await self._then(forward(request), kill))

        async def at_frame(frame: Frame, deliver: Deliver) -> None:
            if dice.randrange(2):
                await deliver(frame.text)
            kill()

        writes = dice.choice(("POST", "[!G]*", "[!G]*"))
        number = dice.randrange(3)
        match where:
            case "a write arrives":
                bends.on_request(on_arrival, writes, after=number, times=1)
            case "a write is done":
                bends.on_request(when_done, writes, after=number, times=1)
            case "half an answer":
                bends.on_request(half_way, writes, after=number, times=1)
            case "an order's frame":
                bends.on_frame(at_frame, "user_order", after=dice.randrange(4), times=1)
            case "a fill's frame":
                bends.on_frame(at_frame, "fill", after=dice.randrange(3), times=1)
            case "a frame of the book":
                bends.on_frame(at_frame, "orderbook_*", after=dice.randrange(30), times=1)
            case "in recovery":
                bends.on_request(dice.choice((on_arrival, when_done)), "GET", after=dice.randrange(9), times=1)
            case _:
                return

    @staticmethod
    async def _then(reply: Any, kill: Any) -> Reply:  # noqa: ANN401 - an awaitable and a function
        answered: Reply = await reply
        kill()
        return answered

    async def _at_growth(self, process: Forked) -> None:
        """Kill as soon as the write-ahead log has grown so often: in the middle of a commit, or between two."""
        log = self.database.with_name(self.database.name + "-wal")
        size, left = 0, self._dice.randrange(1, 25)
        while True:
            with suppress(FileNotFoundError):
                if (now := log.stat().st_size) != size:
                    size, left = now, left - 1
            if left <= 0:
                self._killed.set()
                process.signal(signal.SIGKILL)
                return
            await trio.sleep(0.001)

    async def _use(self, process: Forked, where: str, life: trio.CancelScope) -> None:
        """Be its user until it dies."""
        url = await self.ready(process, LIFE_S + 3)
        if url is None:
            return
        use_s = {"after a while": LONG_S, "any moment": self._dice.uniform(0.3, 4), "while it drains": 3.0}
        enough_s = trio.current_time() + use_s.get(where, LIFE_S)
        async with self.control(url) as http:
            while trio.current_time() < enough_s:
                with suppress(httpx.HTTPError):
                    await self._act(http)
                await trio.sleep(self._dice.uniform(0.02, 0.3))
        if where == "while it drains":
            self._killed.set()
            process.signal(self._dice.choice((signal.SIGTERM, signal.SIGINT)))
            await trio.sleep(self._dice.uniform(0.0, 1.5))
        life.cancel()

    async def _act(self, http: httpx.AsyncClient) -> None:
        names = unfinished(self.database)
        drawn = self._dice.randrange(20)
        if drawn == 0:
            await http.post("/v1/halt")
            await trio.sleep(self._dice.uniform(0, 0.3))
            await http.post("/v1/resume")
        elif len(names) >= AT_WORK_MAX or (len(names) > 2 and drawn < 7):
            await http.post(f"/v1/executions/{self._dice.choice(names)}/cancel")
        elif len(names) < 2:
            await self._submit(http, "simple_limit", "yes", 10, 10, 600)
        else:
            outcome = self._dice.choice(("yes", "no"))
            mid = await self._mid_now() if outcome == "yes" else 100 - await self._mid_now()
            worst = min(98, max(2, mid + self._dice.choice((-2, 1, 3, 4))))
            target = max(1, worst - self._dice.choice((0, 2, 8)))
            horizon_s = self._dice.choice((3, 6, 15, 40))
            await self._submit(http, self._dice.choice(METHODS), outcome, target, worst, horizon_s)

    async def _submit(
        self, http: httpx.AsyncClient, method: str, outcome: str, target: int, worst: int, horizon_s: int
    ) -> None:
        wanted = {
            "key": f"k{self._dice.getrandbits(60)}",
            "ticker": MARKET,
            "outcome": outcome,
            "quantity": str(self._dice.choice((1, 5, 20, 60))),
            "method": method,
            "target_price": f"0.{target:02}",
            "worst_price": f"0.{worst:02}",
            "horizon_s": horizon_s,
        }
        await http.post("/v1/executions", json=wanted)

    async def _mid_now(self) -> int:
        """Cents of YES, as the exchange says, asked without the proxy."""
        with suppress(httpx.HTTPError, KeyError, ValueError):
            async with httpx.AsyncClient(timeout=1, trust_env=False) as http:
                market = (await http.get(f"{self._paper.rest_url}/markets/{MARKET}")).json()["market"]
            cents = [int(market[side][2:4]) for side in ("yes_bid_dollars", "yes_ask_dollars")]
            if all(cents):
                self._mid_cents = sum(cents) // 2
        return self._mid_cents

    # The end.

    async def _last_life(self) -> None:
        """Calm: its user ends everything, takes up what was quarantined, and lets it rest."""
        self._bends.calm()
        process = await self.serve()
        url = await self.ready(process, START_S)
        if url is None:
            said = process.err.read_text()[-300:]
            self.outcome.wrong.append(Finding("unfinished", f"the last start failed: {said}"))
            return
        began_s = trio.current_time()
        async with self.control(url) as http:
            with suppress(httpx.HTTPError):
                rows = (await http.get("/v1/executions", params={"quarantined": "true", "limit": 200})).json()
                self.outcome.quarantined += [
                    f"{row['execution_id']}: {row.get('quarantine')}" for row in rows.get("executions", [])
                ]
            while (names := unfinished(self.database)) and trio.current_time() - began_s < END_S:
                for name in names:
                    with suppress(httpx.HTTPError):
                        await http.post(f"/v1/executions/{name}/cancel")
                await trio.sleep(1)
                if names and trio.current_time() - began_s > BOUND_S:
                    break
        self.outcome.slowest_end_s = trio.current_time() - began_s
        for name in unfinished(self.database):
            why = self._why(name)
            self.outcome.wrong.append(Finding("unfinished", f"{name} has not ended in {BOUND_S:.0f} s: {why}"))
        await self._compare()
        process.signal(signal.SIGTERM)
        if await self.ended(process, END_S) != 0:
            said = process.err.read_text()[-300:]
            self.outcome.wrong.append(Finding("unfinished", f"the last life did not come to rest: {said}"))
        checked = await self.fork(["db", "check", "--all", "--db", self.database.name], "check")
        if await self.ended(checked, START_S) != 0:
            said = checked.out.read_text() + checked.err.read_text()
            self.outcome.wrong.append(Finding("wrong", f"db check: {said[-400:]}"))

    async def _compare(self) -> None:
        """Again and again, while the engine lives: what frames and answers said untruly is corrected by listings that
        are later than the signature window and the read lag."""
        began_s = trio.current_time()
        found = [Finding("wrong", "the exchange could not be asked")]
        with trio.move_on_after(CORRECTED_S):
            while found:
                with suppress(VenueError):
                    books = await listed(self._paper)
                    seen = compared(self.database, books)
                    found = [finding for finding in seen if finding.kind != MISNAMED]
                    self.outcome.misnamed = [str(finding) for finding in seen if finding.kind == MISNAMED]
                    self.outcome.orders, self.outcome.fills = len(books.orders), len(books.fills)
                await trio.sleep(1 if found else 0)
        self.outcome.corrected_s = trio.current_time() - began_s
        self.outcome.wrong += found
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            (self.outcome.executions,) = connection.execute("SELECT count(*) FROM execution_state").fetchone()

    def _why(self, name: str) -> str:
        """The last lines of the engine's log about an execution."""
        log = self.database.with_name(self.database.name + ".log")
        with suppress(OSError):
            lines = [line for line in log.read_text(encoding="utf-8").splitlines() if name in line]
            return " | ".join(lines[-2:])[:400]
        return ""
