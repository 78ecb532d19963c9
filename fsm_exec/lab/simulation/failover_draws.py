"""What a seed means for the machines: every fourth has a second one, which takes over from the first."""

from __future__ import annotations

import random
from typing import get_args

from fsm_exec.core.journal.crashpoints import NAMES
from fsm_exec.lab.simulation.actions import Failover, Mishap

EVERY, NTH = 4, 3  # of the odd ones: an account is watched on one machine


def draw_failover(seed: int, calm_ms: int) -> Failover | None:
    """The failover of a seed, from a stream of its own; None: it has one machine."""
    if seed % EVERY != NTH:
        return None
    rng = random.Random(f"failover:{seed}")
    mishap: Mishap = rng.choice((*get_args(Mishap), "death", "freeze"))
    at_ms = rng.randint(1_000, calm_ms)
    doors, where = 0, ""
    if mishap == "death" and rng.randrange(4):
        doors, where = rng.choice((1, rng.randint(2, 20), rng.randint(20, 200))), rng.choice(("", *NAMES))
        if where:
            doors = min(doors, 3)
    return Failover(
        at_ms=at_ms,
        mishap=mishap,
        lag_ms=rng.choice((0, 100, rng.randint(0, 1_000), rng.randint(0, 5_000), 5_000)),
        lease_s=rng.choice((6, 12, 30)),
        for_ms=rng.choice((3_000, 12_000, 25_000, 45_000, 90_000)),
        doors=doors,
        where=where,
        sockets_die=rng.randrange(2) == 0,
        is_commanded=mishap in ("none", "exchange") or rng.randrange(5) == 0,
        after_ms=rng.choice((0, 500, 3_000, 10_000)),
        second_doors=rng.choice((0, 0, 0, rng.randint(1, 10), rng.randint(10, 60))),
    )
