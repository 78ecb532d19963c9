"""Faults of the exchange: a profile says how often, a plan draws when. The same seed draws the same faults.

A profile is a small TOML text; `per_mille` are chances of 1,000, `ms` milliseconds of exchange time. Writes and frames
are drawn on the timeline, in the order in which the exchange executes them, each kind from a generator of its own; so a
fault never depends on how tasks happen to be scheduled, and one kind never shifts another. At most one fault befalls
one request, and one a frame.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.price_structures import grid_of
from fsm_exec.core.text import suggestion
from fsm_exec.core.values.field_names import suggest_name
from fsm_exec.core.values.units import US_PER_MS, Outcome
from fsm_exec.paper.lies import LieFaults, Lies

PerMille: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1_000)]
Ms: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
LateMs: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=29_500)]
"""How late a write may still be executed: its signature is valid for 30 s, and the entry leg takes a part of them."""

PROFILE_BYTES_MAX: Final = 65_536

FaultKind: TypeAlias = Literal[
    "none", "lost_answer", "late", "refused", "too_many", "internal_error", "unavailable", "slow", "cut"
]
FrameFate: TypeAlias = Literal["lost", "duplicate", "delayed", "reordered"]
Channel: TypeAlias = Literal["account frames", "market frames", "reads", "writes"]
Kind = TypeVar("Kind", bound=str)


class RequestFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table for writes and one for reads. The chances of one table may add up to 1,000.

    lost_answer: done, and the answer never comes. late: executed between `late_min_ms` and `late_max_ms` after it
    should have been, and never answered (a read: just never answered). refused: 400, a cancel 404. too_many: 429.
    internal_error: 500; unavailable: 503; of a thousand of these two, `done_per_mille` are done all the same.
    slow: answered up to `slow_max_ms` late. cut: the connection ends in the middle of the answer. A connection whose
    answer never comes is cut after `hold_ms`.
    """

    lost_answer_per_mille: PerMille = 0
    late_per_mille: PerMille = 0
    refused_per_mille: PerMille = 0
    too_many_per_mille: PerMille = 0
    internal_error_per_mille: PerMille = 0
    unavailable_per_mille: PerMille = 0
    slow_per_mille: PerMille = 0
    cut_per_mille: PerMille = 0
    done_per_mille: PerMille = 500
    late_min_ms: LateMs = 10_000
    late_max_ms: LateMs = 29_500
    slow_max_ms: Ms = 5_000
    hold_ms: Ms = 60_000

    def __post_init__(self) -> None:
        if sum(self.chances().values()) > 1_000:
            raise ValueError("the chances of one table add up to more than 1000 per mille")
        if self.late_min_ms > self.late_max_ms:
            raise ValueError("late_min_ms is above late_max_ms")

    def chances(self) -> dict[FaultKind, int]:
        return {
            "lost_answer": self.lost_answer_per_mille,
            "late": self.late_per_mille,
            "refused": self.refused_per_mille,
            "too_many": self.too_many_per_mille,
            "internal_error": self.internal_error_per_mille,
            "unavailable": self.unavailable_per_mille,
            "slow": self.slow_per_mille,
            "cut": self.cut_per_mille,
        }


class FrameFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`fill` and `user_order` frames: lost; sent twice, the second up to `delay_max_ms` later; delayed, with all that
    follow them; or reordered: late alone, so that others overtake them. The answer of a cancel overtakes them too."""

    lost_per_mille: PerMille = 0
    duplicate_per_mille: PerMille = 0
    delayed_per_mille: PerMille = 0
    reordered_per_mille: PerMille = 0
    delay_max_ms: Ms = 3_000

    def __post_init__(self) -> None:
        if sum(self.chances().values()) > 1_000:
            raise ValueError("the chances of one table add up to more than 1000 per mille")

    def chances(self) -> dict[FrameFate, int]:
        return {
            "lost": self.lost_per_mille,
            "duplicate": self.duplicate_per_mille,
            "delayed": self.delayed_per_mille,
            "reordered": self.reordered_per_mille,
        }


class StreamFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`gap`: a public frame that has its number and is never sent. A connection is cut between half and one and a half
    times `life_ms` after it was opened (0: never)."""

    gap_per_mille: PerMille = 0
    life_ms: Ms = 0


