"""One exchange, one database, and one engine after another on them, each killed: real processes, real time.

The exchange is `fsm-exec paper`, the engine `fsm-exec serve`; both are forked by a zygote. While a life lasts its user
submits and cancels, so that a kill finds orders at work. After the last kill a life is left alone until everything has
ended, and the books are compared.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import msgspec

from fsm_exec.cli.exchange.paper_file import PaperReady
from fsm_exec.control.client import Client
from fsm_exec.control.schema import Submission
from fsm_exec.core.errors import ExecError
from tests.chaos.books import Verdict, verdict
from tests.chaos.states import WATCHED, at_work, shows, unfinished
from tests.chaos.zygote import Forked, Zygote

RANDOM: Final = "any moment"
LYING: Final = "lying"  # the profile of an exchange whose word may be wrong
MARKET: Final = "KXCHAOS-26DEC31-A"
START_S, READY_S, POINT_S, END_S = 240.0, 25.0, 8.0, 180.0
"""Until a process is ready where one must be; how long a life to be killed may try; until a crash point was passed
often enough; until everything has ended at the end."""
LOOK_S: Final = 0.004
ACT_EVERY_S: Final = (0.05, 0.4)
AT_WORK_MAX: Final = 10
TRIES_MAX: Final = 4
WRONG_MAX: Final = 5  # after that a chain gives up
LONG_S, SHORT_S = 900, (3, 5, 10, 20, 40)
WAIT_AND_SEE_S: Final = 3.0  # for the kind of order that a kill is to find
EARLY: Final = frozenset({"lock.before", "lock.after", "migrate.before", "migrate.after"})
ADDED: Final = {
    "hasty": ("adaptive_limit", "interval_s=1", "steps_max=100", "step_e4=100"),
    "restless": ("dynamic_depth_walker", "walk_interval_s=1", "max_walks=100"),
}
METHODS: Final = ("hasty", "hasty", "restless", "deadline_walker", "market", "simple_limit", "twap")


class Plan(NamedTuple):
    """When a life ends: at the `visit`-th visit of the crash point `where`, or (`where` RANDOM) after `after_s`, or as
    soon as an order of the kind `waits_for` is there. `tries` counts those that came to nothing."""

    where: str
    visit: int = 0
    after_s: float = 0.0
    waits_for: str = ""
    tries: int = 0


class Kill(NamedTuple):
    """`where` the process died, and what orders were at work then, by kind."""

    where: str
    met: Counter[str]


class Outcome(msgspec.Struct, kw_only=True):
    """`idle`: kills that found no order at work, which prove little and are not counted. `restarts_s`: from the fork to
    the engine that runs, for each start that was allowed to come so far."""

    name: str
    kills: list[Kill] = []
    idle: int = 0
    restarts_s: list[float] = []
    verdict: Verdict | None = None
    wrong: list[str] = []


class Chain:
    """`faults` is a profile for `fsm-exec paper`, "" for none."""

    def __init__(self, zygote: Zygote, directory: Path, seed: int, faults: str) -> None:
        self._zygote, self._directory, self._faults = zygote, directory, faults
        self._seed = seed
        self._dice = random.Random(f"chain:{seed}")
        self._database = directory / "engine.sqlite"
        self._lives = 0
        self._migrations = 0
        self._mid_cents = 50
        self.outcome = Outcome(name=f"seed {seed}, {faults or 'calm'}")

    def run(self, plans: deque[Plan]) -> Outcome:
        """A life for each of `plans` that no other chain has taken, then a last one to the end, and the comparison."""
        self._directory.mkdir()
        paper = self._zygote.fork(self._paper_arguments(), self._directory, "paper")
        told = self._first_line(paper)
        assert told is not None, f"paper: {paper.err.read_text()}"
        self._paper = msgspec.json.decode(told, type=PaperReady)
        self._settle_in()
        while plans and len(self.outcome.wrong) < WRONG_MAX:
            plan = plans.popleft()
            if not self._live(plan) and plan.tries < TRIES_MAX:
                plans.append(plan._replace(visit=min(plan.visit, 1), tries=plan.tries + 1))
            for copy in self._directory.glob("*.backup"):
                copy.unlink()
        self._last_life()
        self.outcome.verdict = verdict(self._database, self._paper, END_S, lies=self._faults == LYING)
        self.outcome.wrong += self.outcome.verdict.wrong
        paper.signal(signal.SIGTERM)
        return self.outcome

    def _paper_arguments(self) -> list[str]:
        faults = ["--faults", self._faults] if self._faults else []
        return ["paper", "--market", MARKET, "--profile", "liquid", "--seed", str(self._seed), *faults]

    # One life.

    def _serve(self, kill: tuple[str, int] = ("", 0)) -> Forked:
        self._lives += 1
        arguments = ["serve", "--paper", self._paper.rest_url, "--db", self._database.name, "--json"]
        arguments += ["--token-file", "token"]
        name = f"serve{self._lives}"
        return self._zygote.fork(arguments, self._directory, name, kill=kill, migrations=self._migrations)

    def _settle_in(self) -> None:
        """The first life: methods of our own, and executions whose orders rest until the end."""
        process = self._serve()
        client = self._ready(process)
        assert client is not None, process.err.read_text()
        for name, (algorithm, *settings) in ADDED.items():
            chosen = [word for setting in settings for word in ("--set", setting)]
            arguments = ["methods", "add", name, "--algorithm", algorithm, *chosen, "--db", self._database.name]
            added = self._zygote.fork(arguments, self._directory, name)
            assert added.wait(START_S) == 0, added.err.read_text()
        with client:
            while not at_work(self._database):
                self._rest(client)
        self._kill(process)

    def _live(self, plan: Plan) -> bool:
        """False if it did not go as planned: the point was not passed that often, or nothing was at work."""
        if plan.where.startswith("migrate"):
            self._migrations += 1
        began = time.monotonic()
        process = self._serve((plan.where, plan.visit) if plan.visit else ("", 0))
        died_where = plan.where
        if plan.after_s:
            process.wait(plan.after_s)
        elif plan.where not in EARLY:
            self._use(process, plan, began)
        if plan.visit and process.wait(POINT_S if plan.where in EARLY else 0) is None:
            died_where = RANDOM  # the point was not passed that often
        status = self._kill(process)
        if status != -signal.SIGKILL:
            self.outcome.wrong.append(f"life {self._lives} ended with {status}: {process.err.read_text()[:300]}")
        met = at_work(self._database)
        if met:
            self.outcome.kills.append(Kill(died_where, met))
        else:
            self.outcome.idle += 1
        return bool(met) and died_where == plan.where

    def _use(self, process: Forked, plan: Plan, began: float) -> None:
        """Be its user until its moment has come, or it has died."""
        client = self._ready(process, READY_S)
        if client is None:
            return
        self.outcome.restarts_s.append(time.monotonic() - began)
        enough = time.monotonic() + (POINT_S if plan.visit else WAIT_AND_SEE_S)
        act = 0.0
        with client:
            while time.monotonic() < enough and process.wait(LOOK_S) is None:
                if plan.waits_for and act and shows(self._database, plan.waits_for):
                    return
                if time.monotonic() >= act:
                    with suppress(ExecError):  # it may die at any moment, and then nobody answers
                        self._act(client)
                    act = time.monotonic() + self._dice.uniform(*ACT_EVERY_S)

    def _act(self, client: Client) -> None:
        names = unfinished(self._database)
        if len(names) >= AT_WORK_MAX or (len(names) > 2 and self._dice.randrange(3) == 0):
            client.cancel(self._dice.choice(names))
        elif len(names) < 2:
            self._rest(client)
        else:
            self._work(client)

    def _rest(self, client: Client) -> None:
        """An execution whose orders stay where nobody trades."""
        price = max(2, self._mid_now() // 2)
        self._submit(client, "simple_limit", "yes", price, price, LONG_S)

    def _work(self, client: Client) -> None:
        outcome = self._dice.choice(("yes", "no"))
        mid = self._mid_now() if outcome == "yes" else 100 - self._mid_now()
        worst = min(98, max(2, mid + self._dice.choice((-3, 0, 1, 4))))
        target = max(1, worst - self._dice.choice((0, 2, 8, 15)))
        self._submit(client, self._dice.choice(METHODS), outcome, target, worst, self._dice.choice(SHORT_S))

    def _submit(self, client: Client, method: str, outcome: str, target: int, worst: int, horizon_s: int) -> None:
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
        client.submit(msgspec.convert(wanted, Submission))

    def _mid_now(self) -> int:
        """Cents of YES, as the exchange says or has last said."""
        with suppress(httpx.HTTPError, KeyError, ValueError):
            answer = httpx.get(f"{self._paper.rest_url}/markets/{MARKET}", timeout=1, trust_env=False)
            market = answer.json()["market"]
            cents = [int(market[side][2:4]) for side in ("yes_bid_dollars", "yes_ask_dollars")]
            if all(cents):
                self._mid_cents = sum(cents) // 2
        return self._mid_cents

    # The end.

    def _last_life(self) -> None:
        """Everything that is left is cancelled by its user; the engine has to end it, and then to come to rest."""
        process = self._serve()
        client = self._ready(process)
        if client is None:
            self.outcome.wrong.append(f"the last start failed: {process.err.read_text()[:300]}")
            return
        enough = time.monotonic() + END_S
        with client:
            while (names := unfinished(self._database)) and time.monotonic() < enough:
                for name in names:
                    with suppress(ExecError):
                        client.cancel(name)
                process.wait(1)
        process.wait(2)  # what had ended is reckoned
        process.signal(signal.SIGTERM)
        if process.wait(END_S) != 0:
            self.outcome.wrong.append(f"the last life did not come to rest: {process.err.read_text()[:300]}")

    def _ready(self, process: Forked, within_s: float = START_S) -> Client | None:
        """A client once the engine runs; None if it ended before, or takes too long."""
        line = self._first_line(process, within_s)
        if line is None:
            return None
        return Client(msgspec.json.decode(line)["control_url"], self._directory / "token", patience_s=0)

    @staticmethod
    def _first_line(process: Forked, within_s: float = START_S) -> bytes | None:
        enough = time.monotonic() + within_s
        while time.monotonic() < enough:
            line, end, _ = process.out.read_bytes().partition(b"\n")
            if end:
                return line
            if process.wait(LOOK_S) is not None:
                return None
        return None

    @staticmethod
    def _kill(process: Forked) -> int | None:
        process.signal(signal.SIGKILL)
        return process.wait(START_S)


def plans_for(kills: int, points: dict[str, int], each: int, dice: random.Random) -> list[Plan]:
    """`kills` plans: every point of `points` (its name, and the highest visit worth waiting for) `each` times or more,
    so that they are about half; the others at random moments, most of which wait for a kind of order."""
    often = max(each, kills // 2 // len(points))
    plans = [Plan(name, visit=dice.randint(1, most)) for name, most in points.items() for _ in range(often)]
    while len(plans) < kills:
        kind = dice.randrange(3)
        if kind == 0:
            plans.append(Plan(RANDOM, after_s=dice.uniform(0.02, 2.5)))
        else:
            plans.append(Plan(RANDOM, waits_for=dice.choice(("", *WATCHED))))
    dice.shuffle(plans)
    return plans
