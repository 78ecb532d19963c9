"""Programmes in an experiment: they change no run but its rewards, are taken off the costs, and can be left out; fees
are the market's own unless the conditions say otherwise."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from fsm_exec.cli.exchange.reward_options import parse_rewards
from fsm_exec.cli.lab.options import parse_conditions
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.fees import FeeTerms, fee_terms
from fsm_exec.core.values.units import US_PER_S, CountE2
from fsm_exec.lab.experiment.compare import Field, Plan, remaining_tasks, run_tasks
from fsm_exec.lab.experiment.episodes import Conditions, daily_volume, with_fees
from fsm_exec.lab.experiment.results import EpisodeResult, open_results
from fsm_exec.lab.experiment.summary import build_report
from fsm_exec.lab.experiment.tapes import NamedTape, open_tapes
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookSnapshot, Tape, Trade, tape_header
from fsm_exec.paper.venue.incentives import DailyRewards
from fsm_exec.recordings.book_frame import book_frame
from fsm_exec.recordings.format import FORMAT, Header, frame_line, header_line
from tests.paper.support import count, price

REWARDS = DailyRewards(liquidity_e4=864 * 10_000, target_e2=30_000, discount_bps=5_000, volume_e4=500 * 10_000)
PLAN = Plan(
    tapes=("index:1",),
    methods=("join_bid", "market"),
    baseline="market",
    quantities_e2=(CountE2(2_000),),
    horizons_us=(30 * US_PER_S,),
    outcomes=("yes", "no"),
    every_us=7_200 * US_PER_S,
    conditions=Conditions(),
)


@pytest.fixture(scope="module")
def named() -> list[NamedTape]:
    return open_tapes(PLAN.tapes)


def work(named: list[NamedTape], conditions: Conditions, directory: Path) -> list[EpisodeResult]:
    plan = replace(PLAN, conditions=conditions)
    field = Field(plan, named)
    with open_results(directory, resume=True) as results:
        results.agree(plan.stated(), field.known_tapes())
        for _ in run_tasks(field, remaining_tasks(field, results), results, 1):
            pass
        return list(results.read(plan.full_names.values()))


def test_a_programme_changes_nothing_but_the_reward(named: list[NamedTape], tmp_path: Path) -> None:
    """Every run is the one without, to the last digit; an order that rests earns by the second, one that only takes
    earns by volume, both as a cost below nought."""
    plain, paid = (
        work(named, Conditions(rewards=rewards), tmp_path / str(rewards is None)) for rewards in (None, REWARDS)
    )
    assert [each.key for each in plain] == [each.key for each in paid]
    resting = taking = 0
    for before, after in zip(plain, paid, strict=True):
        for name, run in after.runs.items():
            assert replace(run, liquidity_reward_e7=0, volume_reward_e7=0) == before.runs[name]
            assert run.cost_e7 == run.shortfall_e7 + run.liquidity_reward_e7 + run.volume_reward_e7
        resting += after.runs["join_bid@1"].liquidity_reward_e7 < 0
        market = after.runs["market@1"]
        taking += market.volume_reward_e7 < 0 and market.liquidity_reward_e7 == 0
    assert resting > len(paid) // 2
    assert taking == len(paid)


def test_the_report_takes_them_off_or_leaves_them_out(named: list[NamedTape], tmp_path: Path) -> None:
    """A cell's cost is less by its reward; without rewards it is that of an experiment without programmes."""
    costs = {}
    for rewards in (None, REWARDS):
        work(named, Conditions(rewards=rewards), tmp_path / str(rewards is None))
        field = Field(replace(PLAN, conditions=Conditions(rewards=rewards)), named)
        with open_results(tmp_path / str(rewards is None), resume=True) as results:
            for with_rewards in (True, False):
                cells = build_report(field, results, with_rewards=with_rewards).cells
                costs[rewards is None, with_rewards] = cells
    assert costs[False, False] == costs[True, False] == costs[True, True]
    for paid, plain in zip(costs[False, True], costs[True, True], strict=True):
        assert Decimal(paid.reward) > 0
        assert Decimal(plain.reward) == 0
        assert Decimal(paid.shortfall) + Decimal(paid.reward) == pytest.approx(Decimal(plain.shortfall))


def test_results_without_programmes_do_not_go_on_with_them(named: list[NamedTape], tmp_path: Path) -> None:
    """Nor do those that an earlier version began, which states none; it reads them all the same."""
    work(named, Conditions(), tmp_path)
    with pytest.raises(UserError, match="was measured with rewards None"):
        work(named, Conditions(rewards=REWARDS), tmp_path)
    with closing(sqlite3.connect(tmp_path / "compare.sqlite")) as old, old:
        old.execute("DELETE FROM experiment WHERE name = 'rewards'")
        old.execute("DROP TABLE rewards")
    with pytest.raises(UserError, match="was measured with rewards None"):
        work(named, Conditions(rewards=REWARDS), tmp_path)
    assert len(work(named, Conditions(), tmp_path)) > 0


