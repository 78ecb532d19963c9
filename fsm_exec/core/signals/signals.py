"""What one decision knows beyond the book itself: everything smoothed over time, in the execution's own outcome.

Own size is removed first, and the account's own taking is not flow. Times are the exchange's, so a signal does not
depend on how often it is read. What is not known is None, never 0: before the minimum of observations, after a gap in
the feed until it is warm again, and where the book has one side. The counts and ages beside the values let a reader
demand more. Units are in the names: `_ppm` millionths, `_e2` hundredths (of contracts), `_e4` 10^-4 contracts a second
in a `_rate`, `_e5` and `_e6` 10^-5 and 10^-6 dollars a contract, `_us` microseconds.

Each is explained where it is formed: `signal_tracker`, `order_flow`, `sweep_cost`, `forecasts`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fsm_exec.core.values.units import CountE2


class SweepCost(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What taking `count_e2` at once costs a contract above the mid, taker fee included: positive = cost.

    `beyond_depth`: the visible offers do not suffice, and the rest was priced as at completion (last level + 2c). The
    means answer one question only: is it dearer than usual? `z_*` is (now - mean) / mean absolute deviation, within
    +-10; None while the deviation is 0."""

    count_e2: CountE2
    now_e6: int | None = None
    beyond_depth: bool = False
    mean_30s_e6: int | None = None
    mean_120s_e6: int | None = None
    z_30s_ppm: int | None = None
    z_120s_ppm: int | None = None


class Signals(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One market's signals from one outcome.

    Staleness: `book_events` and `trades` since the book was last whole, `observed_us` since when, `event_age_us` and
    `trade_age_us` since the last of each (None: none yet).

    Book: `imbalance_ppm` = q_bid / (q_bid + q_ask) at the touch; `micro_price_e5` the mid weighted by the opposite
    sizes; `depth_*_e2` the contracts within 3 cents of the best of their side; `mid_deviation_e5` the mean absolute
    deviation of the mid from its own mean (60 s), which is `mid_mean_60s_e5`; `touch_mean_60s_e2` the contracts that
    stand at one touch on average of both (60 s).
    Flow, positive = towards a higher price: `ofi_e2` the order-flow imbalance (decayed sum, 15 s) and `ofi_z_ppm`
    scaled by the usual touch and held within +-3; `trade_flow_e2` takers that buy the outcome less those that sell it
    (decayed sum, 15 s).
    Depth to come: `*_log_mean_ppm` and `*_log_deviation_ppm` are mean and mean absolute deviation (60 s) of
    ln(1 + contracts within 3 cents); `cancel_*_ppm` the share of what rests there that is cancelled in a second.
    Fills to come: `sell_rate_*_e4` contracts a second that takers sell into the bids (10 s and 120 s), and
    `sell_fano_e2` the variance over the mean of these contracts in 10 s.
    `seed_momentum_ppm`: growth of the resting bids against their mean of two minutes; the walkers want it.
    `touch_cost_120s_e6`: what taking one contract at the ask usually costs above the mid, taker fee included: the mean
    (120 s) of spread / 2 + fee, of the market whoever trades there.

    Of one execution, None where none was named: `sweep_*` for what it still wants, half of it, and the size at the
    touch; `ema_slippage_ppm` = mean (30 s) of (average ask of the remainder - mid) / mid, without fee; `dry_up_ppm`
    the chance that the offers within 3 cents will not hold the remainder when its time is up.
    """

    at_us: int
    book_events: int = 0
    trades: int = 0
    observed_us: int = 0
    event_age_us: int | None = None
    trade_age_us: int | None = None
    imbalance_ppm: int | None = None
    micro_price_e5: int | None = None
    depth_bid_e2: CountE2 | None = None
    depth_ask_e2: CountE2 | None = None
    mid_deviation_e5: int | None = None
    mid_mean_60s_e5: int | None = None
    touch_mean_60s_e2: CountE2 | None = None
    ofi_e2: int | None = None
    ofi_z_ppm: int | None = None
    trade_flow_e2: int | None = None
    bid_log_mean_ppm: int | None = None
    bid_log_deviation_ppm: int | None = None
    ask_log_mean_ppm: int | None = None
    ask_log_deviation_ppm: int | None = None
    cancel_bid_ppm: int | None = None
    cancel_ask_ppm: int | None = None
    sell_rate_fast_e4: int | None = None
    sell_rate_slow_e4: int | None = None
    sell_fano_e2: int | None = None
    seed_momentum_ppm: int | None = None
    touch_cost_120s_e6: int | None = None
    sweep_remaining: SweepCost | None = None
    sweep_half: SweepCost | None = None
    sweep_touch: SweepCost | None = None
    ema_slippage_ppm: int | None = None
    dry_up_ppm: int | None = None


ALWAYS_GIVEN: Final = frozenset(
    {
        *("at_us", "book_events", "trades", "observed_us", "event_age_us", "trade_age_us"),
        *("imbalance_ppm", "micro_price_e5", "depth_bid_e2", "depth_ask_e2"),
        *("mid_deviation_e5", "mid_mean_60s_e5"),
    }
)
"""What every reading has: the counts and ages, what is read off the book as it is, and the mid's own mean and
deviation, from which estimates are made of every execution."""

SIGNAL_NAMES: Final = frozenset(Signals.__struct_fields__)
ON_DEMAND: Final = SIGNAL_NAMES - ALWAYS_GIVEN
"""What costs something to read, or to keep up: only what is asked for is given."""


def keep_read(signals: Signals, read: frozenset[str] | None) -> Signals:
    """The signals as a method that declares `read` is shown them; None: all."""
    dropped = frozenset() if read is None else ON_DEMAND - read
    return msgspec.structs.replace(signals, **dict.fromkeys(dropped))
