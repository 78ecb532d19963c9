"""The rarer actions: closing a position, the ways back after a loss, a quarantined execution taken up again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.errors import LocalError
from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from fsm_exec.runtime.actor import Actor
from tests.control.conftest import TICKER
from tests.control.test_close import hold, until_ended
from tests.web.actions.test_routes import ORDER, act, audit, fields_of
from tests.web.conftest import PageOfDesk, a_page

LOOK_S = 31


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    with trio.fail_after(10):
        while not await holds():  # noqa: ASYNC110 - the engine is waited for
            await trio.sleep(0.02)


async def test_a_close_brings_what_its_confirmation_states(page: PageOfDesk) -> None:
    """The limit of the confirmation is the execution's, whatever the book does meanwhile, and twice is once."""
    await hold(page.desk)
    async with page.browser() as browser:
        shown = await act(browser, "/actions/close/review", ticker=TICKER)
        assert f"Close 8 YES of {TICKER}?" in shown.text
        assert "0.43 or more per contract held, before fees" in shown.text
        page.desk.exchange.apply(TICKER, BookSnapshot(((parse_price("0.40"), parse_count("20")),), ()))
        done = await act(browser, "/actions/close", **fields_of(shown.text))
        again = await act(browser, "/actions/close", **fields_of(shown.text))
        assert "e000002 closes" in done.text
        assert "was accepted earlier, and once" in again.text
        closing = (await page.desk.control.show("e000002", 0)).execution
        assert (closing.outcome, closing.target_quantity, closing.limit) == ("no", "8.00", "0.5700")
        nothing = await act(browser, "/actions/close/review", ticker="KXTEST-26OCT01-B")
        assert "nothing is held" in nothing.text


@pytest.fixture
async def braked(tmp_path: Path) -> AsyncIterator[PageOfDesk]:
    """A page of a desk whose brake has cut in: 8 YES bought for 0.53 are worth 0.30."""
    async with a_page(tmp_path, risk=RiskLimits(daily_loss_dollars=1)) as made:
        await trio.sleep(LOOK_S)
        await hold(made.desk)
        made.desk.exchange.apply(TICKER, BookSnapshot(((parse_price("0.30"), parse_count("20")),), ()))
        await trio.sleep(LOOK_S)
        yield made


async def test_a_loss_is_accepted_by_name(autojump_clock: MockClock, braked: PageOfDesk) -> None:
    """The confirmation says what was lost; refused without accepting it; the log of the brake names the session."""
    async with braked.browser() as browser:
        refused = await act(browser, "/actions/risk_resume")
        assert refused.status_code == 422
        shown = await act(browser, "/actions/risk_resume/review", accept_loss="yes")
        assert "Accept the loss and take risk again?" in shown.text
        assert "reducing: the daily loss is " in shown.text
        done = await act(browser, "/actions/risk_resume", **fields_of(shown.text))
        assert "risk is active" in done.text
        who = audit(braked)[-1]["who"]
        (move,) = (await braked.desk.control.risk.risk(1)).moves
        assert (move.moved_to, move.who) == ("active", who)


async def test_what_is_not_halted_cannot_be_eased(autojump_clock: MockClock, braked: PageOfDesk) -> None:
    """In the API's words."""
    async with braked.browser() as browser:
        assert "From halted to reducing?" in (await act(browser, "/actions/risk_reduce/review")).text
        refused = await act(browser, "/actions/risk_reduce")
        assert (refused.status_code, audit(braked)[-1]["outcome"]) == (422, "refused")


async def test_a_quarantined_execution_is_taken_up_again(page: PageOfDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The confirmation says why it was given up, and what it goes on with."""
    async with page.browser() as browser:
        await act(browser, "/actions/submit", **ORDER)

        async def contradict(_: Actor, __: object) -> None:
            raise LocalError("two truths")

        with monkeypatch.context() as patched:
            patched.setattr(Actor, "step", contradict)
            failed = await act(browser, "/actions/cancel", execution_id="e000001")
            assert (failed.status_code, audit(page)[-1]["outcome"]) == (503, "refused")

            async def is_quarantined() -> bool:
                return (await page.desk.control.show("e000001", 0)).execution.quarantine is not None

            await until(is_quarantined)
        shown = await act(browser, "/actions/resume_execution/review", execution_id="e000001")
        assert "two truths" in shown.text
        assert "buying up to 10 YES, of which 0 are filled" in shown.text
        done = await act(browser, "/actions/resume_execution", **fields_of(shown.text))
        assert "e000001 is at work again" in done.text
        await act(browser, "/actions/cancel", execution_id="e000001")
        await until_ended(page.desk, "e000001")


async def test_an_action_that_is_cut_short_is_in_the_log(page: PageOfDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for its answer any more: it stands there as asked, and as unknown, for it may have been done."""
    slow = trio.Event()

    async def never(_: object) -> None:
        slow.set()
        await trio.sleep_forever()

    monkeypatch.setattr(type(page.desk.control), "halt", never)
    async with page.browser() as browser, trio.open_nursery() as nursery:
        nursery.start_soon(act, browser, "/actions/halt")
        await slow.wait()
        nursery.cancel_scope.cancel()
    asked, cut = audit(page)
    assert (asked["event"], asked["action"]) == ("page_action_asked", "halt")
    assert (cut["outcome"], cut["level"]) == ("unknown", "warning")
