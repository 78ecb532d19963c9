"""What a generated market looks like: named profiles.

`index` is calibrated to one recorded day, index-2023-04-10, `index-wide` to another of the same product,
index-2023-04-13; each passes the gates of fidelity_gates.py against its day. How: arrivals by distance, sizes and the
shares of small orders were counted on the day; lives, the value's steps and the takers' habits were searched on seeds
1001 to 1008 and set by hand on 1 to 30. On 3001 to 3030, which were looked at only afterwards, all gates hold for the
thirty together; ten days alone can miss the size of the day's largest move. What the acceptance of orders swallows
(no bid stands beyond the value) is made up for in the first four arrival rates.
`thin`, `moderate` and `liquid` have spreads of about 6, 4 and 2.4 cents and a touch of about 11, 26 and 250 contracts;
they trade several times more often than the index market did, so that little time shows much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fsm_exec.core.errors import UserError
from fsm_exec.core.text import suggestion


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Contracts: with `common_share` one of the `common` sizes (size, weight), else a lognormal within the bounds."""

    common: tuple[tuple[int, int], ...]
    common_share: float
    mu: float
    sigma: float
    least: int = 1
    most: int = 10_000


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Rates are a second (orders: and side), prices in cents, distances from the best of the other side.

    Activity is a slow lognormal factor with mean 1; each `..._power` says how strongly something follows it.
    """

    activity_sigma: float
    activity_s: float  # how long it lasts
    # The latent value
    value_sd_c: float  # of its change in a second
    value_power: float
    value_edge_c: float  # it stays this far from 0 and from a dollar
    # Limit orders
    arrivals: tuple[float, ...]  # at 1, 2, ... cents
    arrival_power: float
    edge_c: float  # no bid stands nearer to the value than this
    pull_edge_c: float  # bids nearer than this are pulled,
    pull_per_s: float  # with this chance in each second
    small_shares: tuple[float, ...]  # of orders that are small, at 1, 2, ... cents; the last holds beyond
    small: Sizes
    large: Sizes
    small_life_s: float  # of small orders, on average
    near_c: int  # large orders placed within this distance live `near_life_s`, the others `life_s`
    near_life_s: float
    life_s: float
    # Takers
    bursts_per_s: float
    burst_power: float
    prints_mean: float  # trades in a burst
    quick_share: float  # of the pauses inside a burst that last milliseconds; the others last `pause_s`, on average
    pause_s: float
    repeat: float  # chance that a burst takes the side of the last one, whatever the value
    lean: float  # how much the other bursts follow the value when it is `lean_c` from the mid
    lean_c: float
    trades: Sizes


INDEX = Profile(
    activity_sigma=0.8,
    activity_s=1_000,
    value_sd_c=0.248,
    value_power=0.95,
    value_edge_c=10,
    arrivals=(
        *(0.0395, 0.0318, 0.0384, 0.0317, 0.0263, 0.0248, 0.0197, 0.0160, 0.0120, 0.0080, 0.0063, 0.0072),
        *(0.0051, 0.0041, 0.0057, 0.0042, 0.0044, 0.0060, 0.0040, 0.0037, 0.0046, 0.0028, 0.0019, 0.0013),
    ),
    arrival_power=0.42,
    edge_c=0.0,
    pull_edge_c=-0.22,
    pull_per_s=0.4,
    small_shares=(0.70, 0.50, 0.33, 0.31, 0.26, 0.24, 0.20, 0.14, 0.12, 0.09),
    small=Sizes(common=((2, 1),), common_share=0.25, mu=3.2, sigma=0.7, most=89),
    large=Sizes(
        common=(
            *((100, 97), (160, 17), (200, 89), (240, 22), (250, 115), (300, 63), (320, 16), (400, 29)),
            *((480, 19), (600, 24), (700, 23), (800, 103), (900, 80)),
        ),
        common_share=0.69,
        mu=5.5,
        sigma=0.75,
        least=90,
    ),
    small_life_s=60,
    near_c=2,
    near_life_s=19,
    life_s=67,
    bursts_per_s=0.0215,
    burst_power=1.2,
    prints_mean=1.55,
    quick_share=0.8,
    pause_s=3.7,
    repeat=0.15,
    lean=0.4,
    lean_c=1.5,
    trades=Sizes(common=((2, 1),), common_share=0.33, mu=3.6, sigma=1.52, most=3_000),
)

INDEX_WIDE = replace(
    INDEX,
    value_sd_c=0.227,
    value_power=1.1,
    arrivals=(
        *(0.0175, 0.0250, 0.0280, 0.0294, 0.0305, 0.0292, 0.0262, 0.0187, 0.0134, 0.0113, 0.0092, 0.0067),
        *(0.0066, 0.0047, 0.0031, 0.0033, 0.0028, 0.0025, 0.0027, 0.0027, 0.0020, 0.0017, 0.0014, 0.0007),
    ),
    arrival_power=0.16,
    edge_c=0.17,
    pull_edge_c=-0.36,
    pull_per_s=0.24,
    small_shares=(0.38, 0.28, 0.21, 0.15, 0.11, 0.12, 0.15, 0.18, 0.19),
    small=Sizes(common=((2, 1),), common_share=0.25, mu=3.26, sigma=0.7, most=89),
    large=Sizes(
        common=(
            *((100, 53), (104, 19), (160, 21), (200, 45), (240, 20), (250, 86), (300, 24), (320, 23)),
            *((400, 25), (480, 15), (560, 13), (800, 251), (896, 13), (1_000, 42)),
        ),
        common_share=0.65,
        mu=5.6,
        sigma=0.75,
        least=90,
    ),
    small_life_s=103,
    near_life_s=25,
    life_s=51,
    bursts_per_s=0.0115,
    burst_power=1.2,
    prints_mean=1.9,
    quick_share=0.74,
    pause_s=3.4,
    repeat=0.06,
    lean=0.38,
    trades=Sizes(common=((2, 124), (40, 73)), common_share=0.5, mu=3.95, sigma=1.55, most=3_000),
)

MODERATE = replace(
    INDEX,
    activity_sigma=0.6,
    activity_s=600,
    value_sd_c=0.25,
    value_power=0.6,
    arrivals=(
        *(0.012, 0.022, 0.038, 0.050, 0.055, 0.050, 0.040, 0.030),
        *(0.024, 0.018, 0.012, 0.010, 0.008, 0.006, 0.005, 0.004),
    ),
    edge_c=0.6,
    pull_edge_c=0.35,
    small_shares=(0.85, 0.80, 0.72, 0.65, 0.55, 0.45),
    small=Sizes(common=((1, 1), (2, 2), (10, 2), (20, 1)), common_share=0.25, mu=2.9, sigma=1.0, most=89),
    large=Sizes(
        common=((50, 1), (100, 3), (200, 2), (250, 1), (500, 1)), common_share=0.5, mu=4.3, sigma=0.9, most=5_000
    ),
    small_life_s=40,
    near_c=3,
    near_life_s=40,
    life_s=60,
    bursts_per_s=0.1,
    burst_power=0.8,
    prints_mean=1.5,
    quick_share=0.6,
    pause_s=3.0,
    repeat=0.2,
    lean=0.35,
    lean_c=2.0,
    trades=Sizes(common=((1, 1), (2, 2), (10, 2), (20, 1)), common_share=0.25, mu=3.2, sigma=1.4, most=1_000),
)

THIN = replace(
    MODERATE,
    value_sd_c=0.2,
    arrivals=(
        *(0.004, 0.006, 0.009, 0.014, 0.020, 0.024, 0.024, 0.020),
        *(0.016, 0.012, 0.008, 0.006, 0.005, 0.004, 0.003, 0.003),
    ),
    edge_c=1.1,
    pull_edge_c=0.7,
    small_shares=(0.92, 0.85, 0.8, 0.7, 0.6),
    small=Sizes(common=((1, 2), (2, 2), (5, 1), (10, 2)), common_share=0.3, mu=2.2, sigma=1.0, most=89),
    large=Sizes(common=((25, 1), (50, 2), (100, 2)), common_share=0.3, mu=3.6, sigma=1.0, most=2_000),
    small_life_s=45,
    near_life_s=45,
    life_s=70,
    bursts_per_s=0.07,
    lean_c=3.0,
    trades=Sizes(common=((1, 2), (2, 2), (5, 1), (10, 2)), common_share=0.3, mu=2.2, sigma=1.2, most=500),
)

LIQUID = replace(
    MODERATE,
    arrivals=(
        *(0.060, 0.080, 0.100, 0.090, 0.080, 0.070, 0.060, 0.050),
        *(0.040, 0.030, 0.020, 0.020, 0.015, 0.010, 0.010, 0.008),
    ),
    edge_c=0.2,
    pull_edge_c=0.0,
    small_shares=(0.25, 0.2, 0.15, 0.12, 0.1),
    small=Sizes(common=((2, 1), (10, 1), (50, 1)), common_share=0.25, mu=3.4, sigma=0.8, most=89),
    large=Sizes(
        common=((100, 2), (200, 2), (250, 2), (300, 1), (500, 2), (1_000, 1)),
        common_share=0.6,
        mu=5.7,
        sigma=0.8,
        least=90,
    ),
    bursts_per_s=0.2,
    lean_c=1.5,
    trades=Sizes(common=((2, 1), (10, 1), (50, 1), (100, 1)), common_share=0.25, mu=3.9, sigma=1.5, most=3_000),
)

PROFILES = {"thin": THIN, "moderate": MODERATE, "liquid": LIQUID, "index": INDEX, "index-wide": INDEX_WIDE}
DEFAULT_PROFILE = "moderate"


def profile_named(name: str) -> Profile:
    """Return the profile of a name. Raises UserError for an unknown one."""
    try:
        return PROFILES[name]
    except KeyError:
        nearly = suggestion(name, PROFILES)
        raise UserError(f"no profile {name[:40]!r}{nearly} give one of: {', '.join(PROFILES)}") from None
