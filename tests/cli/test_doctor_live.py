"""`fsm-exec doctor --live` at a paper exchange: what it places it takes away, and what it buys it sells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from fsm_exec.cli.config import load_config
from fsm_exec.cli.doctor.live_check import confirm_live
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from tests.cli.exchange import OTHER, TICKER, Site, site


def verdicts(output: str) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["verdict"], check["text"]) for check in json.loads(output)["checks"]}


async def doctor(place: Site, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    code, output, errors = await place.run("doctor", "--config", place.config, "--live", "--json", *arguments)
    assert errors == ""
    return code, verdicts(output)


async def test_an_order_is_placed_seen_and_gone(tmp_path: Path) -> None:
    """One contract at the lowest price, post only, that ends by itself; the listing and the stream show it."""
    async with site(tmp_path) as place:
        code, found = await doctor(place)
        assert code == 0
        assert [found[name][0] for name in ("order", "listing", "order stream", "cancel")] == ["ok"] * 4
        assert "at 0.0100, post only" in found["order"][1]
        assert not {"bought", "sold"} & set(found)
        (order,) = place.exchange.orders.values()
        assert (order.status, order.post_only, order.initial_e2) == ("canceled", True, 100)
        assert order.expiration_us is not None
        assert order.client_order_id.startswith("doctor-")


async def test_a_contract_is_bought_and_sold(tmp_path: Path) -> None:
    """In the market whose quotes are nearest; nothing is held in the end, and the cost is what the balance lacks."""
    async with site(tmp_path) as place:
        sides = [tuple((parse_price(p), parse_count("10")) for p in prices) for prices in (("0.44", "0.45"), ("0.54",))]
        place.exchange.apply(OTHER, BookSnapshot(*sides))  # offered at 0.46 there, at 0.53 in the other one
        before_e6 = place.account.cash_e6
        code, found = await doctor(place, "--cents")
        assert (code, found["bought"], found["sold"][1]) == (
            0,
            ("ok", f"1.00 YES of {OTHER} at 0.4600"),
            "again at 0.4500",
        )
        assert place.account.position(OTHER).count_e2 == 0
        lost_e6 = before_e6 - place.account.cash_e6
        cost = found["cost"][1].split()[0]
        assert round(float(cost) * 1_000_000) == lost_e6


async def test_what_cannot_be_sold_is_said(tmp_path: Path) -> None:
    """Nobody bids: exit code 1, and the line says what is held and how to be rid of it."""
    async with site(tmp_path) as place:
        place.exchange.apply(TICKER, BookSnapshot((), ((parse_price("0.47"), parse_count("10")),)))
        code, found = await doctor(place, "--cents", "--market", TICKER)
        assert code == 1
        assert found["bought"][0] == "ok"
        assert found["sold"] == (
            "fail",
            f"1.00 of it could not be sold: nothing is offered; sell it by: fsm-exec close {TICKER}",
        )


@pytest.mark.parametrize("market", ["KXNONE-A", TICKER])
async def test_a_market_that_cannot_take_it_is_refused(tmp_path: Path, market: str) -> None:
    """One that is not there, or is closed: one line, exit code 2, and nothing was sent."""
    async with site(tmp_path) as place:
        place.exchange.close_market(TICKER)
        arguments = ("--live", "--market", market)
        code, _, errors = await place.run("doctor", "--config", place.config, *arguments)
        assert (code, errors.count("\n")) == (2, 1)
        assert "is not open, or nothing is offered there" in errors
        assert not place.exchange.orders


async def test_nothing_is_tried_where_something_else_fails(tmp_path: Path) -> None:
    """A key that the exchange does not know places nothing."""
    async with site(tmp_path) as place:
        place.write_config(api_key_id="00000000-0000-4000-8000-000000000000")
        code, found = await doctor(place)
        assert (code, found["signature"][0]) == (1, "fail")
        assert "order" not in found
        assert not place.exchange.orders


async def test_who_leaves_in_the_middle_leaves_no_order(tmp_path: Path) -> None:
    """Ctrl-C while the order rests: it is cancelled first."""
    async with site(tmp_path) as place:
        process = await place.start("doctor", "--config", place.config, "--live", "--json")
        with trio.fail_after(120):
            while not place.exchange.orders and process.poll() is None:  # noqa: ASYNC110 - another process
                await trio.sleep(0.005)
        process.send_signal(2)
        with trio.fail_after(120):
            assert await process.wait() == 130
        assert [order.status for order in place.exchange.orders.values()] == ["canceled"]


def test_real_money_is_asked_for(tmp_path: Path) -> None:
    """Nobody at a terminal: a line that says what it would cost; `--yes` says that it may."""
    config = tmp_path / "config.toml"
    config.write_text(
        'environment = "production"\nallow_real_money = true\napi_key_id = "k"\nprivate_key_path = "key.pem"\n'
    )
    loaded = load_config(config)
    confirm_live(loaded, cents=True, is_agreed=True)
    with pytest.raises(UserError, match=r"trades with real money here .*; give --yes"):
        confirm_live(loaded, cents=True, is_agreed=False)