class Episode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that holds for `for_ms`, and again after about `every_ms`: between half and one and a half times that
    (0: never)."""

    every_ms: Ms = 0
    for_ms: Ms = 1_000


class ExchangeFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The exchange as a whole. lagging_reads: listings of orders and fills stand still, and so does their `as_of`.
    lagging_account: positions, settlements and balance stand still, whatever orders and fills do, and `as_of` too; and
    `settlements_late_ms`: so much later than it was paid is a settlement listed.
    dead_reads, dead_writes: each is answered 503, and nothing is done. silent_account: no frame about a member's own
    orders and fills is sent, though the connection lives; silent_stream: no frame at all, but pings and answers.
    clock_skew: its clock is off by `skew_ms`. `close_after_ms` closes every market, `settle` then settles it; at
    `grid_after_ms` the grid of every market becomes `grid`. Times count from the start; 0: never."""

    trading_pause: Episode = Episode()
    exchange_pause: Episode = Episode()
    lagging_reads: Episode = Episode()
    lagging_account: Episode = Episode()
    settlements_late_ms: Ms = 0
    dead_reads: Episode = Episode()
    dead_writes: Episode = Episode()
    silent_account: Episode = Episode()
    silent_stream: Episode = Episode()
    maintenance: Episode = Episode()
    clock_skew: Episode = Episode()
    skew_ms: Annotated[int, msgspec.Meta(ge=-3_600_000, le=3_600_000)] = 60_000
    close_after_ms: Ms = 0
    settle: Outcome | None = None
    grid_after_ms: Ms = 0
    grid: str = "deci_cent"

    def __post_init__(self) -> None:
        try:
            grid_of(self.grid)
        except UserError as error:
            raise ValueError(str(error)) from error


class FaultProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a profile's text says. Tables and keys that are left out do nothing."""

    writes: RequestFaults = RequestFaults()
    reads: RequestFaults = RequestFaults()
    frames: FrameFaults = FrameFaults()
    stream: StreamFaults = StreamFaults()
    exchange: ExchangeFaults = ExchangeFaults()
    lies: LieFaults = LieFaults()


class Fault(msgspec.Struct, frozen=True):
    """The fault of one request. `done`: a request answered 500 or 503 was executed all the same."""

    kind: FaultKind = "none"
    delay_us: int = 0
    done: bool = True


NO_FAULT = Fault()
DEAD = Fault("unavailable", done=False)


class Copy(msgspec.Struct, frozen=True):
    """One sending of a frame. `in_order`: what comes later waits for it."""

    delay_us: int = 0
    in_order: bool = True


UNCHANGED: Final = (Copy(),)
PRIVATE_FRAMES: Final = frozenset({"fill", "user_order"})
PUBLIC_FRAMES: Final = frozenset({"orderbook_snapshot", "orderbook_delta", "trade"})


