"""Kills `fsm-exec serve` with SIGKILL again and again, and compares the exchange's books with the database.

    python -m tests.chaos.kills --kills 2000 --seed 1

Half of the kills are at crash points, each at a drawn visit; the others at random moments, most of them as soon as an
order of a drawn kind (live, unknown, cancelling) is at work. Every chain has an exchange (`fsm-exec paper`, calm or
with faults) and a database of its own. Prints point x kills x what they found x result; exit 0 only if nothing is
wrong. The seed draws the plans; what the processes make of them in real time differs from run to run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from fsm_exec.core.journal.crashpoints import NAMES
from tests.chaos.chain import RANDOM, Chain, Kill, Outcome, plans_for
from tests.chaos.states import KINDS
from tests.chaos.zygote import Zygote
from tests.leftovers import open_threads

ROUGH: Final = str(Path(__file__).with_name("rough.toml"))
MOODS: Final = ("", ROUGH, "lossy_stream", ROUGH, "lying", "everything", ROUGH, "flaky_network")
"""Faults of the exchange, chain by chain. Where answers are late lives are longer, and a chain takes fewer plans."""
POINTS: Final[dict[str, int]] = {
    **dict.fromkeys(map(str, NAMES), 25),
    "fill.before": 3,
    "fill.after": 3,
    "cancel.before": 3,
    "cancel.after": 3,
    "lock.before": 1,
    "lock.after": 1,
    "migrate.before": 1,
    "migrate.after": 1,
}
"""Up to which visit a kill is drawn: what is passed often is passed so often within the first second or two."""


def kill_again_and_again(
    kills: int,
    seed: int,
    directory: Path,
    *,
    chains: int,
    each: int,
    say: Callable[[str], None],
    moods: tuple[str, ...] = MOODS,
) -> list[Outcome]:
    """`kills` kills that found an order at work, every crash point at least `each` times among them; what came to
    nothing is tried again, a few times."""
    dice = random.Random(f"kills:{seed}")
    say(f"seed {seed}: {kills} kills in {chains} chains")
    plans = deque(plans_for(kills, POINTS, each, dice))
    environment = {**os.environ, "XDG_STATE_HOME": str(directory / "state"), "XDG_DATA_HOME": str(directory / "data")}
    with Zygote(environment) as zygote, open_threads(chains) as pool:

        def one(number: int) -> Outcome:
            mood = moods[number % len(moods)]
            outcome = Chain(zygote, directory / f"chain{number}", seed * 1_000 + number, mood).run(plans)
            say(f"{outcome.name}: {len(outcome.kills)} kills, {outcome.verdict}")
            return outcome

        return list(pool.map(one, range(chains)))


def table(outcomes: list[Outcome]) -> str:
    """Point x kills x what they found, and what is wrong."""
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    heading = f"{'point':<16}{'kills':>7}" + "".join(f"{kind:>12}" for kind in KINDS)
    rows = [_row(where, [kill for kill in kills if kill.where == where]) for where in (*NAMES, RANDOM)]
    lines = [heading, *rows, _row("all", kills)]
    idle = sum(outcome.idle for outcome in outcomes)
    restarts = [s for outcome in outcomes for s in outcome.restarts_s]
    verdicts = [outcome.verdict for outcome in outcomes if outcome.verdict is not None]
    lines += [
        "(kills: those that found an order at work; beside it, how many of them found an order of each kind)",
        f"{idle} more kills found nothing at work and are not counted; "
        f"a start took {statistics.median(restarts):.2f} s (median), {max(restarts):.2f} s (longest)",
        f"compared: {sum(v.executions for v in verdicts)} executions, {sum(v.orders for v in verdicts)} orders, "
        f"{sum(v.fills for v in verdicts)} fills",
    ]
    wrong = [f"{outcome.name}: {line}" for outcome in outcomes for line in outcome.wrong]
    lines += [f"{len(wrong)} differences", *wrong]
    return "\n".join(lines)


def _row(where: str, kills: list[Kill]) -> str:
    met = Counter(kind for kill in kills for kind in kill.met)
    return f"{where:<16}{len(kills):>7}" + "".join(f"{met[kind]:>12}" for kind in KINDS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chains", type=int, default=8, help="exchanges and databases at the same time")
    parser.add_argument("--each", type=int, default=5, help="kills at every crash point, at least")
    parser.add_argument("--faults", help="of all exchanges; otherwise each has its own")
    parser.add_argument("--keep", action="store_true", help="leave the databases and logs")
    options = parser.parse_args()
    say: Callable[[str], None] = partial(print, file=sys.stderr, flush=True)
    directory = Path(tempfile.mkdtemp(prefix="fsm-exec-kills-"))
    began = time.monotonic()
    try:
        outcomes = kill_again_and_again(
            options.kills,
            options.seed,
            directory,
            chains=options.chains,
            each=options.each,
            say=say,
            moods=MOODS if options.faults is None else (options.faults,),
        )
    finally:
        if options.keep:
            say(f"left in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    sys.stdout.write(f"{table(outcomes)}\n{time.monotonic() - began:.0f} s\n")
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