def small_tape(**fees: object) -> Tape:
    header = msgspec.structs.replace(tape_header("KXTEST-A-1", "linear_cent", category="Testing"), **fees)
    opening = BookSnapshot(((price("0.45"), count("10")),), ((price("0.50"), count("10")),))
    bought = Trade("yes", price("0.50"), count("3"))
    return Tape(header, ((0, opening), (1_800 * US_PER_S, bought), (3_600 * US_PER_S, bought)))


@pytest.mark.parametrize(
    ("own", "conditions", "expected"),
    [
        (("quadratic", "1"), Conditions(), fee_terms("quadratic", Decimal(1))),
        (("quadratic", "0.5"), Conditions(), FeeTerms(taker_e10=350_000_000, maker_e10=0)),
        (("quadratic_with_maker_fees", "1"), Conditions(), FeeTerms(taker_e10=700_000_000, maker_e10=175_000_000)),
        (("quadratic_with_maker_fees", "0.5"), Conditions(), FeeTerms(taker_e10=350_000_000, maker_e10=87_500_000)),
        (("quadratic_with_maker_fees", "1"), Conditions(maker_fee="0"), fee_terms("quadratic", Decimal(1))),
        # The maker's is a share of the taker's: at half the rate it is half as much too.
        (("quadratic", "0.5"), Conditions(maker_fee="1.75"), FeeTerms(taker_e10=350_000_000, maker_e10=87_500_000)),
        (("quadratic", "1"), Conditions(fee_multiplier="0.5"), FeeTerms(taker_e10=350_000_000, maker_e10=0)),
        (
            ("quadratic", "1"),
            Conditions(maker_fee="3.5", fee_multiplier="2"),
            FeeTerms(taker_e10=1_400_000_000, maker_e10=700_000_000),
        ),
    ],
)
def test_fees_are_those_of_the_market_or_of_the_conditions(
    own: tuple[str, str], conditions: Conditions, expected: FeeTerms
) -> None:
    """Its own fee type and multiplier, unless the conditions state another."""
    header = with_fees(small_tape(fee_type=own[0], fee_multiplier=Decimal(own[1])), conditions).header
    assert fee_terms(header.fee_type, header.fee_multiplier) == expected


def test_the_volume_of_a_day() -> None:
    """Six contracts an hour are 144 a day."""
    assert daily_volume(small_tape()) == count("144")


@pytest.mark.parametrize(
    ("liquidity", "volume", "words"),
    [
        ("100", None, "give DOLLARS,TARGET,DISCOUNT"),
        ("0,300,0.5", None, "give DOLLARS,TARGET,DISCOUNT"),
        ("100,0,0.5", None, "give DOLLARS,TARGET,DISCOUNT"),
        ("100,300,1.0001", None, "give DOLLARS,TARGET,DISCOUNT"),
        ("100,300,half", None, "give DOLLARS,TARGET,DISCOUNT"),
        (None, "-5", "--volume-reward '-5'"),
        (None, "lots", "--volume-reward 'lots'"),
    ],
)
def test_programmes_that_make_no_sense(liquidity: str | None, volume: str | None, words: str) -> None:
    """One line that says what to give."""
    with pytest.raises(UserError, match=words):
        parse_rewards(liquidity, volume)


def test_programmes_as_they_are_given() -> None:
    """Dollars a day, contracts, a factor; neither: none."""
    assert parse_rewards(None, None) is None
    assert parse_rewards("864, 300, 0.5", "500") == REWARDS
    assert parse_conditions("proportional", 200, None, fee_multiplier="0.500").fee_multiplier == "0.50"
    with pytest.raises(UserError, match="--fee-multiplier 11: give a number from 0 to 10"):
        parse_conditions("proportional", 200, None, fee_multiplier="11")


def test_a_recording_says_what_its_market_charges(tmp_path: Path) -> None:
    """The fees of its header are those of the tape; without any they are the standard ones, and those that cannot be
    are refused in one line."""

    def tape_of(**fees: str) -> Tape:
        header = Header(format=FORMAT, ticker="KXA-26-B", price_level_structure="linear_cent", **fees)
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        frame = book_frame("KXA-26-B", Book([(price("0.45"), count("10"))], []))
        path.write_bytes(b"\n".join((header_line(header), frame_line(1_790_000_000_000_000, frame), b"")))
        return read_tape(path)

    half = tape_of(fee_type="quadratic_with_maker_fees", fee_multiplier="0.5000000000").header
    assert fee_terms(half.fee_type, half.fee_multiplier) == FeeTerms(taker_e10=350_000_000, maker_e10=87_500_000)
    standard = tape_of().header
    assert fee_terms(standard.fee_type, standard.fee_multiplier) == fee_terms("quadratic", Decimal(1))
    for wrong in ({"fee_type": "flat"}, {"fee_type": "quadratic", "fee_multiplier": "half"}):
        with pytest.raises(UserError, match="its header states fees that cannot be"):
            tape_of(**wrong)