class FaultPlan:
    """Draws faults until `until_us` (None: for ever). `counts` has the number of each kind that took effect."""

    def __init__(self, profile: FaultProfile, seed: int, *, until_us: int | None = None) -> None:
        self.profile = profile
        self.counts: Counter[str] = Counter()
        self._until_us = until_us
        self._down: Counter[Channel] = Counter()
        self._detour: Fault | None = None
        self._lies = Lies(profile.lies, seed, self.counts) if profile.lies.any else None
        # Strings, not numbers: generators of neighbouring numbers begin alike.
        self._writes, self._reads, self._frames, self._public, self._streams, self._episodes = (
            random.Random(f"{name}:{seed}") for name in ("writes", "reads", "frames", "public", "streams", "episodes")
        )

    def is_active(self, now_us: int) -> bool:
        """Return whether faults are still drawn."""
        return self._until_us is None or now_us < self._until_us

    def stop(self, now_us: int) -> None:
        """Draw no more faults. What is on its way arrives, and a running episode ends in its time."""
        self._until_us = now_us

    def begin_outage(self, *channels: Channel) -> None:
        """From now on nothing comes through these, until it has been ended as often as begun (`end_outage`)."""
        self._down.update(channels)

    def end_outage(self, *channels: Channel) -> None:
        """End one outage of these channels."""
        self._down.subtract(channels)

    def delay_next_write(self, delay_us: int) -> None:
        """Execute the next write `delay_us` late, and never answer it."""
        self._detour = Fault("late", delay_us)

    def end_us(self, wanted_us: int) -> int:
        """Return when something that should hold until `wanted_us` must end."""
        return wanted_us if self._until_us is None else min(wanted_us, self._until_us)

    def draw_write_fault(self, now_us: int) -> Fault:
        if self._detour is not None:
            fault, self._detour = self._detour, None
            return fault
        if self._down["writes"] > 0:
            return DEAD
        return self._of_request("write", self.profile.writes, self._writes, now_us)

    def draw_read_fault(self, now_us: int) -> Fault:
        if self._down["reads"] > 0:
            return DEAD
        return self._of_request("read", self.profile.reads, self._reads, now_us)

    def draw_private_copies(self, kind: str, now_us: int) -> tuple[Copy, ...]:
        """Draw the copies to send of a frame about a member's own orders."""
        faults = self.profile.frames
        if kind in PRIVATE_FRAMES and self._down["account frames"] > 0:
            return ()
        if kind not in PRIVATE_FRAMES or not self.is_active(now_us):
            return UNCHANGED
        fate = _choose(list(faults.chances().items()), self._frames)
        if fate is None:
            return UNCHANGED
        self.counts[f"{kind} {fate}"] += 1
        delay_us = self._frames.randint(1, max(1, faults.delay_max_ms)) * US_PER_MS
        match fate:
            case "lost":
                return ()
            case "duplicate":
                return (Copy(), Copy(delay_us, in_order=False))
            case "delayed":
                return (Copy(delay_us),)
            case "reordered":
                return (Copy(delay_us, in_order=False),)

    def falsify_frame(self, kind: str, frame: bytes, now_us: int) -> tuple[bytes, ...]:
        """Return what is sent for a frame about a member's own orders: the frame, or a false one."""
        return self._lies.frames(kind, frame) if self._lies is not None and self.is_active(now_us) else (frame,)

    def falsify_answer(self, kind: str, answer: object, now_us: int) -> object:
        """Return what is answered to a write of that kind: the answer, or a false one."""
        return self._lies.answer(kind, answer) if self._lies is not None and self.is_active(now_us) else answer

    def falsify_listing(self, what: str, page: object, now_us: int) -> object:
        """Return what is shown of the listing of `orders` or `fills`: the page, or a false one."""
        return self._lies.page(what, page, now_us) if self._lies is not None and self.is_active(now_us) else page

    def falsify_account(self, what: str, body: object, now_us: int) -> object:
        """Return what is shown of `positions`, `settlements` or the `balance`: the body, or a false one."""
        return self._lies.account(what, body) if self._lies is not None and self.is_active(now_us) else body

    def settlement_delay_us(self, now_us: int) -> int:
        """Return how much later than it is paid a settlement is listed now."""
        return self.profile.exchange.settlements_late_ms * US_PER_MS if self.is_active(now_us) else 0

    @property
    def falsified_orders(self) -> AbstractSet[str]:
        """The ids of the orders about which something false was said."""
        return self._lies.about if self._lies is not None else frozenset()

    def draw_public_loss(self, kind: str, now_us: int) -> bool:
        """Draw whether a numbered frame of a public channel is lost."""
        if kind in PUBLIC_FRAMES and self._down["market frames"] > 0:
            return True
        chance = self.profile.stream.gap_per_mille
        if not chance or kind not in PUBLIC_FRAMES or not self.is_active(now_us):
            return False
        lost = self._public.randrange(1_000) < chance
        self.counts["gap"] += lost
        return lost

    def stream_end_us(self, now_us: int) -> int | None:
        """Draw when a connection opened now is cut; None: never."""
        if not self.profile.stream.life_ms or not self.is_active(now_us):
            return None
        end_us = now_us + _around_us(self.profile.stream.life_ms, self._streams)
        return end_us if self.is_active(end_us) else None

    def episode_start_us(self, episode: Episode, now_us: int) -> int | None:
        """Draw when this kind of episode comes next; None: never again."""
        if not episode.every_ms:
            return None
        start_us = now_us + _around_us(episode.every_ms, self._episodes)
        return start_us if self.is_active(start_us) else None

    def _of_request(self, what: str, faults: RequestFaults, rng: random.Random, now_us: int) -> Fault:
        if not self.is_active(now_us):
            return NO_FAULT
        kind = _choose(list(faults.chances().items()), rng)
        if kind is None:
            return NO_FAULT
        self.counts[f"{what} {kind}"] += 1
        match kind:
            case "late":
                return Fault(kind, rng.randint(faults.late_min_ms, faults.late_max_ms) * US_PER_MS)
            case "slow":
                return Fault(kind, rng.randint(0, faults.slow_max_ms) * US_PER_MS)
            case "internal_error" | "unavailable":
                return Fault(kind, done=rng.randrange(1_000) < faults.done_per_mille)
            case "refused" | "too_many":
                return Fault(kind, done=False)
            case _:
                return Fault(kind)


