"""Who fills our resting orders: what a recorded limit order does that arrives at or beyond a bid of ours.

The tape does not know our bid, so whether the maker behind that order would have crossed to it is an assumption. Most
passive fills rest on it, so it is a switch:
  recorded  it crosses to us, at our price: what it did not take is displayed
  coin      every second one does, by a hash of the recorded event itself
  through   only one priced beyond our bid does
  trades    none does
What does not cross to us is withheld: it is neither displayed nor there to be taken as long as an order of ours would
cross it, and displayed like any other once none does. A trade of the tape fills us under every model.

Nothing here depends on our orders, on the method or on the start, so all methods meet the same makers.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal, TypeAlias, get_args

from fsm_exec.core.values.units import CountE2, Outcome, PriceE4

FillModel: TypeAlias = Literal["recorded", "coin", "through", "trades"]
FILL_MODELS: Final[tuple[FillModel, ...]] = get_args(FillModel)
FillCause: TypeAlias = Literal["trade", "queue", "crossing", "through", "taken"]
"""Why an order was filled:
trade     a taker that printed at a worse price than ours met us first
queue     a taker reached us at our own price, once those ahead of us were served
crossing  a recorded limit order arrived at our price
through   a recorded limit order arrived beyond our price
taken     we took what was displayed
"""

_SEED = b"every second maker"


def shows_heads(ticker: str, at_us: int, outcome: Outcome, price: PriceE4, count: CountE2) -> bool:
    """Whether the coin of this recorded limit order says that it crosses to us. `at_us` is the tape's own time."""
    event = f"{ticker} {at_us} {outcome} {price} {count}"
    return blake2b(event.encode(), digest_size=1, key=_SEED).digest()[0] % 2 == 1
