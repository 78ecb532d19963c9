"""What the lab's commands share: their options as numbers, checked before anything runs."""

from __future__ import annotations

import os
from typing import cast

from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.values.units import US_PER_S, CountE2, Outcome, parse_count
from fsm_exec.lab.episodes import Conditions, MakerFee
from fsm_exec.paper.matching_engine.price_level import QueueModel

EVERY_MAX_S, HORIZON_MAX_S, LATENCY_MAX_MS, WORKERS_MAX = 86_400, 86_400, 10_000, 256


def conditions(queue_model: str, latency_ms: int, maker_fee: str | None) -> Conditions:
    """Raises UserError for a latency that makes no sense; the others are choices already checked."""
    if not 0 <= latency_ms <= LATENCY_MAX_MS:
        raise UserError(f"--latency-ms {latency_ms}: give milliseconds from 0 to {LATENCY_MAX_MS}")
    return Conditions(
        queue_model=cast("QueueModel", queue_model),
        latency_us=latency_ms * 1_000,
        maker_fee=cast("MakerFee | None", maker_fee),
    )


def interval(every: int) -> int:
    """In microseconds. Raises UserError."""
    if not 1 <= every <= EVERY_MAX_S:
        raise UserError(f"--every {every}: give seconds from 1 to {EVERY_MAX_S}")
    return every * US_PER_S


def outcomes(outcome: str) -> tuple[Outcome, ...]:
    return ("yes", "no") if outcome == "both" else (cast("Outcome", outcome),)


def quantities(text: str) -> tuple[CountE2, ...]:
    found: list[CountE2] = []
    for part in split("--quantity", text):
        try:
            count = parse_count(part)
        except UnitError as error:
            raise UserError(f"--quantity: {error}; give contracts above 0 with at most 2 decimals") from error
        if count == 0:
            raise UserError(f"--quantity {part}: give contracts above 0 with at most 2 decimals")
        found.append(count)
    return tuple(dict.fromkeys(found))


def horizons(text: str, latency_ms: int) -> tuple[int, ...]:
    """In microseconds. Raises UserError."""
    least_s = latency_ms * 4 // 1_000 + 1  # an order must be able to get there, trade, and be heard of
    found: list[int] = []
    for part in split("--horizon", text):
        if not (part.isascii() and part.isdigit() and least_s <= int(part) <= HORIZON_MAX_S):
            raise UserError(f"--horizon {part[:40]}: give whole seconds from {least_s} to {HORIZON_MAX_S}")
        found.append(int(part) * US_PER_S)
    return tuple(dict.fromkeys(found))


def workers(asked: int | None) -> int:
    if asked is None:
        return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if not 1 <= asked <= WORKERS_MAX:
        raise UserError(f"--workers {asked}: give a number from 1 to {WORKERS_MAX}")
    return asked


def split(option: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UserError(f"{option} {text!r}: give values separated by single commas")
    return parts