def shipped_profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that ship with the package."""
    folder = resources.files("fsm_exec.paper") / "fault_profiles"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def load_fault_profile(name_or_path: str) -> FaultProfile:
    """Load a shipped profile by its name, or one from a TOML file. Raises UserError naming what is wrong with it."""
    shipped = shipped_profile_names()
    if name_or_path in shipped:
        file = resources.files("fsm_exec.paper") / "fault_profiles" / f"{name_or_path}.toml"
        return parse_profile(file.read_bytes(), name_or_path)
    path = Path(name_or_path)
    try:
        with path.open("rb") as opened:
            text = opened.read(PROFILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise UserError(
            f"faults {name_or_path!r}: no profile of this name, and no file that can be read ({reason})"
            f"{suggestion(name_or_path, shipped)} give one of {', '.join(shipped)}, or a TOML file"
        ) from error
    return parse_profile(text, name_or_path)


def parse_profile(text: bytes, where: str) -> FaultProfile:
    """Parse a profile from TOML; `where` names it in errors. Raises UserError."""
    if len(text) > PROFILE_BYTES_MAX:
        raise UserError(f"faults {where!r}: longer than {PROFILE_BYTES_MAX} bytes; give a profile of a few lines")
    try:
        return msgspec.toml.decode(text, type=FaultProfile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        advice = suggest_name(str(error), FaultProfile) or "; see the profiles in the box for what can be said"
        raise UserError(f"faults {where!r}: {error}{advice}") from error


def _choose(chances: Sequence[tuple[Kind, int]], rng: random.Random) -> Kind | None:
    """Choose one of the kinds, each with its chance of a thousand, or None. Draws once."""
    left = rng.randrange(1_000)
    for kind, chance in chances:
        if left < chance:
            return kind
        left -= chance
    return None


def _around_us(ms: int, rng: random.Random) -> int:
    """Draw microseconds between half and one and a half times `ms`."""
    return rng.randint(ms // 2, ms + ms // 2) * US_PER_MS
