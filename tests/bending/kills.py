"""Kills `fsm-exec serve` behind the bending proxy again and again, and compares the exchange's listings with the
database.

    python -m tests.bending.kills --kills 500 --seed 1

Each chain has an exchange, a proxy and a database of its own; half of the chains meet an exchange that lies besides
having bad days. Prints where the kills were, what the exchange did, and what must be nothing; exit 0 only if it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from tests.bending.ledger import KINDS
from tests.bending.lies import LIES
from tests.bending.siege import WHERE, Outcome, Siege
from tests.chaos.states import KINDS as ORDERS_OF
from tests.chaos.zygote import Zygote


def kill_again_and_again(
    kills: int, seed: int, directory: Path, *, chains: int, lying: bool, say: Callable[[str], None]
) -> list[Outcome]:
    """`kills` kills, each of which found an order at work. With `lying` every other chain's exchange lies."""
    say(f"seed {seed}: {kills} kills in {chains} chains")
    environment = {**os.environ, "XDG_STATE_HOME": str(directory / "state"), "XDG_DATA_HOME": str(directory / "data")}
    outcomes: list[Outcome] = []

    async def one(number: int, zygote: Zygote) -> None:
        share = kills // chains + (number < kills % chains)
        siege = Siege(zygote, directory / f"chain{number}", seed * 1_000 + number, lying=lying and number % 2 == 1)
        outcome = await siege.run(share)
        outcomes.append(outcome)
        say(f"{outcome.name}: {len(outcome.kills)} kills, {len(outcome.wrong)} wrong")

    async def all_of_them() -> None:
        with Zygote(environment) as zygote:
            async with trio.open_nursery() as nursery:
                for number in range(chains):
                    nursery.start_soon(one, number, zygote)

    trio.run(all_of_them)
    return sorted(outcomes, key=lambda outcome: outcome.name)


def table(outcomes: list[Outcome]) -> str:
    """Where they died and what they left at work; what the exchange did to them; what is wrong."""
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    lines = [f"{'killed':<22}{'kills':>7}" + "".join(f"{kind:>12}" for kind in ORDERS_OF)]
    for where in (*WHERE, "all"):
        chosen = [kill for kill in kills if where in (kill.where, "all")]
        met = Counter(kind for kill in chosen for kind in kill.met)
        lines.append(f"{where:<22}{len(chosen):>7}" + "".join(f"{met[kind]:>12}" for kind in ORDERS_OF))
    moods = Counter(mood for kill in kills for mood in kill.moods)
    lied = sum(any(mood in LIES for mood in kill.moods) for kill in kills)
    lines += [
        f"{sum(outcome.in_flight for outcome in outcomes)} with a write in flight, "
        f"{sum(bool(kill.moods) for kill in kills)} under trouble, {lied} of them under lies; "
        f"{sum(outcome.idle for outcome in outcomes)} more found nothing at work and are not counted",
        "met: " + ", ".join(f"{mood} {count}" for mood, count in sorted(moods.items())),
        f"compared: {sum(o.executions for o in outcomes)} executions, {sum(o.orders for o in outcomes)} orders, "
        f"{sum(o.fills for o in outcomes)} fills; all had ended "
        f"{max((o.slowest_end_s for o in outcomes), default=0):.0f} s after their user said so, at the latest, and the "
        f"last untruth was corrected {max((o.corrected_s for o in outcomes), default=0):.0f} s later",
    ]
    wrong = Counter(finding.kind for outcome in outcomes for finding in outcome.wrong)
    lines.append(", ".join(f"{wrong[kind]} {kind}" for kind in KINDS))
    quarantined = [f"{outcome.name}: quarantined: {line}" for outcome in outcomes for line in outcome.quarantined]
    misnamed = [f"{outcome.name}: {line}" for outcome in outcomes for line in outcome.misnamed]
    lines += [f"{len(misnamed)} came to nothing under the id of an answer that lied", *misnamed]
    lines += [f"{len(quarantined)} were quarantined, and ended by their user", *quarantined]
    lines += [f"{outcome.name}: {finding}" for outcome in outcomes for finding in outcome.wrong]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chains", type=int, default=8, help="exchanges and databases at the same time")
    parser.add_argument("--no-lies", action="store_true", help="bad days only")
    parser.add_argument("--keep", action="store_true", help="leave the databases and logs")
    options = parser.parse_args()
    say: Callable[[str], None] = partial(print, file=sys.stderr, flush=True)
    directory = Path(tempfile.mkdtemp(prefix="fsm-exec-bent-"))
    began = time.monotonic()
    try:
        outcomes = kill_again_and_again(
            options.kills, options.seed, directory, chains=options.chains, lying=not options.no_lies, say=say
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
