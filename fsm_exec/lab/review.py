"""The review of the reference design after weeks of trading: is it worth adopting the depth walker here?

Three triggers, each a share of what happened (the thresholds are that design's):

* slippage: trades that paid more than 1.5 % above their target price, in more than 25 % of trades. A trade is an
  execution that has ended with a fill. Against a limit at its target that figure is nought or less by
  construction, so the same share against the mid on arrival stands beside it; it decides nothing;
* fill failures: limit executions that ended with less than their whole quantity, in more than 10 %. All are but those
  of `market`, which waits at no limit, and those that ended before a book gave them a price;
* thin markets: opportunities (every edge or order, accepted or refused) in a market that traded fewer than 100
  contracts in 24 hours as the exchange counts them, in more than 30 %. An unknown volume is counted aside.

The verdict, by each trigger's 95 % interval (lab.proportions: clustered by blocks, lab.blocks):

* adopt a method, if the lower bound of at least one trigger is above its threshold, and the lab has shown a method that
  walks to be better (lab.evidence): a need is no remedy;
* stay, if no such method has been shown, or if the upper bounds of all triggers are below their thresholds;
* wait otherwise, for as many more of what decides as would take the interval off its threshold at the observed rate.

What is missing stays missing: it is in no share, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from fsm_exec.lab import figure_texts
from fsm_exec.lab.blocks import number_blocks
from fsm_exec.lab.evidence import Proposal
from fsm_exec.lab.figure_texts import decimal_text
from fsm_exec.lab.proportions import FURTHER_MAX, Proportion, further_needed, proportion
from fsm_exec.store.reads.review_queries import EndedRow, OpportunityRow

SHARE_DECIMALS: Final = 6
PERCENT_DECIMALS: Final = 1
SLIPPAGE_ABOVE: Final = Decimal("0.015")  # of the target price
THIN_BELOW_E2: Final = 10_000  # contracts in 24 hours, in hundredths
NO_LIMIT: Final = frozenset({"market"})  # algorithms that take what is there and wait for nothing
BY_OWNER: Final = frozenset({"user", "halt"})  # reasons of an end that no method is to blame for
UNKNOWN: Final = "unknown"

Row = TypeVar("Row", EndedRow, OpportunityRow)
Name: TypeAlias = Literal["slippage", "fill_failures", "thin_markets"]
By: TypeAlias = Literal["type", "series", "method"]
Word: TypeAlias = Literal["adopt", "wait", "stay"]


class Trigger(NamedTuple):
    """`what` it is a share of, and the share above which it speaks for adopting."""

    name: Name
    title: str
    what: str
    threshold: Decimal


TRIGGERS: Final = (
    Trigger("slippage", "slippage above 1.5 %", "trades", Decimal("0.25")),
    Trigger("fill_failures", "fill failures", "limit executions", Decimal("0.10")),
    Trigger("thin_markets", "thin markets", "opportunities", Decimal("0.30")),
)


class Measure(NamedTuple):
    """A share, and how many more would be in it if they had been measured."""

    found: Proportion
    unknown: int


class Figures(NamedTuple):
    """`arrival_slippage` is that of `slippage` against the mid on arrival. `refused` of the opportunities were."""

    slippage: Measure
    arrival_slippage: Measure
    fill_failures: Measure
    thin_markets: Measure
    ended: int
    ended_by_owner: int
    opportunities: int
    refused: int

    def of(self, trigger: Trigger) -> Measure:
        match trigger.name:
            case "slippage":
                return self.slippage
            case "fill_failures":
                return self.fill_failures
            case "thin_markets":
                return self.thin_markets


class Verdict(NamedTuple):
    """`method`: what is to be adopted, None unless the word is adopt. `further`: how many more of each trigger's kind
    would decide it, None for more than FURTHER_MAX; empty unless the word is wait."""

    word: Word
    method: str | None
    reasons: tuple[str, ...]
    further: dict[Name, int | None]


def figures(ended: Sequence[EndedRow], opportunities: Sequence[OpportunityRow]) -> Figures:
    """Compute the figures of all the rows."""
    trades = [row for row in ended if row.filled_e2 is None or row.filled_e2]
    limits = [row for row in ended if row.algorithm not in NO_LIMIT and row.target_price is not None]
    return Figures(
        slippage=_measure(trades, _slipped),
        arrival_slippage=_measure(trades, _slipped_from_arrival),
        fill_failures=_measure(limits, _fell_short),
        thin_markets=_measure(opportunities, _is_thin),
        ended=len(ended),
        ended_by_owner=sum(row.reason in BY_OWNER for row in ended),
        opportunities=len(opportunities),
        refused=sum(row.refusal is not None for row in opportunities),
    )


def grouped(by: By, ended: Sequence[EndedRow], opportunities: Sequence[OpportunityRow]) -> dict[str, Figures]:
    """The same by market type, series or method; that with the most opportunities and executions first."""
    executions, chances = _by(by, ended), _by(by, opportunities)
    found = {name: figures(executions.get(name, []), chances.get(name, [])) for name in {**executions, **chances}}
    return dict(sorted(found.items(), key=lambda item: (-item[1].ended - item[1].opportunities, item[0])))


def verdict(found: Figures, lab: Proposal) -> Verdict:
    """See the module; `lab` is what the evidence proposes where these executions were."""
    adopting = [each for each in TRIGGERS if found.of(each).found.low > each.threshold]
    if adopting:
        reasons = *(_reason(each, found.of(each).found, "above") for each in adopting), lab.why
        return Verdict("stay" if lab.method is None else "adopt", lab.method, reasons, {})
    open_ones = [each for each in TRIGGERS if found.of(each).found.high >= each.threshold]
    if not open_ones:
        below = tuple(_reason(each, found.of(each).found, "below") for each in TRIGGERS)
        return Verdict("stay", None, below, {})
    further = {each.name: further_needed(found.of(each).found, float(each.threshold)) for each in open_ones}
    waiting = tuple(_waiting(each, found.of(each).found, further[each.name]) for each in open_ones)
    return Verdict("wait", None, waiting, further)


def share_text(share: float) -> str:
    """The share as `--json` says it."""
    return decimal_text(share, SHARE_DECIMALS)


def percent(share: float) -> str:
    return figure_texts.percent(share_text(share), PERCENT_DECIMALS)


def interval(found: Proportion) -> str:
    """Return the interval of a rate as text, in per cent."""
    low, high = (percent(each).removesuffix(" %") for each in (found.low, found.high))
    return f"[{low}, {high}]"


def _measure(rows: Sequence[Row], happened: Callable[[Row], bool | None]) -> Measure:
    blocks = number_blocks((row.ticker, row.at_us) for row in rows)
    answers = [(blocks[row.ticker, row.at_us], happened(row)) for row in rows]
    known = [(block, answer) for block, answer in answers if answer is not None]
    return Measure(proportion(known), len(answers) - len(known))


def _slipped(row: EndedRow) -> bool | None:
    return None if row.slippage is None else row.slippage > SLIPPAGE_ABOVE


def _slipped_from_arrival(row: EndedRow) -> bool | None:
    if row.arrival_slippage is None or row.arrival_mid is None:
        return None
    return row.arrival_slippage > SLIPPAGE_ABOVE * row.arrival_mid


def _fell_short(row: EndedRow) -> bool | None:
    return None if row.filled_e2 is None else row.filled_e2 < row.target_e2


def _is_thin(row: OpportunityRow) -> bool | None:
    return None if row.volume_24h_e2 is None else row.volume_24h_e2 < THIN_BELOW_E2


def _by(by: By, rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(getattr(row, by) or UNKNOWN, []).append(row)
    return found


def _reason(trigger: Trigger, found: Proportion, side: str) -> str:
    return f"{_said(trigger, found)} {side} {percent(float(trigger.threshold))}"


def _waiting(trigger: Trigger, found: Proportion, further: int | None) -> str:
    if not found.number:
        return f"{trigger.title}: no {trigger.what} measured, at least {further} needed"
    more = f"more than {FURTHER_MAX:,}" if further is None else f"about {further:,}"
    return f"{_reason(trigger, found, 'around')}, {more} more {trigger.what} needed"


def _said(trigger: Trigger, found: Proportion) -> str:
    rate = "-" if found.rate is None else percent(found.rate)
    return f"{trigger.title}: {rate} of {found.number:,} {trigger.what} {interval(found)}"
