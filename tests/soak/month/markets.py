"""The markets of a day: two that open at its beginning, trade quietly, close and settle at its end."""

from __future__ import annotations

from dataclasses import replace

from fsm_exec.core.values.units import Outcome
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.profiles import THIN
from fsm_exec.paper_session import PaperExchange
from tests.soak.month.schedule import CLOSE_H, Day

A_DAY = 2  # markets
SLOWER = 40  # than the thin profile: a day has 86,400 seconds, and each change wakes everybody who works the market
QUIET = replace(
    THIN,
    arrivals=tuple(rate / SLOWER for rate in THIN.arrivals),
    value_sd_c=THIN.value_sd_c / SLOWER**0.5,
    pull_per_s=THIN.pull_per_s / SLOWER,
    small_life_s=THIN.small_life_s * SLOWER,
    near_life_s=THIN.near_life_s * SLOWER,
    life_s=THIN.life_s * SLOWER,
    bursts_per_s=THIN.bursts_per_s / SLOWER,
)


def tickers_of(day: Day) -> list[str]:
    return [f"KXDAY-{day.date:%y%b%d}-{letter}".upper() for letter in "AB"[:A_DAY]]


def open_markets(paper: PaperExchange, day: Day, seed: int) -> None:
    """Open the markets of a day now. Each closes in time and settles two minutes later."""
    seconds = (day.at_us(CLOSE_H) - day.begins_us) // 1_000_000
    for number, ticker in enumerate(tickers_of(day)):
        tape = generate(1_000 * seed + 10 * day.number + number, seconds, profile=QUIET, ticker=ticker)
        paper.play(tape, day.begins_us + 1_000_000)


def settle_markets(paper: PaperExchange, day: Day) -> None:
    """State the results; one of the two is yes."""
    results: tuple[Outcome, Outcome] = ("yes", "no") if day.number % 2 else ("no", "yes")
    for ticker, result in zip(tickers_of(day), results, strict=True):
        if paper.exchange.markets[ticker].status in ("active", "inactive"):
            paper.exchange.close_market(ticker)
        paper.exchange.determine_market(ticker, result)
