"""What a trader types into `submit`, and what the screens say of it: understood, or refused in one line that helps."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fsm_exec.cli.daemon.execution_tables import describe_seconds
from fsm_exec.control.market_schema import Estimate
from fsm_exec.control.schema import Accepted
from fsm_exec.core.values.units import price_hint
from tests.cli.daemons import command, serve, show
from tests.cli.exchange import TICKER, site
from tests.cli.invoking import invoke

MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (
        (),
        "Missing: TICKER, OUTCOME, QUANTITY, --limit or --cap or --target-price, --horizon or --deadline; "
        "see: fsm-exec submit --help",
    ),
    (("T", "yes"), "Missing: QUANTITY, --limit or --cap or --target-price, --horizon or --deadline"),
    (("T", "yes", "5", "--limit", "0.5"), "Missing: --horizon or --deadline"),
    (("T", "maybe", "5"), "'maybe' is no outcome; give yes or no"),
    *((("T", "yes", value), f"{value} is below 0; give contracts above 0") for value in ("-5", "-12.5")),
    (("T", "yes", "0"), "'0': give contracts above 0, as 40 or 2.5"),
    *((("T", "yes", value), f"'{value}' is not a plain decimal number; give contracts") for value in ("forty", "NaN")),
    *((("T", "yes", "5", "--limit", value), "did you mean 0.55?") for value in ("55", "55c", "$0.55", ".55", "0,55")),
    (("T", "yes", "5", "--limit", "1.5"), "is not between 0 and 1 dollar; did you mean 0.015?"),
    (("T", "yes", "5", "--limit", "inf"), "'--limit': 'inf' is not a plain decimal number; give dollars per contract"),
    (("T", "yes", "5", "--cap", "62"), "'62' is not between 0 and 1 dollar; did you mean 0.62?"),
    (("T", "yes", "5", "--cap", "0"), "'0' is not between 0 and 1 dollar; give dollars"),
    (
        ("T", "yes", "5", "--probability", "0.6", "--horizon", "9"),
        "--probability finds the quantity: leave QUANTITY out",
    ),
    (("T", "yes", "5", "--limit", "0.5", "--horizon", "9", "--min-edge", "0.1"), "--min-edge goes with --probability"),
    (("T", "yes", "5", "--limt", "0.5"), "No such option '--limt'. Did you mean '--limit'?"),
]


@pytest.mark.parametrize(("typed", "says"), MISTAKES)
def test_a_mistake_is_named_as_the_command_calls_it(tmp_path: Path, typed: tuple[str, ...], says: str) -> None:
    """Before any daemon is looked for: one line, all that is missing at once, and what may have been meant."""
    done = invoke(tmp_path, "submit", *typed)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("text", ["100", "1e3", "", "-0.5", "55.555", "abc", "9" * 400])
def test_no_hint_is_better_than_a_wrong_one(text: str) -> None:
    """What is like no price gets none."""
    assert price_hint(text) == ""


async def test_what_came_of_a_limit_is_said_everywhere(tmp_path: Path) -> None:
    """Limit and cap by submit and show; an execution whose limit lay below the market says so in list, show and watch,
    in 80 columns; the method is the flagship; show has bid, ask and the time left while it is at work."""
    async with site(tmp_path) as at:
        daemon = await serve(at)
        done = await command(at, "submit", TICKER, "Y", "5", "--limit", "0.30", "--horizon", "3", "--key", "low")
        assert done.returncode == 0, done.stderr
        assert "buys up to 5 YES of KXTEST-26OCT01-A within 3 s, by deadline_walker" in done.stdout
        assert "limit 0.30 per contract; cap 0.3147 with fees; at most 1.5735 dollars in all" in done.stdout

        working = await command(at, "submit", TICKER, "NO", "5", "--cap", "0.40", "--horizon", "300")
        assert working.returncode == 0, working.stderr
        detail = await show(at, "e000002")
        assert detail.quote is not None
        assert (detail.quote.bid, detail.quote.ask, detail.quote.feed) == ("0.4700", "0.5500", "live")
        assert 290 <= (detail.seconds_left or 0) <= 300
        assert detail.execution.method == "deadline_walker@1"
        shown = (await command(at, "show", "e000002")).stdout
        for words in ("NO bid 0.47 x 10, ask 0.55 x 10", "4 min 5", "s left", "limit 0.38 per contract, cap 0.40 with"):
            assert words in " ".join(shown.split()), shown
        assert "price 0.3800" in " ".join(shown.split()), "the price of its order is in the journal"

        watched = (await command(at, "watch", "e000001")).stdout
        assert "e000001  limit below the market: 0.3000, the best offer was 0.5300" in watched
        assert "limit below the market: 0.3000" in (await command(at, "show", "e000001")).stdout
        listed = (await command(at, "list")).stdout
        assert "limit below the market" in " ".join(listed.split())
        again = await command(
            at, "submit", TICKER, "yes", "5.00", "--worst-price", "0.3", "--horizon", "3", "--key", "low", "--json"
        )
        accepted = msgspec.json.decode(again.stdout, type=Accepted)
        assert (accepted.is_new, accepted.limit, accepted.cap) == (False, "0.3000", "0.314700")

        assert (await command(at, "halt")).returncode == 0
        refused = await command(at, "submit", TICKER, "yes", "5", "--limit", "0.30", "--horizon", "9")
        assert (refused.returncode, "fsm-exec resume" in refused.stderr) == (1, True)
        assert await daemon.end() == 0


async def test_a_dry_run_of_a_chance_says_the_size_and_buys_nothing(tmp_path: Path) -> None:
    """By `submit --dry-run` and `estimate` alike: quantity, cap, limit and how they came to be; without an edge the
    reason, as a refusal; then `submit` buys that much."""
    async with site(tmp_path) as at:
        daemon = await serve(at)
        chance = (TICKER, "yes", "--probability", "0.62", "--bankroll", "100", "--horizon", "20")
        for asked in (("submit", *chance, "--dry-run"), ("estimate", *chance)):
            done = await command(at, *asked)
            assert done.returncode == 0, done.stderr
            assert "sized: probability 0.620000, 0.250000 of a bankroll of 100.000000 dollars" in done.stdout
            assert "7 YES of KXTEST-26OCT01-A within" in done.stdout
            assert "limit 0.53 per contract (what the edge is worth); cap 0.5" in done.stdout
            assert "nothing was sent" in done.stdout
        told = await command(at, "estimate", *chance, "--min-edge", "0.05", "--json")
        assert msgspec.json.decode(told.stdout, type=Estimate).quantity == "2.00"
        none = await command(at, "submit", TICKER, "yes", "--probability", "0.5", "--horizon", "20", "--dry-run")
        assert (none.returncode, none.stdout, none.stderr.count("\n")) == (2, "", 1)
        assert "nothing is worth buying" in none.stderr
        assert at.exchange.orders == {}
        bought = await command(at, "submit", *chance, "--json")
        assert msgspec.json.decode(bought.stdout, type=Accepted).quantity == "7.00"
        assert await daemon.end() == 0


async def test_no_figure_is_cut_at_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """List and show on a terminal of that width: every price, state and time is whole."""
    async with site(tmp_path) as at:
        daemon = await serve(at)
        done = await command(at, "submit", TICKER, "yes", "1200.25", "--limit", "0.30", "--horizon", "2")
        assert done.returncode == 0, done.stderr
        await command(at, "watch", "e000001")
        monkeypatch.setenv("COLUMNS", "80")
        for screen in (("list",), ("show", "e000001")):
            text = (await command(at, *screen)).stdout
            assert max(map(len, text.splitlines())) <= 80
            assert "…" not in text
            assert "0/1200.25" in text or "0 of 1200.25" in text
            assert "cancelled" in text
        assert await daemon.end() == 0


def test_a_span_is_said_in_two_units() -> None:
    """Hours and minutes, minutes and seconds, seconds."""
    assert [describe_seconds(s) for s in (0, 59, 60, 3_599, 3_600, 90_061)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "59 min 59 s",
        "1 h 00 min",
        "25 h 01 min",
    ]
